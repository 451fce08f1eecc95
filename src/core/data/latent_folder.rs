//! What a folder of latents holds already, and whether it is what is to be written.

use super::LatentSet;
use super::latent_layout::Features;
use super::latent_writer::{Done, LatentOptions, PARTIAL, Partial};
use crate::error::Result;
use crate::files;
use crate::origin::{Difference, Made, differences, say_unknown, setting_differences};
use std::path::Path;

/// What lies in a folder already.
pub(super) struct Held {
    pub(super) options: LatentOptions,
    pub(super) shards: Vec<Done>,
    /// How many latents, where it is finished.
    pub(super) complete: Option<usize>,
}

/// What an earlier run has left in the folder, finished or not.
pub(super) fn held(folder: &Path) -> Result<Option<Held>> {
    let partial = folder.join(PARTIAL);
    if folder.join("latents.json").is_file() {
        let l = LatentSet::open(folder)?.latents().clone();
        let options = LatentOptions {
            name: l.name,
            vae: l.vae,
            shape: l.shape,
            shard_size: l.shard_size,
            classes: l.classes,
            attributes: l.attributes,
            total: l.count,
            made_from: l.made_from,
            settings: l.settings,
            dtype: l.dtype,
            features: l.features,
            force: false,
        };
        return Ok(Some(Held { options, shards: Vec::new(), complete: Some(l.count) }));
    }
    if !partial.is_file() {
        return Ok(None);
    }
    let old: Partial = files::read_json(&partial)?;
    Ok(Some(Held { options: old.options, shards: old.shards, complete: None }))
}

/// How the latents that a folder holds differ from those that are to be written. Where the VAE lay does not count, nor does anything that
/// one side does not know.
pub(super) fn other_latents(folder: &Path, held: &Held, new: &LatentOptions) -> Vec<Difference> {
    let old = &held.options;
    let mut found = Vec::new();
    let mut note = |role: &str, differs: bool, a: String, b: String| {
        if differs {
            found.push(Difference { role: role.to_owned(), text: format!("{role}: {a} -> {b}") });
        }
    };
    note("name", old.name != new.name, format!("{:?}", old.name), format!("{:?}", new.name));
    let vae = |o: &LatentOptions| {
        let path = o.made_from.get("vae").map_or(String::new(), |v| format!("`{}` ", v.path));
        format!("{path}{:?}", o.vae.get(..12).unwrap_or(&o.vae))
    };
    note("VAE", old.vae != new.vae, vae(old), vae(new));
    note("shape", old.shape != new.shape, format!("{:?}", old.shape), format!("{:?}", new.shape));
    note("dtype", old.dtype != new.dtype, old.dtype.name().to_owned(), new.dtype.name().to_owned());
    let models = |o: &LatentOptions| some(&o.features.iter().map(Features::shown).collect::<Vec<_>>());
    let are_alike = old.features.len() == new.features.len() && old.features.iter().zip(&new.features).all(|(a, b)| a.is_like(b));
    note("features", !are_alike, models(old), models(new));
    note("shard_size", old.shard_size != new.shard_size, old.shard_size.to_string(), new.shard_size.to_string());
    let known = old.total > 0 && new.total > 0;
    note("latents", known && old.total != new.total, old.total.to_string(), new.total.to_string());
    note("classes", old.classes != new.classes, some(&old.classes), some(&new.classes));
    let names = |o: &LatentOptions| some(&o.attributes.iter().map(|a| a.name.clone()).collect::<Vec<_>>());
    note("attributes", old.attributes != new.attributes, names(old), names(new));
    // The VAE was compared above, where no hash is a value as well.
    let others = |m: &Made| m.iter().filter(|(role, _)| *role != "vae").map(|(r, o)| (r.clone(), o.clone())).collect::<Made>();
    found.extend(differences(&others(&old.made_from), &others(&new.made_from)));
    if !old.made_from.is_empty() || !old.settings.is_empty() {
        found.extend(setting_differences(&old.settings, &new.settings));
    }
    if new.made_from.contains_key("images") && !old.made_from.contains_key("images") && found.is_empty() {
        say_unknown(&format!("`{}`", folder.display()), "which pictures its latents were made from");
    }
    found
}

/// The first of many names.
fn some(names: &[String]) -> String {
    let more = if names.len() > 6 { format!(", .. ({} in all)", names.len()) } else { String::new() };
    format!("[{}{more}]", names.iter().take(6).cloned().collect::<Vec<_>>().join(", "))
}

/// Removes the latents of a folder, their list first: a folder without one is no folder of latents.
pub(super) fn discard(folder: &Path) -> Result<()> {
    for name in ["latents.json", PARTIAL, "latents-stats.pt"] {
        let path = folder.join(name);
        if path.is_file() {
            files::remove(&path)?;
        }
    }
    for (name, path) in files::list(folder)? {
        if name.starts_with("latents-") && name.ends_with(".safetensors") {
            files::remove(&path)?;
        }
    }
    Ok(())
}
