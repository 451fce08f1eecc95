//! How values look at a prompt: tensors in one line, never a wall of numbers; maps and arrays in the script's own notation.

use crate::error::Result;
use crate::script::lang::value::type_name;
use crate::script::units::at::At;
use crate::torch::Tensor;
use rhai::{Array, Dynamic, Map, Scope};
use std::fmt::Write;

/// Elements of an array or map that are shown; more are counted.
const ELEMENTS: usize = 24;
/// How deep arrays and maps are shown.
const DEPTH: usize = 4;
/// What fits on one line.
const WIDTH: usize = 100;
/// Tensors with more elements show the edges of their dimensions in [`raw`].
const RAW: usize = 1000;
/// What is shown of each edge.
const EDGE: i64 = 3;

const RED: &str = "\x1b[1;31m";
const RESET: &str = "\x1b[0m";

/// A value as the prompt shows it.
pub fn shown(at: At, value: &Dynamic, color: bool) -> String {
    let text = pretty(at, value, 0);
    if color { text.replace("NaN!", &format!("{RED}NaN!{RESET}")).replace("inf!", &format!("{RED}inf!{RESET}")) } else { text }
}

/// A value in one line, for tables and for what stands inside other values.
pub fn one_line(at: At, value: &Dynamic) -> String {
    let text = pretty(at, value, DEPTH - 1).replace('\n', " ");
    if text.chars().count() <= WIDTH { text } else { format!("{}..", text.chars().take(WIDTH - 2).collect::<String>()) }
}

fn pretty(at: At, value: &Dynamic, depth: usize) -> String {
    if let Some(text) = value.read_lock::<rhai::ImmutableString>() {
        return serde_json::Value::from(text.as_str()).to_string();
    }
    if let Some(array) = value.read_lock::<Array>() {
        let more = |n: usize| format!("..{n} more");
        return list("[", "]", array.iter().map(|v| pretty(at, v, depth + 1)), array.len(), depth, more);
    }
    if let Some(map) = value.read_lock::<Map>() {
        let more = |n: usize| format!("..{n} more");
        return list("#{", "}", map.iter().map(|(k, v)| format!("{k}: {}", pretty(at, v, depth + 1))), map.len(), depth, more);
    }
    if let Some(tensor) = value.read_lock::<Tensor>() {
        return tensor.to_string();
    }
    if value.is_float() || value.is_int() || value.is_bool() || value.is_char() {
        return value.to_string();
    }
    if value.is_unit() {
        return "()".into();
    }
    if value.is_fnptr() {
        return "function".into();
    }
    // As `print` has it, where the type says how.
    let mut scope = Scope::new();
    scope.push_dynamic("x", value.clone());
    let text = at.rhai.eval_with_scope::<rhai::ImmutableString>(&mut scope, "x.to_string()");
    text.map_or_else(|_| type_name(value), |t| if t.contains("::") { type_name(value) } else { t.to_string() })
}

fn list(open: &str, close: &str, items: impl Iterator<Item = String>, len: usize, depth: usize, more: impl Fn(usize) -> String) -> String {
    if len == 0 {
        return format!("{open}{close}");
    }
    if depth >= DEPTH {
        return format!("{open}..{len}{close}");
    }
    let mut parts: Vec<String> = items.take(ELEMENTS).collect();
    if len > parts.len() {
        parts.push(more(len - parts.len()));
    }
    let one = format!("{open}{}{close}", parts.join(", "));
    if one.chars().count() + 2 * depth <= WIDTH && !one.contains('\n') {
        return one;
    }
    let pad = "  ".repeat(depth + 1);
    format!("{open}\n{pad}{}\n{}{close}", parts.join(&format!(",\n{pad}")), "  ".repeat(depth))
}

/// A value with all its numbers; of a large tensor the edges of each dimension.
///
/// # Errors
/// When a tensor cannot be read.
pub fn raw(at: At, value: &Dynamic) -> Result<String> {
    let Some(x) = value.read_lock::<Tensor>().map(|t| t.clone()) else { return Ok(pretty(at, value, 0)) };
    let mut out = String::new();
    let x = crate::torch::no_grad(|| x.detach())?;
    numbers(&x, x.numel() > RAW, 0, &mut out)?;
    Ok(out)
}

fn numbers(x: &Tensor, edges: bool, depth: usize, out: &mut String) -> Result<()> {
    let shape = x.shape();
    let Some(&n) = shape.first() else {
        out.push_str(&x.texts(number)?.concat());
        return Ok(());
    };
    let is_cut = edges && n > 2 * EDGE;
    if shape.len() == 1 {
        let part = |from: i64, to: i64| x.narrow(0, from, to - from).and_then(|x| x.texts(number));
        let mut values: Vec<String> = part(0, if is_cut { EDGE } else { n })?;
        if is_cut {
            values.push("..".into());
            values.extend(part(n - EDGE, n)?);
        }
        let _ = write!(out, "[{}]", values.join(", "));
        return Ok(());
    }
    out.push('[');
    let rows = (0..n).filter(|i| !is_cut || *i < EDGE || *i >= n - EDGE);
    let mut last = -1;
    for i in rows {
        if i > 0 {
            let _ = write!(out, ",{}{}", "\n".repeat((shape.len() - 1).min(2)), " ".repeat(depth + 1));
        }
        if i > last + 1 {
            let _ = write!(out, "..,\n{}", " ".repeat(depth + 1));
        }
        last = i;
        numbers(&x.select(0, i)?, edges, depth + 1, out)?;
    }
    out.push(']');
    Ok(())
}

fn number(v: f64) -> String {
    // Four decimals, as PyTorch prints; exponents where those would say nothing.
    if v == 0.0 || !v.is_finite() || (1e-3..1e5).contains(&v.abs()) { format!("{v:.4}") } else { format!("{v:.4e}") }
}
