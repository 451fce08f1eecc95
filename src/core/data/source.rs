//! The pictures of a source folder, with their classes and attributes.

use super::archive::{Members, Row, Tables};
use super::choose::{Pick, choose, words};
use super::classes::Classes;
use super::hdf5::{self, Container};
use super::listing::{Listed, Listing, parts, refuse_parts};
use super::manifest::{Attribute, Skipped};
use super::names::relative;
use crate::error::{Error, Result};
use crate::files;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// More categories than this do not fit into the byte that an attribute has in a shard.
const MAX_VALUES: usize = 256;

/// How many classes without pictures are named.
const NAMED: usize = 5;

/// Which pictures of a source are taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limit {
    /// At most so many.
    pub(crate) most: Option<usize>,
    pub(crate) pick: Pick,
    pub(crate) seed: u64,
}

/// One picture of the source.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Relative to the source, with `/`; in a container its key.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) label: usize,
    pub(crate) size: u64,
    /// Its number in what [`Stored`] holds.
    pub(super) at: usize,
    /// Whether it is its mirror image.
    pub(crate) flipped: bool,
}

/// Where the bytes of the pictures lie.
#[derive(Debug, Default)]
pub(super) enum Stored {
    /// In files of their own.
    #[default]
    Files,
    Container(Container),
    Members(Members),
    Rows(Tables, Vec<Row>),
}

/// All pictures of the source in the order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) items: Vec<Item>,
    pub(crate) classes: Vec<String>,
    /// Whether anything says which class a picture has.
    pub(crate) labelled: bool,
    /// Where the classes come from, in words.
    pub(crate) labelling: String,
    pub(crate) attributes: Vec<Attribute>,
    /// `items.len() * attributes.len()` positions in the attributes' values.
    pub(crate) values: Vec<u8>,
    /// What looked like a picture and cannot be one of the set.
    pub(crate) skipped: Vec<Skipped>,
    /// What hidden and system files were left out, in a line.
    pub(crate) left_out: Option<String>,
    /// How the pictures were chosen, where there are more, in a line.
    pub(crate) chosen: Option<String>,
    pub(super) stored: Stored,
    /// What else says which pictures these are, where their sizes are not known.
    pub(super) identity: String,
}

impl Source {
    /// Lists the pictures below a folder.
    pub(super) fn in_folder(root: &Path, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
        let labels = root.join("dataset.json");
        let mut source = if labels.is_file() {
            let parsed: LabelFile = files::read_json(&labels).map_err(|e| e.help(LABELS))?;
            by_file(root, &labels, parsed, Vec::new(), |path| path.metadata().map(|m| (m.len(), 0)).map_err(|e| e.to_string()))?
        } else {
            by_folder(root, Listing::of(root)?)?
        };
        source.some_in(root)?;
        source.limit(limit);
        let csv = root.join("attributes.csv");
        if csv.is_file() {
            source.read_attributes(&csv, &files::read(&csv)?, wanted)?;
        } else if wanted.is_some() {
            return Err(no_attributes(&csv));
        }
        Ok(source)
    }

    /// Refuses a source without pictures.
    pub(super) fn some_in(&self, root: &Path) -> Result<()> {
        if !self.items.is_empty() {
            return Ok(());
        }
        let known = "PNG, JPEG, WebP, GIF, TIFF or BMP files";
        let more = self.left_out.as_ref().map_or(String::new(), |line| format!("; {line}"));
        let skipped = self.skipped.first().map_or(String::new(), |s| format!("; skipped {}: {}", s.path, s.reason));
        let place = if matches!(self.stored, Stored::Files) { "folder" } else { "archive" };
        let message = format!("no picture in this {place}: {known} are looked for, in one sub-folder for each class{more}{skipped}");
        let tables = matches!(self.stored, Stored::Files).then(|| super::archive::below(root)).flatten();
        Err(Error::data(root, message).help(tables.unwrap_or_else(|| "give the folder or archive with the pictures".into())))
    }

    /// Lists the pictures of an HDF5 container, whose classes its `dataset.json` says.
    pub(super) fn in_container(path: &Path, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
        let container = Container::open(path)?;
        let mut skipped = Vec::new();
        let names = hdf5::pictures(&container, path, &mut skipped)?;
        if names.is_empty() {
            let some: Vec<&str> = container.entries().keys().take(3).map(String::as_str).collect();
            return Err(Error::data(path, format!("no picture in this container; its first keys are {some:?}"))
                .help("keys such as `00000/img00000000.png` are looked for"));
        }
        if wanted.is_some() {
            return Err(Error::data(path, "a container has no attributes.csv, and attributes were asked for"));
        }
        let mut source = Self::of_container(path, &container, names, skipped)?;
        source.limit(limit);
        source.stored = Stored::Container(container);
        Ok(source)
    }

    /// The data sets `names` of a container, sorted by name as the reference does, with the classes of its `dataset.json`.
    pub(crate) fn of_container(path: &Path, container: &Container, names: Vec<String>, skipped: Vec<Skipped>) -> Result<Source> {
        let parsed: Option<LabelFile> = hdf5::labels(container, path)?;
        let mut source = match parsed.filter(|p| p.labels.is_some()) {
            Some(parsed) => {
                let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
                let size = |at: &Path| {
                    let name = relative(path, at);
                    let entry = container.entries().get(&name).filter(|_| names.contains(name.as_str()));
                    entry.map(|e| (e.bytes, 0)).ok_or_else(|| "it is not in the container".to_owned())
                };
                by_file(path, path, parsed, skipped, size)?
            }
            None => {
                // The folders of a container are numbers, not classes.
                let item =
                    |name: String| Item { path: path.join(&name), label: 0, size: container.entries()[&name].bytes, name, at: 0, flipped: false };
                let labelling = "no dataset.json in the container, so one class: all labels are 0".into();
                let items = names.into_iter().map(item).collect();
                Source { items, classes: vec!["all".into()], labelling, skipped, ..Source::default() }
            }
        };
        source.items.sort_by(|a, b| a.name.cmp(&b.name));
        if source.items.is_empty() {
            return Err(Error::data(path, "none of the keys that its dataset.json names is in it"));
        }
        Ok(source)
    }

    /// Keeps the pictures that are chosen.
    pub(super) fn limit(&mut self, limit: Limit) {
        let Some(most) = limit.most.filter(|m| *m < self.items.len()) else { return };
        let labels: Vec<usize> = self.items.iter().map(|i| i.label).collect();
        let classes = labels.iter().collect::<BTreeSet<_>>().len();
        self.chosen = Some(words(most, labels.len(), classes, limit.pick, limit.seed));
        let mut chosen = choose(&labels, most, limit.pick, limit.seed).into_iter().peekable();
        let mut position = 0..;
        self.items.retain(|_| chosen.next_if(|c| position.next() == Some(*c)).is_some());
    }

    /// Adds the mirror image of every picture, behind all of them.
    pub(super) fn add_flips(&mut self) {
        let mirrored: Vec<Item> = self.items.iter().map(|i| Item { flipped: true, ..i.clone() }).collect();
        self.items.extend(mirrored);
        self.values.extend_from_within(..);
    }

    /// The bytes of a picture's file.
    pub(crate) fn read(&self, item: &Item) -> Result<Vec<u8>> {
        let there = match &self.stored {
            Stored::Files => return super::decode::read_file(&item.path),
            Stored::Container(c) => return c.bytes(&item.name),
            Stored::Members(members) => members.read(item.at),
            Stored::Rows(tables, rows) => tables.read(rows[item.at]),
        };
        there.map_err(|reason| Error::data(&item.path, reason))
    }

    /// The files that the pictures lie in that were changed after a time, and what they are in words.
    pub(crate) fn newer_than(&self, time: u128) -> (Vec<String>, &'static str) {
        let later = |paths: Vec<&Path>| paths.into_iter().filter(|p| files::changed(p) > time).map(|p| p.display().to_string()).collect();
        match &self.stored {
            Stored::Members(m) => (later(m.archives.iter().map(|a| a.path()).collect()), "archive"),
            Stored::Rows(tables, _) => (later(tables.paths().collect()), "parquet file"),
            Stored::Files | Stored::Container(_) => {
                (self.items.iter().filter(|i| files::changed(&i.path) > time).map(|i| i.name.clone()).collect(), "source picture")
            }
        }
    }

    /// SHA-256 over path, label and size of every picture, in order.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for i in &self.items {
            hash.update(format!("{}\0{}\0{}{}\n", i.name, i.label, i.size, if i.flipped { "\0mirrored" } else { "" }));
        }
        hash.update(&self.values);
        hash.update(&self.identity);
        files::hex(&hash.finalize())
    }

    /// Reads `attributes.csv`: a header line; the first column is the picture's path or file name, each other column is a
    /// factor with at most 256 distinct values.
    pub(super) fn read_attributes(&mut self, path: &Path, text: &[u8], wanted: Option<&[String]>) -> Result<()> {
        let bad = |what: String| Error::data(path, what);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header: Vec<String> = reader.headers().map_err(|e| bad(e.to_string()))?.iter().skip(1).map(String::from).collect();
        if header.is_empty() {
            return Err(bad("a header line with the picture's path and at least one attribute is needed".into()));
        }
        if let Some(twice) = header.iter().enumerate().find(|(i, n)| header[..*i].contains(n)) {
            return Err(bad(format!("there are two columns `{}`", twice.1)));
        }
        let columns: Vec<usize> = match wanted {
            None => (0..header.len()).collect(),
            Some(names) => names
                .iter()
                .map(|n| {
                    let near = crate::error::did_you_mean(n, header.iter().map(String::as_str));
                    header.iter().position(|h| h == n).ok_or_else(|| bad(format!("there is no column `{n}`{near}")))
                })
                .collect::<Result<_>>()?,
        };
        let mut rows: HashMap<String, Vec<String>> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| bad(e.to_string()))?;
            let key = record.get(0).unwrap_or_default().trim_start_matches("./").to_owned();
            let values = columns.iter().map(|c| record.get(c + 1).unwrap_or_default().to_owned()).collect();
            if rows.insert(key.clone(), values).is_some() {
                return Err(bad(format!("`{key}` has two rows")));
            }
        }
        let mut missing = Vec::new();
        let mut found: Vec<&[String]> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let base = item.name.rsplit('/').next().unwrap_or(&item.name);
            match rows.get(&item.name).or_else(|| rows.get(base)) {
                Some(values) => found.push(values),
                None => missing.push(item.name.as_str()),
            }
        }
        if let Some(first) = missing.first() {
            let more = if missing.len() > 1 { format!(" and {} more pictures", missing.len() - 1) } else { String::new() };
            return Err(
                bad(format!("it has no row for `{first}`{more}")).help("give every picture a row, by its path below the folder or its file name")
            );
        }
        let mut values = vec![0; found.len() * columns.len()];
        for (a, column) in columns.iter().enumerate() {
            // The values of all rows, not only of the pictures used: a shorter run has the same categories.
            let distinct: BTreeSet<&str> = rows.values().map(|r| r[a].as_str()).collect();
            let name = header[*column].clone();
            if distinct.len() > MAX_VALUES {
                return Err(bad(format!("column `{name}` has {} distinct values, at most {MAX_VALUES} fit", distinct.len()))
                    .help("an attribute is a category; choose columns with the option `attributes`"));
            }
            let positions: HashMap<&str, u8> = distinct.iter().zip(0..=u8::MAX).map(|(v, i)| (*v, i)).collect();
            for (row, v) in found.iter().zip(values.chunks_exact_mut(columns.len())) {
                v[a] = positions[row[a].as_str()];
            }
            self.attributes.push(Attribute { name, values: distinct.into_iter().map(String::from).collect() });
        }
        self.values = values;
        Ok(())
    }
}

/// Classes are the sorted names of the top-level folders, whether there are pictures in them or not: so parts of a data set have the same labels.
pub(super) fn by_folder(root: &Path, listing: Listing) -> Result<Source> {
    let left_out = listing.left_out_line();
    let Listing { pictures, folders, mut skipped, .. } = listing;
    let mut counts: BTreeMap<&str, usize> = folders.iter().map(|f| (f.as_str(), 0)).collect();
    for folder in pictures.iter().filter_map(|p| p.name.split_once('/')) {
        *counts.entry(folder.0).or_default() += 1;
    }
    if counts.values().all(|n| *n == 0) {
        counts.clear();
    }
    if let parts @ [_, ..] = &parts(counts.keys().copied())[..] {
        return Err(refuse_parts(root, parts));
    }
    let (classes, labelled): (Vec<String>, bool) = (counts.keys().map(ToString::to_string).collect(), counts.len() > 1);
    let empty: Vec<&str> = counts.iter().filter(|(_, n)| **n == 0).map(|(f, _)| *f).collect();
    let labelling = match &classes[..] {
        [] => "no class folders, so one class: all labels are 0".into(),
        [only] => format!("one folder, so one class: all labels are 0{}", inner_folders(root, only, &pictures)),
        _ => format!("{} classes by folder{}", classes.len(), without_pictures(&empty)),
    };
    let positions: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    let mut items = Vec::new();
    for Listed { path, name, size, member: at } in pictures {
        match name.split_once('/').map(|(folder, _)| positions[folder]) {
            Some(label) => items.push(Item { label, name, path, size, at, flipped: false }),
            None if !labelled => items.push(Item { label: 0, name, path, size, at, flipped: false }),
            None => skipped.push(Skipped { path: name, reason: "it lies beside the class folders, so it has no class".into() }),
        }
    }
    let classes = if classes.is_empty() { vec!["all".into()] } else { classes };
    Ok(Source { items, classes, labelled, labelling, skipped, left_out, ..Source::default() })
}

/// `, 2 without pictures: a, b`.
fn without_pictures(empty: &[&str]) -> String {
    let more = if empty.len() > NAMED { ", .." } else { "" };
    let names = empty[..empty.len().min(NAMED)].join(", ");
    if empty.is_empty() { String::new() } else { format!(", {} of them without pictures: {names}{more}", empty.len()) }
}

/// A hint where the only folder holds folders itself.
fn inner_folders(root: &Path, only: &str, pictures: &[Listed]) -> String {
    let mut below: Vec<&str> = pictures.iter().filter_map(|p| Some(p.name.split_once('/')?.1.split_once('/')?.0)).collect();
    below.dedup();
    let folder = root.join(only);
    if below.len() < 2 { String::new() } else { format!("; it holds {} folders itself, `{}` makes them classes", below.len(), folder.display()) }
}

/// What a file of labels looks like.
pub(super) const LABELS: &str = "expected {\"labels\": [[\"path/of/picture.png\", 3], ..]}";

/// Attributes were asked for, and nothing has them.
pub(super) fn no_attributes(csv: &Path) -> Error {
    Error::data(csv, "there is no such file, and attributes were asked for").help("leave `attributes` out, or put the file there")
}

#[derive(Deserialize)]
pub(super) struct LabelFile {
    labels: Option<Vec<(String, Value)>>,
}

/// Classes are those of `dataset.json`, which also says which pictures there are; `find` gives the size of a picture and its number, or why there is none.
pub(super) fn by_file(
    root: &Path,
    file: &Path,
    parsed: LabelFile,
    mut skipped: Vec<Skipped>,
    find: impl Fn(&Path) -> std::result::Result<(u64, usize), String>,
) -> Result<Source> {
    let bad = |what: String| Error::data(file, what);
    let labels = parsed.labels.ok_or_else(|| bad("`labels` is missing or null".into()))?;
    let mut sorted = BTreeMap::new();
    for (name, class) in labels {
        let path = PathBuf::from(&name);
        if path.components().any(|c| !matches!(c, Component::Normal(_) | Component::CurDir)) {
            return Err(bad(format!("`{name}` does not lie below the source folder")));
        }
        if sorted.insert(path, (name.clone(), class)).is_some() {
            return Err(bad(format!("`{name}` has two labels")));
        }
    }
    let classes = Classes::of(sorted.values().map(|(_, c)| c)).map_err(bad)?;
    let mut items = Vec::new();
    for (path, (name, class)) in &sorted {
        let label = classes.position(class).ok_or_else(|| bad(format!("the class of `{name}` is {class}; a number or a name is needed")))?;
        let path = root.join(path);
        match find(&path) {
            Ok((size, at)) => items.push(Item { name: relative(root, &path), path, label, size, at, flipped: false }),
            Err(reason) => skipped.push(Skipped { path: name.clone(), reason }),
        }
    }
    let classes = classes.names;
    let labelling = format!("{} classes by dataset.json", classes.len());
    Ok(Source { items, classes, labelled: true, labelling, skipped, ..Source::default() })
}
