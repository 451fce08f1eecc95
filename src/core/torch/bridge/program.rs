//! TorchScript programs, put together value by value: what an archive holds is read and checked before it comes here.

use super::ffi::{self, Payload, RawItem, RawProgram, RawValue};
use super::value::{Value, lift};
use crate::torch::Tensor;
use std::ffi::{CStr, CString, c_char, c_void};

/// The operators that programs may use, one a line.
const OPERATORS: &str = include_str!("program/operators.txt");

/// One value of an archive. Numbers stand for values that were taken in before.
pub(in crate::torch) enum Item<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    Device(&'a str),
    Tensor(&'a Tensor),
    List(&'a [i64]),
    Tuple(&'a [i64]),
    /// Keys and values in turn.
    Dict(&'a [i64]),
    /// An object of that class, with its state.
    Object(&'a str, i64),
}

/// What libtorch or the checks say against a program.
pub(in crate::torch) type ProgramResult<T> = Result<T, String>;

/// A program, with its module once it was built.
pub(in crate::torch) struct Program {
    raw: *mut RawProgram,
    values: i64,
}

fn named() -> impl Iterator<Item = &'static str> {
    OPERATORS.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

fn checked(f: impl FnOnce(*mut *mut c_char) -> std::ffi::c_int) -> ProgramResult<()> {
    ffi::checked(f).map_err(|failure| failure.message)
}

/// Calls `f` with enough stack for what libtorch's compiler does with the deepest program that is let through.
fn roomy<T>(f: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 << 20, 256 << 20, f)
}

fn c_string(s: &str) -> ProgramResult<CString> {
    CString::new(s).map_err(|_| "a name holds a zero byte".into())
}

impl Program {
    /// An empty program of an archive of that version.
    pub fn new(version: i64) -> ProgramResult<Self> {
        let names = named().map(c_string).collect::<ProgramResult<Vec<_>>>()?;
        let pointers: Vec<*const c_char> = names.iter().map(|n| n.as_ptr()).collect();
        let mut raw = std::ptr::null_mut();
        // SAFETY: the names are terminated and outlive the call; on success `raw` is a program, which is freed on drop.
        checked(|e| unsafe { ffi::lathe_program_new(pointers.as_ptr(), pointers.len() as i64, version, &mut raw, e) })?;
        Ok(Program { raw, values: 0 })
    }

    /// Takes a file of code in: its module's dotted name, and its text.
    pub fn source(&mut self, name: &str, text: &str) -> ProgramResult<()> {
        let name = c_string(name)?;
        // SAFETY: a terminated name, and a text of that length.
        roomy(|| checked(|e| unsafe { ffi::lathe_program_source(self.raw, name.as_ptr(), text.as_ptr().cast(), text.len() as i64, e) }))
    }

    /// Takes a value in, and gives its number.
    pub fn value(&mut self, item: &Item) -> ProgramResult<i64> {
        let plain = |tag, u| RawValue { tag, len: 0, u };
        let empty = Payload { i: 0 };
        let state;
        let (value, text, children): (RawValue, &str, &[i64]) = match item {
            Item::None => (RawValue::EMPTY, "", &[]),
            Item::Bool(b) => (plain(ffi::BOOL, Payload { i: (*b).into() }), "", &[]),
            Item::Int(i) => (plain(ffi::INT, Payload { i: *i }), "", &[]),
            Item::Float(f) => (plain(ffi::FLOAT, Payload { f: *f }), "", &[]),
            Item::Str(s) => (plain(ffi::STR, empty), s, &[]),
            Item::Device(s) => (plain(ffi::DEVICE, empty), s, &[]),
            Item::Tensor(t) => (plain(ffi::TENSOR, Payload { p: t.0.as_ptr().cast_mut().cast() }), "", &[]),
            Item::List(c) => (plain(ffi::LIST, empty), "", c),
            Item::Tuple(c) => (plain(ffi::TUPLE, empty), "", c),
            Item::Dict(c) => (plain(ffi::DICT, empty), "", c),
            Item::Object(class, s) => {
                state = [*s];
                (plain(ffi::OBJECT, empty), class, &state)
            }
        };
        let raw = RawItem {
            value,
            text: text.as_ptr().cast(),
            text_length: text.len() as i64,
            children: children.as_ptr(),
            child_count: children.len() as i64,
        };
        // SAFETY: everything that the item points to outlives the call, which copies it.
        checked(|e| unsafe { ffi::lathe_program_value(self.raw, &raw, e) })?;
        self.values += 1;
        Ok(self.values - 1)
    }

    /// Makes a value the next of the constants that the code refers to.
    pub fn constant(&mut self, value: i64) -> ProgramResult<()> {
        // SAFETY: the program is alive; an unknown number is an error.
        checked(|e| unsafe { ffi::lathe_program_constant(self.raw, value, e) })
    }

    /// Compiles the code, checks every graph, and makes the module from its value.
    pub fn build(&mut self, root: i64) -> ProgramResult<()> {
        // SAFETY: the program is alive; an unknown number is an error.
        roomy(|| checked(|e| unsafe { ffi::lathe_program_build(self.raw, root, e) }))
    }

    /// The module's parameters by name.
    pub fn parameters(&self) -> ProgramResult<Vec<(String, Tensor)>> {
        extern "C" fn push(data: *mut c_void, name: *const c_char, tensor: *const c_void) {
            // SAFETY: `data` is the list below; the name is terminated, the tensor borrowed, and both live during this call.
            unsafe {
                let list = &mut *data.cast::<Vec<(String, Tensor)>>();
                let t = Tensor(tch::Tensor::clone_from_ptr(tensor.cast_mut().cast()));
                list.push((CStr::from_ptr(name).to_string_lossy().into_owned(), t));
            }
        }
        let mut list: Vec<(String, Tensor)> = Vec::new();
        let data = std::ptr::from_mut(&mut list).cast();
        // SAFETY: `list` outlives the call, and only `push` uses it.
        checked(|e| unsafe { ffi::lathe_program_parameters(self.raw, data, push, e) })?;
        Ok(list)
    }

    /// Runs `forward`. Gradients are recorded or not as before, whatever the program does.
    pub fn forward(&self, input: &Tensor) -> ProgramResult<Value> {
        if !input.0.defined() {
            return Err("the input is no tensor".into());
        }
        let mut out = RawValue::EMPTY;
        // SAFETY: a defined tensor that outlives the call.
        let done = roomy(|| checked(|e| unsafe { ffi::lathe_program_forward(self.raw, input.0.as_ptr().cast(), &mut out, e) }));
        // SAFETY: `out` is what the call left, lifted once, then freed once; its tensors now belong to the lifted value.
        let value = unsafe {
            let value = lift(&out);
            ffi::lathe_free_value(&mut out);
            value
        };
        done.map(|()| value)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by lathe_program_new, freed once.
        unsafe { ffi::lathe_program_free(self.raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_of_programs_exists_and_stands_once() {
        let has = |name: &str| {
            let name = CString::new(name).unwrap();
            // SAFETY: a terminated string.
            unsafe { ffi::lathe_program_has(name.as_ptr()) != 0 }
        };
        // Without a schema: the compiler makes these itself.
        let own = [
            "prim::If",
            "prim::Loop",
            "prim::Constant",
            "prim::ListConstruct",
            "prim::ListUnpack",
            "prim::TupleConstruct",
            "prim::TupleSlice",
            "prim::DictConstruct",
            "prim::GetAttr",
            "prim::SetAttr",
            "prim::CallFunction",
            "prim::CallMethod",
            "prim::CreateObject",
            "prim::isinstance",
            "prim::Enter",
            "prim::Exit",
        ];
        let mut seen = std::collections::HashSet::new();
        for name in named() {
            assert!(has(name) || own.contains(&name), "libtorch has no `{name}`");
            assert!(seen.insert(name), "`{name}` stands twice");
        }
        assert!(seen.len() > 500 && !has("aten::no_such_operator") && !has("aten::add.NoSuch"));
    }

    #[test]
    fn what_reaches_files_memory_or_the_process_is_no_operator_of_programs() {
        let families =
            ["from_file", "save", "set_", "data", "resize_", "resize_as_", "embedding_bag", "manual_seed", "ctc_loss", "lstm", "segment_reduce"];
        for name in named() {
            let bare = name.split("::").nth(1).unwrap().split('.').next().unwrap();
            assert!(!families.contains(&bare) && !bare.ends_with("_backward"), "{name}");
            assert!(name.starts_with("aten::") || name.starts_with("prim::"), "{name}");
            let overload = name.split('.').nth(1).unwrap_or_default();
            assert!(!overload.ends_with("out") || name == "aten::div.out" || overload.ends_with("layout"), "{name}");
            let python = ["prim::Print", "prim::PythonOp", "prim::fork", "prim::Closure", "prim::data", "prim::profile"];
            assert!(!python.contains(&name), "{name}");
        }
    }
}
