//! `lathe doc [NAME]`: the documentation in the terminal, and the files made from it.

use super::doc_json::document;
use crate::error::{Error, Result};
use crate::files;
use crate::script::docs::terminal::{Style, dimmed, render, table};
use crate::script::docs::{self, Found, Item, Page, PageKind, Reference, ScriptPage};
use crate::script::units::libraries::{Library, Project};
use crate::script::{Engine, EngineOptions, Permissions, on_big_stack};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Show what scripts can call: a function, a type, a module of the standard library or of a library, or the list of all.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lathe doc                      namespaces, types, modules
  lathe doc torch::op            one function
  lathe doc tensor.matmul        a method; `lathe doc matmul` finds it as well
  lathe doc std/flow             a module of the standard library
  lathe doc lab/augment          one of a library; `lathe doc lab` lists its modules
  lathe doc --search cosine      everything that speaks of it
  lathe doc --json               all of it for programs; with a NAME or --search, what these find

With --json: one object; docs/agents.md describes it.")]
pub struct Args {
    /// `torch::op`, `tensor.matmul`, `std/flow`, `lab/augment`, `torch`. Without it: what there is.
    name: Option<String>,
    /// Look for words in all names and texts.
    #[arg(long, value_name = "WORDS", conflicts_with = "name")]
    search: Option<String>,
    /// Print one JSON object, for programs.
    #[arg(long, conflicts_with_all = ["pages", "definitions"])]
    json: bool,
    /// Write the reference as Markdown pages into a folder (docs/reference).
    #[arg(long, value_name = "DIR", group = "pages", conflicts_with_all = ["name", "search"])]
    write: Option<PathBuf>,
    /// Write the page of all recipes into a file (docs/guide/recipes.md).
    #[arg(long, value_name = "FILE", group = "pages", conflicts_with_all = ["name", "search"])]
    recipes: Option<PathBuf>,
    /// The scripts whose settings go into the reference, and their recipes.
    #[arg(long, value_name = "DIR", default_value = "scripts", requires = "pages")]
    scripts: PathBuf,
    /// Write .d.rhai files for editors into a folder.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "search", "write"])]
    definitions: Option<PathBuf>,
}

/// Shows or writes the documentation.
///
/// # Errors
/// `E0101` for a name that nothing has, `E0301` when a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    on_big_stack(|| start(args))?
}

fn start(args: &Args) -> Result<()> {
    if let Some(page) = &args.recipes {
        return write_recipes(page, &args.scripts);
    }
    let engine = Engine::new(EngineOptions::default());
    let mut reference = engine.reference()?;
    let libraries = libraries(&mut reference);
    if let Some(folder) = &args.write {
        return write_pages(&engine, &reference, folder, &args.scripts);
    }
    if let Some(folder) = &args.definitions {
        let files = docs::definitions(&reference);
        files.iter().try_for_each(|(name, text)| write(&folder.join(name), text))?;
        eprintln!("wrote {} files to {}", files.len(), folder.display());
        return Ok(());
    }
    if args.json {
        return super::output::print_json(&json(args, &reference)?);
    }
    let style = style();
    let text = match (&args.name, &args.search) {
        (None, None) => overview(&reference, style),
        (_, Some(words)) => found(&reference, words, style)?,
        // The name of a library alone stands for all its modules.
        (Some(name), None) if libraries.iter().any(|l| l.name == *name) => {
            libraries.iter().filter(|l| l.name == *name).map(|l| library(l, &reference, style)).collect()
        }
        (Some(name), None) => match reference.find(name)? {
            Found::Page(p, others) => page(p, &others, style),
            Found::Items(items) => items.iter().map(|i| item(i, style)).collect::<Vec<_>>().join("\n"),
        },
    };
    // A reader that has seen enough, such as `head`, is no error.
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("write", "stdout", e)),
        _ => Ok(()),
    }
}

/// The same for programs: what was asked for, or all.
fn json(args: &Args, reference: &Reference) -> Result<serde_json::Value> {
    let own = |name: &String| format!("{name}/");
    Ok(match (&args.name, &args.search) {
        (None, None) => document(reference.pages(), reference.items()),
        (_, Some(words)) => document([], named(reference, words)?),
        (Some(name), None) => {
            let of_library: Vec<&Page> = reference.pages().iter().filter(|p| p.kind == PageKind::Library && p.name.starts_with(&own(name))).collect();
            match of_library.is_empty() {
                false => document(of_library.iter().copied(), of_library.iter().flat_map(|p| &p.items)),
                true => match reference.find(name)? {
                    Found::Page(page, others) => document([page], page.items.iter().chain(others)),
                    Found::Items(items) => document([], items),
                },
            }
        }
    })
}

/// Takes the libraries of the project around the working directory in. What is wrong with one hides nothing else.
fn libraries(reference: &mut Reference) -> Vec<Library> {
    let found = Project::find([Path::new(".")]).and_then(|project| project.map_or(Ok(Default::default()), |p| p.look()));
    let (libraries, wrong) = found.unwrap_or_else(|e| (Vec::new(), vec![("lathe.toml".to_owned(), e)]));
    let unread = libraries.iter().filter_map(|l| Some((l.name.clone(), reference.add_library(l).err()?)));
    for (name, e) in wrong.into_iter().chain(unread) {
        eprintln!("warning: the documentation of `{name}` is not complete: {e}");
    }
    libraries
}

/// A library: what it says of itself, and its modules.
fn library(library: &Library, reference: &Reference, style: Style) -> String {
    let own = format!("{}/", library.name);
    let rows = rows(reference, |p| p.kind == PageKind::Library && p.name.starts_with(&own));
    let about = format!("{} {}\n{}", library.name, library.version, library.description);
    format!("{}\n\n{}", style.bold(about.trim_end()), table(&rows, style))
}

fn rows(reference: &Reference, keep: impl Fn(&Page) -> bool) -> Vec<(String, String)> {
    reference.pages().iter().filter(|p| keep(p)).map(|p| (p.name.clone(), p.summary())).collect()
}

fn style() -> Style {
    let is_terminal = std::io::stdout().is_terminal();
    let color = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let width = if is_terminal { usize::from(viuer::terminal_size().0) } else { 100 };
    Style { color, width: width.clamp(40, 100) }
}

fn overview(reference: &Reference, style: Style) -> String {
    let mut out = String::new();
    let kinds = [
        (PageKind::Namespace, "Namespaces"),
        (PageKind::Global, "Without a namespace"),
        (PageKind::Type, "Types"),
        (PageKind::Model, "Models"),
        (PageKind::Module, "Standard library"),
        (PageKind::Library, "Libraries"),
    ];
    for (kind, title) in kinds {
        let rows = rows(reference, |p| p.kind == kind);
        if !rows.is_empty() {
            out.push_str(&format!("{}\n{}\n", style.bold(title), table(&rows, style)));
        }
    }
    let more = "`lathe doc NAME` shows one of them or a function, `lathe doc --search WORD` looks in all texts";
    format!("{out}{}\n", dimmed(more, style))
}

fn page(page: &Page, others: &[&Item], style: Style) -> String {
    let mut out = format!("{}\n", style.bold(&page.title()));
    if !page.about.is_empty() {
        out.push_str(&format!("\n{}", render(&page.about, style)));
    }
    let rows: Vec<(String, String)> = page.items.iter().map(|i| (i.signature.clone(), i.doc.summary.clone())).collect();
    out.push_str(&format!("\n{}", table(&rows, style)));
    if !others.is_empty() {
        let names = others.iter().map(|i| i.id.as_str()).collect::<Vec<_>>().join(", ");
        out.push_str(&format!("\n{}\n", dimmed(&format!("of the same name: {names}"), style)));
    }
    out
}

fn item(item: &Item, style: Style) -> String {
    format!("{}\n\n{}", style.bold(&item.signature), render(&item.markdown(), style))
}

fn named<'a>(reference: &'a Reference, words: &str) -> Result<Vec<&'a Item>> {
    let items = reference.search(words);
    if items.is_empty() {
        return Err(Error::usage(format!("nothing speaks of `{words}`")).help("`lathe doc` lists what there is"));
    }
    Ok(items)
}

fn found(reference: &Reference, words: &str, style: Style) -> Result<String> {
    let items = named(reference, words)?;
    let rows: Vec<(String, String)> = items.iter().map(|i| (i.signature.clone(), i.doc.summary.clone())).collect();
    Ok(table(&rows, style))
}

/// Writes the pages, and removes those of things that are gone.
fn write_pages(engine: &Engine, reference: &Reference, folder: &Path, scripts: &Path) -> Result<()> {
    let texts = docs::script_texts(scripts)?;
    let pages = texts
        .iter()
        .map(|(path, text)| {
            engine.set_permissions(Permissions::for_script(path).read_only());
            engine.load(path)?;
            Ok(ScriptPage { path: path.display().to_string(), text, params: engine.params()? })
        })
        .collect::<Result<Vec<_>>>()?;
    let pages = docs::pages(reference, &pages);
    for (name, text) in &pages {
        write(&folder.join(name), text)?;
    }
    let mut gone = 0;
    for entry in walkdir::WalkDir::new(folder).into_iter().flatten().filter(|e| e.file_type().is_file()) {
        let kept = entry.path().strip_prefix(folder).is_ok_and(|p| pages.iter().any(|(name, _)| Path::new(name) == p));
        if !kept && files::read_text(entry.path()).is_ok_and(|t| docs::is_ours(&t)) {
            files::remove(entry.path())?;
            gone += 1;
        }
    }
    eprintln!("wrote {} pages to {}, removed {gone}", pages.len(), folder.display());
    Ok(())
}

/// Writes the page of the recipes beside the scripts.
fn write_recipes(page: &Path, scripts: &Path) -> Result<()> {
    let folder = scripts.join("recipes");
    let readme = folder.join("README.md");
    let readme = files::read_text(&readme)?;
    let recipes = docs::recipes(&folder)?;
    write(page, &docs::recipe_page(&readme, &recipes))?;
    eprintln!("wrote {} recipes to {}", recipes.len(), page.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        files::create_dir(parent)?;
    }
    files::write(path, text.as_bytes())
}
