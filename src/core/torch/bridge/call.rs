//! Operators by name.

use super::ffi::{self, RawOp, RawValue};
use super::value::{Arena, Value, lift, lower};
use crate::error::{Error, Result, did_you_mean};
use crate::torch::{Tensor, from_message};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

thread_local! {
    /// Operators found so far: the lookup in C++ takes a lock and builds a string.
    static FOUND: RefCell<HashMap<String, Op>> = RefCell::default();
}

/// An operator, with some or all of its overloads. It lives as long as the process.
#[derive(Clone, Copy)]
pub struct Op(*const RawOp);

/// Calls an operator of libtorch's dispatcher: `add`, `aten::add`, `add.Scalar`, `quantized::linear`. The cheapest overload that
/// takes the arguments is chosen; autograd, no_grad and autocast apply as in PyTorch. Returns the operator's results in order.
///
/// For our own use: everything is allowed. Scripts go through [`crate::torch::operators::script_call`].
///
/// # Errors
/// `E0202` for an unknown name (with the nearest one) or arguments that no overload takes; otherwise what the operator says.
pub fn call(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    call_op(find(name)?, name, args, kw)
}

/// [`call`] with an operator that is found already; `name` is for messages.
///
/// # Errors
/// As [`call`].
pub fn call_op(op: Op, name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let mut out = RawValue::EMPTY;
    // SAFETY: a found operator; the lowered arguments outlive the call.
    let called = lowered(name, args, kw, |raw, keywords| unsafe {
        ffi::checked(|err| ffi::lathe_call(op.0, raw.as_ptr(), args.len() as i64, keywords.as_ptr(), keywords.len() as i64, &mut out, err))
    })?;
    // SAFETY: `out` is what the call left, lifted once, then freed once; its tensors now belong to the lifted value.
    let value = unsafe {
        let value = lift(&out);
        ffi::lathe_free_value(&mut out);
        value
    };
    called.map_err(|f| super::recompute::thrown().unwrap_or_else(|| failure(name, args, kw, f)))?;
    match value {
        Value::Tuple(results) => Ok(results),
        other => Ok(vec![other]),
    }
}

/// The name of the overload that a call would take; empty for the one without a name.
///
/// # Errors
/// `E0202` for arguments that no overload takes.
pub fn pick(op: Op, name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<String> {
    let mut overload = std::ptr::null_mut();
    // SAFETY: a found operator; the lowered arguments outlive the call.
    let picked = lowered(name, args, kw, |raw, keywords| unsafe {
        ffi::checked(|err| ffi::lathe_pick(op.0, raw.as_ptr(), args.len() as i64, keywords.as_ptr(), keywords.len() as i64, &mut overload, err))
    })?;
    picked.map_err(|f| failure(name, args, kw, f))?;
    Ok(ffi::take_string(overload))
}

/// Runs `f` with the C forms of arguments, and of the names of those that are taken by name.
fn lowered<T>(name: &str, args: &[Value], kw: &[(&str, Value)], f: impl FnOnce(&[RawValue], &[*const c_char]) -> T) -> Result<T> {
    let mut arena = Arena::default();
    let mut raw = Vec::with_capacity(args.len() + kw.len());
    for v in args.iter().chain(kw.iter().map(|(_, v)| v)) {
        raw.push(lower(v, &mut arena, 0).map_err(|e| e.context(name))?);
    }
    let names = kw.iter().map(|(k, _)| c_string(k)).collect::<Result<Vec<_>>>()?;
    let keywords: Vec<*const c_char> = names.iter().map(|k| k.as_ptr()).collect();
    Ok(f(&raw, &keywords))
}

/// [`call`] for an operator with one tensor as its result.
///
/// # Errors
/// As [`call`]; `E0202` when the result is something else.
pub fn call1(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Tensor> {
    call(name, args, kw)?.into_iter().next().unwrap_or(Value::None).into_tensor().map_err(|e| e.context(name))
}

/// Forgets the gradient of a tensor: `zero_grad(set_to_none=True)`.
pub(crate) fn clear_grad(t: &Tensor) -> Result<()> {
    if !t.0.defined() {
        return Ok(());
    }
    // SAFETY: a defined tensor, which outlives the call.
    let done = unsafe { ffi::checked(|e| ffi::lathe_clear_grad(t.0.as_ptr().cast_mut().cast(), e)) };
    done.map_err(|f| from_message("zero_grad", &[t], &f.message))
}

/// The schemas of an operator's overloads; empty when there is no such operator.
pub fn schemas(name: &str) -> Vec<String> {
    let Ok(name) = c_string(name) else { return Vec::new() };
    collect(Some(&name)).into_iter().map(|(_, schema)| schema).collect()
}

/// Every operator's name, such as `aten::add`, sorted.
pub fn names() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut all: Vec<String> = collect(None).into_iter().map(|(name, _)| name).collect();
        all.sort();
        all.dedup();
        all
    })
}

fn find(name: &str) -> Result<Op> {
    if let Some(op) = FOUND.with_borrow(|found| found.get(name).copied()) {
        return Ok(op);
    }
    let c = c_string(name)?;
    // SAFETY: a terminated string; the result lives as long as the process.
    let op = unsafe { ffi::lathe_op(c.as_ptr()) };
    if op.is_null() {
        let near = did_you_mean(name.strip_prefix("aten::").unwrap_or(name), names().iter().filter_map(|n| n.strip_prefix("aten::")));
        return Err(Error::value("op", format!("libtorch has no operator `{name}`{near}")));
    }
    FOUND.with_borrow_mut(|found| found.insert(name.to_owned(), Op(op)));
    Ok(Op(op))
}

/// The operator of that name, `aten::add`, with these of its overloads alone.
///
/// # Errors
/// `E0202` when it has none of them.
pub fn find_among(name: &str, overloads: &[&str]) -> Result<Op> {
    let c = c_string(name)?;
    let overloads = overloads.iter().map(|o| c_string(o)).collect::<Result<Vec<_>>>()?;
    let pointers: Vec<*const c_char> = overloads.iter().map(|o| o.as_ptr()).collect();
    // SAFETY: terminated strings; the result lives as long as the process.
    let op = unsafe { ffi::lathe_op_of(c.as_ptr(), pointers.as_ptr(), pointers.len() as i64) };
    if op.is_null() { Err(Error::value("op", format!("libtorch has no operator `{name}` with that overload"))) } else { Ok(Op(op)) }
}

fn c_string(s: &str) -> Result<CString> {
    CString::new(s).map_err(|_| Error::value("op", format!("a name cannot hold a zero byte: {s:?}")))
}

extern "C" fn push_schema(data: *mut c_void, name: *const c_char, schema: *const c_char) {
    // SAFETY: `data` is the vector that `collect` passed; both strings are terminated and live during this call.
    unsafe {
        let list = &mut *data.cast::<Vec<(String, String)>>();
        let text = |p| CStr::from_ptr(p).to_string_lossy().into_owned();
        list.push((text(name), text(schema)));
    }
}

fn collect(name: Option<&CStr>) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = Vec::new();
    let at = name.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the callback runs before this call returns, with the list it was given.
    let _ = ffi::checked(|err| unsafe { ffi::lathe_schemas(at, (&raw mut list).cast(), push_schema, err) });
    list
}

/// The tensors among the arguments, whose shapes belong into the message.
fn tensors<'a>(args: &'a [Value], kw: &'a [(&str, Value)]) -> Vec<&'a Tensor> {
    const SHOWN: usize = 4;
    let values = args.iter().chain(kw.iter().map(|(_, v)| v));
    values.filter_map(|v| if let Value::Tensor(t) = v { Some(t) } else { None }).take(SHOWN).collect()
}

fn failure(name: &str, args: &[Value], kw: &[(&str, Value)], f: ffi::Failure) -> Error {
    if f.class == ffi::NO_MATCH {
        const SHOWN: usize = 6;
        let (why, schemas) = f.message.split_once('\n').unwrap_or((&f.message, ""));
        let shown: Vec<&str> = schemas.lines().take(SHOWN).collect();
        return Error::value(name, why).help(format!("it takes: {}", shown.join("; ")));
    }
    if f.class == ffi::MEMORY {
        return crate::torch::out_of_memory(name, &f.message);
    }
    from_message(name, &tensors(args, kw), &f.message)
}
