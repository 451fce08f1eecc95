//! Everything that a container holds.

use super::{Container, Entry, Kind, keys};
use crate::data::decode::{Picture, PixelRule, decode};
use crate::error::{Error, Result};
use crate::torch::Tensor;
use std::path::Path;

/// What a data set of a container is.
#[derive(Debug)]
pub enum Hdf5Value {
    /// A picture that was put into it as a file.
    Picture(Picture),
    /// A JSON file that was put into it.
    Json(serde_json::Value),
    /// Numbers.
    Tensor(Tensor),
}

fn value(container: &Container, path: &Path, name: &str, entry: &Entry) -> Result<Option<Hdf5Value>> {
    let bad = |e: String| Error::data(path, format!("`{name}`: {e}"));
    Ok(Some(match (&entry.kind, name.rsplit_once('.').map(|(_, e)| e)) {
        (_, Some("json")) => Hdf5Value::Json(serde_json::from_slice(trimmed(&container.bytes(name)?)).map_err(|e| bad(e.to_string()))?),
        (_, Some("png" | "jpg" | "jpeg" | "webp")) => Hdf5Value::Picture(decode(&container.bytes(name)?, PixelRule::Pillow).map_err(bad)?.picture),
        (Kind::Number(_), _) => Hdf5Value::Tensor(container.tensor(name)?),
        _ => return Ok(None),
    }))
}

/// Text without the NULs that fill a string of fixed length.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    text.split(|b| *b == 0).next().unwrap_or_default()
}

/// Reads the data sets of a container by their keys, or the one called `key`: pictures, JSON and tensors.
///
/// # Errors
/// `E0301` when it cannot be opened; `E0302` when it is damaged, has no such key, or this build reads no HDF5.
pub fn load_hdf5(path: impl AsRef<Path>, key: Option<&str>) -> Result<Vec<(String, Hdf5Value)>> {
    let path = path.as_ref();
    let container = Container::open(path)?;
    if let Some(key) = key {
        let Some(entry) = container.entries().get(key) else {
            let near = crate::error::did_you_mean(key, container.entries().keys().take(10_000).map(String::as_str));
            return Err(Error::data(path, format!("there is no data set `{key}` in it{near}")));
        };
        let value = value(&container, path, key, entry)?;
        let value = value.ok_or_else(|| Error::data(path, format!("`{key}` is {:?}, neither numbers nor a picture nor JSON", entry.kind)))?;
        return Ok(vec![(key.to_owned(), value)]);
    }
    let mut out = Vec::new();
    for (name, entry) in container.entries() {
        crate::interrupt::check()?;
        if let Some(value) = value(&container, path, name, entry)? {
            out.push((name.clone(), value));
        }
    }
    Ok(out)
}

/// The names of the pictures in a container, sorted.
pub(crate) fn pictures(container: &Container, path: &Path, skipped: &mut Vec<crate::data::Skipped>) -> Result<Vec<String>> {
    keys(container, path, &["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"], skipped)
}

/// The labels that a container keeps as `dataset.json`; `None` without one.
pub(crate) fn labels<T: serde::de::DeserializeOwned>(container: &Container, path: &Path) -> Result<Option<T>> {
    const NAME: &str = "dataset.json";
    if !container.entries().contains_key(NAME) {
        return Ok(None);
    }
    let text = container.bytes(NAME)?;
    let parsed = serde_json::from_slice(trimmed(&text));
    parsed.map(Some).map_err(|e| Error::data(path, format!("`{NAME}`: {e}")).help("expected {\"labels\": [[\"00000/img00000000.png\", 3], ..]}"))
}
