//! `lathe fetch NAME..`.

use super::paths::project_of;
use super::table::table;
use crate::error::{Error, Result};
use crate::fetch::{self, Item, Pins};
use crate::files;
use crate::models::published;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Fetch published weights by name, or files of the hub, into the caches where scripts find them; pin what came in the project's lathe.lock. Prints where
/// they lie.
#[derive(clap::Args)]
#[command(
    after_help = "HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are those of huggingface_hub; HTTPS_PROXY and NO_PROXY name proxies."
)]
pub struct Args {
    /// A name of `--list`, `hf://owner/repo[@revision]/file` (without a file a folder of diffusers), or the address of a file.
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<String>,
    /// Show every name, what it is, and whether it is here.
    #[arg(long, conflicts_with = "names")]
    list: bool,
    /// Look whether they have changed since, take what they are now, and pin that.
    #[arg(long, conflicts_with = "list")]
    again: bool,
    /// With --list: one JSON array, for programs.
    #[arg(long, requires = "list")]
    json: bool,
}

/// Fetches what is named, or shows what could be.
///
/// # Errors
/// `E0202` for an unknown name, `E0303` for what cannot be fetched; what came before it stays.
pub fn run(args: &Args) -> Result<()> {
    if args.list {
        let rows = rows()?;
        return if args.json { super::output::print_json(&as_json(&rows)) } else { super::output::print(&as_table(&rows)) };
    }
    let items = args.names.iter().map(|name| item_of(name)).collect::<Result<Vec<Item>>>()?;
    let pins = project_of(Path::new("."))?.map(|p| p.pins());
    let pins = pins.as_ref().map(|p| p as &dyn Pins);
    for item in &items {
        let there = if args.again { None } else { item.cached(pins)? };
        let is_there = there.is_some();
        let paths = match there {
            Some(paths) => paths,
            None => fetch::fetch(item, pins, args.again)?,
        };
        if is_there {
            fetch::check(item, pins)?;
            eprintln!("{} is here already", item.name);
        }
        // Of weights in several files the list is what is named elsewhere.
        let shown = if item.is_folder { vec![item.path(&paths)] } else { paths.into_iter().take(item.parts.len()).collect() };
        let lines: String = shown.iter().map(|p| format!("{}\n", p.display())).collect();
        super::output::print(&lines)?;
    }
    Ok(())
}

/// What a name, a reference or an address stands for. Addresses are for whoever types them: scripts have none.
fn item_of(name: &str) -> Result<Item> {
    if fetch::is_reference(name) {
        return fetch::parse(name);
    }
    if !name.contains("://") {
        return published::find(name);
    }
    let file = fetch::PlainFile::at(name)?;
    Ok(Item { name: name.to_owned(), about: String::new(), parts: vec![fetch::Source::Plain(file).into()], is_folder: false })
}

/// One name with what is here of it.
struct Row {
    item: Item,
    files: Option<Vec<PathBuf>>,
    size: u64,
}

fn rows() -> Result<Vec<Row>> {
    let row = |item: Item| {
        let files = item.cached(None)?;
        let size = files.iter().flatten().filter_map(|f| files::size(f).ok()).sum();
        Ok(Row { item, files, size })
    };
    published::all().into_iter().map(row).collect()
}

fn as_table(rows: &[Row]) -> String {
    let line = |r: &Row| {
        let state = if r.files.is_some() { format!("here, {}", fetch::shown(r.size)) } else { "-".to_owned() };
        (r.item.name.clone(), vec![state, r.item.about.clone(), r.item.sources()])
    };
    table(&rows.iter().map(line).collect::<Vec<_>>())
}

fn as_json(rows: &[Row]) -> Vec<serde_json::Value> {
    let row = |r: &Row| {
        let sources: Vec<Vec<String>> = r.item.parts.iter().map(|p| p.0.iter().map(fetch::Source::id).collect()).collect();
        json!({
            "name": r.item.name, "about": r.item.about, "sources": sources, "here": r.files.is_some(),
            "files": r.files, "bytes": r.files.is_some().then_some(r.size),
        })
    };
    rows.iter().map(row).collect()
}

/// The names whose weights are here, with their sizes and what is wrong with them, for `lathe doctor`.
///
/// # Errors
/// As [`run`] of the list.
pub(super) fn here() -> Result<Vec<(String, u64, Option<Error>)>> {
    let here = rows()?.into_iter().filter(|r| r.files.is_some());
    Ok(here.map(|r| (r.item.name.clone(), r.size, fetch::usable(&r.item, None).err())).collect())
}
