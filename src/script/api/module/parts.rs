//! What stands behind the methods of modules: parts by name, calls into scripts, weights from files, the printed tree.

use crate::error::{Error, Result, did_you_mean};
use crate::nn::Module;
use crate::script::Cx;
use crate::script::bind::with_caller;
use crate::script::lang::value::{FromArg, IntoScript, type_name};
use crate::torch::Tensor;
use rhai::{Dynamic, FnPtr};
use std::fmt::Write;
use std::rc::Rc;

/// The module, tensor or other value of that name.
pub(crate) fn part(m: &Module, name: &str) -> Option<Dynamic> {
    let child = m.child(name).map(IntoScript::into_script);
    child.or_else(|| m.param(name).map(IntoScript::into_script)).or_else(|| m.attribute::<Dynamic>(name).map(|v| (*v).clone()))
}

/// `m.name`, `m["name"]` or `m[0]`.
pub(crate) fn get_part(m: &Module, name: &Dynamic) -> Result<Dynamic> {
    if let Some(i) = i64::from_dynamic(name) {
        let children = m.children();
        let at = if i < 0 { i + children.len() as i64 } else { i };
        let found = usize::try_from(at).ok().and_then(|at| children.get(at));
        let missing = || Error::value("index", format!("{i} of a {} with {} modules", m.kind(), children.len()));
        return found.map(|(_, c)| c.clone().into_script()).ok_or_else(missing);
    }
    let Some(name) = String::from_dynamic(name) else {
        return Err(Error::value("index", format!("a part has a name or an index, got {}", type_name(name))));
    };
    part(m, &name).ok_or_else(|| {
        let known: Vec<String> = m.children().into_iter().map(|(n, _)| n).chain(m.store().entries().into_iter().map(|e| e.name)).collect();
        let near = did_you_mean(&name, known.iter().map(String::as_str));
        let e = Error::value(m.kind(), format!("there is no part `{name}`{near}"));
        if known.is_empty() { e } else { e.help(format!("its parts: {}", listed(&known))) }
    })
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = names.len().saturating_sub(SHOWN);
    let list = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// `m.name = value`.
pub(crate) fn set_part(m: &Module, name: &str, value: Dynamic) -> Result<()> {
    // After `m.head.bias[0] = 1` the engine writes every part on the way back where it already is.
    if let Some(child) = Module::from_dynamic(&value) {
        return if m.child(name).is_some_and(|c| c.is_same(&child)) { Ok(()) } else { m.set_child(name, child) };
    }
    if let Some(tensor) = Tensor::from_dynamic(&value) {
        let known = m.param(name).is_some_and(|t| t.numel() > 0 && t.id() == tensor.id());
        return if known { Ok(()) } else { m.set_param(name, tensor.clone(), !tensor.requires_grad()) };
    }
    if name == "forward" {
        let f = FnPtr::from_dynamic(&value).ok_or_else(|| {
            let message = format!("`forward` must be a function, got {}", type_name(&value));
            Error::value(m.kind(), message).help("m.forward = |m, x| m.head.forward(x)")
        })?;
        m.set_forward(Rc::new(move |m, inputs| {
            let args = std::iter::once(m.clone().into_script()).chain(inputs.iter().cloned().map(IntoScript::into_script)).collect();
            with_caller(|cx| tensor_of(m.kind(), &cx.call(&f, args)?))
        }))?;
    }
    m.set_attribute(name, Rc::new(value))
}

/// The tensor that a script's forward function returned, where Rust needs one.
pub(crate) fn tensor_of(op: &str, value: &Dynamic) -> Result<Tensor> {
    Tensor::from_dynamic(value).ok_or_else(|| {
        let message = format!("its forward function returned {}, but inside another module it must return a tensor", type_name(value));
        Error::value(op, message)
    })
}

/// `m.forward(..)`. A script's own function gets and gives any values; everything else works on tensors.
pub(crate) fn run<const N: usize>(cx: &Cx, m: &Module, inputs: [Option<Dynamic>; N]) -> Result<Dynamic> {
    let inputs: Vec<Dynamic> = inputs.into_iter().flatten().collect();
    if m.kind() == "group"
        && let Some(f) = m.attribute::<Dynamic>("forward").as_deref().and_then(FnPtr::from_dynamic)
    {
        return cx.call(&f, std::iter::once(m.clone().into_script()).chain(inputs).collect());
    }
    let tensors = inputs.iter().enumerate().map(|(i, d)| {
        let wrong = || Error::value(m.kind(), format!("input {} of `forward` must be a tensor, got {}", i + 1, type_name(d)));
        Tensor::from_dynamic(d).ok_or_else(wrong)
    });
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    m.forward(&tensors).map(IntoScript::into_script)
}

/// The module as an indented tree.
pub(crate) fn tree(m: &Module) -> String {
    let mut out = String::new();
    branch(&mut out, "", m, 0);
    out.truncate(out.trim_end().len());
    out
}

/// Deeper than any network is; a guard for the printer only.
const MAX_DEPTH: usize = 64;

fn branch(out: &mut String, name: &str, m: &Module, depth: usize) {
    let indent = "  ".repeat(depth);
    let label = if name.is_empty() { String::new() } else { format!("{name}: ") };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{indent}{label}{} ({})", m.kind(), crate::progress::grouped(m.count().unsigned_abs(), ' '));
    for e in m.store().entries() {
        let note = match (e.buffer, e.tensor.requires_grad()) {
            (true, _) => " buffer",
            (false, false) => " frozen",
            (false, true) => "",
        };
        let _ = writeln!(out, "{indent}  {} {:?}{note}", e.name, e.tensor.shape());
    }
    for (name, child) in m.children() {
        if depth < MAX_DEPTH {
            branch(out, &name, &child, depth + 1);
        }
    }
}
