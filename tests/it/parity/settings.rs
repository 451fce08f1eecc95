//! The `config` of a sidecar: what a check does not read of it is a failure, since what it says would be ignored.

use super::fixture::shape_of;
use lathe::error::{Error, Result};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// A map of settings, noting which are read.
#[derive(Clone)]
pub struct Settings<'a> {
    value: &'a Value,
    /// Its own place, with a dot behind it.
    at: String,
    read: &'a RefCell<BTreeSet<String>>,
}

impl<'a> Settings<'a> {
    pub fn new(value: &'a Value, read: &'a RefCell<BTreeSet<String>>) -> Settings<'a> {
        Settings { value, at: String::new(), read }
    }

    /// A setting with all that is in it; null where it is not there.
    pub fn get(&self, key: &str) -> &'a Value {
        self.read.borrow_mut().insert(format!("{}{key}", self.at));
        &self.value[key]
    }

    /// The map below a key, whose settings are to be read one by one.
    pub fn below(&self, key: &str) -> Settings<'a> {
        Settings { value: &self.value[key], at: format!("{}{key}.", self.at), read: self.read }
    }

    pub fn has(&self, key: &str) -> bool {
        !self.get(key).is_null()
    }

    pub fn int(&self, key: &str) -> Option<i64> {
        self.get(key).as_i64()
    }

    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).as_f64()
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).as_bool()
    }

    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).as_str()
    }

    pub fn list(&self, key: &str) -> Vec<i64> {
        shape_of(self.get(key))
    }

    /// A setting of which one value is implemented.
    ///
    /// # Errors
    /// `E0202` for another.
    pub fn is(&self, key: &str, value: impl Into<Value>) -> Result<()> {
        let (given, value) = (self.get(key), value.into());
        if given.is_null() || *given == value {
            return Ok(());
        }
        Err(Error::value("parity", format!("`config.{}{key}` is {given}, and only {value} is implemented", self.at)))
    }

    /// Settings of parts that this fixture does not have.
    pub fn not_here(&self, keys: &[&str]) {
        keys.iter().for_each(|key| {
            self.get(key);
        });
    }
}

/// The settings below `value` that nobody has read.
pub fn unread(value: &Value, read: &BTreeSet<String>) -> Vec<String> {
    fn walk(value: &Value, at: &str, read: &BTreeSet<String>, out: &mut Vec<String>) {
        for (key, v) in value.as_object().into_iter().flatten() {
            let name = format!("{at}{key}");
            if read.contains(&name) {
                continue;
            }
            if v.as_object().is_some_and(|o| !o.is_empty()) { walk(v, &format!("{name}."), read, out) } else { out.push(name) }
        }
    }
    let mut out = Vec::new();
    walk(value, "", read, &mut out);
    out
}

#[test]
fn what_is_not_read_is_named() {
    let value = serde_json::json!({"depth": 3, "loss": {"kl": 1.0, "gan": {"start": 5}}, "odd": 1, "empty": {}, "whole": {"a": 1}, "act": "GELU"});
    let read = RefCell::default();
    let s = Settings::new(&value, &read);
    assert_eq!((s.int("depth"), s.below("loss").number("kl"), s.flag("missing")), (Some(3), Some(1.0), None));
    s.get("whole");
    assert!(s.is("act", "GELU").is_ok() && s.is("nothing", 1).is_ok());
    assert!(s.is("act", "ReLU").unwrap_err().to_string().contains("`config.act` is \"GELU\", and only \"ReLU\""));
    let mut left = unread(&value, &read.borrow());
    left.sort();
    assert_eq!(left, ["empty", "loss.gan.start", "odd"]);
}
