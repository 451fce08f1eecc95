//! What artefacts were made of, for scripts: `.origin` of sets, and `data::same_origin`.

use crate::api;
use crate::data::{ImageSet, LatentSet, Pictures};
use crate::error::{Error, Result};
use crate::origin::{Made, Origin, differences, say_unknown};
use crate::script::lang::value::{from_json, to_json, type_name, within_levels};
use rhai::{Dynamic, Map};
use serde_json::Value;
use std::path::Path;

/// An origin as scripts see it.
pub(crate) fn origin_map(o: &Origin) -> Map {
    let json = serde_json::to_value(o).unwrap_or_default();
    let mut map: Map = from_json(&json).try_cast().unwrap_or_default();
    for name in ["path", "about", "id"] {
        map.entry(name.into()).or_insert_with(|| "".into());
    }
    for name in ["settings", "from"] {
        map.entry(name.into()).or_insert_with(|| Map::new().into());
    }
    map
}

/// Settings as they are kept.
///
/// # Errors
/// `E0202` for one that is nested too deep.
pub(crate) fn settings_of(function: &str, settings: &Map) -> Result<serde_json::Map<String, Value>> {
    settings.iter().map(|(k, v)| within_levels(function, k, v).map(|()| (k.to_string(), to_json(v)))).collect()
}

/// The origin that a value has or is; none of `()`.
fn origin_of(function: &str, role: &str, value: &Dynamic) -> Result<Option<Origin>> {
    if value.is_unit() {
        return Ok(None);
    }
    let set = (value.read_lock::<ImageSet>().map(|s| s.origin())).or_else(|| value.read_lock::<LatentSet>().map(|s| s.origin()));
    if let Some(origin) = set {
        return Ok(Some(origin));
    }
    if let Some(pictures) = value.read_lock::<Pictures>() {
        return pictures.origin().map(Some);
    }
    let wrong = || Error::value(function, format!("`{role}` must be an origin or a set that has one, got {}", type_name(value)));
    if !value.is_map() {
        return Err(wrong().help("`images.origin`, `latents.origin`, `checkpoint.origin(\"vae\")`, or a map `#{kind, path, id}`"));
    }
    serde_json::from_value(to_json(value)).map(Some).map_err(|e| Error::value(function, format!("`{role}` is no origin: {e}")))
}

/// The record of the samples in an archive, where there is one.
pub(crate) fn record_beside(path: &Path) -> Option<std::path::PathBuf> {
    let record = path.with_extension("").join("settings.json");
    (path.extension().is_some_and(|e| e == "npz") && record.is_file()).then_some(record)
}

/// What something is made from: a map from roles to origins, or to sets that have one. Roles with `()` are left out.
///
/// # Errors
/// `E0202` for anything else.
pub(crate) fn made_of(function: &str, map: &Map) -> Result<Made> {
    let mut made = Made::new();
    for (role, value) in map {
        if let Some(origin) = origin_of(function, role, value)? {
            made.insert(role.to_string(), origin);
        }
    }
    Ok(made)
}

api! {
    namespace "data";

    /// What an artefact is and what it was made from, by its path: shards, latents, statistics, samples (a folder or an `.npz`), an evaluation,
    /// a run, a checkpoint, or a file of weights: `#{kind, path, about, id, settings, from}`. `from` holds the same for each part. `lathe inspect`
    /// prints it.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read or is nothing of these.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::origin(made.folder).id, data::images(made.folder).origin.id);
    /// ```
    fn of as "origin"[cx](path: String) -> Map {
        cx.readable_within(&path)?;
        // What was drawn into an archive stands in the folder beside it.
        if let Some(record) = record_beside(Path::new(&path)) {
            cx.readable(record)?;
        }
        crate::train::origins::of(Path::new(&path)).map(|o| origin_map(&o))
    }

    /// Makes sure that two things are the same, `then` and `now`, both origins or sets that have one: the pictures that latents were made from and
    /// those at hand, for one. Where one of them does not say what it is, that is said once, and it is taken as it is.
    ///
    /// # Errors
    /// `E0101` naming both sides when they are not.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let images = data::images(made.folder);
    /// data::same_origin("these pictures are not those", images.origin, images);
    /// ```
    fn same as "same_origin"(message: String, then: Dynamic, now: Dynamic;
        /// say it as a warning instead of an error
        force: bool = false,
        /// what to do about it, for the message
        help: String = String::new(),
        /// what does not say what it is, for the remark: `latents` in `data/latents`
        unknown: String = String::new(),
    ) -> () {
        let (then, now) = (origin_of("same_origin", "then", &then)?, origin_of("same_origin", "now", &now)?);
        let known = |o: &Option<Origin>| o.as_ref().is_some_and(Origin::is_known);
        if !known(&then) || !known(&now) {
            if !unknown.is_empty() {
                say_unknown(&unknown, "what it was made from");
            }
            return Ok(());
        }
        let role = |o: Option<Origin>| o.map_or_else(Made::new, |o| Made::from([("then".to_owned(), o)]));
        let found = differences(&role(then), &role(now));
        let Some(first) = found.first() else { return Ok(()) };
        let text = format!("{message}: {}", first.text.trim_start_matches("then: "));
        if force {
            crate::train::log::say(&format!("warning: {text}"));
            return Ok(());
        }
        let e = Error::usage(text);
        Err(if help.is_empty() { e } else { e.help(help) })
    }
}

api! {
    fn image_methods;
    methods ImageSet;

    /// What the set holds, by the hashes that were made while it was written: `#{kind, path, about, id, settings, from}`. Its `id` changes with order, labels,
    /// attributes and pixels, and not with the folder.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).origin.kind, "images");
    /// ```
    fn origin as "get$origin"(set: ImageSet) -> Map { Ok(origin_map(&set.origin())) }
}

api! {
    fn latent_methods;
    methods LatentSet;

    /// What the latents are and what they were made from: `#{kind, path, about, id, settings, from}`, where `from` has the `vae` and the `images`, as far as the
    /// writer was told.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2, vae: "1a2b"});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().origin.from.vae.id, "1a2b");
    /// ```
    fn origin as "get$origin"(set: LatentSet) -> Map { Ok(origin_map(&set.origin())) }
}
