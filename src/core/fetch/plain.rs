//! Files of plain addresses, in the folder of weights in Lathe's cache.

use super::address::Address;
use super::failure::Failure;
use super::http::{Ask, Http, text};
use super::pins::Pin;
use super::transfer::{self, Job, changed};
use super::{lock, partial, place};
use crate::error::{Error, Result};
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

impl PlainFile {
    /// The file at an address that the user typed; those of the same name from different addresses lie apart.
    ///
    /// # Errors
    /// `E0202` for what is no address of a file.
    pub fn at(url: &str) -> Result<PlainFile> {
        let wrong = || {
            Error::value("fetch", format!("`{}` is no address of a file", url.escape_debug()))
                .help("`https://host/path/file`, without a name or password in it")
        };
        let address = Address::parse(url).ok_or_else(wrong)?;
        let file = address.path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        let file: String = file.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        if file.trim_matches('.').is_empty() || file.starts_with('.') {
            return Err(wrong());
        }
        let folder = files::hex(&Sha256::digest(address.to_string().as_bytes())[..6]);
        Ok(PlainFile { url: address.to_string(), name: format!("addresses/{folder}/{file}"), sha256: String::new() })
    }
}

/// The file in a folder of weights.
pub(super) fn cached(file: &PlainFile) -> Option<PathBuf> {
    place::weight_folders().into_iter().map(|f| f.join(&file.name)).find(|p| p.is_file())
}

/// The SHA-256 that it should have, or the first digits of it, and who says so. A pin has all of them, and the publisher's first ones were compared before
/// it was written.
pub(super) fn wanted(file: &PlainFile, pin: Option<&Pin>, place: String) -> (String, String) {
    match pin {
        Some(pin) if pin.sha256.starts_with(&file.sha256) => (pin.sha256.clone(), place),
        _ => (file.sha256.clone(), "its publisher".to_owned()),
    }
}

/// Fetches it; `again` when it is there already and may have changed.
pub(super) fn fetch(http: &Http, file: &PlainFile, pin: Option<&Pin>, says: &str, again: bool) -> std::result::Result<(PathBuf, Pin), Failure> {
    let folder = place::cache_folder()
        .ok_or_else(|| Error::usage("there is no folder for weights").help("set LATHE_CACHE, XDG_CACHE_HOME or HOME"))?
        .join("weights");
    let path = folder.join(&file.name);
    files::create_dir(path.parent().unwrap_or(&folder))?;
    let hidden = |end: &str| path.with_file_name(format!(".{}.{end}", path.file_name().unwrap_or_default().to_string_lossy()));
    let (want, says) = wanted(file, pin, says.to_owned());
    let (want, says) = (want.as_str(), says.as_str());
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
    let start = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let begun = |name: &str| name.starts_with(&start) && name.ends_with(".incomplete");
    for (_, old) in files::list(path.parent().unwrap_or(&folder))?.into_iter().filter(|(name, _)| begun(name)) {
        files::remove(&old)?;
    }
    files::sync_dir(path.parent().unwrap_or(&folder))?;
    Ok((path, Pin { commit: None, sha256, size }))
}

/// The strong mark and the size of what lies there; some servers do not say.
fn look(http: &Http, ask: &Ask) -> std::result::Result<(Option<String>, Option<u64>), Failure> {
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
