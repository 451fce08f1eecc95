//! What could stand at the cursor of a prompt: variables, functions, methods of a value's type, map keys, modules, paths.

use super::in_map::{self, in_map};
use super::manual::registered;
use super::session::Session;
use crate::script::ApiFn;
use crate::script::lang::function::{ApiTable, Receiver};
use crate::script::units::at::At;
use crate::script::units::unit::public_functions;
use rhai::{Dynamic, Map};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One possibility.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate {
    /// What is inserted.
    pub text: String,
    /// What the list shows: a function's signature.
    pub shown: String,
}

/// Where the word at the cursor begins, and what it could become.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Completions {
    /// Bytes before the word.
    pub start: usize,
    /// In the order of the alphabet.
    pub candidates: Vec<Candidate>,
}

/// The commands of a prompt, with their arguments and what they do.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    (":help", "", "this list"),
    (":doc", "NAME", "documentation: `:doc matmul`, `:doc x.reshape`, `:doc torch`"),
    (":src", "NAME", "the text of a script function or module"),
    (":vars", "", "the variables"),
    (":p", "EXPR", "a value with all its numbers"),
    (":time", "EXPR", "how long it takes, with the device's work done"),
    (":debug", "", "the variables where a step or a line failed"),
    (":mem", "", "what the variables and the process hold"),
    (":reload", "", "load the scripts anew"),
    (":save", "FILE", "write what was typed to a script"),
    (":load", "FILE", "type a script's lines"),
    (":edit", "[FILE]", "write lines in $EDITOR"),
    (":quit", "", "leave"),
];

const KEYWORDS: &[&str] = &["const", "else", "false", "for", "if", "import", "let", "loop", "return", "switch", "throw", "true", "try", "while"];

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_start(text: &str) -> usize {
    text.char_indices().rev().take_while(|(_, c)| is_word(*c)).last().map_or(text.len(), |(i, _)| i)
}

/// The opening quote of the string that a text ends in.
fn open_string(text: &str) -> Option<usize> {
    let (mut open, mut quote, mut escaped) = (None, '"', false);
    for (i, c) in text.char_indices() {
        match open {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(_) if c == quote => open = None,
            None if c == '"' || c == '`' => (open, quote) = (Some(i), c),
            _ => {}
        }
    }
    open
}

/// What the word before `pos` in `line` could become.
pub fn complete(at: At, session: &Session, line: &str, pos: usize) -> Completions {
    let Some(before) = line.get(..pos) else { return Completions::default() };
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let start;
    if before.starts_with(':') && !before.contains(' ') {
        start = 0;
        for (name, args, _) in COMMANDS {
            found.insert(format!("{name}{}", if args.is_empty() { "" } else { " " }), format!("{name} {args}").trim_end().to_owned());
        }
    } else if let Some(options) = options(at, session, before) {
        start = open_string(before).map_or_else(|| word_start(before), |open| open + 1);
        found.extend(options);
    } else if let Some(open) = open_string(before) {
        let typed = &before[open + 1..];
        let is_import = before[..open].trim_end().ends_with("import");
        start = open + 1 + if is_import { 0 } else { typed.rfind('/').map_or(0, |i| i + 1) };
        if is_import {
            found.extend(at.program.std_names().into_iter().map(|n| (format!("std/{n}"), format!("std/{n}"))));
        } else {
            found.extend(paths(typed));
        }
    } else if before.starts_with(":load ") || before.starts_with(":save ") || before.starts_with(":edit ") {
        let typed = before.split_once(' ').map_or("", |(_, t)| t);
        start = pos - typed.len() + typed.rfind('/').map_or(0, |i| i + 1);
        found.extend(paths(typed));
    } else {
        start = word_start(before);
        let head = &before[..start];
        if let Some(space) = head.strip_suffix("::") {
            in_namespace(at, session, &space[word_start(space)..], &mut found);
        } else if let Some(receiver) = head.strip_suffix('.').filter(|r| !r.ends_with('.')) {
            members(at, session, receiver, &mut found);
        } else {
            names(at, session, &mut found);
        }
    }
    let word = before.get(start..).unwrap_or_default();
    let candidates = found.into_iter().filter(|(text, _)| text.starts_with(word)).map(|(text, shown)| Candidate { text, shown });
    Completions { start, candidates: candidates.collect() }
}

/// The keys or values that fit the map of options in which a text ends; `None` when it does not end in one, or where any value fits.
fn options(at: At, session: &Session, before: &str) -> Option<Vec<(String, String)>> {
    let map = in_map(before)?;
    let quoted = open_string(before).filter(|open| *open > map.start);
    let functions = registered(at, session, map.callee);
    let found: Vec<(String, String)> = functions.iter().flat_map(|f| in_map::candidates(&map, &f.options(), quoted.is_some())).collect();
    (!found.is_empty()).then_some(found)
}

fn paths(typed: &str) -> Vec<(String, String)> {
    let folder = match typed.rfind('/') {
        Some(0) => "/",
        Some(i) => &typed[..i],
        None => ".",
    };
    let hidden = typed.rsplit('/').next().is_some_and(|n| n.starts_with('.'));
    let entries = crate::files::open_dir(Path::new(folder)).into_iter().flatten().flatten();
    entries
        .filter_map(|e| {
            let name = e.file_name().into_string().ok().filter(|n| hidden || !n.starts_with('.'))?;
            let slash = if e.path().is_dir() { "/" } else { "" };
            Some((format!("{name}{slash}"), format!("{name}{slash}")))
        })
        .collect()
}

fn table(at: At, mut each: impl FnMut(&ApiFn)) {
    if let Some(table) = at.host.get::<ApiTable>() {
        table.0.iter().for_each(&mut each);
    }
}

fn call(name: &str, takes: bool) -> String {
    if takes { format!("{name}(") } else { format!("{name}()") }
}

fn in_namespace(at: At, session: &Session, space: &str, found: &mut BTreeMap<String, String>) {
    table(at, |f| {
        if matches!(f.receiver, Receiver::Namespace(ns) if ns == space) {
            found.insert(call(f.name.trim_end_matches('$'), !f.params.is_empty()), f.signature());
        }
    });
    if let Some(unit) = session.module(at, space) {
        for f in unit.ast.iter_functions().filter(|f| public_functions(&unit.ast).any(|(n, _)| n == f.name)) {
            found.insert(call(f.name, !f.params.is_empty()), format!("{space}::{}({})", f.name, f.params.join(", ")));
        }
        found.extend(crate::script::units::unit::exported_constants(&unit.ast).into_iter().map(|c| (c.to_owned(), c.to_owned())));
    }
}

/// The value of `a.b.c`: only variables, map keys and properties are looked at, nothing is called.
fn value_of(at: At, session: &Session, receiver: &str) -> Option<Dynamic> {
    let from = receiver.char_indices().rev().take_while(|(_, c)| is_word(*c) || *c == '.').last().map(|(i, _)| i)?;
    let mut parts = receiver[from..].split('.');
    let mut value = session.variable(parts.next()?)?;
    for part in parts {
        let key = value.read_lock::<Map>().map(|m| m.get(part).cloned());
        value = match key {
            Some(inner) => inner?.flatten(),
            None => {
                let mut scope = rhai::Scope::new();
                scope.push_dynamic("x", value);
                at.rhai.eval_with_scope::<Dynamic>(&mut scope, &format!("x.{part}")).ok()?
            }
        };
    }
    Some(value)
}

fn members(at: At, session: &Session, receiver: &str, found: &mut BTreeMap<String, String>) {
    let Some(value) = value_of(at, session, receiver) else { return };
    if let Some(map) = value.read_lock::<Map>() {
        found.extend(map.keys().map(|k| (k.to_string(), k.to_string())));
    }
    table(at, |f| {
        if !f.receiver.fits(&value) || f.name.starts_with("index$") || f.name.starts_with("set$") {
            return;
        }
        if let Some(property) = f.name.strip_prefix("get$") {
            found.insert(property.to_owned(), f.signature());
        } else if f.name.starts_with(char::is_alphabetic) {
            found.insert(call(f.name.trim_end_matches('$'), f.params.len() > 1), f.signature());
        }
    });
    if let Some(run) = value.read_lock::<crate::script::training::run::Run>() {
        found.extend(run.objects().into_iter().map(|(name, _)| (name.clone(), name)));
    }
    let kind = if value.is_array() {
        "Array"
    } else if value.is_map() {
        "Map"
    } else if value.is_string() {
        "ImmutableString"
    } else {
        return;
    };
    let natives =
        at.rhai.collect_fn_metadata(None, |f| Some((f.namespace.to_string(), f.metadata.name.to_string(), f.metadata.params_info.to_vec())), true);
    for (namespace, name, params) in natives {
        let first = params.first().is_some_and(|p| p.contains(kind) || (kind == "ImmutableString" && p.contains("&str")));
        if namespace.is_empty() && first && name.starts_with(char::is_alphabetic) && !name.contains('$') {
            let rest: Vec<&str> = params[1..].iter().map(|p| p.split(':').next().unwrap_or("_").trim()).collect();
            found.insert(
                call(&name, params.len() > 1),
                format!("{}.{name}({})", kind.to_lowercase().replace("immutablestring", "string"), rest.join(", ")),
            );
        }
    }
}

fn names(at: At, session: &Session, found: &mut BTreeMap<String, String>) {
    found.extend(KEYWORDS.iter().map(|k| ((*k).to_owned(), (*k).to_owned())));
    table(at, |f| match f.receiver {
        Receiver::Namespace(ns) => {
            found.insert(format!("{ns}::"), format!("{ns}::"));
        }
        Receiver::Global if f.name.starts_with(char::is_alphabetic) => {
            found.insert(call(f.name, !f.params.is_empty()), f.signature());
        }
        _ => {}
    });
    found.insert("print(".into(), "print(x)".into());
    found.extend(session.aliases().map(|a| (format!("{a}::"), format!("{a}::"))));
    for f in session.lib.iter_functions().filter(|f| !crate::script::lang::diagnose::is_closure(f.name)) {
        found.insert(call(f.name, !f.params.is_empty()), format!("{}({})", f.name, f.params.join(", ")));
    }
    found.extend(session.variables().filter(|(n, _)| *n != "_").map(|(n, _)| (n.to_owned(), n.to_owned())));
}

/// What a function at the cursor takes, to be shown behind it: after `torch::zeros(` or at the end of `torch::zeros`.
pub fn hint(at: At, session: &Session, line: &str, pos: usize) -> Option<String> {
    let before = line.get(..pos).filter(|_| pos == line.len() && !line.starts_with(':'))?;
    if open_string(before).is_some() {
        return None;
    }
    let (name, is_open) = match before.strip_suffix('(') {
        Some(name) => (name, true),
        None => (before, false),
    };
    let start = name.char_indices().rev().take_while(|(_, c)| is_word(*c) || matches!(c, ':' | '.')).last().map(|(i, _)| i)?;
    let name = &name[start..];
    let typed = session.lib.iter_functions().find(|f| f.name == name).map(|f| f.params.join(", "));
    let module = || {
        let (alias, f) = name.split_once("::")?;
        let unit = session.module(at, alias)?;
        unit.ast.iter_functions().find(|x| x.name == f).map(|f| f.params.join(", "))
    };
    let native = || {
        let is_bare = !name.contains(['.', ':']);
        let found = registered(at, session, name);
        let f = found.iter().find(|f| !is_bare || matches!(f.receiver, Receiver::Global))?;
        let signature = f.signature();
        signature.split_once('(').map(|(_, args)| args.trim_end_matches(')').to_owned())
    };
    let args = typed.or_else(module).or_else(native)?;
    Some(if is_open { format!("{args})") } else { format!("({args})") })
}
