//! Operators of libtorch for scripts: those that are known to check what they are given, or are checked here.
//!
//! `allowed.txt` lists them by overload. It is made by `make operators`, which calls every overload of libtorch with hostile arguments, each in
//! a process of its own (tests/fuzz), and keeps those that neither end the process, nor write or read outside of their tensors, nor return
//! memory that nobody wrote, nor change a tensor behind autograd's back. `refused.txt` has the others, each with what it did.

mod bound;
mod checks;
mod list;
mod schema;

pub use bound::Bound;
pub use list::{allowed, count, refusal};
pub use schema::{Count, Kind, Param, Schema};

use super::Tensor;
use super::bridge::{self, Op, Value};
use crate::error::{Error, Result, did_you_mean};
use checks::Check;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// An operator with the overloads that scripts may call, and what must hold before one is.
#[derive(Clone)]
struct Entry {
    op: Op,
    checks: Rc<Vec<Check>>,
    /// The names under which tensors for the results may be given, for each overload that takes such.
    outs: Rc<Vec<Vec<String>>>,
}

thread_local! {
    static FOUND: RefCell<HashMap<String, Entry>> = RefCell::default();
}

/// Calls an operator for a script: `add`, `aten::add`, `add.Scalar`. Only overloads of the list are considered, and arguments that a kernel
/// would not check are checked first. Tensors for the results (`out`) must have their shape: the results are copied there, nothing is resized.
///
/// # Errors
/// `E0202` for an operator that scripts may not call or that does not exist, for arguments that no overload takes or a check refuses, and for
/// an `out` of another shape; otherwise what the operator says.
pub fn script_call(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let entry = find(name)?;
    let is_out = |k: &str| entry.outs.iter().any(|names| names.iter().any(|n| n == k));
    if !kw.iter().any(|(k, _)| is_out(k)) {
        return call_checked(name, &entry, args, kw);
    }
    let (mut outs, rest): (Vec<_>, Vec<_>) = kw.iter().cloned().partition(|(k, _)| is_out(k));
    outs.retain(|(_, v)| !matches!(v, Value::None));
    let results = call_checked(name, &entry, args, &rest)?;
    if outs.is_empty() {
        return Ok(results);
    }
    let names = entry.outs.iter().find(|names| names.len() == outs.len() && outs.iter().all(|(k, _)| names.iter().any(|n| n == k)));
    let Some(names) = names else { return Err(Error::value("op", format!("`{name}`: tensors for all results are needed, or for none"))) };
    copy_out(name, results, names, &outs)
}

/// Calls an operator for a function of ours whose arguments come from a script: with the checks of its family, listed or not.
///
/// # Errors
/// As [`script_call`].
pub(crate) fn call_own(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let key = format!("own {name}");
    if let Some(entry) = FOUND.with_borrow(|found| found.get(&key).cloned()) {
        return call_checked(name, &entry, args, kw);
    }
    let schemas = list::schemas(name);
    let overloads: Vec<&str> = schemas.iter().filter(|s| s.out_params().is_empty()).map(|s| s.overload.as_str()).collect();
    let op = bridge::find_among(&format!("aten::{name}"), &overloads)?;
    let entry = Entry { op, checks: Rc::new(checks::of(name, &schemas)), outs: Rc::default() };
    FOUND.with_borrow_mut(|found| found.insert(key, entry.clone()));
    call_checked(name, &entry, args, kw)
}

/// [`call_own`] for an operator with one tensor as its result.
///
/// # Errors
/// As [`script_call`].
pub(crate) fn call_own1(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Tensor> {
    call_own(name, args, kw)?.into_iter().next().unwrap_or(Value::None).into_tensor().map_err(|e| e.context(name))
}

/// Calls any overload of any operator, with the checks of its family, listed or not: for the fuzz.
///
/// # Errors
/// As [`script_call`].
pub fn call_unlisted(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let (base, overload) = list::parts(name);
    let op = bridge::find_among(&format!("aten::{base}"), &[overload.unwrap_or_default()])?;
    call_checked(name, &Entry { op, checks: Rc::new(checks::of(base, &list::schemas(base))), outs: Rc::default() }, args, kw)
}

fn find(name: &str) -> Result<Entry> {
    if let Some(entry) = FOUND.with_borrow(|found| found.get(name).cloned()) {
        return Ok(entry);
    }
    let (base, overload) = list::parts(name);
    let Some(listed) = list::overloads(base, overload) else { return Err(not_for_scripts(name)) };
    let op = bridge::find_among(&format!("aten::{base}"), &listed.overloads)?;
    let entry = Entry { op, checks: Rc::new(checks::of(base, &list::schemas(base))), outs: Rc::new(listed.outs) };
    FOUND.with_borrow_mut(|found| found.insert(name.to_owned(), entry.clone()));
    Ok(entry)
}

fn call_checked(name: &str, entry: &Entry, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    if !entry.checks.is_empty() {
        let overload = bridge::pick(entry.op, name, args, kw)?;
        let bound = Bound::new(name, &overload, args, kw)?;
        entry.checks.iter().try_for_each(|check| check(&bound))?;
    }
    let results = bridge::call_op(entry.op, name, args, kw)?;
    if let Some(written) = checks::unseen(list::parts(name).0) {
        let overload = bridge::pick(entry.op, name, args, kw)?;
        let bound = Bound::new(name, &overload, args, kw)?;
        bound.all_tensors().iter().filter(|(param, _)| written.contains(param)).for_each(|(_, t)| bridge::bump_version(t));
    }
    Ok(results)
}

/// Why scripts may not call an operator.
fn not_for_scripts(name: &str) -> Error {
    let exists = !bridge::schemas(name).is_empty();
    let near = nearest(name);
    if !exists {
        return Error::value("op", format!("libtorch has no operator `{name}`{near}"));
    }
    let why = refusal(name).map_or_else(|| "it does not check what it is given".to_owned(), |why| format!("the fuzz of all operators says: {why}"));
    Error::value("op", format!("`{name}` is not for scripts: {why}{near}"))
        .help("`torch::op_schema(name)` shows an operator's overloads; `--allow-unsafe-ops` opens all of them, and a wrong argument may then end the process")
}

/// The nearest operator that scripts may call.
fn nearest(name: &str) -> String {
    let bare = name.strip_prefix("aten::").unwrap_or(name);
    did_you_mean(bare, list::names().filter(|n| *n != bare))
}

/// Copies results to where they are wanted.
fn copy_out(name: &str, results: Vec<Value>, names: &[String], outs: &[(&str, Value)]) -> Result<Vec<Value>> {
    // An operator on lists returns one list, and takes one.
    let results = match (results.len(), names.len()) {
        (r, n) if r == n => results,
        _ => return Err(Error::value("op", format!("`{name}` returns {} results, not {}", results.len(), names.len()))),
    };
    let mut pairs = Vec::new();
    for (key, result) in names.iter().zip(results) {
        let out = outs.iter().find(|(k, _)| k == key).map_or(Value::None, |(_, v)| v.clone());
        fits(name, key, &result, &out)?;
        pairs.push((result, out));
    }
    // Nothing is written unless everything fits.
    pairs.into_iter().map(|(result, out)| copy_one(name, result, out)).collect()
}

/// Whether a result may be copied there.
fn fits(name: &str, key: &str, result: &Value, out: &Value) -> Result<()> {
    let refuse = |message: String| Error::value("op", format!("`{name}`: {message}"));
    match (result, out) {
        (Value::Tensor(result), Value::Tensor(out)) => {
            let cast = bridge::call("can_cast", &[result.dtype().into(), out.dtype().into()], &[])?;
            if result.shape() != out.shape() || result.device() != out.device() || !matches!(cast.first(), Some(Value::Bool(true))) {
                return Err(refuse(format!("`{key}` is {}, the result {}", out.describe(), result.describe()))
                    .help("make it of the result's shape: it is not resized"));
            }
            Ok(())
        }
        (Value::List(results), Value::List(outs)) if results.len() == outs.len() => {
            results.iter().zip(outs).try_for_each(|(r, o)| fits(name, key, r, o))
        }
        (result, out) => Err(refuse(format!("`{key}` is {}, the result {}", out.kind(), result.kind()))),
    }
}

fn copy_one(name: &str, result: Value, out: Value) -> Result<Value> {
    match (result, out) {
        (Value::Tensor(result), Value::Tensor(out)) => {
            out.copy_(&result).map_err(|e| e.context(name))?;
            Ok(Value::Tensor(out))
        }
        (Value::List(results), Value::List(outs)) => {
            Ok(Value::List(results.into_iter().zip(outs).map(|(r, o)| copy_one(name, r, o)).collect::<Result<_>>()?))
        }
        (_, out) => Ok(out),
    }
}

#[cfg(test)]
mod tests;
