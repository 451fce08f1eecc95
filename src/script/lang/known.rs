//! What a script can call: the names, for the lint and for "did you mean".

use crate::error::did_you_mean;
use crate::script::lang::function::{ApiFn, Param, Receiver, options_at};
use crate::script::lang::given::OptionSpec;
use rhai::{Dynamic, Map};
use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many arguments a name takes, each possibility.
pub(crate) type Arities = BTreeSet<usize>;

/// The names that natives have. Script functions are the units' own.
#[derive(Default)]
pub(crate) struct Known {
    /// Functions and methods by name; for a method the receiver counts as an argument.
    pub functions: BTreeMap<String, Arities>,
    /// Properties with a getter or setter, by name.
    pub properties: BTreeSet<String>,
    /// Namespaces, and what each holds.
    pub namespaces: BTreeMap<String, BTreeMap<String, Arities>>,
    /// Signatures of our own functions, by name (with the namespace for those in one).
    pub signatures: BTreeMap<String, Vec<String>>,
    /// The parameters of our own functions, by the same names, where one of that name has options.
    parameters: BTreeMap<String, Vec<Arc<[Param]>>>,
    /// Functions of others that may take a map as the last of so many arguments.
    open: BTreeSet<(String, usize)>,
}

/// Functions that rhai resolves itself, with their arities as functions and as methods.
const BUILT_IN: &[(&str, &[usize])] = &[
    ("Fn", &[1]),
    ("call", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ("curry", &[1, 2, 3, 4, 5, 6, 7, 8]),
    ("type_of", &[1]),
    ("is_shared", &[1]),
    ("is_def_fn", &[2, 3]),
    ("is_def_var", &[1]),
    ("print", &[0, 1]),
    ("debug", &[0, 1]),
    ("eval", &[1]),
];

impl Known {
    /// Reads the names out of an engine and our own tables.
    pub(crate) fn new(rhai: &rhai::Engine, functions: &[ApiFn], allow_eval: bool) -> Self {
        let mut known = Known::default();
        for (name, arities) in BUILT_IN {
            known.functions.entry((*name).into()).or_default().extend(*arities);
        }
        let is_map = |id: &TypeId| *id == TypeId::of::<Dynamic>() || *id == TypeId::of::<Map>();
        let natives = rhai.collect_fn_metadata(
            None,
            |f| {
                let takes_map = f.metadata.param_types.last().is_some_and(is_map);
                Some((f.namespace.to_string(), f.metadata.name.to_string(), f.metadata.num_params, takes_map))
            },
            true,
        );
        known.add_parameters(functions);
        let mut open: BTreeMap<(String, usize), usize> = BTreeMap::new();
        for (namespace, name, n, takes_map) in natives {
            if takes_map && namespace.is_empty() && known.parameters.contains_key(name.trim_end_matches('$')) {
                *open.entry((name.trim_end_matches('$').to_owned(), n)).or_default() += 1;
            }
            match name.strip_prefix("get$").or_else(|| name.strip_prefix("set$")) {
                Some(property) => {
                    known.properties.insert(property.into());
                }
                None if namespace.is_empty() => {
                    // What the parser calls `call$` is `call` to users.
                    if let Some(plain) = name.strip_suffix('$') {
                        known.functions.entry(plain.into()).or_default().insert(n);
                    }
                    known.functions.entry(name).or_default().insert(n);
                }
                None => {
                    known.namespaces.entry(namespace).or_default().entry(name).or_default().insert(n);
                }
            }
        }
        for f in functions {
            known.signatures.entry(key(f)).or_default().push(f.signature());
        }
        known.open = open.into_iter().filter(|((name, n), count)| *count > known.own(name, *n)).map(|(key, _)| key).collect();
        // `eval` would run text that no check has seen: only the REPL has it.
        if !allow_eval {
            known.functions.remove("eval");
        }
        known
    }

    fn add_parameters(&mut self, functions: &[ApiFn]) {
        for f in functions.iter().filter(|f| f.params.last().is_some_and(|p| p.options.is_some())) {
            self.parameters.entry(key(f)).or_default();
        }
        for f in functions {
            if let Some(list) = self.parameters.get_mut(&key(f)) {
                list.push(f.params.clone());
            }
        }
    }

    /// How many of our own functions and methods of that name take `n` arguments, the last of them not a receiver.
    fn own(&self, name: &str, n: usize) -> usize {
        let takes = |params: &&Arc<[Param]>| n > 0 && n <= params.len() && params.iter().filter(|p| !p.optional).count() <= n;
        self.parameters.get(name).map_or(0, |list| list.iter().filter(takes).count())
    }

    /// What a literal map may hold that a call of `name` (with the namespace, where it has one) gives as the last of `n` arguments, the
    /// receiver counted: the options of each function that may be meant. Nothing when the map may be something else.
    pub(crate) fn options(&self, name: &str, n: usize) -> Vec<Vec<OptionSpec>> {
        let Some(list) = self.parameters.get(name).filter(|_| !self.open.contains(&(name.to_owned(), n))) else { return Vec::new() };
        let takes = |params: &&Arc<[Param]>| n <= params.len() && params.iter().filter(|p| !p.optional).count() <= n;
        let candidates: Option<Vec<_>> = list.iter().filter(takes).map(|params| options_at(params, n).map(|specs| specs())).collect();
        candidates.unwrap_or_default()
    }

    /// Whether a name can be called with `n` arguments.
    pub(crate) fn takes(&self, name: &str, n: usize) -> bool {
        self.functions.get(name).is_some_and(|a| a.contains(&n))
    }

    /// Names that a user can type: without operators, getters and indexers.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.functions.keys().map(String::as_str).filter(|n| n.starts_with(|c: char| c.is_alphabetic() || c == '_') && !n.contains('$'))
    }

    /// Where else a function of that name is: `nn::linear` for `linear`.
    pub(crate) fn elsewhere(&self, name: &str) -> Option<String> {
        self.namespaces.iter().find(|(_, f)| f.contains_key(name)).map(|(ns, _)| format!("{ns}::{name}"))
    }

    /// The signatures of a name, for a help text.
    pub(crate) fn usage(&self, name: &str) -> Option<String> {
        self.signatures.get(name).map(|s| s.join(" or "))
    }

    /// ``, did you mean `x`?`` over functions, properties and `more` names.
    pub(crate) fn near(&self, name: &str, more: &[&str]) -> String {
        let best = did_you_mean(name, more.iter().copied().chain(self.function_names()));
        if !best.is_empty() {
            return best;
        }
        self.elsewhere(name).map_or(String::new(), |full| format!(", did you mean `{full}`?"))
    }
}

/// The name of a function as the tables have it: `F::conv2d`, `sum`.
fn key(f: &ApiFn) -> String {
    match f.receiver {
        Receiver::Namespace(ns) => format!("{ns}::{}", f.name),
        _ => f.name.trim_end_matches('$').to_owned(),
    }
}

/// `2`, `1 or 2`, `2 to 4`: how many arguments something takes.
pub(crate) fn counts(arities: &Arities) -> String {
    let list: Vec<usize> = arities.iter().copied().collect();
    match list.as_slice() {
        [] => "none".into(),
        [one] => one.to_string(),
        [a, .., b] if list.len() > 2 && b - a + 1 == list.len() => format!("{a} to {b}"),
        _ => list.iter().map(usize::to_string).collect::<Vec<_>>().join(" or "),
    }
}
