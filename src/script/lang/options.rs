//! The options of a registered function, `#{stride: 2}`: what each one is, and how the map of a call is read.
//!
//! They are declared behind the `;` of a function in [`api!`](crate::api), or as the fields of a struct in
//! [`options!`](crate::options). The same data make the error at run time, the lint, completion and the documentation.

use super::given::{Declared, Given, OptionSpec};
use super::option_limits::Limits;
use super::shown::shown;
use super::value::FromArg;
use crate::error::{Error, Result, did_you_mean};
use rhai::{Dynamic, Map};
use std::collections::VecDeque;
use std::marker::PhantomData;

impl OptionSpec {
    fn of<T: FromArg>(declared: &Declared, default: Option<&T>) -> Self {
        OptionSpec {
            name: declared.name,
            kind: T::NAME,
            default: default.and_then(T::text),
            limits: if matches!(declared.limits, Limits::None) { Limits::OneOf(T::CHOICES).or_none() } else { declared.limits },
            required: default.is_none() && !T::OPTIONAL,
            doc: declared.doc.split_whitespace().collect::<Vec<_>>().join(" "),
            fits: |function, declared, value| convert::<T>(function, declared, value).map(drop),
            declared: *declared,
        }
    }
}

impl Given<'_> {
    /// The option, if it is given and not `()`.
    ///
    /// # Errors
    /// `E0202` when it does not fit.
    pub fn opt<T: FromArg>(&mut self, declared: &Declared) -> Result<Option<T>> {
        match self.raw(declared.name) {
            None => Ok(None),
            Some(d) => convert(self.function, declared, &d).map(Some),
        }
    }
}

fn convert<T: FromArg>(function: &str, declared: &Declared, value: &Dynamic) -> Result<T> {
    let Declared { name, limits, .. } = declared;
    let refuse = |what: &str, near: String| Err(Error::value(function, format!("option `{name}` must be {what}, got {}{near}", shown(value))));
    let near = |choices: &[&'static str]| did_you_mean(&value.to_string(), choices.iter().copied());
    match (T::from_dynamic(value), *limits) {
        (Some(_), limits) if !limits.allow(value) => {
            let near = if let Limits::OneOf(choices) = limits { near(choices) } else { String::new() };
            refuse(&limits.text(), near)
        }
        (Some(v), _) => Ok(v),
        (None, _) => match T::explain(value) {
            Some(e) => Err(e.context(format!("{function}: option `{name}`"))),
            None if value.is_string() && !T::CHOICES.is_empty() => refuse(&Limits::OneOf(T::CHOICES).text(), near(T::CHOICES)),
            None => refuse(T::NAME, String::new()),
        },
    }
}

/// What stands behind the `;` of a declared function: an option, or a struct that holds several.
pub trait FromOptions: Sized {
    /// Adds what there is to know of it. Without a default it must be given.
    fn describe(declared: &Declared, default: Option<Self>, all: &mut Vec<OptionSpec>);

    /// Takes it.
    ///
    /// # Errors
    /// `E0202` when it is missing or does not fit.
    fn read(given: &mut Given, declared: &Declared, default: Option<Self>) -> Result<Self>;
}

impl<T: FromArg> FromOptions for T {
    fn describe(declared: &Declared, default: Option<Self>, all: &mut Vec<OptionSpec>) {
        all.push(OptionSpec::of(declared, default.as_ref()));
    }

    fn read(given: &mut Given, declared: &Declared, default: Option<Self>) -> Result<Self> {
        if let Some(value) = given.opt(declared)? {
            return Ok(value);
        }
        let required = || Error::value(given.function, format!("option `{}` is required: {}", declared.name, T::NAME));
        default.or_else(T::absent).ok_or_else(required)
    }
}

/// A struct whose fields are options, bound by [`options!`](crate::options).
pub trait OptionSet: FromOptions + Default {
    /// All of them, with their defaults.
    fn specs() -> Vec<OptionSpec> {
        let mut all = Vec::new();
        Self::describe(&Declared { name: "", doc: "", limits: Limits::None }, None, &mut all);
        all
    }
}

/// Options over a value that only the body of a function knows, such as the sizes of a named architecture.
pub struct Over<T> {
    function: String,
    map: Map,
    set: PhantomData<T>,
}

impl<T: OptionSet> FromOptions for Over<T> {
    fn describe(declared: &Declared, _: Option<Self>, all: &mut Vec<OptionSpec>) {
        T::describe(declared, None, all);
    }

    fn read(given: &mut Given, _: &Declared, _: Option<Self>) -> Result<Self> {
        let mut map = Map::new();
        for spec in T::specs() {
            if let Some(value) = given.raw(spec.name) {
                spec.check(given.function, &value)?;
                map.insert(spec.name.into(), value);
            }
        }
        Ok(Over { function: given.function.to_owned(), map, set: PhantomData })
    }
}

impl<T: OptionSet> Over<T> {
    /// `base` with what the call gives in its place.
    ///
    /// # Errors
    /// `E0202` for an option that does not fit.
    pub fn over(self, base: T) -> Result<T> {
        T::read(&mut Given::new(&self.function, self.map), &Declared { name: "", doc: "", limits: Limits::None }, Some(base))
    }
}

/// An argument that may be given in its place or by name: `x.sum(1)`, `x.sum(#{dim: 1})`.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Option<T>);

impl<T: FromArg> FromArg for Named<T> {
    const NAME: &'static str = T::NAME;
    const OPTIONAL: bool = true;
    const BY_NAME: bool = true;

    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        <Option<T> as FromArg>::from_dynamic(d).map(Named)
    }

    fn take(function: &str, name: &'static str, args: &mut VecDeque<Dynamic>) -> Result<Self> {
        <Option<T> as FromArg>::take(function, name, args).map(Named)
    }

    fn by_name(name: &'static str, all: &mut Vec<OptionSpec>) {
        <Option<T> as FromOptions>::describe(&Declared { name, doc: "the argument of this name", limits: Limits::None }, None, all);
    }

    fn settle(&mut self, name: &'static str, given: &mut Given) -> Result<()> {
        let by_name = given.opt::<T>(&Declared { name, doc: "", limits: Limits::None })?;
        if self.0.is_some() && by_name.is_some() {
            return Err(Error::value(given.function, format!("`{name}` is given in its place and by name")));
        }
        if by_name.is_some() {
            self.0 = by_name;
        }
        Ok(())
    }
}

/// The name of a thing, or the options in its place: `models::sit("SiT-B/2")`, `models::sit(#{depth: 2, ..})`.
#[derive(Debug, Clone)]
pub struct OrOptions(pub Option<String>);

impl FromArg for OrOptions {
    const NAME: &'static str = "a name or a map of options";
    const OR_OPTIONS: bool = true;

    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if d.is_map() { Some(OrOptions(None)) } else { String::from_dynamic(d).map(|name| OrOptions(Some(name))) }
    }

    fn take(function: &str, name: &'static str, args: &mut VecDeque<Dynamic>) -> Result<Self> {
        let missing = || Error::value(function, format!("missing argument `{name}`: {}", Self::NAME));
        let first = args.pop_front().ok_or_else(missing)?;
        let taken = Self::from_dynamic(&first);
        let taken = taken.ok_or_else(|| Error::value(function, format!("argument `{name}` must be {}, got {}", Self::NAME, shown(&first))))?;
        // What stands in its place, then what follows.
        if let Some(mut map) = first.try_cast::<Map>() {
            map.extend(Given::take(function, args)?.map);
            args.push_front(map.into());
        }
        Ok(taken)
    }
}
