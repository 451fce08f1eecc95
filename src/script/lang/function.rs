//! The table of registered functions: what each is called, takes, returns and says of itself.

use super::given;
use super::given::OptionSpec;
use super::host::Host;
use super::value::FromArg;
use crate::error::Result;
use crate::nn::Module;
use rhai::{Dynamic, Map, NativeCallContext};
use std::any::TypeId;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// A parameter of a registered function.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it must be.
    pub kind: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it takes maps as values, with any keys.
    pub takes_map: fn() -> bool,
    /// Where a map in its place is the map of options: what that may hold.
    pub options: Option<fn() -> Vec<OptionSpec>>,
}

impl Param {
    /// A parameter of that type, of a function with these options. Called by what [`api!`](crate::api) makes.
    pub fn of<T: FromArg>(name: &'static str, options: fn() -> Vec<OptionSpec>) -> Param {
        let takes_map = || T::from_dynamic(&Dynamic::from(Map::new())).is_some();
        Param { name, kind: T::NAME, optional: T::OPTIONAL, takes_map, options: T::OR_OPTIONS.then_some(options) }
    }

    /// The parameter behind all others that holds the options.
    pub fn options(options: fn() -> Vec<OptionSpec>) -> Param {
        Param { name: given::PARAM, kind: given::KIND, optional: true, takes_map: || false, options: Some(options) }
    }
}

/// Where a function is found in a script.
#[derive(Debug, Clone, Copy)]
pub enum Receiver {
    /// `ns::name(..)`.
    Namespace(&'static str),
    /// `value.name(..)` on a value of that type; `get$x`, `set$x`, `index$get$` and operators as well.
    Method(&'static str, fn() -> TypeId, fn() -> &'static str),
    /// `module.name(..)` on modules of one kind, which the function tells from others. Other kinds may have a method of the same name.
    Model(&'static str, fn(&Module) -> bool),
    /// `name(..)` everywhere.
    Global,
}

impl Receiver {
    /// Whether the first parameter is the value before the dot.
    pub fn is_method(&self) -> bool {
        matches!(self, Receiver::Method(..) | Receiver::Model(..))
    }

    /// The name of the receiver's type or kind, for a method.
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Receiver::Method(ty, ..) => Some(shown_type(ty)),
            Receiver::Model(kind, _) => Some((*kind).to_owned()),
            _ => None,
        }
    }

    /// Whether a value has the method.
    pub(crate) fn fits(&self, value: &Dynamic) -> bool {
        match self {
            Receiver::Method(_, id, _) => id() == value.type_id(),
            // A group may bring the method itself.
            Receiver::Model(_, fits) => value.read_lock::<Module>().is_some_and(|m| m.is_group() || fits(&m)),
            _ => false,
        }
    }
}

/// What a registered function does.
pub type ApiCall = Rc<dyn Fn(Call, VecDeque<Dynamic>) -> Result<Dynamic>>;

/// A registered function: what it is called, takes, returns, says of itself and does.
#[derive(Clone)]
pub struct ApiFn {
    /// Its name, without the namespace.
    pub name: &'static str,
    /// Where it is found.
    pub receiver: Receiver,
    /// Its parameters; for a method, the receiver is the first.
    pub params: Arc<[Param]>,
    /// What it returns.
    pub returns: &'static str,
    /// Its doc comment, Markdown.
    pub doc: &'static str,
    /// What it does.
    pub call: ApiCall,
}

/// The call of a registered function as rhai makes it: the name, the host, and rhai's own context.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The function's name, for messages.
    pub name: &'a str,
    /// The host's values.
    pub host: &'a Host,
    /// rhai's own call context.
    pub ctx: &'a NativeCallContext<'a>,
}

/// The name of a receiver's type as users know it.
fn shown_type(ty: &str) -> String {
    match ty {
        "i64" => "int".into(),
        "f64" => "float".into(),
        other => other.to_lowercase(),
    }
}

impl ApiFn {
    /// How many arguments it takes at least.
    pub fn required(&self) -> usize {
        self.params.iter().filter(|p| !p.optional).count()
    }

    /// What its map of options may hold; nothing for a function without options.
    pub fn options(&self) -> Vec<OptionSpec> {
        self.params.last().and_then(|p| p.options).map_or(Vec::new(), |specs| specs())
    }

    /// `F::linear(x, weight, bias?)`.
    pub fn signature(&self) -> String {
        let names = |p: &[Param]| p.iter().map(|p| format!("{}{}", p.name, if p.optional { "?" } else { "" })).collect::<Vec<_>>().join(", ");
        match self.receiver {
            Receiver::Namespace(ns) => format!("{ns}::{}({})", self.name, names(&self.params)),
            Receiver::Global => format!("{}({})", self.name, names(&self.params)),
            Receiver::Method(..) | Receiver::Model(..) => {
                let ty = self.receiver.shown().unwrap_or_default();
                let rest = names(self.params.get(1..).unwrap_or_default());
                match (self.name.strip_prefix("get$"), self.name.strip_prefix("set$")) {
                    (Some(p), _) => format!("{ty}.{p}"),
                    (_, Some(p)) => format!("{ty}.{p} = {rest}"),
                    _ if self.name == "index$set$" => {
                        format!("{ty}[{}] = {}", names(&self.params[1..2]), names(self.params.get(2..).unwrap_or_default()))
                    }
                    _ if self.name.starts_with("index$") => format!("{ty}[{rest}]"),
                    _ if !self.name.starts_with(|c: char| c.is_alphabetic()) => format!("{ty} {} {rest}", self.name),
                    _ => format!("{ty}.{}({rest})", self.name.trim_end_matches('$')),
                }
            }
        }
    }
}

/// What the map may hold that a call gives as the last of its `n` arguments; `None` when the map is no map of options, or may be none.
/// Parameters that may be left out and take no map leave it to those that follow.
pub(crate) fn options_at(params: &[Param], n: usize) -> Option<fn() -> Vec<OptionSpec>> {
    let behind = params.get(n.checked_sub(1)?..)?;
    behind.iter().find(|p| p.options.is_some() || !p.optional || (p.takes_map)())?.options
}

/// Every registered function, among the host's values.
pub(crate) struct ApiTable(pub Vec<ApiFn>);
