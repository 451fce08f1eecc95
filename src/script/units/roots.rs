//! Where an embedding program keeps modules of its own: folders and texts under a first name, `"lab/augment"`.

use crate::error::{Diagnostic, Error, Result, did_you_mean};
use crate::script::lang::codes::IMPORT;
use crate::script::lang::import::{Found, module_name, plain, read, refuse};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// Module folders and texts, by name. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roots(Rc<Table>);

#[derive(Debug, Clone, Default)]
struct Table {
    folders: BTreeMap<String, PathBuf>,
    texts: BTreeMap<String, String>,
}

impl Roots {
    /// Folders by first name, texts by whole name.
    ///
    /// # Errors
    /// `E0101` for a name that an import cannot have or that is taken, `E0301` for a folder that is not there.
    pub(crate) fn new(folders: &[(String, PathBuf)], texts: &[(String, String)]) -> Result<Roots> {
        let mut table = Table::default();
        for (name, folder) in folders {
            first_name(name)?;
            let real = folder.canonicalize().map_err(|e| Error::io("open", folder, e))?;
            if table.folders.insert(name.clone(), real).is_some() {
                return Err(Error::usage(format!("there are two module folders named `{name}`")));
            }
        }
        for (name, text) in texts {
            let Some((first, rest)) = name.split_once('/') else {
                return Err(Error::usage(format!("`{name}` is no name for a module")).help("two parts, such as `lab/augment`"));
            };
            first_name(first)?;
            plain(name, rest).map_err(|d| Error::script(*d))?;
            if table.texts.insert(name.clone(), text.clone()).is_some() {
                return Err(Error::usage(format!("there are two modules named `{name}`")));
            }
        }
        Ok(Roots(Rc::new(table)))
    }

    /// Whether an id belongs to one of them.
    pub(crate) fn own(&self, id: &str) -> bool {
        let first = id.split('/').next().unwrap_or_default();
        id.contains('/') && (self.0.folders.contains_key(first) || self.0.texts.keys().any(|n| n.starts_with(&format!("{first}/"))))
    }

    /// The module behind the import `text` in the unit `importer`; `None` when neither is theirs.
    pub(crate) fn find(&self, text: &str, importer: &str) -> Option<Result<Found, Box<Diagnostic>>> {
        let full = match text.strip_prefix("./") {
            Some(beside) if self.own(importer) => format!("{}/{beside}", importer.rsplit_once('/')?.0),
            Some(_) => return None,
            None => text.to_owned(),
        };
        self.own(&full).then(|| self.module(text, &full))
    }

    fn module(&self, import: &str, full: &str) -> Result<Found, Box<Diagnostic>> {
        let (first, name) = full.split_once('/').unwrap_or((full, ""));
        plain(import, name)?;
        let (id, shown) = (format!("{full}.rhai"), full.to_owned());
        if let Some(text) = self.0.texts.get(full) {
            return Ok(Found { id, shown, path: None, text: text.as_str().into() });
        }
        if let Some(root) = self.0.folders.get(first) {
            let path = root.join(format!("{name}.rhai"));
            if path.exists() {
                return read(import, id, shown, &path, root);
            }
        }
        let names = self.names(first);
        let near = did_you_mean(full, names.iter().map(String::as_str));
        let help = (!names.is_empty()).then(|| format!("`{first}` has {}", names.join(", ")));
        Err(refuse(format!("there is no module `{full}`{near}"), help))
    }

    fn names(&self, first: &str) -> Vec<String> {
        let prefix = format!("{first}/");
        let mut names: Vec<String> = self.0.texts.keys().filter(|n| n.starts_with(&prefix)).cloned().collect();
        if let Some(root) = self.0.folders.get(first) {
            let files = walkdir::WalkDir::new(root).into_iter().flatten();
            names.extend(files.filter_map(|f| module_name(f.path().strip_prefix(root).ok()?)).map(|n| format!("{prefix}{n}")));
        }
        names.sort();
        names.dedup();
        names
    }
}

fn first_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name == "std" {
        return Err(Error::usage("modules named `std/..` are the standard library's").help("choose another first name, such as `lab`"));
    }
    if name.is_empty() || !name.chars().all(fits) {
        let message = format!("`{name}` is no first name for modules");
        return Err(Error::script(Diagnostic { help: Some("letters, digits, `_` and `-`".into()), ..Diagnostic::plain(IMPORT, message) }));
    }
    Ok(())
}
