//! WebDataset's shards: tars in which the files of a sample have one name and different endings (github.com/webdataset/webdataset).
//!
//! A sample's key is its path up to the first dot of the file name, the ending what follows: `00/000017.jpg` and `00/000017.cls`.

use super::handles;
use super::kind::Kind;
use super::labels::{KINDS, LabelKind};
use super::members::{Archive, Contents, Place};
use crate::data::manifest::Skipped;
use crate::data::names::{is_hidden, shown_path};
use crate::error::{Error, Result};
use crate::interrupt;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Endings of pictures; `seg.png` and the like belong to other things.
const PICTURES: &[&str] = &["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];
/// A label needs no more.
const MOST_BYTES: u64 = 1 << 20;
/// More texts than this, most of which stand once, are captions.
const CAPTIONS: usize = 1000;

/// A picture of a shard.
pub(in crate::data) struct Sample {
    /// `000.tar/00/000017.jpg`.
    pub(in crate::data) name: String,
    pub(in crate::data) place: Place,
    pub(in crate::data) label: Option<Value>,
}

/// All samples of some shards, in the order of the shards and in them.
pub(in crate::data) struct Shards {
    pub(in crate::data) archives: Vec<Archive>,
    pub(in crate::data) samples: Vec<Sample>,
    /// The ending that says the classes; `None` where nothing does.
    pub(in crate::data) labels: Option<&'static str>,
    /// What is remarkable about them, in words.
    pub(in crate::data) remark: String,
    pub(in crate::data) skipped: Vec<Skipped>,
}

/// The key and the ending of a member; `None` for what is no part of a sample.
fn split(path: &Path) -> Option<(Vec<u8>, String)> {
    let name = path.file_name()?.as_bytes();
    let dot = name.iter().position(|b| *b == b'.').filter(|d| *d > 0)?;
    let ending = std::str::from_utf8(&name[dot + 1..]).ok()?.to_lowercase();
    let folder = path.parent().map_or(&[][..], |p| p.as_os_str().as_bytes());
    Some(([folder, b"/", &name[..dot]].concat(), ending))
}

/// Whether a single tar holds samples and not a folder tree: where a picture has a `.cls` beside it, or, outside of folders, a `.json` or `.txt`.
pub(in crate::data) fn is_webdataset(contents: &Contents) -> bool {
    let parts = || contents.members.iter().filter_map(|m| Some((m, split(&m.path)?)));
    let pictures: BTreeSet<Vec<u8>> = parts().filter(|(_, (_, e))| PICTURES.contains(&e.as_str())).map(|(_, (key, _))| key).collect();
    parts().any(|(m, (key, ending))| {
        let is_flat = m.path.components().count() == 1;
        (ending == "cls" || is_flat && LabelKind::of_ending(&ending).is_some()) && pictures.contains(&key)
    })
}

/// What is found of a sample while its shard is read.
#[derive(Default)]
struct Found {
    picture: Option<(PathBuf, Place)>,
    labels: [Option<Place>; 3],
    /// Of its label, for messages.
    some: PathBuf,
}

impl Shards {
    /// Reads the lists of some tars, and the labels in them.
    ///
    /// # Errors
    /// As [`Archive::open`]; `E0302` for two pictures of one key, or a shard that is no tar.
    pub(in crate::data) fn open(paths: &[PathBuf], kind_of: impl Fn(&Path) -> Result<Kind>) -> Result<Shards> {
        handles::room_for(paths)?;
        let mut opened = Vec::new();
        for path in paths {
            opened.push(match kind_of(path)? {
                kind @ (Kind::Tar | Kind::TarGz) => Archive::open(path, kind, paths.len())?,
                _ => return Err(Error::data(path, "is no tar, as shards are").help("give shards of one kind: tars, or parquet files")),
            });
        }
        Shards::of(opened)
    }

    /// The samples of archives that are open.
    ///
    /// # Errors
    /// `E0302` for two pictures of one key.
    pub(in crate::data) fn of(opened: Vec<(Archive, Contents)>) -> Result<Shards> {
        let (mut archives, mut found, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        let shard_names = names(&opened.iter().map(|(a, _)| a.path().to_owned()).collect::<Vec<_>>());
        for (number, (archive, contents)) in opened.into_iter().enumerate() {
            let shard = &shard_names[number];
            skipped.extend(
                contents.refused.iter().map(|(path, reason)| Skipped { path: format!("{shard}/{}", shown_path(path)), reason: reason.clone() }),
            );
            found.extend(group(&archive, number, contents)?.into_iter().map(|f| (shard.clone(), f)));
            archives.push(archive);
        }
        let mut samples: Vec<(Sample, [Option<Place>; 3])> = Vec::new();
        for (shard, f) in found {
            match f.picture {
                Some((path, place)) => {
                    let name = format!("{shard}/{}", shown_path(&path));
                    samples.push((Sample { name, place, label: None }, f.labels));
                }
                None => skipped.push(Skipped { path: format!("{shard}/{}", shown_path(&f.some)), reason: "there is no picture of this name".into() }),
            }
        }
        let mut shards = Shards { archives, samples: Vec::new(), labels: None, remark: String::new(), skipped };
        shards.label(samples)?;
        Ok(shards)
    }

    /// Reads the labels: those of the first kind that any sample has. A sample without one of that kind is skipped.
    fn label(&mut self, samples: Vec<(Sample, [Option<Place>; 3])>) -> Result<()> {
        let mut unread = None;
        for (k, kind) in KINDS.into_iter().enumerate() {
            if samples.iter().all(|(_, labels)| labels[k].is_none()) {
                continue;
            }
            let mut read = Vec::with_capacity(samples.len());
            for (_, labels) in &samples {
                interrupt::check()?;
                read.push(
                    labels[k].map_or_else(|| Err(format!("there is no .{} beside it, so it has no class", kind.ending())), |p| self.one(kind, p)),
                );
            }
            if read.iter().all(std::result::Result::is_err) {
                unread = unread.or_else(|| read.into_iter().find_map(std::result::Result::err));
                continue;
            }
            let texts: BTreeSet<&str> = read.iter().filter_map(|r| r.as_ref().ok()?.as_str()).collect();
            if kind == LabelKind::Txt && texts.len() > CAPTIONS && texts.len() * 2 > samples.len() {
                self.remark = format!("{} different texts in .txt are captions and not classes", texts.len());
                continue;
            }
            self.labels = Some(kind.ending());
            for ((mut sample, _), label) in samples.into_iter().zip(read) {
                match label {
                    Ok(label) => {
                        sample.label = Some(label);
                        self.samples.push(sample);
                    }
                    Err(reason) => self.skipped.push(Skipped { path: sample.name, reason }),
                }
            }
            return Ok(());
        }
        if let Some(reason) = unread.filter(|_| self.remark.is_empty()) {
            self.remark = format!("no label can be read: {reason}");
        }
        self.samples = samples.into_iter().map(|(s, _)| s).collect();
        Ok(())
    }

    fn one(&self, kind: LabelKind, place: Place) -> std::result::Result<Value, String> {
        if place.size > MOST_BYTES {
            return Err(format!("its .{} has {} bytes, more than a label", kind.ending(), place.size));
        }
        kind.read(&self.archives[place.archive].read(place.size, place.extent)?)
    }
}

/// The samples of one shard, in the order of their first files.
fn group(archive: &Archive, number: usize, contents: Contents) -> Result<Vec<Found>> {
    let mut positions: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut all: Vec<Found> = Vec::new();
    for member in contents.members {
        let Some((key, ending)) = split(&member.path).filter(|_| !is_hidden(&member.path)) else { continue };
        let is_picture = PICTURES.contains(&ending.as_str());
        let kind = KINDS.iter().position(|k| k.ending() == ending);
        if !is_picture && kind.is_none() {
            continue;
        }
        let at = *positions.entry(key).or_insert_with(|| {
            all.push(Found::default());
            all.len() - 1
        });
        let found = &mut all[at];
        let place = Place { archive: number, size: member.size, extent: member.extent };
        match kind {
            Some(k) => {
                found.labels[k] = Some(place);
                found.some = member.path;
            }
            None => {
                if let Some((other, _)) = &found.picture {
                    let both = format!("`{}` and `{}`", other.display(), member.path.display());
                    return Err(Error::data(archive.path(), format!("two pictures have one key: {both}"))
                        .help("give every sample of a shard a key of its own"));
                }
                found.picture = Some((member.path, place));
            }
        }
    }
    Ok(all)
}

/// What shards are called in lists: their file names, or, where these are not different, their paths.
pub(super) fn names(paths: &[PathBuf]) -> Vec<String> {
    let short: Vec<String> = paths.iter().map(|p| p.file_name().map_or_else(String::new, |n| shown_path(Path::new(n)))).collect();
    let distinct: BTreeSet<&String> = short.iter().collect();
    if distinct.len() == paths.len() { short } else { paths.iter().map(|p| shown_path(p)).collect() }
}
