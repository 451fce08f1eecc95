//! Files of plain addresses, in the folder of weights in Lathe's cache.

use super::failure::Failure;
use super::http::{Ask, Http, text};
use super::pins::Pin;
use super::transfer::{self, Job, changed};
use super::{lock, partial, place};
use crate::error::Error;
use crate::files;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// A file at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainFile {
    /// The address, of http or https.
    pub url: String,
    /// What it is called in the folder of weights.
    pub name: String,
    /// Its SHA-256 as far as the publisher says it, often in the name: the first digits, all 64, or none.
    pub sha256: String,
}

/// The file in a folder of weights.
pub(super) fn cached(file: &PlainFile) -> Option<PathBuf> {
    place::weight_folders().into_iter().map(|f| f.join(&file.name)).find(|p| p.is_file())
}

/// Fetches it; `again` when it is there already and may have changed.
pub(super) fn fetch(http: &Http, file: &PlainFile, pin: Option<&Pin>, says: &str, again: bool) -> Result<(PathBuf, Pin), Failure> {
    let folder = place::cache_folder()
        .ok_or_else(|| Error::usage("there is no folder for weights").help("set LATHE_CACHE, XDG_CACHE_HOME or HOME"))?
        .join("weights");
    let path = folder.join(&file.name);
    files::create_dir(path.parent().unwrap_or(&folder))?;
    let hidden = |end: &str| path.with_file_name(format!(".{}.{end}", path.file_name().unwrap_or_default().to_string_lossy()));
    // What the publisher says counts more than what was found once.
    let (want, says) = match pin {
        Some(pin) if file.sha256.is_empty() => (pin.sha256.as_str(), says),
        _ => (file.sha256.as_str(), "its publisher"),
    };
    let _lock = lock::take(&hidden("lock"), &file.name)?;
    if path.is_file() && !again {
        let sha256 = partial::sha256_of(&path)?;
        if !sha256.starts_with(want) {
            return Err(changed(&path.display().to_string(), says, want, &sha256).into());
        }
        let size = files::size(&path)?;
        return Ok((path, Pin { commit: None, sha256, size }));
    }
    let ask = Ask { label: &file.url, url: &file.url, token: None, from: 0, mark: None };
    let (mark, size) = look(http, &ask)?;
    // The beginning of one file is not joined to the end of another that has taken its place.
    let state = files::hex(&Sha256::digest(format!("{} {mark:?} {size:?}", file.url).as_bytes())[..6]);
    let partial = hidden(&format!("{state}.incomplete"));
    let job = Job { label: &file.url, url: &file.url, token: None, mark: mark.as_deref(), size, sha256: want, says, partial: &partial };
    let (sha256, size) = transfer::run(http, &job)?;
    files::rename(&partial, &path)?;
    // What was begun of an older state of the file is of no use any more.
    let begun = |name: &str| name.starts_with(&format!(".{}.", file.name)) && name.ends_with(".incomplete");
    for (_, old) in files::list(path.parent().unwrap_or(&folder))?.into_iter().filter(|(name, _)| begun(name)) {
        files::remove(&old)?;
    }
    files::sync_dir(path.parent().unwrap_or(&folder))?;
    Ok((path, Pin { commit: None, sha256, size }))
}

/// The strong mark and the size of what lies there; some servers do not say.
fn look(http: &Http, ask: &Ask) -> Result<(Option<String>, Option<u64>), Failure> {
    let headers = match http.head(ask) {
        Ok(headers) => headers,
        // Not every server answers a question without wanting to send the file; what is wrong the request for it says.
        Err(Failure::Final(e)) if e.is_interrupt() => return Err(e.into()),
        Err(_) => return Ok((None, None)),
    };
    let is_redirect = headers.contains_key("location");
    let mark = text(&headers, "etag").filter(|m| !m.starts_with("W/") && !is_redirect);
    let size = text(&headers, "content-length").and_then(|n| n.parse().ok()).filter(|_| !is_redirect);
    Ok((mark, size))
}
