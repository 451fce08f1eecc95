//! What a prompt tells of the names in it: documentation, source texts, the variables.

use super::display;
use super::session::Session;
use crate::error::{Error, Result, did_you_mean};
use crate::files;
use crate::script::ApiFn;
use crate::script::docs::option_table;
use crate::script::docs::terminal::{Style, render};
use crate::script::lang::function::{ApiTable, Receiver};
use crate::script::lang::value::type_name;
use crate::script::units::at::At;
use crate::script::units::unit::Unit;
use crate::torch::Tensor;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// The registered functions behind a name as it is typed: `matmul`, `x.matmul`, `torch::zeros`.
pub(crate) fn registered(at: At, session: &Session, name: &str) -> Vec<ApiFn> {
    let Some(table) = at.host.get::<ApiTable>() else { return Vec::new() };
    let is_named = |f: &ApiFn, name: &str| f.name.trim_end_matches('$') == name || f.name.strip_prefix("get$") == Some(name);
    let find = |keep: &dyn Fn(&ApiFn) -> bool| table.0.iter().filter(|f| keep(f)).cloned().collect::<Vec<_>>();
    if let Some((space, name)) = name.rsplit_once("::") {
        return find(&|f| matches!(f.receiver, Receiver::Namespace(ns) if ns == space) && is_named(f, name));
    }
    if let Some((receiver, name)) = name.rsplit_once('.') {
        let value = session.variable(receiver);
        let is_called = |f: &ApiFn| f.receiver.shown().is_some_and(|shown| shown.eq_ignore_ascii_case(receiver));
        let fits = |f: &ApiFn| value.as_ref().map_or_else(|| is_called(f), |v| f.receiver.fits(v));
        let found = find(&|f| fits(f) && is_named(f, name));
        return if found.is_empty() && value.is_none() { find(&|f| f.receiver.is_method() && is_named(f, name)) } else { found };
    }
    find(&|f| !matches!(f.receiver, Receiver::Namespace(_)) && is_named(f, name))
}

/// The comment above a script's function, without its slashes.
fn comment(lines: &[&str]) -> String {
    lines.iter().flat_map(|c| c.lines()).map(|l| l.trim_start().trim_start_matches('/').trim_start_matches(' ')).collect::<Vec<_>>().join("\n")
}

fn script_functions(unit: &Unit, name: &str) -> Vec<String> {
    let named = unit.ast.iter_functions().filter(|f| f.name == name && !crate::script::lang::diagnose::is_closure(f.name));
    named.map(|f| format!("{}({})\n{}", f.name, f.params.join(", "), comment(&f.comments)).trim_end().to_owned()).collect()
}

/// The text at the head of a module.
fn head(unit: &Unit) -> String {
    let lines = unit.text.lines().take_while(|l| l.starts_with("//!"));
    lines.map(|l| l.trim_start_matches("//!").trim()).collect::<Vec<_>>().join("\n")
}

/// The documentation of a name.
///
/// # Errors
/// `E0101` when nothing has that name, with the nearest.
pub fn doc(at: At, session: &Session, name: &str) -> Result<String> {
    let name = name.trim().trim_end_matches("()");
    if name.is_empty() {
        return Err(Error::usage("`:doc` needs a name").help("`:doc matmul`, `:doc torch::zeros`, `:doc x.reshape`, `:doc torch`"));
    }
    let mut parts: Vec<String> = Vec::new();
    for unit in session.scripts(at) {
        parts.extend(script_functions(&unit, name));
    }
    let typed = session.lib.iter_functions().filter(|f| f.name == name && parts.is_empty());
    parts.extend(typed.map(|f| format!("{}({})\n{}", f.name, f.params.join(", "), comment(&f.comments)).trim_end().to_owned()).collect::<Vec<_>>());
    if let Some((alias, f)) = name.split_once("::")
        && let Some(unit) = session.module(at, alias)
    {
        parts.extend(script_functions(&unit, f).into_iter().map(|d| format!("{alias}::{d}")));
    }
    if let Some(unit) = session.module(at, name) {
        let functions: Vec<String> = crate::script::units::unit::public_functions(&unit.ast).map(|(f, _)| format!("{name}::{f}")).collect();
        parts.push(format!("{}\n{}\n\n{}", unit.shown, head(&unit), functions.join("  ")));
    }
    parts.extend(registered(at, session, name).iter().map(|f| format!("{} -> {}\n{}{}", f.signature(), f.returns, plain(f.doc), options(f))));
    let table = at.host.get::<ApiTable>();
    let space: Vec<String> =
        table.iter().flat_map(|t| &t.0).filter(|f| matches!(f.receiver, Receiver::Namespace(ns) if ns == name)).map(ApiFn::signature).collect();
    if !space.is_empty() {
        parts.push(space.join("\n"));
    }
    if parts.is_empty()
        && let Some(value) = session.variable(name)
    {
        parts.push(format!("{name} is {}: {}", type_name(&value), display::one_line(at, &value)));
    }
    if parts.is_empty() {
        let known = at.program.known();
        let all = known.function_names().chain(known.namespaces.keys().map(String::as_str)).chain(known.properties.iter().map(String::as_str));
        let short = name.rsplit([':', '.']).next().unwrap_or(name);
        let elsewhere = known.elsewhere(short).filter(|e| e != name).map(|e| format!("did you mean `{e}`?"));
        let e = Error::usage(format!("nothing is called `{name}`{}", did_you_mean(short, all)));
        return Err(e.help(elsewhere.unwrap_or_else(|| "`:doc torch` lists a namespace".into())));
    }
    Ok(parts.join("\n\n"))
}

/// A doc comment as it is read in a terminal.
fn plain(doc: &str) -> String {
    let lines = doc.lines().map(|l| l.strip_prefix(' ').unwrap_or(l)).filter(|l| !l.starts_with("```"));
    lines.map(|l| l.strip_prefix("# ").map_or_else(|| l.to_owned(), |h| format!("\n{h}:"))).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The options of a function as they are read in a terminal.
fn options(f: &ApiFn) -> String {
    let options = option_table(&f.options());
    if options.is_empty() { String::new() } else { format!("\n\nOptions:\n{}", render(&options, Style { color: false, width: 100 }).trim_end()) }
}

/// The text of a script function, or of a whole module.
///
/// # Errors
/// `E0101` when there is no such thing, or it is written in Rust.
pub fn source(at: At, session: &Session, name: &str) -> Result<String> {
    let name = name.trim().trim_end_matches("()");
    let mut units: Vec<Rc<Unit>> = session.scripts(at);
    if let Some((alias, f)) = name.split_once("::")
        && let Some(unit) = session.module(at, alias)
    {
        return function_text(&unit.ast, &unit.text, f).ok_or_else(|| Error::usage(format!("`{}` has no function `{f}`", unit.shown)));
    }
    if let Some(unit) = session.module(at, name) {
        return Ok(unit.text.to_string());
    }
    units.extend(at.program.current().units.values().cloned());
    if let Some(unit) = units.iter().find(|u| u.shown == name || u.id == name) {
        return Ok(unit.text.to_string());
    }
    if let Some(text) = function_text(&session.lib, session.text(), name) {
        return Ok(text);
    }
    if let Some(text) = session.scripts(at).iter().find_map(|u| function_text(&u.ast, &u.text, name)) {
        return Ok(text);
    }
    match registered(at, session, name).first() {
        Some(f) => Err(Error::usage(format!("`{}` is written in Rust", f.signature())).help(format!("`:doc {name}` says what it does"))),
        None => Err(Error::usage(format!("no script function or module is called `{name}`"))),
    }
}

/// A function's text with the comment above it.
fn function_text(ast: &rhai::AST, text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<String> = Vec::new();
    for f in ast.iter_fn_def().filter(|f| f.name == name) {
        let (start, end) = (f.body.start_position().line()?, f.body.end_position().line()?);
        // The functions of scripts stand where no typed text is.
        if start > lines.len() {
            continue;
        }
        let mut first = start;
        while first > 1 && !lines.get(first - 1)?.contains("fn ") {
            first -= 1;
        }
        while first > 1 && lines.get(first - 2)?.trim_start().starts_with("///") {
            first -= 1;
        }
        found.push(lines.get(first - 1..end.min(lines.len()))?.join("\n"));
    }
    (!found.is_empty()).then(|| found.join("\n\n"))
}

/// The variables with their types and values, newest last.
pub fn variables(at: At, session: &Session) -> String {
    let rows: Vec<(String, String)> = session
        .variables()
        .filter(|(n, _)| !matches!(*n, "_" | "it"))
        .map(|(n, v)| (format!("{n}{}", if session.is_constant(n) { " (const)" } else { "" }), display::one_line(at, &v.flatten_clone())))
        .collect();
    let width = rows.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in rows {
        let _ = writeln!(out, "{name:width$}  {value}");
    }
    if out.is_empty() { "no variables yet\n".into() } else { out }
}

/// What the variables and the process hold in memory.
///
/// # Errors
/// When the system does not say.
pub fn memory(session: &Session) -> Result<String> {
    let mut by_kind: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    let mut seen = Vec::new();
    for (_, value) in session.variables() {
        tensors(&value.flatten_clone(), &mut |x| {
            let Some((place, bytes)) = x.memory().filter(|(place, _)| !seen.contains(place)) else { return };
            seen.push(place);
            let slot = by_kind.entry(crate::torch::device_name(x.device())).or_default();
            *slot = (slot.0 + 1, slot.1 + bytes);
        });
    }
    let mut out = String::new();
    for (device, (n, bytes)) in by_kind {
        let _ = writeln!(out, "{device:8} {n} tensors in variables, {}", size(bytes));
    }
    let path = std::path::Path::new("/proc/self/statm");
    let text = files::read_text(path)?;
    let pages: u64 = text.split(' ').nth(1).and_then(|t| t.parse().ok()).unwrap_or(0);
    let _ = writeln!(out, "process  {}", size(pages * 4096));
    Ok(out)
}

fn tensors(value: &rhai::Dynamic, each: &mut dyn FnMut(&Tensor)) {
    if let Some(x) = value.read_lock::<Tensor>() {
        each(&x);
    } else if let Some(a) = value.read_lock::<rhai::Array>() {
        a.iter().for_each(|v| tensors(v, each));
    } else if let Some(m) = value.read_lock::<rhai::Map>() {
        m.values().for_each(|v| tensors(v, each));
    }
}

fn size(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", b / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", b / 1_048_576.0),
        _ => format!("{:.2} GiB", b / 1_073_741_824.0),
    }
}
