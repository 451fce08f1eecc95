//! The pictures that lie in a run folder: grids saved while it trained, and what was sampled from it.

use crate::error::Result;
use crate::files;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A picture, or a set of pictures, of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPicture {
    /// What it shows, as `run.image` was told: `reconstructions`; `samples` for what `sample.rhai` drew.
    pub name: String,
    /// The step of the run, where the file name tells it.
    pub step: Option<u64>,
    /// The file; of a set its folder, or an `.npz`.
    pub path: PathBuf,
    /// Whether it is a set of single pictures.
    pub is_set: bool,
}

/// The newest picture of each name in `RUN/samples`, then the newest set that was sampled (`RUN/samples-0005000`, a folder or an `.npz`).
///
/// # Errors
/// `E0301` when the folder cannot be listed.
pub fn pictures(run: &Path) -> Result<Vec<RunPicture>> {
    let mut out: Vec<RunPicture> = Vec::new();
    for (file, path) in files::list(&run.join("samples"))? {
        let Some(stem) = file.strip_suffix(".png").filter(|s| !s.starts_with('.')) else { continue };
        let found = match stem.strip_prefix("step-").and_then(|rest| rest.split_once('-')) {
            Some((step, name)) if step.parse::<u64>().is_ok() => RunPicture { name: name.to_owned(), step: step.parse().ok(), path, is_set: false },
            _ => RunPicture { name: stem.to_owned(), step: None, path, is_set: false },
        };
        // Names are compared as text, so a number with more digits would come first: the step itself decides.
        match out.iter_mut().find(|p| p.name == found.name) {
            Some(known) if known.step <= found.step => *known = found,
            Some(_) => {}
            None => out.push(found),
        }
    }
    let mut newest: Option<RunPicture> = None;
    for (file, path) in files::list(run)? {
        let Some(rest) = file.strip_prefix("samples-") else { continue };
        // A folder comes before the `.npz` of the same step, and has the same pictures.
        let Ok(step) = rest.strip_suffix(".npz").unwrap_or(rest).parse::<u64>() else { continue };
        let holds = if path.is_dir() { files::list(&path)?.iter().any(|(name, _)| name.ends_with(".png")) } else { rest.ends_with(".npz") };
        if holds && newest.as_ref().is_none_or(|n| n.step < Some(step)) {
            newest = Some(RunPicture { name: "samples".into(), step: Some(step), path, is_set: true });
        }
    }
    out.extend(newest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_name_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        assert_eq!(pictures(run).unwrap(), []);
        for folder in ["samples", "samples-500", "samples-1000", "samples-2000", "samples-x"] {
            std::fs::create_dir(run.join(folder)).unwrap();
        }
        let files = [
            "samples/step-0000500-recon.png",
            "samples/step-10000000-recon.png",
            "samples/step-0000500-a-b.png",
            "samples/show-0001.png",
            "samples/.tmp-x.png",
            "samples/notes.txt",
            "samples-500/000000.png",
            "samples-1000/000000.png",
            "samples-1000.npz",
            "samples-x/000000.png",
        ];
        files.iter().for_each(|f| std::fs::write(run.join(f), "").unwrap());
        let found = pictures(run).unwrap();
        let short: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.step, p.path.strip_prefix(run).unwrap().to_str().unwrap(), p.is_set)).collect();
        let want = [
            ("show-0001", None, "samples/show-0001.png", false),
            ("a-b", Some(500), "samples/step-0000500-a-b.png", false),
            ("recon", Some(10_000_000), "samples/step-10000000-recon.png", false),
            ("samples", Some(1000), "samples-1000", true),
        ];
        assert_eq!(short, want, "an empty folder has no samples yet");
    }
}
