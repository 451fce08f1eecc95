//! What a folder of generated pictures says of itself: `settings.json`, and the archive `FOLDER.npz` that belongs to it.

use crate::error::{Error, Result};
use crate::files;
use crate::origin::{Difference, Made, Origin, differences, hash_of, setting_differences};
use crate::torch::files::Npz;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// How the pictures were drawn; other settings must not continue them.
pub(super) const SETTINGS: &str = "settings.json";
/// The array of an archive of pictures.
pub(super) const ARRAY: &str = "arr_0";

/// How pictures were drawn, and from what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// The settings that decide about a picture.
    pub settings: Map<String, Value>,
    /// What they were drawn with: `checkpoint`, `vae`.
    pub made_from: Made,
    /// Whether each picture is a PNG file as well.
    pub png: bool,
    /// The pictures that the archive will hold, while it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joining: Option<usize>,
    /// The archive, when it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Whether an earlier version wrote it, which kept all settings and no identities.
    #[serde(skip)]
    pub is_old: bool,
}

/// An archive as its own list of contents describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Pictures in it.
    pub pictures: usize,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of the array.
    pub crc32: u32,
}

impl Archive {
    /// Of a file with `arr_0` `[N, H, W, 3]`; the pictures are not read.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it is no such archive.
    pub(super) fn of(path: &Path) -> Result<Archive> {
        let mut npz = Npz::open(path)?;
        let crc32 = npz.sums()?.iter().find(|(name, ..)| *name == format!("{ARRAY}.npy")).map_or(0, |s| s.2);
        let pictures = npz.shape(ARRAY)?.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
        Ok(Archive { pictures, bytes: files::size(path)?, crc32 })
    }

    /// The identity of what it holds.
    pub(super) fn id(&self) -> String {
        hash_of(&["archive", &self.pictures.to_string(), &self.bytes.to_string(), &self.crc32.to_string()])
    }
}

/// `FOLDER.npz`.
pub(super) fn archive_of(folder: &Path) -> PathBuf {
    let trimmed: PathBuf = folder.components().collect();
    let mut name = trimmed.into_os_string();
    name.push(".npz");
    PathBuf::from(name)
}

impl SampleRecord {
    /// What a folder says of itself; `None` where it says nothing. Records of earlier versions have settings alone.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read.
    pub fn read(folder: &Path) -> Result<Option<SampleRecord>> {
        let path = folder.join(SETTINGS);
        if !path.is_file() {
            return Ok(None);
        }
        let value: Map<String, Value> = files::read_json(&path)?;
        if value.get("settings").is_some_and(Value::is_object) && value.contains_key("made_from") {
            return serde_json::from_value(Value::Object(value)).map(Some).map_err(|e| Error::data(&path, e.to_string()));
        }
        let png = value.get("png").and_then(Value::as_bool).unwrap_or(true);
        Ok(Some(SampleRecord { settings: value, png, is_old: true, ..SampleRecord::default() }))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        files::write(&folder.join(SETTINGS), files::json(self)?)
    }

    /// How pictures of this record differ from those that are to be drawn.
    pub(super) fn differences(&self, settings: &Map<String, Value>, made_from: &Made) -> Vec<Difference> {
        let mut found = differences(&self.made_from, made_from);
        // An earlier version kept all settings, those too that decide nothing: what both know is compared.
        let part = |a: &Map<String, Value>, b: &Map<String, Value>| -> Map<String, Value> {
            a.iter().filter(|(k, _)| !self.is_old || b.contains_key(*k)).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        found.extend(setting_differences(&part(&self.settings, settings), &part(settings, &self.settings)));
        found
    }

    /// The origin of the pictures.
    pub fn origin(&self, path: &Path) -> Origin {
        let o = Origin::new("samples", path).made(self.made_from.clone(), self.settings.clone());
        match &self.archive {
            Some(a) => o.about(format!("{} pictures", a.pictures)).with_id(a.id()),
            None => o.about("not finished"),
        }
    }
}

/// The origin of an archive or a folder of pictures, where the folder beside it says what was drawn.
pub(super) fn origin_of(path: &Path) -> Result<Option<Origin>> {
    let is_archive = path.extension().is_some_and(|e| e == "npz");
    let folder = if is_archive { path.with_extension("") } else { path.to_owned() };
    let Some(record) = SampleRecord::read(&folder)? else { return Ok(None) };
    if record.is_old || record.archive.is_none() {
        return Ok(None);
    }
    // An archive that another program has put there says nothing of itself.
    let own = !is_archive || record.archive == Archive::of(path).ok();
    Ok(own.then(|| record.origin(path)))
}
