//! The pictures of a source folder, with their classes and attributes.

use super::hdf5::{self, Container, is_hdf5};
use super::manifest::{Attribute, Skipped};
use crate::error::{Error, Result};
use crate::files;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

/// Names that end like this are taken for pictures; the content then decides.
const EXTENSIONS: &[&str] = &[
    "apng", "bmp", "dds", "dib", "gif", "heic", "heif", "avif", "icns", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "mpo", "pbm", "pcx",
    "pgm", "png", "pnm", "ppm", "psd", "qoi", "sgi", "tga", "tif", "tiff", "webp", "xbm", "xpm",
];

/// More categories than this do not fit into the byte that an attribute has in a shard.
const MAX_VALUES: usize = 256;

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
#[derive(Debug)]
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
    /// The HDF5 file that holds the pictures, if one does.
    container: Option<Container>,
}

impl Source {
    /// Lists the pictures below `root`, or in it if it is an HDF5 container.
    pub(crate) fn open(root: &Path, max_images: Option<usize>, wanted: Option<&[String]>) -> Result<Source> {
        let meta = root.metadata().map_err(|e| Error::io("open", root, e).help("the first argument is the folder with the pictures"))?;
        if !meta.is_dir() && is_hdf5(root) {
            return Self::in_container(root, max_images, wanted);
        }
        if !meta.is_dir() {
            return Err(
                Error::data(root, "not a folder").help("give the folder with the pictures, one sub-folder for each class, or a container images.h5")
            );
        }
        let mut skipped = Vec::new();
        let labels = root.join("dataset.json");
        let mut source = if labels.is_file() {
            let parsed: LabelFile = files::read_json(&labels).map_err(|e| e.help("expected {\"labels\": [[\"path/of/picture.png\", 3], ..]}"))?;
            by_file(root, &labels, parsed, skipped, |path| path.metadata().map(|m| m.len()).map_err(|e| e.to_string()))?
        } else {
            let listed = list(root, &mut skipped)?;
            by_folder(listed, skipped)
        };
        if let Some(max) = max_images {
            source.items.truncate(max);
        }
        if source.items.is_empty() {
            let known = "PNG, JPEG, WebP, GIF, TIFF or BMP files";
            return Err(Error::data(root, format!("no picture in this folder: {known} are looked for, in one sub-folder for each class")));
        }
        let csv = root.join("attributes.csv");
        if csv.is_file() {
            source.read_attributes(&csv, wanted)?;
        } else if wanted.is_some() {
            return Err(Error::data(&csv, "there is no such file, and attributes were asked for"));
        }
        Ok(source)
    }

    /// Lists the pictures of an HDF5 container, whose classes its `dataset.json` says.
    fn in_container(path: &Path, max_images: Option<usize>, wanted: Option<&[String]>) -> Result<Source> {
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
        if let Some(max) = max_images {
            source.items.truncate(max);
        }
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
                let listed = names.into_iter().map(|n| (path.join(&n), n.clone(), container.entries()[&n].bytes)).collect();
                let mut source = by_folder(listed, skipped);
                // The folders of a container are numbers, not classes.
                source.items.iter_mut().for_each(|i| i.label = 0);
                (source.classes, source.labelled) = (vec!["all".into()], false);
                source.labelling = "no dataset.json in the container, so one class: all labels are 0".into();
                source
            }
        };
        source.items.sort_by(|a, b| a.name.cmp(&b.name));
        if source.items.is_empty() {
            return Err(Error::data(path, "none of the keys that its dataset.json names is in it"));
        }
        Ok(source)
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

/// Every file below `root` that is called like a picture, sorted by path.
pub(super) fn list(root: &Path, skipped: &mut Vec<Skipped>) -> Result<Vec<(PathBuf, String, u64)>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        crate::interrupt::check()?;
        let entry = match entry {
            Ok(e) => e,
            Err(e) => {
                let path = e.path().unwrap_or(root);
                skipped.push(Skipped { path: relative(root, path), reason: e.to_string() });
                continue;
            }
        };
        let extension = entry.path().extension().map(|e| e.to_string_lossy().to_lowercase());
        if entry.file_type().is_file() && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str())) {
            let size = entry.metadata().map_or(0, |m| m.len());
            found.push((entry.path().to_owned(), relative(root, entry.path()), size));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

pub(super) fn relative(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Classes are the sorted names of the top-level folders.
fn by_folder(listed: Vec<(PathBuf, String, u64)>, mut skipped: Vec<Skipped>) -> Source {
    let folder = |name: &str| name.split_once('/').map(|(f, _)| f.to_owned());
    let classes: Vec<String> = listed.iter().filter_map(|(_, n, _)| folder(n)).collect::<BTreeSet<_>>().into_iter().collect();
    let labelled = classes.len() > 1;
    let positions: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    let mut items = Vec::new();
    for (path, name, size) in listed {
        match folder(&name) {
            Some(f) => items.push(Item { label: if labelled { positions[f.as_str()] } else { 0 }, name, path, size }),
            None if !labelled => items.push(Item { label: 0, name, path, size }),
            None => skipped.push(Skipped { path: name, reason: "it lies beside the class folders, so it has no class".into() }),
        }
    }
    let (labelling, classes) = match (labelled, classes.len()) {
        (true, n) => (format!("{n} classes by folder"), classes),
        (_, 1) => ("one folder, so one class: all labels are 0".into(), classes),
        _ => ("no class folders, so one class: all labels are 0".into(), vec!["all".into()]),
    };
    Source { items, classes, labelled, labelling, attributes: Vec::new(), values: Vec::new(), skipped, container: None }
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
    Ok(Source { items, classes, labelled: true, labelling, attributes: Vec::new(), values: Vec::new(), skipped, container: None })
}
