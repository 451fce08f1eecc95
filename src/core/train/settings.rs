//! What a run folder says about how it was made: `config.toml`, `command.txt`.

use super::edits::SettingChange;
use crate::error::{Error, Result};
use crate::files;
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;

/// The settings that decide what the numbers in a checkpoint mean: a run does not go on with others.
const FIXED: &[&str] = &["seed", "model", "model_config", "vae", "vae_config", "vae_arch"];

/// The settings that may change at any time and say nothing about the result so far.
const FREE: &[&str] = &[
    "output_dir",
    "exp_name",
    "log_every",
    "save_every",
    "sample_every",
    "checkpointing_steps",
    "sampling_steps",
    "max_train_steps",
    "num_workers",
    "keep",
    "keep_last",
    "keep_every",
    "resume",
    "resume_step",
    "watch",
    "allow_change",
    "force",
];

/// The settings that say where a run lies and how it is opened, and nothing of what it does.
const PLACE: &[&str] = &["output_dir", "exp_name", "resume", "resume_step", "watch", "allow_change", "force"];

/// One setting that differs from the one that a run was started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The key, nested ones with dots.
    pub key: String,
    /// Before, as TOML.
    pub old: String,
    /// Now, as TOML.
    pub new: String,
}

impl Change {
    fn top(&self) -> &str {
        self.key.split('.').next().unwrap_or(&self.key)
    }

    /// Whether a run can go on with it only by force.
    pub fn is_fixed(&self) -> bool {
        FIXED.contains(&self.top())
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.key, self.old, self.new)
    }
}

/// TOML has no null: such keys are left out.
fn without_nulls(v: &Value) -> Value {
    match v {
        Value::Object(m) => Value::Object(m.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()),
        Value::Array(a) => Value::Array(a.iter().filter(|v| !v.is_null()).map(without_nulls).collect()),
        v => v.clone(),
    }
}

/// The settings as TOML; `origin` may say where a top-level key came from, which becomes a comment.
///
/// # Errors
/// `E0601` when a value has no TOML form.
pub fn to_toml(config: &Map<String, Value>, origin: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let text = toml::to_string(&without_nulls(&Value::Object(config.clone()))).map_err(|e| Error::run(format!("config.toml: {e}")))?;
    let mut out = String::new();
    let mut top = true;
    for line in text.lines() {
        top &= !line.starts_with('[');
        let from = line.split_once(" = ").filter(|_| top).and_then(|(key, _)| origin(key.trim_matches('"')));
        out.push_str(line);
        if let Some(from) = from {
            out.push_str("  # ");
            out.push_str(&from.replace('\n', " "));
        }
        out.push('\n');
    }
    Ok(out)
}

/// Reads a `config.toml`.
///
/// # Errors
/// `E0301` when it cannot be read, `E0302` when it is no TOML.
pub fn read_toml(path: &Path) -> Result<Map<String, Value>> {
    let table: toml::Table = files::read_record(path)?.parse().map_err(|e: toml::de::Error| Error::data(path, e.message().to_owned()))?;
    match serde_json::to_value(table) {
        Ok(Value::Object(m)) => Ok(m),
        Ok(_) | Err(_) => Err(Error::data(path, "is no table of settings")),
    }
}

fn flatten(prefix: &str, v: &Value, out: &mut Vec<(String, Value)>) {
    match v {
        Value::Object(m) if !m.is_empty() => {
            for (k, v) in m {
                let key = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
                flatten(&key, v, out);
            }
        }
        Value::Null => {}
        v => out.push((prefix.to_owned(), v.clone())),
    }
}

/// Every setting by its name with dots.
pub fn flat(m: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut out = Vec::new();
    flatten("", &Value::Object(m.clone()), &mut out);
    out
}

/// Whether two values are the same setting.
pub fn same(a: &Value, b: &Value) -> bool {
    // `1` and `1.0` are the same setting.
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

/// What differs between two sets of settings, without those that may change freely.
pub fn changes(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<Change> {
    let (old, new) = (flat(old), flat(new));
    let find = |list: &[(String, Value)], key: &str| list.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let text = |v: Option<Value>| v.map_or("absent".to_owned(), |v| v.to_string());
    let mut out = Vec::new();
    for (key, _) in new.iter().chain(old.iter().filter(|(k, _)| find(&new, k).is_none())) {
        let (a, b) = (find(&old, key), find(&new, key));
        let differs = match (&a, &b) {
            (Some(a), Some(b)) => !same(a, b),
            _ => true,
        };
        let change = Change { key: key.clone(), old: text(a), new: text(b) };
        if differs && !is_free(&change.key) {
            out.push(change);
        }
    }
    out
}

/// Adds the command line to `command.txt`, one line for each start.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn add_command(dir: &Path, command: &[String]) -> Result<()> {
    let path = dir.join("command.txt");
    let plain = |a: &str| !a.is_empty() && a.chars().all(|c| c.is_alphanumeric() || "-_./:=,+@%".contains(c));
    let quoted: Vec<String> = command.iter().map(|a| if plain(a) { a.clone() } else { format!("'{}'", a.replace('\'', r"'\''")) }).collect();
    let line = format!("{}  # {}\n", quoted.join(" "), files::iso_time(files::unix_time()));
    files::append(&path)?.write_all(line.as_bytes()).map_err(|e| Error::io("write", &path, e))
}

/// Sets a value by its name with dots; groups are made where they are missing. Null takes it away.
pub fn set(config: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((group, rest)) => {
            let inner = config.entry(group).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
        None if value.is_null() => {
            config.shift_remove(name);
        }
        None => {
            config.insert(name.to_owned(), value);
        }
    }
}

/// Whether a setting may change at any time and says nothing about the result so far.
pub fn is_free(name: &str) -> bool {
    FREE.contains(&name.split('.').next().unwrap_or(name))
}

/// Whether a setting names the run or its folder, and says nothing about the result.
pub fn is_place(name: &str) -> bool {
    PLACE.contains(&name)
}

/// How many settings there are, those in groups one by one.
pub fn count(config: &Map<String, Value>) -> usize {
    flat(config).len()
}

/// Every setting that differs, those too that may change freely; names and folders of runs are none of them.
pub fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<SettingChange> {
    let (old, new) = (flat(old), flat(new));
    let find = |list: &[(String, Value)], key: &str| list.iter().find(|(k, _)| k == key).map_or(Value::Null, |(_, v)| v.clone());
    let keys = new.iter().chain(old.iter().filter(|(k, _)| !new.iter().any(|(n, _)| n == k))).map(|(k, _)| k);
    keys.filter(|k| !is_place(k))
        .map(|k| SettingChange { name: k.clone(), old: find(&old, k), new: find(&new, k) })
        .filter(|c| !same(&c.old, &c.new))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(v: Value) -> Map<String, Value> {
        v.as_object().unwrap().clone()
    }

    #[test]
    fn settings_survive_toml() {
        let c = map(
            json!({"lr": 0.12345678901234568, "nested": {"b": {"c": [1, 2]}, "a": ()}, "name": "it's \"x\" \n y", "n": 3, "on": true, "none": null}),
        );
        let text = to_toml(&c, &|k| (k == "lr").then(|| "--lr".into())).unwrap();
        assert!(text.contains("lr = 0.12345678901234568  # --lr\n"), "{text}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        files::write(&path, text.as_bytes()).unwrap();
        assert_eq!(changes(&read_toml(&path).unwrap(), &c), []);
        std::fs::write(&path, "lr = [").unwrap();
        assert_eq!(read_toml(&path).unwrap_err().code(), "E0302");
    }

    #[test]
    fn changes_are_named() {
        let old = map(json!({"seed": 1, "lr": 1, "mapper": {"depth": 1}, "log_every": 5, "gone": "x"}));
        let new = map(json!({"seed": 2, "lr": 1.0, "mapper": {"depth": 2}, "log_every": 6, "more": []}));
        let all = changes(&old, &new);
        let text: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["seed: 1 -> 2", "mapper.depth: 1 -> 2", "more: absent -> []", "gone: \"x\" -> absent"]);
        assert_eq!(all.iter().map(Change::is_fixed).collect::<Vec<_>>(), [true, false, false, false]);
    }

    #[test]
    fn every_difference_counts_but_the_place() {
        let mut old = map(json!({"seed": 1, "exp_name": "a", "log_every": 5, "mapper": {"depth": 1}, "gone": 3}));
        let new = map(json!({"seed": 1.0, "exp_name": "b", "log_every": 6, "mapper": {"depth": 2}, "more": {"deep": "x"}}));
        let all = differences(&old, &new);
        let text: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["log_every 5 -> 6", "mapper.depth 1 -> 2", "more.deep absent -> \"x\"", "gone 3 -> absent"]);
        all.iter().for_each(|c| set(&mut old, &c.name, c.new.clone()));
        assert_eq!(differences(&old, &new), []);
    }

    #[test]
    fn commands_can_be_pasted() {
        let dir = tempfile::tempdir().unwrap();
        add_command(dir.path(), &["lathe".into(), "run".into(), "a b's".into()]).unwrap();
        let text = std::fs::read_to_string(dir.path().join("command.txt")).unwrap();
        assert!(text.starts_with(r"lathe run 'a b'\''s'  # 20"), "{text}");
    }
}
