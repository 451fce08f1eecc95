//! Values of settings out of texts: flags, and TOML files.

use crate::script::lang::value::from_json;
use rhai::{Array, Dynamic, Map};

/// `learning-rate` and `learning_rate` are the same name.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// A text as a value of the default's type.
pub(super) fn typed(default: &Dynamic, text: &str) -> Option<Dynamic> {
    let text = text.trim();
    if default.is_bool() {
        return match text {
            "true" | "True" | "1" | "yes" | "on" => Some(true.into()),
            "false" | "False" | "0" | "no" | "off" => Some(false.into()),
            _ => None,
        };
    }
    if default.is_int() {
        return int(text).map(Dynamic::from);
    }
    if default.is_float() {
        return float(text).map(Dynamic::from);
    }
    if default.is_array() {
        let element = default.read_lock::<Array>().and_then(|a| a.first().cloned()).unwrap_or(Dynamic::UNIT);
        if let Some(list) = structured(text).filter(Dynamic::is_array) {
            return fit(default, &list);
        }
        let parts = text.split([',', ' ']).filter(|p| !p.is_empty());
        return parts.map(|p| typed(&element, p)).collect::<Option<Array>>().map(Dynamic::from);
    }
    if default.is_map() {
        return structured(text).filter(Dynamic::is_map);
    }
    if default.is_string() {
        return Some(text.to_owned().into());
    }
    // No default to go by: what the text looks like.
    Some(match text {
        "()" | "none" | "None" | "null" => Dynamic::UNIT,
        "true" => true.into(),
        "false" => false.into(),
        _ => structured(text)
            .or_else(|| int(text).map(Dynamic::from))
            .or_else(|| float(text).map(Dynamic::from))
            .unwrap_or_else(|| text.to_owned().into()),
    })
}

fn int(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    // `1e5` steps are steps.
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64))
}

fn float(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

/// A list or map written as JSON or as in a script, `#{a: 1}`.
pub(super) fn structured(text: &str) -> Option<Dynamic> {
    let starts = text.starts_with(['[', '{']) || text.starts_with("#{");
    if !starts {
        return None;
    }
    if let Ok(json) = serde_json::from_str(text) {
        return Some(from_json(&json));
    }
    // Bare words are common in lists typed by hand: `[1, 2]` parses above, `[a, b]` goes on as text.
    rhai::Engine::new_raw().parse_json(text, true).ok().map(Dynamic::from)
}

/// A text without a default to go by: an int, a float, a bool, an array, a map, or else a string.
pub(super) fn untyped(text: &str) -> Dynamic {
    structured(text)
        .or_else(|| text.parse::<i64>().ok().map(Dynamic::from))
        .or_else(|| text.parse::<f64>().ok().map(Dynamic::from))
        .or_else(|| text.parse::<bool>().ok().map(Dynamic::from))
        .unwrap_or_else(|| text.to_owned().into())
}

/// A value in the place of the default's type: an int serves as a float.
pub(super) fn fit(default: &Dynamic, value: &Dynamic) -> Option<Dynamic> {
    if default.is_unit() {
        return Some(value.clone());
    }
    if default.is_float() {
        return value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64)).map(Dynamic::from);
    }
    if let (Some(d), Some(v)) = (default.read_lock::<Array>(), value.read_lock::<Array>()) {
        let element = d.first().cloned().unwrap_or(Dynamic::UNIT);
        return v.iter().map(|x| fit(&element, x)).collect::<Option<Array>>().map(Dynamic::from);
    }
    (default.type_id() == value.type_id()).then(|| value.clone())
}

pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

/// The values of a TOML table, with dotted names and lines.
///
/// # Errors
/// The line and the number that no int or float of a script is.
pub(super) fn leaves(prefix: &str, table: &toml::de::DeTable, text: &str, found: &mut Vec<(String, Dynamic, usize)>) -> Result<(), (usize, String)> {
    for (key, value) in table {
        let name = format!("{prefix}{}", normal(key.get_ref()));
        let line = line_of(text, key.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => leaves(&format!("{name}."), inner, text, found)?,
            other => found.push((name, from_toml(other).map_err(|number| (line, number))?, line)),
        }
    }
    Ok(())
}

fn from_toml(value: &toml::de::DeValue) -> Result<Dynamic, String> {
    use toml::de::DeValue as V;
    Ok(match value {
        V::String(s) => s.to_string().into(),
        V::Integer(i) => i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).map_err(|_| i.as_str().to_owned())?.into(),
        V::Float(x) => float(x.as_str()).ok_or_else(|| x.as_str().to_owned())?.into(),
        V::Boolean(b) => (*b).into(),
        V::Datetime(d) => d.to_string().into(),
        V::Array(a) => a.iter().map(|v| from_toml(v.get_ref())).collect::<Result<Array, _>>()?.into(),
        V::Table(t) => t.iter().map(|(k, v)| Ok((k.get_ref().as_ref().into(), from_toml(v.get_ref())?))).collect::<Result<Map, String>>()?.into(),
    })
}
