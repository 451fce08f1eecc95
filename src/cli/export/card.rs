//! The model card: README.md with the head that a hub reads.

use super::{Export, Written};
use crate::error::Result;
use crate::files;
use crate::origin::{Made, Origin};
use crate::train::compare;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;

/// Writes the card, and beside it the newest sheet of samples of the run, where there is one.
pub fn write(e: &Export, w: &mut Written, folder: &Path) -> Result<()> {
    let head = e.checkpoint.head();
    let name = e.checkpoint.run_folder().file_name().map_or_else(|| "run".into(), |n| n.to_string_lossy().into_owned());
    let mut text = format!("---\nlicense: {}\ntags:\n- latent-diffusion\n---\n\n# {}\n\n", yaml(&e.options.license), plain(&name));
    let model = e.setting("model");
    let _ = writeln!(
        text,
        "Trained by `{}` with Lathe {}{}; step {}.\n",
        e.run.script,
        env!("CARGO_PKG_VERSION"),
        if model.is_empty() { String::new() } else { format!(", `{model}`") },
        head.step
    );
    if let Some(sheet) = sheet(e)? {
        files::write(&folder.join("samples.png"), files::read(&sheet)?)?;
        w.files.push(("samples.png".into(), "the newest sheet of pictures that the run drew".into()));
        text.push_str("![pictures of the run](samples.png)\n\n");
    }
    text.push_str("## Files\n\n| file | holds |\n|---|---|\n");
    w.files.iter().for_each(|(name, what)| _ = writeln!(text, "| `{name}` | {} |", cell(what)));
    if let Some((language, lines)) = &w.usage {
        let _ = write!(text, "\n```{language}\n{}\n```\n", lines.replace("PATH", &name));
    }
    w.notes.iter().for_each(|note| _ = write!(text, "\nNote: {note}.\n"));
    if !head.made_from.is_empty() {
        text.push_str("\n## Made from\n\nThe digits are the identity of the content.\n\n");
        origins(&head.made_from, 0, &mut text);
    }
    let last = e.run.last();
    if !last.is_empty() {
        text.push_str("\n## Figures\n\nThe last that was logged up to this step.\n\n| metric | value |\n|---|---|\n");
        last.iter().for_each(|(name, value)| _ = writeln!(text, "| {} | {value} |", cell(name)));
    }
    text.push_str("\n## Settings\n\nOf paths the last part stands.\n\n```toml\n");
    text.push_str(&settings(&e.run.config));
    text.push_str("```\n");
    files::write(&folder.join("README.md"), text)?;
    w.files.push(("README.md".into(), format!("the model card, licence `{}`", e.options.license)));
    if e.options.license == "unknown" {
        w.notes.push("the card says `license: unknown`: --license says another".into());
    }
    Ok(())
}

/// The newest sheet named `samples`, or any.
fn sheet(e: &Export) -> Result<Option<std::path::PathBuf>> {
    let mut all: Vec<_> = compare::pictures(e.checkpoint.run_folder())?.into_iter().filter(|p| !p.is_set).collect();
    all.sort_by_key(|p| (p.name == "samples", p.step));
    Ok(all.pop().map(|p| p.path))
}

/// What it was made from, as far back as that is known.
fn origins(made: &Made, depth: usize, text: &mut String) {
    for (role, origin) in made {
        let Origin { kind, about, .. } = origin;
        let about = if about.is_empty() { String::new() } else { format!(" ({})", cell(about)) };
        let id = if origin.is_known() { format!(" `{}`", origin.short()) } else { String::new() };
        let path = if origin.path.is_empty() { String::new() } else { format!(" `{}`", last_part(&origin.path)) };
        let _ = writeln!(text, "{}- {role}: {kind}{path}{about}{id}", "  ".repeat(depth));
        origins(&origin.from, depth + 1, text);
    }
}

/// The settings as TOML, without what is nothing, and without the folders of the machine.
fn settings(config: &Map<String, Value>) -> String {
    let shown = shortened(&Value::Object(config.clone()));
    toml::to_string(&shown).unwrap_or_else(|_| String::new())
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(s) if s.starts_with('/') => last_part(s).into(),
        Value::Object(map) => map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), shortened(v))).collect(),
        Value::Array(list) => list.iter().filter(|v| !v.is_null()).map(shortened).collect(),
        other => other.clone(),
    }
}

fn last_part(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |n| n.to_string_lossy().into_owned())
}

/// One line of text in a heading.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text within a table.
fn cell(text: &str) -> String {
    plain(text).replace('|', "\\|")
}

/// A text as YAML: a word as it is, anything else in quotes.
fn yaml(text: &str) -> String {
    let is_word = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if is_word { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_say_no_folders_of_the_machine() {
        let config = json!({ "data_dir": "/home/ann/latents", "steps": 3, "none": null, "of": { "list": [1, 2], "path": "/a/b.pt" } });
        let text = settings(config.as_object().unwrap());
        assert_eq!(text, "data_dir = \"latents\"\nsteps = 3\n\n[of]\nlist = [1, 2]\npath = \"b.pt\"\n");
    }

    #[test]
    fn a_licence_is_one_value() {
        assert_eq!((yaml("apache-2.0"), yaml("x: y\n- z")), ("apache-2.0".into(), "\"x: y\\n- z\"".into()));
    }
}
