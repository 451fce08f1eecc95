//! rhai's errors in our words: code, message, the failing place, the chain of calls, help.

use super::codes::{INTERRUPTED, LIMIT, PARSE, RUNTIME};
use super::exception::ErrorValue;
use super::known::Known;
use super::source::Texts;
use super::{place, stack};
use crate::error::{Diagnostic, Error, ErrorKind, Label, did_you_mean};
use crate::interrupt;
use rhai::{Dynamic, EvalAltResult, Map, ParseError, ParseErrorType, Position};

/// How many callers a message shows: the innermost ones tell most.
const CALLERS: usize = 8;

/// What is needed to explain an error.
#[derive(Clone, Copy)]
pub(crate) struct Explain<'a> {
    pub sources: &'a Texts,
    pub known: &'a Known,
}

impl Explain<'_> {
    /// An exception as our error; `top` is the tag of the code that was called.
    pub(crate) fn error(self, top: &str, e: &EvalAltResult) -> Error {
        let mut callers: Vec<Label> = Vec::new();
        let mut source = top.to_owned();
        let mut inner = e;
        loop {
            match inner {
                EvalAltResult::ErrorInFunctionCall(name, tag, next, at) => {
                    let what = if is_closure(name) { "closure called here".into() } else { format!("`{name}` called here") };
                    callers.extend((!at.is_none()).then(|| self.sources.label(&source, *at, what)).flatten());
                    if !tag.is_empty() {
                        source.clone_from(tag);
                    }
                    inner = next;
                }
                EvalAltResult::ErrorInModule(name, next, at) => {
                    callers.extend((!at.is_none()).then(|| self.sources.label(&source, *at, "imported here")).flatten());
                    source.clone_from(name);
                    inner = next;
                }
                _ => break,
            }
        }
        let mut stopped = None;
        if let EvalAltResult::ErrorTerminated(token, _) = inner {
            // On its way through Rust code it carries the place where it began.
            if let Some(value) = token.read_lock::<ErrorValue>()
                && let ErrorKind::OverMemory(d) = value.error.kind()
            {
                return Error::over_memory((**d).clone());
            }
            if token.read_lock::<rhai::ImmutableString>().is_some_and(|t| *t == INTERRUPTED) {
                stopped = match interrupt::stopped().kind() {
                    ErrorKind::OverMemory(d) => Some((**d).clone()),
                    _ => return Error::interrupted(),
                };
            }
        }
        let mut d = self.innermost(&source, inner);
        if let EvalAltResult::ErrorTerminated(token, _) = inner
            && let Some(message) = super::limits::exceeded(token)
        {
            d = Diagnostic { code: LIMIT, message, help: None, ..d };
        }
        callers.reverse();
        callers.truncate(CALLERS);
        d.labels.extend(callers);
        match stopped {
            Some(why) => {
                if d.labels.is_empty() {
                    // rhai drops the place of what it was told to end.
                    d.labels.extend(place::last().and_then(|(tag, at)| self.sources.label(&tag, at, "the last call before it")));
                }
                Error::over_memory(Diagnostic { labels: d.labels, ..why })
            }
            None => Error::script(d),
        }
    }

    /// A text that does not parse.
    pub(crate) fn parse_error(self, tag: &str, e: &ParseError) -> Diagnostic {
        self.parse_failure(tag, e.err_type(), e.position())
    }

    fn parse_failure(self, tag: &str, kind: &ParseErrorType, at: Position) -> Diagnostic {
        let mut help = None;
        let mut message = backticks(&lower(&kind.to_string()));
        let text = self.sources.get(tag).map(|s| s.text).unwrap_or_default();
        if let Some((told, line)) = super::keywords::told(&text, at) {
            (message, help) = (told, Some(line));
        } else if let ParseErrorType::VariableUndefined(name) = kind {
            let names = identifiers(&text);
            let namespaces = self.known.namespaces.keys().map(String::as_str);
            message = format!("unknown variable `{name}`{}", did_you_mean(name, names.variables.iter().copied().chain(namespaces)));
            if names.constants.contains(&name.as_str()) {
                help = Some(format!("inside a function a constant of this file is `global::{name}`"));
            }
        } else if let ParseErrorType::ModuleUndefined(name) = kind {
            let near = did_you_mean(name, self.known.namespaces.keys().map(String::as_str));
            message = format!("unknown module or namespace `{name}`{near}");
            help = Some(format!("import it first: `import \"std/{name}\" as {name};`"));
        } else if let ParseErrorType::Reserved(word) = kind {
            message = format!("`{word}` is a reserved word of the language");
            help = Some("choose another name".into());
        } else if matches!(kind, ParseErrorType::MissingToken(token, _) if token == "]") {
            help = Some("several indices, `x[0, 1:3]`, stand behind a variable, a call or an index; behind the last one is no comma".into());
        } else if let ParseErrorType::AssignmentToConstant(name) = kind {
            message = format!("`{name}` is a constant and cannot be assigned");
        }
        let labels = self.sources.label(tag, at, "").into_iter().collect();
        Diagnostic { help, labels, ..Diagnostic::plain(PARSE, message) }
    }

    /// The error itself, without its callers.
    fn innermost(self, source: &str, e: &EvalAltResult) -> Diagnostic {
        let at = e.position();
        if let EvalAltResult::ErrorRuntime(value, _) = e {
            return self.thrown(source, value, at);
        }
        if let EvalAltResult::ErrorParsing(kind, _) = e {
            return self.parse_failure(source, kind, at);
        }
        let (message, help) = self.words(source, e);
        let labels = if at.is_none() { None } else { self.sources.label(source, at, "") };
        Diagnostic { help, labels: labels.into_iter().collect(), ..Diagnostic::plain(RUNTIME, message) }
    }

    /// A thrown value: one of our errors, or whatever a script gave to `throw`.
    fn thrown(self, source: &str, value: &Dynamic, at: Position) -> Diagnostic {
        let here = if at.is_none() { None } else { self.sources.label(source, at, "") };
        let Some(v) = value.read_lock::<ErrorValue>() else {
            return Diagnostic { labels: here.into_iter().collect(), ..Diagnostic::plain(RUNTIME, thrown_text(value)) };
        };
        let mut labels = Vec::new();
        let mut d = Diagnostic::plain(v.error.code(), v.error.to_string());
        d.help = v.error.help_text().map(str::to_owned);
        if let ErrorKind::Script(inner) = v.error.kind() {
            labels.clone_from(&inner.labels);
            d.also.clone_from(&inner.also);
        }
        let first = v.place.as_ref().and_then(|(tag, at)| self.sources.label(tag, *at, ""));
        if let Some(mut here) = here {
            if first.as_ref().is_some_and(|f| (&f.file, f.line, f.column) != (&here.file, here.line, here.column)) {
                here.text = "thrown again here".into();
                labels.extend(first);
            }
            labels.push(here);
        } else {
            labels.extend(first);
        }
        d.labels = labels;
        d
    }

    /// One of rhai's own errors in our words.
    pub(super) fn said(self, source: &str, e: &EvalAltResult) -> String {
        self.words(source, e).0
    }

    /// rhai's own errors in our words, with a remedy where one is known.
    fn words(self, source: &str, e: &EvalAltResult) -> (String, Option<String>) {
        use EvalAltResult as E;
        match e {
            E::ErrorFunctionNotFound(signature, _) => self.no_function(source, signature),
            E::ErrorVariableNotFound(name, _) => (format!("unknown variable `{name}`"), None),
            E::ErrorPropertyNotFound(name, _) => (format!("the map has no key `{name}`"), None),
            E::ErrorModuleNotFound(name, _) => {
                let near = did_you_mean(name, self.known.namespaces.keys().map(String::as_str));
                (format!("unknown module or namespace `{name}`{near}"), None)
            }
            E::ErrorDotExpr(text, _) => (self.no_property(text), None),
            E::ErrorIndexingType(text, _) | E::ErrorMismatchDataType(_, text, _) if text.contains("ndices") => {
                let help = "an array in an array is `a[0][1]`, a part of an array `a.extract(1..3)`, of a string `s.sub_string(1..3)`";
                ("only a tensor takes several indices or a slice between `[` and `]`".into(), Some(help.into()))
            }
            E::ErrorIndexingType(text, _) => (format!("this cannot be indexed: {}", types(text)), None),
            E::ErrorMismatchDataType(want, got, _) | E::ErrorMismatchOutputType(want, got, _) => {
                (format!("expected {}, got {}", types(want), types(got)), None)
            }
            E::ErrorStackOverflow(_) => ("calls are nested too deeply".into(), Some(stack::ENDLESS.into())),
            E::ErrorTerminated(..) => ("calls are nested so deeply that the stack is used up".into(), Some(stack::ENDLESS.into())),
            E::ErrorDataTooLarge(what, _) => (format!("{} is over the limit", lower(what)), None),
            E::ErrorFor(_) => ("`for` needs something to go through: an array, a range, a map's keys or a loader".into(), None),
            E::ErrorDataRace(..) => {
                ("a variable captured by a closure is used while it is being changed".into(), Some("copy it into another variable first".into()))
            }
            E::ErrorAssignmentToConstant(name, _) => (format!("`{name}` is a constant and cannot be assigned"), None),
            other => {
                let text = other.to_string();
                (lower(text.rsplit_once(" (line ").map_or(text.as_str(), |(t, _)| t)), None)
            }
        }
    }

    /// `name (type, type)` was called and nothing fits.
    fn no_function(self, source: &str, signature: &str) -> (String, Option<String>) {
        let (name, args) = signature.split_once(" (").unwrap_or((signature, ""));
        // Words of the language that are methods of ours have a `$` inside.
        let name = if is_closure(name) { name } else { name.trim_end_matches('$') };
        let list: Vec<String> = args.trim_end_matches(')').split(", ").filter(|a| !a.is_empty()).map(types).collect();
        let plural = |n: usize| if n == 1 { "1 argument".to_owned() } else { format!("{n} arguments") };
        if is_closure(name) {
            return (format!("a closure was called with {}, but takes another number of them", plural(list.len())), None);
        }
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return match list.as_slice() {
                [a, b] => (format!("`{name}` does not work between {a} and {b}"), None),
                _ => (format!("`{name}` does not work on {}", list.join(", ")), None),
            };
        }
        let usage = self.known.usage(name);
        let exists = match name.rsplit_once("::") {
            Some((ns, f)) => self.known.namespaces.get(ns).is_some_and(|n| n.contains_key(f)),
            None => self.known.functions.contains_key(name),
        };
        if exists {
            let got = if list.is_empty() { "no arguments".to_owned() } else { format!("({})", list.join(", ")) };
            let name = name.trim_end_matches('$');
            return (format!("`{name}` cannot be called with {got}"), usage.map(|u| format!("it is `{u}`")));
        }
        let near = match name.rsplit_once("::") {
            Some((ns, f)) => {
                let inside = self.known.namespaces.get(ns).into_iter().flat_map(|n| n.keys().map(String::as_str));
                did_you_mean(f, inside)
            }
            None => {
                let text = self.sources.get(source).map(|s| s.text).unwrap_or_default();
                self.known.near(name, &identifiers(&text).functions)
            }
        };
        (format!("unknown function `{name}`{near}"), None)
    }

    /// `Unknown property 'x' - a getter is not registered for type 't'`.
    fn no_property(self, text: &str) -> String {
        let mut quoted = text.split('\'').skip(1).step_by(2);
        match (quoted.next(), quoted.next()) {
            (Some(property), Some(ty)) => no_property(self.known, &types(ty), property).to_string(),
            _ => lower(text),
        }
    }
}

/// The error for a property that a type does not have, with the nearest.
pub(crate) fn no_property(known: &Known, ty: &str, property: &str) -> Error {
    let near = did_you_mean(property, known.properties.iter().map(String::as_str));
    Error::script(Diagnostic::plain(RUNTIME, format!("a value of type {ty} has no property `{property}`{near}")))
}

/// The names in a text, found without parsing: good enough for "did you mean".
pub(crate) struct Identifiers<'a> {
    pub variables: Vec<&'a str>,
    pub constants: Vec<&'a str>,
    pub functions: Vec<&'a str>,
}

/// Collects what a text declares.
pub(crate) fn identifiers(text: &str) -> Identifiers<'_> {
    let mut found = Identifiers { variables: Vec::new(), constants: Vec::new(), functions: Vec::new() };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut previous = "";
    // Parameters stand between the `(` after `fn name` and its `)`, or between two `|`.
    let mut in_parameters = false;
    for (start, word) in words(text) {
        let next = text[start + word.len()..].trim_start().chars().next();
        let before = text[..start].trim_end().chars().next_back();
        match previous {
            "fn" => {
                found.functions.push(word);
                in_parameters = true;
            }
            "const" => {
                found.constants.push(word);
                found.variables.push(word);
            }
            "let" | "for" | "as" => found.variables.push(word),
            _ if in_parameters => found.variables.push(word),
            _ if before == Some('|') || (before == Some(',') && next == Some('|')) => found.variables.push(word),
            _ => {}
        }
        if next == Some(')') || (previous == "fn" && text[start + word.len()..].trim_start().starts_with("()")) {
            in_parameters = false;
        }
        previous = word;
    }
    debug_assert!(found.functions.iter().all(|w| w.chars().all(is_word)));
    found
}

fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(is_word)?;
        let end = text[start..].find(|c: char| !is_word(c)).map_or(text.len(), |n| start + n);
        at = end;
        Some((start, &text[start..end]))
    })
}

/// Whether rhai made this function's name up for a closure.
pub(crate) fn is_closure(name: &str) -> bool {
    name.starts_with("anon$")
}

/// What a script threw, as a message.
fn thrown_text(value: &Dynamic) -> String {
    if let Some(map) = value.read_lock::<Map>()
        && let Some(text) = map.get("message").or_else(|| map.get("msg"))
    {
        return text.to_string();
    }
    if value.is_unit() { "the script threw an error without a message".into() } else { value.to_string() }
}

/// rhai's type names as users know them.
fn types(text: &str) -> String {
    let text = text.replace("&str | ImmutableString | String", "string");
    text.split_inclusive([' ', ',', '[', ']', '='])
        .map(|word| {
            let core = word.trim_end_matches([' ', ',', '[', ']', '=']);
            let tail = &word[core.len()..];
            format!("{}{tail}", short_type(core))
        })
        .collect()
}

fn short_type(name: &str) -> String {
    match name {
        "i64" => "int".into(),
        "f64" => "float".into(),
        "Fn" | "FnPtr" | "rhai::FnPtr" => "function".into(),
        "ImmutableString" | "&str" | "String" => "string".into(),
        other => other.rsplit("::").next().unwrap_or(other).to_owned(),
    }
}

/// `'x'` as our messages quote it.
fn backticks(text: &str) -> String {
    text.replace(" '", " `").replace("' ", "` ").replace("('", "(`").replace("')", "`)").replace("',", "`,").trim_end_matches('\'').to_owned()
        + if text.ends_with('\'') { "`" } else { "" }
}

/// With a small first letter, as our messages are written; abbreviations stay.
fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(a), Some(b)) if a.is_uppercase() && !b.is_uppercase() => format!("{}{}", a.to_lowercase(), &text[a.len_utf8()..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_names_are_found() {
        let n = identifiers("const K = 1;\nfn step(run, batch) { let x = 3; for i in 0..3 {} m.map(|a, b| a) }\nfn none() { y }");
        assert_eq!(n.variables, ["K", "run", "batch", "x", "i", "a", "b", "a"]);
        assert_eq!(n.functions, ["step", "none"]);
        assert_eq!(n.constants, ["K"]);
    }

    #[test]
    fn type_names_are_ours() {
        assert_eq!(types("i64 [&str | ImmutableString | String]"), "int [string]");
        assert_eq!(types("lathe::torch::tensor::Tensor"), "Tensor");
    }
}
