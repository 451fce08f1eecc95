//! `lathe recipes`.

use super::update::find;
use crate::error::{Error, Result};
use crate::script::units::libraries::Library;
use serde_json::json;

/// List the project's libraries: version, where from, what each asks for and is granted.
#[derive(clap::Args)]
pub struct Args {
    /// Print one JSON array, for programs.
    #[arg(long)]
    json: bool,
}

/// Prints the table.
///
/// # Errors
/// `E0101` without a project; `E0302` after the table for the first library with which something is wrong.
pub fn run(args: &Args) -> Result<()> {
    let (libraries, wrong) = find()?.look()?;
    if libraries.is_empty() && wrong.is_empty() && !args.json {
        eprintln!("no libraries; `lathe add NAME --path FOLDER` adds one");
    }
    if args.json {
        super::output::print_json(&as_json(&libraries, &wrong))?
    } else {
        super::output::print(&table(&libraries, &wrong))?
    }
    wrong.into_iter().next().map_or(Ok(()), |(_, e)| Err(e))
}

fn as_json(libraries: &[Library], wrong: &[(String, Error)]) -> Vec<serde_json::Value> {
    let mut rows: Vec<serde_json::Value> = libraries
        .iter()
        .map(|l| {
            json!({
                "name": l.name, "version": l.version.to_string(), "source": l.source, "commit": l.commit, "hash": l.hash,
                "folder": l.root, "description": l.description, "asks": l.rights.asked(), "granted": l.rights.given(), "state": "ok",
            })
        })
        .collect();
    rows.extend(wrong.iter().map(|(name, e)| json!({ "name": name, "state": "wrong", "error": e.to_string(), "help": e.help_text() })));
    rows
}

fn table(libraries: &[Library], wrong: &[(String, Error)]) -> String {
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let mut rows: Vec<[String; 6]> = libraries
        .iter()
        .map(|l| {
            [l.name.clone(), l.version.to_string(), l.source.clone(), dash(l.rights.asked()), dash(l.rights.given()), dash(l.description.clone())]
        })
        .collect();
    rows.extend(wrong.iter().map(|(name, _)| [name.as_str(), "?", "?", "?", "?", "something is wrong with it"].map(str::to_owned)));
    if rows.is_empty() {
        return String::new();
    }
    rows.insert(0, ["name", "version", "from", "asks", "granted", "what"].map(str::to_owned));
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}")).collect::<Vec<_>>().join("  ").trim_end().to_owned();
    rows.iter().map(|row| line(row) + "\n").collect()
}
