//! The language's own errors in `catch (e)`: maps with rhai's words, printed in ours.

use super::diagnose::Explain;
use rhai::{Dynamic, EvalAltResult, ImmutableString, Map, NativeCallContext, Position};

impl Explain<'_> {
    /// What is said of a caught error of the language when nobody catches it; `None` for any other map.
    pub(crate) fn caught(self, map: &Map) -> Option<String> {
        let kind = map.get("error")?.read_lock::<ImmutableString>()?.clone();
        let message = map.get("message")?.read_lock::<ImmutableString>()?.clone();
        if !kind.starts_with("Error") {
            return None;
        }
        // Calls that led there follow in lines of their own, behind the place of each.
        let first = message.lines().next().unwrap_or_default();
        let first = first.rsplit_once(" (line ").map_or(first, |(text, _)| text);
        let here = map.get("source").map(Dynamic::to_string).unwrap_or_default();
        let (first, source) = first.split_once(" @ '").map_or((first, here.as_str()), |(text, tag)| (text, tag.trim_end_matches('\'')));
        Some(self.said(source, &again(first)))
    }
}

/// The error of which rhai says that.
fn again(text: &str) -> EvalAltResult {
    use EvalAltResult as E;
    let at = Position::NONE;
    let after = |prefix: &str| text.strip_prefix(prefix).map(str::to_owned);
    if let Some(name) = after("Function not found: ") {
        return E::ErrorFunctionNotFound(name, at);
    }
    if let Some(name) = after("Variable not found: ") {
        return E::ErrorVariableNotFound(name, at);
    }
    if let Some(name) = after("Property not found: ") {
        return E::ErrorPropertyNotFound(name, at);
    }
    if let Some(name) = after("Module not found: ") {
        return E::ErrorModuleNotFound(name, at);
    }
    if let Some(types) = after("Indexer unavailable: ") {
        return E::ErrorIndexingType(types, at);
    }
    if let Some(name) = after("Cannot modify constant ") {
        return E::ErrorAssignmentToConstant(name, at);
    }
    if let Some((got, want)) = after("Data type incorrect: ").as_deref().and_then(|t| t.strip_suffix(')')?.split_once(" (expecting ")) {
        return E::ErrorMismatchDataType(want.to_owned(), got.to_owned(), at);
    }
    if text.starts_with("Unknown property '") {
        return E::ErrorDotExpr(text.to_owned(), at);
    }
    if text == "For loop expects iterable type" {
        return E::ErrorFor(at);
    }
    E::ErrorArithmetic(text.to_owned(), at)
}

/// A map as rhai prints it.
pub(crate) fn shown(cx: &NativeCallContext, map: &mut Map) -> String {
    let entries: Vec<String> = map
        .iter_mut()
        .map(|(key, value)| {
            let text = cx.call_native_fn_raw("to_debug", true, &mut [value]).ok().and_then(|text| text.into_string().ok());
            format!("{key:?}: {}", text.unwrap_or_else(|| format!("{value:?}")))
        })
        .collect();
    format!("#{{{}}}", entries.join(", "))
}
