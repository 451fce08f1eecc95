//! The pictures of a source folder, with their classes and attributes.

use super::choose::{Pick, choose, words};
use super::hdf5::{self, Container, is_hdf5};
use super::listing::{Listed, Listing, parts, refuse_parts, relative};
use super::manifest::{Attribute, Skipped};
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
    /// The HDF5 file that holds the pictures, if one does.
    container: Option<Container>,
}

impl Source {
    /// Lists the pictures below `root`, or in it if it is an HDF5 container.
    pub(crate) fn open(root: &Path, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
        let meta = root.metadata().map_err(|e| Error::io("open", root, e).help("the first argument is the folder with the pictures"))?;
        if !meta.is_dir() && is_hdf5(root) {
            return Self::in_container(root, limit, wanted);
        }
        if !meta.is_dir() {
            return Err(
                Error::data(root, "not a folder").help("give the folder with the pictures, one sub-folder for each class, or a container images.h5")
            );
        }
        let labels = root.join("dataset.json");
        let mut source = if labels.is_file() {
            let parsed: LabelFile = files::read_json(&labels).map_err(|e| e.help("expected {\"labels\": [[\"path/of/picture.png\", 3], ..]}"))?;
            by_file(root, &labels, parsed, Vec::new(), |path| path.metadata().map(|m| m.len()).map_err(|e| e.to_string()))?
        } else {
            by_folder(root, Listing::of(root)?)?
        };
        if source.items.is_empty() {
            let known = "PNG, JPEG, WebP, GIF, TIFF or BMP files";
            let more = source.left_out.map_or(String::new(), |line| format!("; {line}"));
            return Err(Error::data(root, format!("no picture in this folder: {known} are looked for, in one sub-folder for each class{more}")));
        }
        source.limit(limit);
        let csv = root.join("attributes.csv");
        if csv.is_file() {
            source.read_attributes(&csv, wanted)?;
        } else if wanted.is_some() {
            return Err(Error::data(&csv, "there is no such file, and attributes were asked for"));
        }
        Ok(source)
    }

    /// Lists the pictures of an HDF5 container, whose classes its `dataset.json` says.
    fn in_container(path: &Path, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
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
        source.container = Some(container);
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
                    entry.map(|e| e.bytes).ok_or_else(|| "it is not in the container".to_owned())
                };
                by_file(path, path, parsed, skipped, size)?
            }
            None => {
                // The folders of a container are numbers, not classes.
                let item = |name: String| Item { path: path.join(&name), label: 0, size: container.entries()[&name].bytes, name };
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
    fn limit(&mut self, limit: Limit) {
        let Some(most) = limit.most.filter(|m| *m < self.items.len()) else { return };
        let labels: Vec<usize> = self.items.iter().map(|i| i.label).collect();
        let classes = labels.iter().collect::<BTreeSet<_>>().len();
        self.chosen = Some(words(most, labels.len(), classes, limit.pick, limit.seed));
        let mut chosen = choose(&labels, most, limit.pick, limit.seed).into_iter().peekable();
        let mut position = 0..;
        self.items.retain(|_| chosen.next_if(|c| position.next() == Some(*c)).is_some());
    }

    /// The bytes of a picture's file.
    pub(crate) fn read(&self, item: &Item) -> Result<Vec<u8>> {
        self.container.as_ref().map_or_else(|| super::decode::read_file(&item.path), |c| c.bytes(&item.name))
    }

    /// SHA-256 over path, label and size of every picture, in order.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for i in &self.items {
            hash.update(format!("{}\0{}\0{}\n", i.name, i.label, i.size));
        }
        hash.update(&self.values);
        files::hex(&hash.finalize())
    }

    /// Reads `attributes.csv`: a header line; the first column is the picture's path or file name, each other column is a
    /// factor with at most 256 distinct values.
    fn read_attributes(&mut self, path: &Path, wanted: Option<&[String]>) -> Result<()> {
        let bad = |what: String| Error::data(path, what);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(|e| bad(e.to_string()))?;
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
fn by_folder(root: &Path, listing: Listing) -> Result<Source> {
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
    for Listed { path, name, size } in pictures {
        match name.split_once('/').map(|(folder, _)| positions[folder]) {
            Some(label) => items.push(Item { label, name, path, size }),
            None if !labelled => items.push(Item { label: 0, name, path, size }),
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

#[derive(Deserialize)]
struct LabelFile {
    labels: Option<Vec<(String, Value)>>,
}

/// Classes are those of `dataset.json`, which also says which pictures there are; `size` is that of a picture, or why there is none.
fn by_file(
    root: &Path,
    file: &Path,
    parsed: LabelFile,
    mut skipped: Vec<Skipped>,
    size: impl Fn(&Path) -> std::result::Result<u64, String>,
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
    let (names, numbers): (BTreeSet<String>, Vec<u64>) =
        (sorted.values().filter_map(|(_, c)| c.as_str().map(String::from)).collect(), sorted.values().filter_map(|(_, c)| c.as_u64()).collect());
    let classes: Vec<String> = match (names.is_empty(), numbers.is_empty()) {
        (true, false) => {
            let most = numbers.iter().copied().max().unwrap_or(0);
            if most >= 1 << 20 {
                return Err(bad(format!("class {most} is beyond any class count")));
            }
            (0..=most).map(|n| n.to_string()).collect()
        }
        (false, true) => names.into_iter().collect(),
        _ => return Err(bad("classes must be all numbers from 0 or all names".into())),
    };
    let positions: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    let mut items = Vec::new();
    for (path, (name, class)) in &sorted {
        let key = class.as_str().map_or_else(|| class.to_string(), String::from);
        let label = *positions.get(key.as_str()).ok_or_else(|| bad(format!("the class of `{name}` is {class}; a number or a name is needed")))?;
        let path = root.join(path);
        match size(&path) {
            Ok(size) => items.push(Item { name: relative(root, &path), path, label, size }),
            Err(reason) => skipped.push(Skipped { path: name.clone(), reason }),
        }
    }
    let labelling = format!("{} classes by dataset.json", classes.len());
    Ok(Source { items, classes, labelled: true, labelling, skipped, ..Source::default() })
}
