//! docs/reference: one Markdown page for each namespace, type, module and script.

use super::item::{Item, Kind, Page, PageKind};
use super::reference::Reference;
use super::settings;
use crate::script::settings::params::Params;
use std::fmt::Write;

/// The first line of every page.
const MARK: &str = "<!-- Made by `lathe doc --write` from the doc comments beside the code: edit those. A test compares. -->";

/// A runnable script.
pub struct ScriptPage<'a> {
    /// Its path as users type it: `scripts/train_ldm.rhai`.
    pub path: String,
    /// Its text.
    pub text: &'a str,
    /// Its settings.
    pub params: Params,
}

/// Every page: its path below the folder, and its text.
pub fn pages(reference: &Reference, scripts: &[ScriptPage]) -> Vec<(String, String)> {
    let mut list: Vec<(String, String)> = reference.pages().iter().map(|p| (file(&p.name), page(p))).collect();
    list.extend(scripts.iter().map(|s| (script_file(s), script(s))));
    list.push(("README.md".into(), index(reference, scripts)));
    list
}

/// Whether a file was made by [`pages`]: then it may be removed when its page is gone.
pub fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

fn file(page: &str) -> String {
    format!("{page}.md")
}

fn script_file(s: &ScriptPage) -> String {
    let stem = std::path::Path::new(&s.path).file_stem().map_or_else(|| s.path.clone(), |f| f.to_string_lossy().into_owned());
    format!("scripts/{stem}.md")
}

fn index(reference: &Reference, scripts: &[ScriptPage]) -> String {
    let mut out = format!(
        "{MARK}\n# Reference\n\nWhat a script can call. `lathe doc NAME` shows the same in a terminal, `lathe doc --search WORD` looks in all of it.\n"
    );
    let kinds = [
        (PageKind::Namespace, "Namespaces", "Called as `torch::zeros(..)`."),
        (PageKind::Global, "Without a namespace", ""),
        (PageKind::Type, "Types", "What values can do: `x.shape`, `x.sum()`, `x + y`."),
        (PageKind::Model, "Models", "What modules of one kind can do besides what [module](module.md) says of all: `vae.encode(x)`."),
        (
            PageKind::Module,
            "Standard library",
            "Modules in Rhai: `import \"std/flow\" as flow;`, then `flow::score(..)`. Copy one beside a script to change it.",
        ),
        (PageKind::Library, "Libraries", "Modules of the libraries that lathe.toml names."),
    ];
    for (kind, title, text) in kinds {
        let rows: Vec<(String, String)> =
            reference.pages().iter().filter(|p| p.kind == kind).map(|p| (format!("[{}]({})", p.title(), file(&p.name)), p.summary())).collect();
        section(&mut out, title, text, &rows);
    }
    let rows: Vec<(String, String)> = scripts
        .iter()
        .map(|s| (format!("[{}]({})", s.path, script_file(s)), super::comment::Comment::parse(&super::modules::head(s.text)).summary))
        .collect();
    section(&mut out, "Scripts", "The experiments and their settings.", &rows);
    out
}

fn section(out: &mut String, title: &str, text: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let text = if text.is_empty() { String::new() } else { format!("{text}\n\n") };
    let _ = write!(out, "\n## {title}\n\n{text}| | |\n| --- | --- |\n");
    for (a, b) in rows {
        let _ = writeln!(out, "| {a} | {} |", cell(b));
    }
}

/// Text as a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn page(p: &Page) -> String {
    let mut out = format!("{MARK}\n# {}\n", p.title());
    if !p.about.is_empty() {
        let _ = write!(out, "\n{}\n", p.about);
    }
    if matches!(p.kind, PageKind::Module | PageKind::Library) {
        let short = p.name.rsplit('/').next().unwrap_or(&p.name);
        let _ = write!(out, "\n```rhai\nimport \"{}\" as {short};\n```\n", p.name);
    }
    out.push_str("\n| | |\n| --- | --- |\n");
    for item in &p.items {
        let code = format!("`{}`", item.signature.replace('|', "\\|"));
        let link = if item.kind == Kind::Operator { code } else { format!("[{code}](#{})", item.name.to_lowercase()) };
        let _ = writeln!(out, "| {link} | {} |", cell(&item.doc.summary));
    }
    let mut last = "";
    for item in &p.items {
        // Reading and assigning a property share one heading.
        if item.name != last || item.kind == Kind::Operator {
            let _ = write!(out, "\n## {}\n", heading(item));
        }
        last = &item.name;
        let _ = write!(out, "\n`{}`\n", item.signature);
        let text = item.markdown();
        if !text.is_empty() {
            let _ = write!(out, "\n{text}\n");
        }
    }
    out
}

/// Plain for names, so that the link's anchor is the name; operators have none.
fn heading(item: &Item) -> String {
    if item.kind == Kind::Operator { format!("`{}`", item.signature) } else { item.name.clone() }
}

fn script(s: &ScriptPage) -> String {
    let mut out = format!("{MARK}\n# {}\n\n```text\n{}\n```\n", s.path, super::modules::head(s.text));
    let rows: Vec<_> = s.params.iter().map(|p| (settings::flag(&p), settings::default(&p), settings::notes(&p))).collect();
    if rows.is_empty() {
        out.push_str("\nIt has no settings of its own.\n");
        return out;
    }
    out.push_str("\n| setting | default | |\n| --- | --- | --- |\n");
    for (flag, default, notes) in rows {
        let default = if default.is_empty() { String::new() } else { format!("`{}`", cell(&default)) };
        let _ = writeln!(out, "| `{}` | {default} | {} |", cell(&flag), cell(&notes));
    }
    out.push_str(
        "\nEvery script also has `--device`, `--dtype`, `--config FILE.toml`, `--print-config`, `--threads N`, `--log-level LEVEL` and `--help`.\n",
    );
    out
}
