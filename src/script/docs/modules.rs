//! The documentation of modules and scripts in Rhai: their `//!` head, and the `///` comments of their functions and constants.

use super::comment::Comment;
use super::item::{Item, Kind, Page, PageKind, Parameter};
use crate::error::{Error, Result};
use crate::files;
use crate::script::lang::language::lenient;
use crate::script::lang::reading;
use crate::script::units::unit::exported_constants;
use rhai::FnAccess;
use std::path::{Path, PathBuf};

/// The page of a module: `name` as an import writes it, `std/flow` or `lab/augment`.
///
/// # Errors
/// `E0302` for a text that does not parse.
pub fn page(name: &str, text: &str) -> Result<Page> {
    let ast = reading::parse(&lenient(), text).map_err(|e| Error::data(name, e.to_string()))?;
    // The functions in the order of the text do not matter: the page sorts them.
    let functions = ast.iter_functions().filter(|f| matches!(f.access, FnAccess::Public) && f.this_type.is_none() && !f.name.starts_with("anon$"));
    let short = name.rsplit('/').next().unwrap_or(name);
    let mut items: Vec<Item> = functions
        .map(|f| {
            let doc: Vec<String> = f.comments.iter().map(|c| plain(c)).collect();
            let params = f.params.iter().map(|p| Parameter { name: (*p).into(), kind: String::new(), optional: false }).collect();
            Item {
                id: format!("{name}::{}", f.name),
                name: f.name.into(),
                kind: Kind::Function,
                signature: format!("{short}::{}({})", f.name, f.params.join(", ")),
                params,
                options: Vec::new(),
                returns: String::new(),
                doc: Comment::parse(&doc.join("\n")),
            }
        })
        .collect();
    items.extend(exported_constants(&ast).iter().map(|constant| Item {
        id: format!("{name}::{constant}"),
        name: (*constant).into(),
        kind: Kind::Constant,
        signature: format!("{short}::{constant}"),
        params: Vec::new(),
        options: Vec::new(),
        returns: String::new(),
        doc: Comment::parse(&before(text, constant)),
    }));
    let kind = if name.starts_with("std/") { PageKind::Module } else { PageKind::Library };
    let mut page = Page { name: name.to_owned(), kind, about: plain(ast.doc()), items };
    page.sort();
    Ok(page)
}

/// A comment without its slashes, one blank after them taken away.
fn plain(comment: &str) -> String {
    let strip = |line: &str| {
        let line = line.trim_start().trim_start_matches('/').trim_start_matches('!');
        line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()
    };
    comment.lines().map(strip).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The comment right before an exported constant: the parser keeps only those of functions.
fn before(text: &str, constant: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let declares = |line: &&str| {
        let mut words = line.trim_start().trim_start_matches("export").trim_start().trim_start_matches("const").split_whitespace();
        line.trim_start().starts_with("export") && words.next().is_some_and(|w| w.trim_end_matches(['=', ';']) == constant)
    };
    let Some(at) = lines.iter().position(declares) else { return String::new() };
    let mut first = at;
    while first > 0 && lines[first - 1].trim_start().starts_with("//") && !lines[first - 1].trim_start().starts_with("//!") {
        first -= 1;
    }
    plain(&lines[first..at].join("\n"))
}

/// The comment at the head of a script or module.
pub fn head(text: &str) -> String {
    let lines = text.lines().skip_while(|l| l.trim().is_empty()).take_while(|l| l.starts_with("//"));
    let lines = lines.map(|l| l.trim_start_matches('/').trim_start_matches('!')).map(|l| l.strip_prefix(' ').unwrap_or(l).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The scripts in a folder, not those in folders below: path and text, sorted.
///
/// # Errors
/// `E0301` when the folder or a script cannot be read.
pub fn script_texts(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let entries = files::open_dir(folder)?.collect::<std::io::Result<Vec<_>>>().map_err(|e| Error::io("list", folder, e))?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "rhai")).collect();
    paths.sort();
    paths.into_iter().map(|p| files::read_text(&p).map(|text| (p, text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_read_from_its_comments() {
        let text = "//! Adds.\n//!\n//! Further.\n\n// The limit.\nexport const MAX = 3;\n\n/// One more.\n///\n/// # Example\n/// ```rhai\n/// 1\n/// ```\nfn more(x) { x + 1 }\nprivate fn hidden() { 0 }\nfn bare(f) { f.call(|x| x) }\n";
        let page = page("std/adds", text).unwrap();
        assert_eq!((page.about.as_str(), page.summary().as_str()), ("Adds.\n\nFurther.", "Adds."));
        let ids: Vec<&str> = page.items.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(ids, ["std/adds::bare", "std/adds::MAX", "std/adds::more"]);
        assert_eq!((page.items[1].doc.summary.as_str(), page.items[2].doc.summary.as_str()), ("The limit.", "One more."));
        assert_eq!(page.items[2].doc.examples(), ["1"]);
        assert_eq!(page.items[2].signature, "adds::more(x)");
        assert!(page.items[0].doc.summary.is_empty());
    }

    #[test]
    fn a_text_that_does_not_parse_is_an_error() {
        assert!(super::page("std/x", "fn (").unwrap_err().to_string().contains("std/x"));
    }
}
