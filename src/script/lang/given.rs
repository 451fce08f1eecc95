//! What is known of an option, and the map of options of one call.

use super::option_limits::Limits;
use super::shown::shown;
use crate::error::{Error, Result, did_you_mean};
use rhai::{Dynamic, Map};
use std::collections::VecDeque;

/// The name of the parameter that holds the options.
pub const PARAM: &str = "options";
/// What that parameter must be.
pub const KIND: &str = "a map of options";

/// An option as it is declared: its name, what is said of it, what its value is limited to.
#[derive(Debug, Clone, Copy)]
pub struct Declared {
    /// Its key in the map.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// What its value is limited to, beyond its type.
    pub limits: Limits,
}

/// What there is to know of an option.
#[derive(Debug, Clone)]
pub struct OptionSpec {
    /// Its key in the map.
    pub name: &'static str,
    /// What it must be: `a number`.
    pub kind: &'static str,
    /// What it is when it is not given, as a script writes it; `None` where there is nothing to write.
    pub default: Option<String>,
    /// Choices or bounds.
    pub limits: Limits,
    /// Whether it must be given.
    pub required: bool,
    /// Its doc comment, on one line.
    pub doc: String,
    pub(super) fits: fn(&str, &Declared, &Dynamic) -> Result<()>,
    pub(super) declared: Declared,
}

impl OptionSpec {
    /// Whether a call of `function` could give this value.
    ///
    /// # Errors
    /// What the call would say.
    pub fn check(&self, function: &str, value: &Dynamic) -> Result<()> {
        if value.is_unit() { Ok(()) } else { (self.fits)(function, &self.declared, value) }
    }
}

/// What is said of a key that no option has: `E0202` with the nearest option.
pub fn unknown(function: &str, key: &str, specs: &[OptionSpec]) -> Error {
    let names: Vec<&str> = specs.iter().map(|s| s.name).collect();
    let near = did_you_mean(key, names.iter().copied());
    Error::value(function, format!("unknown option `{key}`{near}")).help(format!("its options: {}", names.join(", ")))
}

/// The map of options of one call; what has been taken is no longer in it.
pub struct Given<'a> {
    pub(super) function: &'a str,
    pub(super) map: Map,
}

impl<'a> Given<'a> {
    /// Options from a map that came another way.
    pub fn new(function: &'a str, map: Map) -> Self {
        Given { function, map }
    }

    /// The map in front of the arguments; an empty one where none are left.
    ///
    /// # Errors
    /// `E0202` for anything but a map.
    pub fn take(function: &'a str, args: &mut VecDeque<Dynamic>) -> Result<Self> {
        let map = match args.pop_front() {
            None => Map::new(),
            Some(d) if d.is_unit() => Map::new(),
            Some(d) if d.is_map() => d.cast::<Map>(),
            Some(d) => return Err(Error::value(function, format!("argument `{PARAM}` must be {KIND}, got {}", shown(&d)))),
        };
        Ok(Given { function, map })
    }

    /// The called function's name, for messages.
    pub fn function(&self) -> &'a str {
        self.function
    }

    /// Takes the value of a key, if it is there and not `()`.
    pub fn raw(&mut self, name: &str) -> Option<Dynamic> {
        if self.map.is_empty() { None } else { self.map.remove(name).filter(|d| !d.is_unit()) }
    }

    /// Refuses what nothing took.
    ///
    /// # Errors
    /// `E0202` naming the unknown option and the nearest of those in `specs`.
    pub fn done(self, specs: impl FnOnce() -> Vec<OptionSpec>) -> Result<()> {
        self.map.keys().next().map_or(Ok(()), |key| Err(unknown(self.function, key, &specs())))
    }
}
