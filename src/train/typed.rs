//! What was typed into a running job and changed it, for the record: `edits/0001-step-301/edit.json`.

use super::{Run, files};
use crate::error::{Error, Result};
use serde_json::json;
use std::path::Path;

/// Records that the line `text` changed something in `run`, as `changes` tells. Returns the edit's number in the run.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn record_edit(run: &Run, text: &str, changes: &[String]) -> Result<u64> {
    let dir = run.dir().join("edits");
    files::create_dir(&dir)?;
    let number = |name: &str| name.split('-').next().and_then(|n| n.parse::<u64>().ok());
    let last = files::list(&dir)?.iter().filter_map(|(name, _)| number(name)).max().unwrap_or(0);
    let number = last + 1;
    let path = dir.join(format!("{number:04}-step-{}", run.step()));
    let temp = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&dir).map_err(|e| Error::io("create", &path, e))?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o755)).map_err(|e| Error::io("write", &path, e))?;
    let edit = json!({
        "number": number, "kind": "typed", "step": run.step(), "visit": 0, "time": run.seconds(), "at": files::iso_time(files::unix_time()),
        "hash": "", "changed": [], "settings": [], "text": text, "effects": changes,
    });
    let edit = serde_json::to_vec_pretty(&edit).map_err(|e| Error::run(format!("the edit cannot be written as JSON: {e}")))?;
    files::write(&temp.path().join("edit.json"), &edit)?;
    rename(temp.path(), &path)?;
    // It has another name now; there is nothing left to clean up.
    let _ = temp.keep();
    files::sync_dir(&dir)?;
    Ok(number)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|e| Error::io("rename", from, e))
}
