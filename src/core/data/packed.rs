//! The pictures of archives and tables, as a [`Source`].

use super::archive::{Archive, Columns, Contents, Kind, Members, Place, Shards, Tables, is_webdataset, kind_of};
use super::classes::Classes;
use super::listing::Listing;
use super::source::{Item, LABELS, Limit, Source, Stored, by_file, by_folder, no_attributes};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// Lists the pictures of an archive: a folder tree, or samples of WebDataset.
pub(super) fn in_archive(path: &Path, kind: Kind, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
    let (archive, contents) = Archive::open(path, kind, 1)?;
    if kind != Kind::Zip && is_webdataset(&contents) {
        refuse_attributes(path, wanted)?;
        return of_shards(path, Shards::of(vec![(archive, contents)])?, limit);
    }
    of_tree(path, archive, &contents, limit, wanted)
}

/// Lists the pictures of several tars, which are taken for WebDataset's.
pub(super) fn in_shards(root: &Path, paths: &[PathBuf], limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
    refuse_attributes(root, wanted)?;
    of_shards(root, Shards::open(paths, kind_of)?, limit)
}

fn refuse_attributes(root: &Path, wanted: Option<&[String]>) -> Result<()> {
    match wanted {
        None => Ok(()),
        Some(_) => Err(Error::data(root, "shards and tables have no attributes.csv, and attributes were asked for").help("leave `attributes` out")),
    }
}

/// The folder in an archive that is the tree: its root, or the only folder at the top where that holds nothing but folders, as
/// `tar cf pictures.tar pictures` makes it.
fn top(contents: &Contents) -> PathBuf {
    // `tar cf pictures.tar -C pictures .` says where the root is.
    if contents.folders.iter().any(|f| f.as_os_str().is_empty()) {
        return PathBuf::new();
    }
    let mut only: Option<&OsStr> = None;
    for member in contents.members.iter().filter(|m| !super::names::is_hidden(&m.path)) {
        let parts: Vec<Component> = member.path.components().collect();
        let Some(first) = parts.first().map(|c| c.as_os_str()) else { continue };
        let lies_flat = parts.len() < 3 && super::names::is_picture(&member.path) || parts.len() == 1;
        if lies_flat || only.is_some_and(|o| o != first) {
            return PathBuf::new();
        }
        only = Some(first);
    }
    if contents.folders.iter().any(|f| f.components().next().map(|c| c.as_os_str()) != only && !super::names::is_hidden(f)) {
        return PathBuf::new();
    }
    only.map(PathBuf::from).unwrap_or_default()
}

fn of_tree(path: &Path, archive: Archive, contents: &Contents, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
    let top = top(contents);
    let text = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some(member) = contents.members.iter().find(|m| m.path == top.join(name)) else { return Ok(None) };
        archive.read(member.size, member.extent).map(Some).map_err(|reason| Error::data(path.join(name), reason))
    };
    let labels = path.join("dataset.json");
    let mut source = match text("dataset.json")? {
        Some(json) => {
            let parsed = serde_json::from_slice(&json).map_err(|e| Error::data(&labels, e.to_string()).help(LABELS))?;
            let named: HashMap<PathBuf, usize> =
                contents.members.iter().enumerate().map(|(i, m)| (path.join(m.path.strip_prefix(&top).unwrap_or(&m.path)), i)).collect();
            by_file(path, &labels, parsed, Vec::new(), |at| {
                named.get(at).map(|i| (contents.members[*i].size, *i)).ok_or_else(|| "it is not in the archive".to_owned())
            })?
        }
        None => by_folder(path, Listing::of_archive(path, &top, contents))?,
    };
    let csv = text("attributes.csv")?;
    let places = contents.members.iter().map(|m| Place { archive: 0, size: m.size, extent: m.extent }).collect();
    source.stored = Stored::Members(Members { archives: vec![archive], places });
    source.some_in(path)?;
    source.limit(limit);
    match csv {
        Some(text) => source.read_attributes(&path.join("attributes.csv"), &text, wanted)?,
        None if wanted.is_some() => return Err(no_attributes(&path.join("attributes.csv"))),
        None => {}
    }
    Ok(source)
}

/// What the names of pictures are below, as they are shown: the folder of the files.
fn base(root: &Path) -> PathBuf {
    if root.is_dir() { root.to_owned() } else { root.parent().unwrap_or(Path::new("")).to_owned() }
}

fn of_shards(root: &Path, shards: Shards, limit: Limit) -> Result<Source> {
    let Shards { archives, samples, labels, remark, skipped } = shards;
    let mut source = Source { skipped, ..Source::default() };
    let classes = match labels {
        Some(ending) => {
            let classes = Classes::of(samples.iter().filter_map(|s| s.label.as_ref())).map_err(|why| {
                let some = samples.iter().find(|s| s.label.as_ref().is_some_and(serde_json::Value::is_string));
                let named = some.map_or(String::new(), |s| format!("; the .{ending} of `{}` has a name", s.name));
                Error::data(root, format!("the labels in .{ending} are mixed: {why}{named}")).help("write one kind into all of them")
            })?;
            source.labelled = true;
            source.labelling = format!("{} classes by .{ending}", classes.names.len());
            classes
        }
        None => {
            let why = if remark.is_empty() { "no .cls, .json or .txt says a class" } else { &remark };
            source.labelling = format!("{why}, so one class: all labels are 0");
            Classes::named(vec!["all".into()])
        }
    };
    let base = base(root);
    let mut places = Vec::with_capacity(samples.len());
    for s in samples {
        let label = s.label.as_ref().and_then(|l| classes.position(l)).unwrap_or(0);
        source.items.push(Item { path: base.join(&s.name), name: s.name, label, size: s.place.size, at: places.len(), flipped: false });
        places.push(s.place);
    }
    source.classes = classes.names;
    source.stored = Stored::Members(Members { archives, places });
    source.some_in(root)?;
    source.limit(limit);
    Ok(source)
}

/// Lists the pictures of parquet files.
pub(super) fn in_tables(root: &Path, paths: &[PathBuf], columns: &Columns, limit: Limit, wanted: Option<&[String]>) -> Result<Source> {
    refuse_attributes(root, wanted)?;
    let found = Tables::open(paths, columns)?;
    let mut source = Source { skipped: found.skipped, identity: found.identity, ..Source::default() };
    let is_labelled = found.rows.iter().any(|(_, _, l)| l.is_some());
    let (classes, how) = match found.classes {
        Some(names) if is_labelled => (Classes::named(names), "ClassLabel"),
        _ if is_labelled => {
            let bad = |why| Error::data(root, format!("column `{}`: {why}", columns.label)).help("name another one: `--label-column COLUMN`");
            (Classes::of(found.rows.iter().filter_map(|(_, _, l)| l.as_ref())).map_err(bad)?, "value")
        }
        _ => (Classes::named(vec!["all".into()]), ""),
    };
    source.labelled = is_labelled;
    source.labelling = match how {
        "" => "no column of labels, so one class: all labels are 0".into(),
        how => format!("{} classes by the column `{}` ({how})", classes.names.len(), columns.label),
    };
    let base = base(root);
    let mut rows = Vec::with_capacity(found.rows.len());
    for (name, row, label) in found.rows {
        match label.as_ref().map_or(Some(0), |l| classes.position(l)) {
            Some(label) => {
                source.items.push(Item { path: base.join(&name), name, label, size: 0, at: rows.len(), flipped: false });
                rows.push(row);
            }
            None => {
                let reason = format!("its label is {}, and there are {} classes", label.unwrap_or_default(), classes.names.len());
                source.skipped.push(super::manifest::Skipped { path: name, reason });
            }
        }
    }
    source.classes = classes.names;
    source.stored = Stored::Rows(found.tables, rows);
    source.some_in(root)?;
    source.limit(limit);
    Ok(source)
}
