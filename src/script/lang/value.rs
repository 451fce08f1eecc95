//! Conversions between script values and Rust values: the types that a registered function may take and return.

use super::given::{Given, OptionSpec};
use super::shown::shown;
pub use super::shown::type_name;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::torch::{DType, Number, Operand, Tensor};
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};
use std::collections::VecDeque;

/// A type that a registered function can take.
pub trait FromArg: Sized {
    /// For messages and signatures: `a tensor`, `an int`.
    const NAME: &'static str;
    /// Whether the argument may be left out.
    const OPTIONAL: bool = false;
    /// Whether the argument may be given by its name among the options as well, see [`Named`](super::options::Named).
    const BY_NAME: bool = false;
    /// Whether a map in its place is read as the options, see [`OrOptions`](super::options::OrOptions).
    const OR_OPTIONS: bool = false;
    /// The texts that it takes, for a type that stands for a few texts.
    const CHOICES: &'static [&'static str] = &[];

    /// Converts one value; `None` when it is of another type.
    fn from_dynamic(d: &Dynamic) -> Option<Self>;

    /// Why a value does not fit, where more is known than the type's name.
    fn explain(_: &Dynamic) -> Option<Error> {
        None
    }

    /// As a script writes it, for the documentation of defaults; `None` where there is nothing to write.
    fn text(&self) -> Option<String> {
        None
    }

    /// The value of what is left out, for a type that has one.
    fn absent() -> Option<Self> {
        None
    }

    /// Adds the option by which the argument can be given, if it can.
    fn by_name(_: &'static str, _: &mut Vec<OptionSpec>) {}

    /// Looks among the options for an argument that was not given in its place.
    ///
    /// # Errors
    /// `E0202` when it is of another type, or given in both ways.
    fn settle(&mut self, _: &'static str, _: &mut Given) -> Result<()> {
        Ok(())
    }

    /// Takes the argument `name` from the front of `args`.
    ///
    /// # Errors
    /// `E0202` when it is missing or of another type.
    fn take(function: &str, name: &'static str, args: &mut VecDeque<Dynamic>) -> Result<Self> {
        let Some(d) = args.pop_front() else {
            return Err(Error::value(function, format!("missing argument `{name}`: {}", Self::NAME)));
        };
        Self::from_dynamic(&d).ok_or_else(|| Error::value(function, format!("argument `{name}` must be {}, got {}", Self::NAME, shown(&d))))
    }
}

macro_rules! from_arg {
    ($($ty:ty, $name:literal, |$d:ident| $e:expr $(, |$x:ident| $text:expr)?;)*) => { $(
        impl FromArg for $ty {
            const NAME: &'static str = $name;
            fn from_dynamic($d: &Dynamic) -> Option<Self> { $e }
            $(fn text(&self) -> Option<String> { let $x = self; Some($text) })?
        }
    )* };
}

from_arg! {
    Dynamic, "a value", |d| Some(d.clone());
    i64, "an int", |d| d.as_int().ok(), |i| i.to_string();
    usize, "an int of at least 0", |d| usize::try_from(d.as_int().ok()?).ok(), |i| i.to_string();
    u8, "an int from 0 to 255", |d| u8::try_from(d.as_int().ok()?).ok(), |i| i.to_string();
    u32, "an int of at least 0", |d| u32::try_from(d.as_int().ok()?).ok(), |i| i.to_string();
    u64, "an int", |d| d.as_int().ok().map(|i| i as u64), |i| i.to_string();
    f64, "a number", |d| d.as_float().ok().or_else(|| d.as_int().ok().map(|i| i as f64)), |x| number(*x);
    bool, "a bool", |d| d.as_bool().ok(), |b| b.to_string();
    String, "a string", |d| d.read_lock::<ImmutableString>().map(|s| s.to_string()), |s| format!("{s:?}");
    Map, "a map", |d| d.read_lock::<Map>().map(|m| m.clone());
    Array, "an array", |d| d.read_lock::<Array>().map(|m| m.clone());
    FnPtr, "a function", |d| d.read_lock::<FnPtr>().map(|m| m.clone());
}

/// `1e-4` rather than `0.0001`, and `30` rather than `30.0`: as people type it.
fn number(x: f64) -> String {
    let small = x != 0.0 && (x.abs() < 1e-3 || x.abs() >= 1e6);
    if small { format!("{x:e}") } else { x.to_string() }
}

/// A type that lives in scripts as an opaque handle: cloning it shares the object.
pub trait Handle: Clone + 'static {
    /// For messages: `a tensor`.
    const NAME: &'static str;
}

/// Lets handles be taken and returned by registered functions.
#[macro_export]
macro_rules! script_handle {
    ($ty:ty, $name:literal) => {
        impl $crate::script::lang::value::Handle for $ty {
            const NAME: &'static str = $name;
        }
        impl $crate::script::lang::value::FromArg for $ty {
            const NAME: &'static str = $name;
            fn from_dynamic(d: &$crate::script::rhai::Dynamic) -> Option<Self> {
                d.read_lock::<$ty>().map(|h| h.clone())
            }
        }
        impl $crate::script::lang::value::IntoScript for $ty {
            const NAME: &'static str = $name;
            fn into_script(self) -> $crate::script::rhai::Dynamic {
                $crate::script::rhai::Dynamic::from(self)
            }
        }
    };
}
script_handle!(Tensor, "a tensor");
script_handle!(Module, "a module");

/// An array whose elements are all of one type.
impl<T: FromArg> FromArg for Vec<T>
where
    T: ListItem,
{
    const NAME: &'static str = T::LIST;
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        d.read_lock::<Array>()?.iter().map(T::from_dynamic).collect()
    }
    fn text(&self) -> Option<String> {
        let texts: Vec<String> = self.iter().map(T::text).collect::<Option<_>>()?;
        Some(format!("[{}]", texts.join(", ")))
    }
}

/// Two numbers.
impl FromArg for (f64, f64) {
    const NAME: &'static str = "an array of two numbers";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        match Vec::<f64>::from_dynamic(d)?[..] {
            [a, b] => Some((a, b)),
            _ => None,
        }
    }
    fn text(&self) -> Option<String> {
        Some(format!("[{}, {}]", number(self.0), number(self.1)))
    }
}

/// Types that may be list elements, with the name of their list.
pub trait ListItem {
    /// For messages: `an array of ints`.
    const LIST: &'static str;
}
impl ListItem for i64 {
    const LIST: &'static str = "an array of ints";
}
impl ListItem for u64 {
    const LIST: &'static str = "an array of ints";
}
impl ListItem for f64 {
    const LIST: &'static str = "an array of numbers";
}
impl ListItem for Tensor {
    const LIST: &'static str = "an array of tensors";
}
impl ListItem for Module {
    const LIST: &'static str = "an array of modules";
}
impl ListItem for String {
    const LIST: &'static str = "an array of strings";
}

/// One dimension or several: an int or an array of ints.
pub struct Dims(pub Vec<i64>);
impl FromArg for Dims {
    const NAME: &'static str = "an int or an array of ints";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        i64::from_dynamic(d).map(|i| Dims(vec![i])).or_else(|| Vec::from_dynamic(d).map(Dims))
    }
    fn text(&self) -> Option<String> {
        if let [n] = self.0[..] { n.text() } else { self.0.text() }
    }
}

/// An int for both directions, or one for each.
impl FromArg for [i64; 2] {
    const NAME: &'static str = "an int or [y, x]";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        match Dims::from_dynamic(d)?.0[..] {
            [n] => Some([n, n]),
            [y, x] => Some([y, x]),
            _ => None,
        }
    }
    fn text(&self) -> Option<String> {
        let [y, x] = self;
        Some(if x == y { x.to_string() } else { format!("[{y}, {x}]") })
    }
}

/// A number for each of three channels.
impl FromArg for [f64; 3] {
    const NAME: &'static str = "an array of three numbers";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        Vec::<f64>::from_dynamic(d)?.try_into().ok()
    }
}

impl FromArg for Number {
    const NAME: &'static str = "a number";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        d.as_int().map(Number::Int).or_else(|_| d.as_float().map(Number::Float)).ok()
    }
}

/// The other side of an operator: a tensor, an int or a float.
pub enum TensorOrNumber {
    /// A tensor.
    Tensor(Tensor),
    /// An int, which keeps the dtype.
    Int(i64),
    /// A float.
    Float(f64),
}
impl TensorOrNumber {
    /// As a tensor: a number takes the dtype of the tensor it stands beside, unless it would lose its fraction.
    ///
    /// # Errors
    /// `E0201` for an int that the dtype does not have.
    pub(crate) fn beside(self, other: &Tensor) -> Result<Tensor> {
        match self {
            TensorOrNumber::Tensor(t) => Ok(t),
            TensorOrNumber::Int(i) => Tensor::full(&[], i, other.dtype(), other.device()),
            TensorOrNumber::Float(f) => Tensor::full(&[], f, if other.is_float() { other.dtype() } else { DType::Float }, other.device()),
        }
    }
}
impl FromArg for TensorOrNumber {
    const NAME: &'static str = "a tensor or a number";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        Tensor::from_dynamic(d)
            .map(TensorOrNumber::Tensor)
            .or_else(|| d.as_int().ok().map(TensorOrNumber::Int))
            .or_else(|| d.as_float().ok().map(TensorOrNumber::Float))
    }
}
impl<'a> From<&'a TensorOrNumber> for Operand<'a> {
    fn from(x: &'a TensorOrNumber) -> Self {
        match x {
            TensorOrNumber::Tensor(t) => Operand::Tensor(t),
            TensorOrNumber::Int(i) => Operand::Int(*i),
            TensorOrNumber::Float(f) => Operand::Float(*f),
        }
    }
}

/// An argument that may be left out or be `()`. A map in its place is left for the options that follow.
impl<T: FromArg> FromArg for Option<T> {
    const NAME: &'static str = T::NAME;
    const OPTIONAL: bool = true;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if d.is_unit() { Some(None) } else { T::from_dynamic(d).map(Some) }
    }
    fn explain(d: &Dynamic) -> Option<Error> {
        T::explain(d)
    }
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(T::text)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn take(function: &str, name: &'static str, args: &mut VecDeque<Dynamic>) -> Result<Self> {
        match args.front() {
            None => Ok(None),
            Some(d) if d.is_map() && T::from_dynamic(d).is_none() => Ok(None),
            Some(d) if d.is_unit() => {
                args.pop_front();
                Ok(None)
            }
            Some(_) => T::take(function, name, args).map(Some),
        }
    }
}

/// A type that a registered function can return.
pub trait IntoScript {
    /// For signatures.
    const NAME: &'static str;
    /// The script value.
    fn into_script(self) -> Dynamic;
}

macro_rules! into_script {
    ($($ty:ty, $name:literal, |$x:ident| $e:expr;)*) => { $(
        impl IntoScript for $ty {
            const NAME: &'static str = $name;
            fn into_script(self) -> Dynamic { let $x = self; $e }
        }
    )* };
}
into_script! {
    Dynamic, "a value", |x| x;
    (), "()", |x| { let () = x; Dynamic::UNIT };
    i64, "an int", |x| x.into();
    f64, "a float", |x| x.into();
    bool, "a bool", |x| x.into();
    String, "a string", |x| x.into();
    Map, "a map", |x| x.into();
    Array, "an array", |x| x.into();
    FnPtr, "a function", |x| x.into();
}
impl<T: IntoScript + ListItem> IntoScript for Vec<T> {
    const NAME: &'static str = T::LIST;
    fn into_script(self) -> Dynamic {
        self.into_iter().map(IntoScript::into_script).collect::<Array>().into()
    }
}
impl<T: IntoScript> IntoScript for Option<T> {
    const NAME: &'static str = T::NAME;
    fn into_script(self) -> Dynamic {
        self.map_or(Dynamic::UNIT, IntoScript::into_script)
    }
}

/// JSON to a script value.
pub fn from_json(v: &serde_json::Value) -> Dynamic {
    rhai::serde::to_dynamic(v).unwrap_or(Dynamic::UNIT)
}

/// Levels of maps and arrays that every kept file holds: readers of JSON and TOML stop at about 128, and a map of a checkpoint takes two.
const MOST_LEVELS: usize = 48;

/// Fails for a value of which no file could be read again, so deep it is.
///
/// # Errors
/// `E0202` naming it.
pub(crate) fn within_levels(function: &str, name: &str, value: &Dynamic) -> Result<()> {
    fn fits(d: &Dynamic, left: usize) -> bool {
        let map = || d.read_lock::<Map>().is_none_or(|m| m.values().all(|v| left > 0 && fits(v, left - 1)));
        d.read_lock::<Array>().map_or_else(map, |a| a.iter().all(|v| left > 0 && fits(v, left - 1)))
    }
    if fits(value, MOST_LEVELS) {
        return Ok(());
    }
    Err(Error::value(function, format!("`{name}` is nested more than {MOST_LEVELS} deep: no file of it could be read again")))
}

/// A script value to JSON; handles become their printed form.
pub fn to_json(d: &Dynamic) -> serde_json::Value {
    use serde_json::Value;
    if let Some(m) = d.read_lock::<Map>() {
        return Value::Object(m.iter().map(|(k, v)| (k.to_string(), to_json(v))).collect());
    }
    if let Some(a) = d.read_lock::<Array>() {
        return Value::Array(a.iter().map(to_json).collect());
    }
    if d.is_unit() {
        return Value::Null;
    }
    d.as_int()
        .map(Value::from)
        .or_else(|_| d.as_float().map(Value::from))
        .or_else(|_| d.as_bool().map(Value::from))
        .unwrap_or_else(|_| Value::from(d.to_string()))
}
