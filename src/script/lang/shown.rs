//! Values in messages.

use crate::torch::Tensor;
use rhai::Dynamic;

/// The name of a value's type as users know it.
pub fn type_name(d: &Dynamic) -> String {
    let name = d.type_name();
    match name {
        "i64" => "int".into(),
        "f64" => "float".into(),
        "()" => "()".into(),
        "Fn" => "function".into(),
        other => other.rsplit("::").next().unwrap_or(other).to_lowercase(),
    }
}

/// A value with its type, short enough for a message.
pub(crate) fn shown(d: &Dynamic) -> String {
    let kind = type_name(d);
    if d.is_int() || d.is_float() || d.is_bool() || d.is_string() {
        let text: String = d.to_string().chars().take(40).collect();
        return format!("{kind} `{text}`");
    }
    d.read_lock::<Tensor>().map_or(kind, |t| format!("tensor {}", t.describe()))
}
