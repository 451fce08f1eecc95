//! A host for trying the server without Lathe: a handful of functions, modules of a `stdlib` folder, and faults that the text layer finds.

use lathe::error::Replacement;
use lathe::lsp::host::{Entry, EntryKind, Fault, Host, Module, OptionKey, Owner, Parameter, Spot, Texts};
use lathe::script::text::faults::faults;
use lathe::script::text::items::ItemKind;
use lathe::script::text::lines::Columns;
use lathe::script::text::names::UseKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Modules `std/..` come from this folder.
pub struct Bare {
    /// The folder.
    pub stdlib: PathBuf,
}

fn function(owner: Owner, name: &str, params: &[&str], returns: &str, doc: &str) -> Entry {
    let list = params.join(", ");
    let signature = match &owner {
        Owner::Global => format!("{name}({list})"),
        Owner::Namespace(n) => format!("{n}::{name}({list})"),
        Owner::Type(t) => format!("{t}.{name}({list})"),
    };
    let parameter = |p: &&str| Parameter { name: p.trim_end_matches('?').into(), kind: String::new(), optional: p.ends_with('?') };
    let params = params.iter().map(parameter).collect();
    Entry { name: name.into(), owner, kind: EntryKind::Function, signature, params, options: Vec::new(), returns: returns.into(), doc: doc.into() }
}

impl Host for Bare {
    fn entries(&self) -> Vec<Entry> {
        let space = |n: &str| Owner::Namespace(n.into());
        let method = |t: &str| Owner::Type(t.into());
        let mut conv = function(space("F"), "conv2d", &["x", "weight", "bias?", "options?"], "tensor", "A convolution.\n\n# Shapes\n`[B, C, H, W]`");
        let option = |name: &str, choices: &[&str]| OptionKey {
            name: name.into(),
            kind: "an int".into(),
            default: Some("1".into()),
            choices: choices.iter().map(|c| (*c).into()).collect(),
            doc: format!("What {name} does."),
        };
        conv.options = vec![option("stride", &[]), option("padding", &["same", "valid"])];
        let mut shape = function(method("tensor"), "shape", &[], "array", "Its sizes.");
        (shape.kind, shape.signature) = (EntryKind::Property, "tensor.shape".into());
        vec![
            conv,
            shape,
            function(space("torch"), "zeros", &["shape", "options?"], "tensor", "Zeros."),
            function(space("train"), "fit", &["run", "loader", "step", "options?"], "", "Trains."),
            function(space("train"), "run", &["cfg"], "run", "Opens a run."),
            function(method("tensor"), "sum", &["dim?"], "tensor", "The sum."),
            function(method("tensor"), "narrow", &["dim", "start", "length"], "tensor", "A part."),
            function(method("run"), "track", &["name", "object"], "", "Keeps it."),
            function(Owner::Global, "print", &["x"], "", "Says it."),
            function(Owner::Global, "arg", &["default", "help", "options?"], "", "A setting."),
        ]
    }

    fn about(&self, namespace: &str) -> Option<String> {
        Some(format!("All of {namespace}."))
    }

    fn module(&self, from: &Path, written: &str) -> Option<Module> {
        let (path, own) = match written.strip_prefix("std/") {
            Some(name) => (self.stdlib.join(format!("{name}.rhai")), false),
            None => (from.parent()?.join(format!("{written}.rhai")), true),
        };
        path.is_file().then_some(Module { path, own })
    }

    fn importable(&self, from: &Path) -> Vec<String> {
        let of = |folder: &Path, prefix: &str| -> Vec<String> {
            let found = self
                .scripts(folder)
                .into_iter()
                .filter_map(|p| Some(format!("{prefix}{}", p.strip_prefix(folder).ok()?.with_extension("").display())));
            found.collect()
        };
        let mut all = of(&self.stdlib, "std/");
        all.extend(from.parent().map(|folder| of(folder, "./")).unwrap_or_default());
        all
    }

    fn is_own(&self, path: &Path) -> bool {
        !path.starts_with(self.stdlib.canonicalize().unwrap_or_else(|_| self.stdlib.clone()))
    }

    fn faults(&self, script: &Path, texts: &dyn Texts, _: bool) -> Vec<Fault> {
        let (mut seen, mut out) = (Vec::new(), Vec::new());
        self.check(script, texts, &mut seen, &mut out);
        out
    }

    fn scripts(&self, folder: &Path) -> Vec<PathBuf> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                out.extend(self.scripts(&path));
            } else if path.extension().is_some_and(|e| e == "rhai") {
                out.push(path);
            }
        }
        out
    }
}

impl Bare {
    fn check(&self, path: &Path, texts: &dyn Texts, seen: &mut Vec<PathBuf>, out: &mut Vec<Fault>) {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if seen.contains(&path) {
            return;
        }
        seen.push(path.clone());
        let Some(script) = texts.script(&path) else { return };
        let fault = |range: Range<usize>, message: String, replacement: Option<String>| {
            let place = script.place(range.start, Columns::Chars);
            let width = script.slice(range.clone()).chars().count();
            let spot = Some(Spot { line: place.line + 1, column: place.column + 1, width });
            let help = replacement.as_ref().map(|r| format!("did you mean `{r}`?"));
            let replacement = replacement.map(|new| Replacement { old: script.slice(range.clone()).to_owned(), new });
            Fault { path: path.clone(), spot, is_warning: false, code: "E0302".into(), message, help, replacement }
        };
        let wrong: Vec<Fault> = faults(&script).into_iter().map(|w| fault(w.range, w.message, None)).collect();
        let is_whole = wrong.is_empty();
        out.extend(wrong);
        for u in script.names.uses.iter().filter(|u| is_whole && u.kind == UseKind::Variable && u.decl.is_none()) {
            let name = script.slice(u.at.clone());
            if matches!(name, "this" | "global") {
                continue;
            }
            let known = script.names.visible(&script.source, u.at.start);
            let near = known.iter().map(|(_, d)| script.slice(d.name.clone())).find(|k| strsim::damerau_levenshtein(k, name) == 1);
            out.push(fault(u.at.clone(), format!("unknown variable `{name}`"), near.map(str::to_owned)));
        }
        for item in &script.items {
            if let ItemKind::Import { path: written, at } = &item.kind {
                match self.module(&path, written) {
                    Some(module) => self.check(&module.path, texts, seen, out),
                    None => out.push(fault(at.clone(), format!("there is no module `{written}`"), None)),
                }
            }
        }
    }
}
