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
pub(super) use checks::{WIDEST, attention, windows};
pub use list::{allowed, count, refusal};
pub use schema::{Count, Kind, Param, Schema};

use super::Tensor;
use super::bridge::{self, Op, Value};
use crate::error::{Error, Result, did_you_mean};
use checks::Check;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::thread::LocalKey;

/// An operator with some of its overloads, and what must hold before one is called.
struct Entry {
    op: Op,
    schemas: Vec<Schema>,
    checks: Vec<Check>,
    /// The names under which tensors for the results may be given, for each overload that takes such.
    outs: Vec<Vec<String>>,
    /// The parameters that kernels write without telling autograd.
    unseen: &'static [&'static str],
}

impl Entry {
    /// # Errors
    /// `E0202` where libtorch has none of the overloads.
    fn new(base: &str, overloads: &[&str], outs: Vec<Vec<String>>) -> Result<Rc<Self>> {
        let schemas = list::schemas(base);
        let op = bridge::find_among(&format!("aten::{base}"), overloads)?;
        Ok(Rc::new(Entry { op, checks: checks::of(base, &schemas), schemas, outs, unseen: checks::unseen(base) }))
    }

    fn call(&self, name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
        if self.checks.is_empty() && self.unseen.is_empty() {
            return bridge::call_op(self.op, name, args, kw);
        }
        let overload = bridge::pick(self.op, name, args, kw)?;
        let schema = self.schemas.iter().find(|s| s.overload == overload);
        let bound = Bound { schema: schema.ok_or_else(|| Error::value("op", format!("`{name}.{overload}` has no schema")))?, args, kw };
        self.checks.iter().try_for_each(|check| check(&bound))?;
        let results = bridge::call_op(self.op, name, args, kw)?;
        bound.all_tensors().iter().filter(|(param, _)| self.unseen.contains(param)).for_each(|(_, t)| bridge::bump_version(t));
        Ok(results)
    }
}

thread_local! {
    /// Those that scripts have called, by the name that they gave.
    static LISTED: RefCell<HashMap<String, Rc<Entry>>> = RefCell::default();
    /// Those that functions of ours have.
    static OWN: RefCell<HashMap<String, Rc<Entry>>> = RefCell::default();
}

/// What is kept under a name, made the first time.
fn kept(of: &'static LocalKey<RefCell<HashMap<String, Rc<Entry>>>>, name: &str, make: impl FnOnce() -> Result<Rc<Entry>>) -> Result<Rc<Entry>> {
    if let Some(entry) = of.with_borrow(|found| found.get(name).cloned()) {
        return Ok(entry);
    }
    let entry = make()?;
    of.with_borrow_mut(|found| found.insert(name.to_owned(), entry.clone()));
    Ok(entry)
}

/// Calls an operator for a script: `add`, `aten::add`, `add.Scalar`. Only overloads of the list are considered, and arguments that a kernel
/// would not check are checked first. Tensors for the results (`out`) must have their shape: the results are copied there, nothing is resized.
///
/// # Errors
/// `E0202` for an operator that scripts may not call or that does not exist, for arguments that no overload takes or a check refuses, and for
/// an `out` of another shape; otherwise what the operator says.
pub fn script_call(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let entry = kept(&LISTED, name, || {
        let (base, overload) = list::parts(name);
        let listed = list::overloads(base, overload).ok_or_else(|| not_for_scripts(name))?;
        Entry::new(base, &listed.overloads, listed.outs)
    })?;
    let is_out = |k: &str| entry.outs.iter().any(|names| names.iter().any(|n| n == k));
    if !kw.iter().any(|(k, _)| is_out(k)) {
        return entry.call(name, args, kw);
    }
    let (mut outs, rest): (Vec<_>, Vec<_>) = kw.iter().cloned().partition(|(k, _)| is_out(k));
    outs.retain(|(_, v)| !matches!(v, Value::None));
    let results = entry.call(name, args, &rest)?;
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
    let entry = kept(&OWN, name, || {
        let schemas = list::schemas(name);
        let overloads: Vec<&str> = schemas.iter().filter(|s| s.out_params().is_empty()).map(|s| s.overload.as_str()).collect();
        Entry::new(name, &overloads, Vec::new())
    })?;
    entry.call(name, args, kw)
}

/// Calls an operator with one tensor as its result for a function of ours whose arguments come from a script: with the checks of its family, listed or not.
///
/// # Errors
/// As [`script_call`].
pub fn call_own1(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Tensor> {
    call_own(name, args, kw)?.into_iter().next().unwrap_or(Value::None).into_tensor().map_err(|e| e.context(name))
}

/// Calls any overload of any operator, with the checks of its family, listed or not: for the fuzz.
///
/// # Errors
/// As [`script_call`].
pub fn call_unlisted(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    let (base, overload) = list::parts(name);
    Entry::new(base, &[overload.unwrap_or_default()], Vec::new())?.call(name, args, kw)
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
