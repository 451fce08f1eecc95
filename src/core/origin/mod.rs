//! What artefacts were made of. Each carries the identity of its content and, by role, of everything that it was made from; where two
//! artefacts meet, their identities are compared, and what does not belong together is refused with both sides named.
//!
//! An identity is a SHA-256 that was made while the artefact was written, or that follows from the identities behind it: latents are what
//! their pictures, their VAE and the settings make them, on any device and in batches of any size. Paths are for messages alone.

mod compare;

pub use compare::{Difference, Made, differences, listed, setting_differences};

use crate::files;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

/// What an artefact is, and what it was made from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// `images`, `latents`, `weights`, `checkpoint`, `samples`, `statistics`, ..
    pub kind: String,
    /// Where it lay when it was used; empty where that says nothing. It is not compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// More in words, such as `48 pictures` or `step 6`. It is not compared.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The identity of its content in hexadecimal digits; empty where it is not known.
    #[serde(default)]
    pub id: String,
    /// The settings that decided about its content.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What it was made from, by role: `images`, `vae`.
    #[serde(default, skip_serializing_if = "Made::is_empty")]
    pub from: Made,
}

impl Origin {
    /// An artefact of that kind at a path, of unknown content.
    pub fn new(kind: &str, path: impl AsRef<Path>) -> Origin {
        Origin { kind: kind.to_owned(), path: path.as_ref().display().to_string(), ..Origin::default() }
    }

    /// The same with a remark in words.
    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Origin {
        Origin { about: about.into(), ..self }
    }

    /// The same with the identity of its content.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Origin {
        Origin { id: id.into(), ..self }
    }

    /// The same with what it was made from and the settings that decided.
    #[must_use]
    pub fn made(self, from: Made, settings: Map<String, Value>) -> Origin {
        Origin { from, settings, ..self }
    }

    /// Whether its content is known.
    pub fn is_known(&self) -> bool {
        !self.id.is_empty()
    }

    /// The first digits of its identity, for people.
    pub fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }

    /// The same with the identity that follows from its kind, its settings and what it was made from; unknown where a part of that is.
    #[must_use]
    pub fn derived(mut self) -> Origin {
        let known = !self.from.is_empty() && self.from.values().all(Origin::is_known);
        let from: Map<String, Value> = self.from.iter().map(|(role, o)| (role.clone(), o.id.clone().into())).collect();
        self.id = if known { hash_of(&[&json!([self.kind, sorted(&self.settings), from]).to_string()]) } else { String::new() };
        self
    }
}

/// `latents data/latents (48 latents [4, 8, 8]) 1a2b3c4d5e6f`.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.kind)?;
        if !self.path.is_empty() {
            write!(f, " `{}`", self.path)?;
        }
        if !self.about.is_empty() {
            write!(f, " ({})", self.about)?;
        }
        if self.is_known() { write!(f, " {}", self.short()) } else { f.write_str(" of unknown origin") }
    }
}

/// Settings in the order of their names, so that the order in which they were declared does not count.
fn sorted(settings: &Map<String, Value>) -> Map<String, Value> {
    let names: BTreeSet<&String> = settings.keys().collect();
    names.into_iter().map(|n| (n.clone(), settings[n].clone())).collect()
}

/// SHA-256 over texts, in hexadecimal digits.
pub fn hash_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|p| hash.update(format!("{}:{p}", p.len())));
    files::hex(&hash.finalize())
}

/// What was said already.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Says once in a process that something does not say what it was made of.
pub fn say_unknown(what: &str, lacks: &str) {
    let line = format!("note: {what} does not say {lacks}: its origin is unknown, and it is taken as it is");
    let is_new = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(line.clone());
    if is_new {
        crate::space::say(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latents(images: &str, vae: &str, precision: &str) -> Origin {
        let part = |kind: &str, id: &str| Origin::new(kind, format!("data/{kind}")).with_id(id);
        let from = Made::from([("images".into(), part("images", images)), ("vae".into(), part("weights", vae))]);
        let settings = Map::from_iter([("mixed_precision".to_owned(), Value::from(precision))]);
        Origin::new("latents", "data/latents").about("48 latents").made(from, settings).derived()
    }

    #[test]
    fn an_identity_follows_from_what_was_put_in_and_not_from_where_it_lay() {
        let a = latents("1", "2", "no");
        let mut moved = a.clone();
        moved.path = "elsewhere".into();
        moved.from.get_mut("images").unwrap().path = "elsewhere too".into();
        assert_eq!(moved.derived().id, a.id);
        for other in [latents("x", "2", "no"), latents("1", "x", "no"), latents("1", "2", "bf16")] {
            assert_ne!(other.id, a.id);
        }
        assert!(!latents("", "2", "no").is_known(), "of unknown pictures");
    }

    #[test]
    fn a_difference_names_both_sides_and_what_is_behind_it() {
        let role = |o: Origin| Made::from([("data_dir".to_owned(), o)]);
        assert_eq!(differences(&role(latents("1", "2", "no")), &role(latents("1", "2", "no"))), []);
        let found = differences(&role(latents("1", "2", "no")), &role(latents("1", "3", "no")));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].role, "data_dir");
        let text = &found[0].text;
        assert!(text.contains("data_dir: latents `data/latents` (48 latents)") && text.contains(" -> "), "{text}");
        assert!(text.contains("vae: weights `data/weights` 2 -> weights `data/weights` 3"), "{text}");
        assert_eq!(differences(&role(latents("", "2", "no")), &role(latents("1", "3", "no"))), [], "unknown is no difference");
    }

    #[test]
    fn what_has_no_value_is_no_setting() {
        let map = |v: Value| v.as_object().unwrap().clone();
        let (a, b) = (map(json!({"mode": "ode", "steps": 5, "new": ""})), map(json!({"steps": 5.0, "mode": "sde", "list": []})));
        let found = setting_differences(&a, &b);
        assert_eq!(found.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(), ["mode: \"ode\" -> \"sde\""]);
    }

    #[test]
    fn an_origin_comes_back_from_its_file() {
        let a = latents("1", "2", "no");
        let text = serde_json::to_string(&a).unwrap();
        assert_eq!(serde_json::from_str::<Origin>(&text).unwrap(), a);
        assert_eq!(serde_json::from_str::<Origin>(r#"{"kind": "images"}"#).unwrap().to_string(), "images of unknown origin");
    }
}
