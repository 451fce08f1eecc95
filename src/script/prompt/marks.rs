//! What a line at a prompt can change in a run: compared before and after.

use crate::nn::Module;
use crate::script::lang::value::to_json;
use crate::script::training::run::Run;
use crate::train::optim::{Ema, Optimizer};
use rhai::Dynamic;
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
        } else if object.is_map() || object.is_array() || object.is_int() || object.is_float() || object.is_bool() || object.is_string() {
            out.insert(format!("run.{name}"), to_json(&object).to_string());
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
