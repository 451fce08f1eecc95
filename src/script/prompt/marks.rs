//! What a line at a prompt can change in a run: compared before and after.

use crate::nn::Module;
use crate::script::lang::value::to_json;
use crate::script::training::run::Run;
use crate::script::units::callback::may_hold_functions;
use crate::train::optim::{Ema, Optimizer};
use rhai::{Array, Dynamic, FnPtr, Map};
use std::collections::BTreeMap;

/// What a line at a prompt can change in a run, by name: enough to see that it did.
pub(super) fn marks(run: &Run) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    out.insert("run.step".to_owned(), run.run().step().to_string());
    let Ok(cfg) = serde_json::to_value(to_json(&Dynamic::from(run.settings()))) else { return out };
    if let Some(cfg) = cfg.as_object() {
        out.extend(cfg.iter().map(|(k, v)| (format!("run.cfg.{k}"), v.to_string())));
    }
    for (name, object) in run.objects() {
        if let Some(m) = object.read_lock::<Module>() {
            module(&name, &m, &mut out);
        } else if let Some(o) = object.read_lock::<Optimizer>() {
            out.insert(format!("{name}.lr"), o.lr().to_string());
            for (i, rates) in (0..o.group_count()).filter_map(|i| Some((i, o.rates(i).ok()?))) {
                out.insert(format!("{name}.groups[{i}].weight_decay"), rates.weight_decay.to_string());
                if o.group_count() > 1 {
                    out.insert(format!("{name}.groups[{i}].lr"), rates.lr.to_string());
                }
            }
            for (key, t) in o.state().unwrap_or_default() {
                out.insert(format!("{name}.state {key}"), t.version().map_or_else(|_| String::new(), |v| format!("version {v}")));
            }
        } else if let Some(e) = object.read_lock::<Ema>() {
            module(&format!("{name}.module"), &e.module(), &mut out);
        } else if object.is_fnptr() {
            out.insert(format!("run.{name}"), functions(&object));
        } else if object.is_map() || object.is_array() || object.is_int() || object.is_float() || object.is_bool() || object.is_string() {
            out.insert(format!("run.{name}"), format!("{}{}", to_json(&object), functions(&object)));
        }
    }
    out
}

fn module(name: &str, m: &Module, out: &mut BTreeMap<String, String>) {
    out.insert(format!("{name} training"), m.is_training().to_string());
    for (key, t) in m.state() {
        let version = t.version().unwrap_or(0);
        out.insert(format!("{name}.{key}"), format!("version {version} {} {}", t.describe(), t.requires_grad()));
    }
    attributes(name, m, &mut |name, value| drop(out.insert(name, functions(value))));
}

/// The functions that modules hold, such as the `forward` of groups.
fn attributes(name: &str, m: &Module, found: &mut dyn FnMut(String, &Dynamic)) {
    for key in m.attribute_names() {
        if let Some(value) = m.attribute::<Dynamic>(&key).filter(|v| may_hold_functions(v)) {
            found(format!("{name}.{key}"), &value);
        }
    }
    for (child, m) in m.children() {
        attributes(&format!("{name}.{child}"), &m, found);
    }
}

/// The functions in a value, each by its own name.
fn functions(value: &Dynamic) -> String {
    if let Some(f) = value.read_lock::<FnPtr>() {
        format!("function {}", f.fn_name().trim_start_matches("callback_"))
    } else if let Some(a) = value.read_lock::<Array>() {
        a.iter().map(functions).collect()
    } else if let Some(m) = value.read_lock::<Map>() {
        m.values().map(functions).collect()
    } else {
        String::new()
    }
}

/// How many changes are told one by one.
const TOLD: usize = 8;

/// The differences, each in a few words.
pub(super) fn changes(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let mut out = Vec::new();
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            (a, b) if a == b => {}
            (Some(a), Some(b)) if a.starts_with("version") && b.starts_with("version") => out.push(format!("{name} in place")),
            (a, b) => {
                let text = |v: Option<&String>| v.map_or("absent".to_owned(), Clone::clone);
                out.push(format!("{name} {} -> {}", text(a), text(b)));
            }
        }
    }
    if out.len() > TOLD {
        let more = out.len() - TOLD;
        out.truncate(TOLD);
        out.push(format!("{more} more"));
    }
    out
}
