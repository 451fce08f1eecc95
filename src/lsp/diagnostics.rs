//! What is wrong, for each file, from all scripts that were checked.

use super::host::{Fault, Spot, Texts};
use super::mend;
use super::project::Project;
use super::wire::Wire;
use crate::script::text::lines::{Columns, Place};
use crate::script::text::script::Script;
use gen_lsp_types::{Code, CodeAction, CodeActionKind, Diagnostic, DiagnosticSeverity, PublishDiagnosticsParams, TextEdit};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What was found, and what waits to be checked.
#[derive(Default)]
pub struct Diagnostics {
    /// For each checked script what is wrong with it and what it imports.
    by_root: BTreeMap<PathBuf, Vec<Fault>>,
    /// Files whose faults the editor shows.
    shown: BTreeSet<PathBuf>,
    /// Scripts to check, the most urgent last.
    waiting: Vec<PathBuf>,
}

impl Diagnostics {
    /// Has everything checked anew that a changed file may be in, the file itself first.
    pub fn changed(&mut self, project: &Project, path: &Path) {
        // What others found in the text that it was may be mended.
        self.by_root.values_mut().for_each(|faults| faults.retain(|f| f.path != path));
        for open in project.store.all_open() {
            if open != path && project.closure(&open).iter().any(|p| p == path) {
                self.wait(open);
            }
        }
        if project.store.opened(path).is_some() {
            self.wait(path.to_owned());
        }
    }

    /// Has every open script checked anew.
    pub fn all_changed(&mut self, project: &Project) {
        project.store.all_open().into_iter().for_each(|p| self.wait(p));
    }

    fn wait(&mut self, path: PathBuf) {
        self.waiting.retain(|p| *p != path);
        self.waiting.push(path);
    }

    /// Whether something is to be checked.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Checks one script, and says what the editor is to show now.
    pub fn check_next(&mut self, project: &Project, wire: &Wire) -> Vec<PublishDiagnosticsParams> {
        let Some(root) = self.waiting.pop() else { return Vec::new() };
        if project.store.opened(&root).is_none() {
            return Vec::new();
        }
        // What an import is typed as must not run either.
        let is_saved = project.closure(&root).iter().all(|p| project.store.opened(p).is_none_or(|o| o.is_saved));
        let mut faults = project.host.faults(&root, &project.store, is_saved);
        for fault in &mut faults {
            fault.path = fault.path.canonicalize().unwrap_or_else(|_| fault.path.clone());
        }
        self.by_root.insert(root.clone(), faults);
        self.publish(project, wire, Some(&root))
    }

    /// A text was closed: what was found from it is forgotten.
    pub fn closed(&mut self, project: &Project, wire: &Wire, path: &Path) -> Vec<PublishDiagnosticsParams> {
        self.waiting.retain(|p| p != path);
        self.by_root.remove(path);
        self.publish(project, wire, None)
    }

    /// The faults of every file that has some, or had some.
    fn publish(&mut self, project: &Project, wire: &Wire, root: Option<&Path>) -> Vec<PublishDiagnosticsParams> {
        let mut by_file: BTreeMap<&Path, Vec<&Fault>> = self.shown.iter().map(|p| (p.as_path(), Vec::new())).collect();
        if let Some(root) = root {
            by_file.entry(root).or_default();
        }
        for fault in self.by_root.values().flatten() {
            let list = by_file.entry(&fault.path).or_default();
            if !list.contains(&fault) {
                list.push(fault);
            }
        }
        let mut out = Vec::new();
        let mut shown = BTreeSet::new();
        for (file, mut faults) in by_file {
            faults.sort_by_key(|f| f.spot.map(|s| (s.line, s.column)));
            if !faults.is_empty() {
                shown.insert(file.to_owned());
            }
            let script = project.store.script(file);
            let diagnostics = faults.iter().map(|f| diagnostic(f, script.as_deref(), wire)).collect();
            let version = project.store.opened(file).map(|o| o.version);
            out.push(PublishDiagnosticsParams { uri: wire.uri(file), version, diagnostics });
        }
        self.shown = shown;
        out
    }
}

/// The bytes of a place that people count.
fn bytes(script: &Script, spot: &Spot) -> Range<usize> {
    let at = |column: usize| script.offset(Place { line: spot.line.saturating_sub(1), column }, Columns::Chars);
    let start = at(spot.column.saturating_sub(1));
    start..at(spot.column.saturating_sub(1) + spot.width).max(start)
}

fn diagnostic(fault: &Fault, script: Option<&Script>, wire: &Wire) -> Diagnostic {
    let range = match (&fault.spot, script) {
        (Some(spot), Some(script)) => wire.range(script, bytes(script, spot)),
        _ => gen_lsp_types::Range::default(),
    };
    let mend = |script: &Script| {
        let start = fault.spot.as_ref().map_or(0, |s| bytes(script, s).start);
        let (range, new) = mend::found(script, start, fault.replacement.as_ref()?)?;
        Some(serde_json::json!({ "replacement": new, "range": wire.range(script, range) }))
    };
    let data = script.and_then(mend);
    let message = fault.help.as_ref().map_or_else(|| fault.message.clone(), |help| format!("{}\nhelp: {help}", fault.message));
    Diagnostic {
        range,
        severity: Some(if fault.is_warning { DiagnosticSeverity::Warning } else { DiagnosticSeverity::Error }),
        code: Some(Code::String(fault.code.clone())),
        code_description: None,
        source: Some("lathe".into()),
        message: message.into(),
        tags: None,
        related_information: None,
        data,
    }
}

/// What mends the faults at the cursor: each has its replacement with it.
pub fn actions(path: &Path, given: Vec<Diagnostic>, wire: &Wire) -> Vec<CodeAction> {
    let mut out = Vec::new();
    for diagnostic in given {
        let replacement = diagnostic.data.as_ref().and_then(|d| d.get("replacement")).and_then(serde_json::Value::as_str);
        let Some(new_text) = replacement.map(str::to_owned) else { continue };
        let range = diagnostic.data.as_ref().and_then(|d| serde_json::from_value(d.get("range")?.clone()).ok());
        let edit = TextEdit { range: range.unwrap_or(diagnostic.range), new_text: new_text.clone() };
        out.push(CodeAction {
            title: format!("Write `{new_text}`"),
            kind: Some(CodeActionKind::QuickFix),
            diagnostics: Some(vec![diagnostic]),
            is_preferred: Some(true),
            edit: Some(wire.edit(path, vec![edit])),
            ..CodeAction::default()
        });
    }
    out
}
