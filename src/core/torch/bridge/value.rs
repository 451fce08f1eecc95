//! What operators take and return.

use super::ffi::{self, Payload, RawValue};
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Number, Operand, Tensor, device_name, dtype_name};
use std::ffi::c_void;

/// An argument or result of an operator called by name. A dtype, device or memory format is a [`Value::Str`]: `f32`,
/// `cuda:0`, `channels_last`.
#[derive(Clone, Debug)]
pub enum Value {
    /// Python's `None`: an optional argument that is left out, or an undefined result.
    None,
    /// A tensor.
    Tensor(Tensor),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A string.
    Str(String),
    /// A list, as arguments take it.
    List(Vec<Value>),
    /// A tuple: a result of several values.
    Tuple(Vec<Value>),
    /// Keys and values.
    Dict(Vec<(Value, Value)>),
    /// A result that has no Rust form: what libtorch calls it.
    Opaque(String),
}

impl Value {
    /// A list of tensors.
    pub fn list<T: AsRef<Tensor>>(tensors: &[T]) -> Value {
        Value::List(tensors.iter().map(|t| Value::Tensor(t.as_ref().clone())).collect())
    }

    /// The tensor in it.
    ///
    /// # Errors
    /// `E0202` when it is something else.
    pub fn into_tensor(self) -> Result<Tensor> {
        match self {
            Value::Tensor(t) => Ok(t),
            other => Err(Error::value("op", format!("the operator returned {}, not a tensor", other.kind()))),
        }
    }

    /// The list of tensors in it.
    ///
    /// # Errors
    /// `E0202` when it is something else.
    pub fn into_tensors(self) -> Result<Vec<Tensor>> {
        match self {
            Value::List(v) | Value::Tuple(v) => v.into_iter().map(Value::into_tensor).collect(),
            other => other.into_tensor().map(|t| vec![t]),
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Tensor(_) => "a tensor",
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::Bool(_) => "a bool",
            Value::Str(_) => "a string",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dict",
            Value::Opaque(_) => "an opaque value",
        }
    }
}

macro_rules! from {
    ($($ty:ty, |$x:ident| $e:expr;)*) => { $(
        impl From<$ty> for Value { fn from($x: $ty) -> Value { $e } }
    )* };
}
from! {
    Tensor, |x| Value::Tensor(x);
    &Tensor, |x| Value::Tensor(x.clone());
    i64, |x| Value::Int(x);
    f64, |x| Value::Float(x);
    bool, |x| Value::Bool(x);
    &str, |x| Value::Str(x.to_owned());
    String, |x| Value::Str(x);
    DType, |x| Value::Str(dtype_name(x).to_owned());
    Device, |x| Value::Str(device_name(x));
    &[i64], |x| Value::List(x.iter().map(|i| Value::Int(*i)).collect());
    &[f64], |x| Value::List(x.iter().map(|f| Value::Float(*f)).collect());
    &[Tensor], |x| Value::list(x);
    &[&Tensor], |x| Value::list(x);
    Vec<Value>, |x| Value::List(x);
}
impl From<Number> for Value {
    fn from(n: Number) -> Value {
        match n {
            Number::Int(i) => i.into(),
            Number::Float(f) => f.into(),
        }
    }
}
impl From<Operand<'_>> for Value {
    fn from(x: Operand) -> Value {
        match x {
            Operand::Tensor(t) => t.into(),
            Operand::Int(i) => i.into(),
            Operand::Float(f) => f.into(),
        }
    }
}
impl<const N: usize> From<[i64; N]> for Value {
    fn from(x: [i64; N]) -> Value {
        Value::from(x.as_slice())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(x: Option<T>) -> Value {
        x.map_or(Value::None, Into::into)
    }
}

/// The arrays behind lowered lists, alive for the length of a call.
#[derive(Default)]
pub(super) struct Arena(Vec<Vec<RawValue>>);

/// Deeper lists than any operator takes.
const MAX_DEPTH: usize = 8;

/// The C form of a value, borrowing from it and from the arena.
pub(super) fn lower(v: &Value, arena: &mut Arena, depth: usize) -> Result<RawValue> {
    let raw = |tag, len: usize, u| RawValue { tag, len: len as i64, u };
    Ok(match v {
        Value::None => RawValue::EMPTY,
        // The dispatcher does not check for these, and a kernel that meets one ends the process.
        Value::Tensor(t) if !t.0.defined() => return Err(Error::value("op", "an undefined tensor cannot be an argument")),
        Value::Tensor(t) => raw(ffi::TENSOR, 0, Payload { p: t.0.as_ptr().cast_mut().cast::<c_void>() }),
        Value::Int(i) => raw(ffi::INT, 0, Payload { i: *i }),
        Value::Float(f) => raw(ffi::FLOAT, 0, Payload { f: *f }),
        Value::Bool(b) => raw(ffi::BOOL, 0, Payload { i: i64::from(*b) }),
        Value::Str(s) => raw(ffi::STR, s.len(), Payload { p: s.as_ptr().cast_mut().cast() }),
        Value::List(l) | Value::Tuple(l) => {
            if depth >= MAX_DEPTH {
                return Err(Error::value("op", "lists are nested too deeply"));
            }
            let items = l.iter().map(|x| lower(x, arena, depth + 1)).collect::<Result<Vec<_>>>()?;
            let p = items.as_ptr().cast_mut().cast();
            arena.0.push(items);
            raw(ffi::LIST, l.len(), Payload { p })
        }
        Value::Dict(_) | Value::Opaque(_) => return Err(Error::value("op", format!("{} cannot be an argument", v.kind()))),
    })
}

/// The Rust form of a result. Takes over its tensors; strings and arrays stay the C side's.
///
/// # Safety
/// `raw` must be what `lathe_call` filled, lifted once.
pub(super) unsafe fn lift(raw: &RawValue) -> Value {
    let len = usize::try_from(raw.len).unwrap_or(0);
    // SAFETY: the tag says which member is set and `len` how long the array is (bridge.h).
    unsafe {
        let text = || String::from_utf8_lossy(std::slice::from_raw_parts(raw.u.p.cast::<u8>(), len)).into_owned();
        let items = |n: usize| std::slice::from_raw_parts(raw.u.p.cast::<RawValue>(), n);
        match raw.tag {
            ffi::NONE => Value::None,
            ffi::TENSOR => Value::Tensor(Tensor(tch::Tensor::from_ptr(raw.u.p.cast()))),
            ffi::INT => Value::Int(raw.u.i),
            ffi::FLOAT => Value::Float(raw.u.f),
            ffi::BOOL => Value::Bool(raw.u.i != 0),
            ffi::STR => Value::Str(text()),
            ffi::LIST => Value::List(items(len).iter().map(|x| lift(x)).collect()),
            ffi::TUPLE => Value::Tuple(items(len).iter().map(|x| lift(x)).collect()),
            ffi::DICT => Value::Dict(items(2 * len).chunks_exact(2).map(|kv| (lift(&kv[0]), lift(&kv[1]))).collect()),
            _ => Value::Opaque(text()),
        }
    }
}
