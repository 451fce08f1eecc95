//! Pictures as people have them: a folder tree, an archive of one, shards, tables, a container.

use super::archive::{Columns, Kind, expand, is_archive, is_table, kind_of};
use super::hdf5::is_hdf5;
use super::packed::{in_archive, in_shards, in_tables};
use super::source::{Limit, Source};
use crate::error::{Error, Result};
use crate::files;
use std::path::{Path, PathBuf};

/// What is taken of a source.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    pub(super) limit: Limit,
    pub(super) attributes: Option<&'a [String]>,
    /// Of parquet.
    pub(super) columns: Columns,
}

/// The files that a pattern such as `shards/{000..127}.tar` stands for; otherwise the path itself. Nothing is read.
///
/// # Errors
/// `E0302` for a pattern that nothing fits, or files that are missing.
pub fn source_files(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(expand(path)?.unwrap_or_else(|| vec![path.to_owned()]))
}

/// Lists the pictures of any source.
pub(super) fn open_source(root: &Path, wanted: &Wanted) -> Result<Source> {
    let (limit, attributes) = (wanted.limit, wanted.attributes);
    if let Some(paths) = expand(root)? {
        return in_files(root, &paths, wanted);
    }
    let help = "the first argument is the folder with the pictures, or an archive of it";
    let meta = root.metadata().map_err(|e| Error::io("open", root, e).help(help))?;
    if meta.is_dir() {
        let found = packed_in(root)?;
        return if found.is_empty() { Source::in_folder(root, limit, attributes) } else { in_files(root, &found, wanted) };
    }
    if is_hdf5(root) {
        return Source::in_container(root, limit, attributes);
    }
    match kind_of(root)? {
        Kind::Parquet => in_tables(root, &[root.to_owned()], &wanted.columns, limit, attributes),
        kind => in_archive(root, kind, limit, attributes),
    }
}

/// Several files of one kind.
fn in_files(root: &Path, paths: &[PathBuf], wanted: &Wanted) -> Result<Source> {
    let tables = paths.iter().filter(|p| is_table(p)).count();
    match tables {
        0 => in_shards(root, paths, wanted.limit, wanted.attributes),
        n if n == paths.len() => {
            if root.is_dir() {
                refuse_splits(root, paths)?;
            }
            in_tables(root, paths, &wanted.columns, wanted.limit, wanted.attributes)
        }
        _ => Err(Error::data(root, "there are tars and parquet files in it").help("name those that are meant: `FOLDER/*.tar` or `FOLDER/*.parquet`")),
    }
}

/// The shards or tables that a folder holds instead of pictures, sorted by name. Where there are folders or pictures as well, it is a tree.
fn packed_in(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (name, path) in files::list(root)? {
        if is_archive(&path) || is_table(&path) {
            found.push(path);
        } else if !name.starts_with('.') && (path.is_dir() || super::names::is_picture(&path)) || name == "dataset.json" {
            return Ok(Vec::new());
        }
    }
    Ok(found)
}

/// Parts of a data set in one folder are not one set.
fn refuse_splits(root: &Path, paths: &[PathBuf]) -> Result<()> {
    let part =
        |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).and_then(|n| n.split_once("-0").or_else(|| n.split_once('.'))).map(|s| s.0.to_owned());
    let names: std::collections::BTreeSet<String> = paths.iter().filter_map(part).collect();
    let found = super::listing::parts(names.iter().map(String::as_str));
    let Some(first) = found.iter().find(|p| p.starts_with("train")).or(found.first()) else { return Ok(()) };
    let named = found.join(", ");
    let help = format!("give one of them: `{}`", root.join(format!("{first}-*.parquet")).display());
    Err(Error::data(root, format!("it holds files of {named}: parts of a data set")).help(help))
}
