//! What a running run tells of a script, beside its lines: the last value of the metrics that a line names, and what its calls returned in a step.
//! Lines that are not as the run has them show nothing.

use super::host::{Live, Returned};
use super::wire::{Wire, position};
use crate::script::text::script::Script;
use crate::script::text::site::callee;
use crate::script::text::token::{Bracket, Kind};
use gen_lsp_types::InlayHint;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// What is shown of running runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Show {
    /// Nothing.
    Off,
    /// The last values of metrics.
    #[default]
    Metrics,
    /// These, and what calls return.
    Shapes,
}

/// The client's settings, under `lathe`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `live`
    pub show: Show,
    /// `runs`: folders of runs, besides `exps`.
    pub runs: Vec<String>,
}

impl Settings {
    /// Reads what a client has under `lathe`, or around it. What it does not say is as it is without.
    ///
    /// # Errors
    /// What cannot be understood, in words.
    pub fn read(value: &Value) -> Result<Self, String> {
        let value = value.get("lathe").unwrap_or(value);
        let show = match value.get("live") {
            None | Some(Value::Null) => Show::default(),
            Some(Value::String(s)) if s == "off" => Show::Off,
            Some(Value::String(s)) if s == "metrics" => Show::Metrics,
            Some(Value::String(s)) if s == "shapes" => Show::Shapes,
            Some(other) => return Err(format!("`lathe.live` is \"off\", \"metrics\" or \"shapes\", not {other}")),
        };
        let runs = match value.get("runs") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(s)) => vec![s.clone()],
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(other) => return Err(format!("`lathe.runs` is a folder or a list of folders, not {other}")),
        };
        Ok(Settings { show, runs })
    }
}

/// For each line of a text the line of an older one that it is; `None` for lines that changed.
fn kept(old: &str, new: &str) -> Vec<Option<usize>> {
    let count = new.split('\n').count();
    if old == new {
        return (0..count).map(Some).collect();
    }
    let mut lines = vec![None; count];
    for op in similar::TextDiff::from_lines(old, new).ops() {
        if let similar::DiffOp::Equal { old_index, new_index, len } = *op {
            for i in 0..len {
                if let Some(line) = lines.get_mut(new_index + i) {
                    *line = Some(old_index + i);
                }
            }
        }
    }
    lines
}

/// The places, by the numbers of tokens, where a text names what it hands back or logs: `log.align = a`, `log["align"] = a`, and the keys of maps but
/// for those of options.
fn named(script: &Script) -> Vec<usize> {
    let mut found = Vec::new();
    for i in 0..script.code.len() {
        match script.kind(i) {
            Some(Kind::Word) if i > 0 && script.kind(i - 1) == Some(Kind::Dot) && script.kind(i + 1) == Some(Kind::Assign) => found.push(i),
            Some(Kind::Text) if is_index(script, i) => found.push(i),
            Some(Kind::Open(Bracket::Map)) if is_told(script, i) => found.extend(keys(script, i)),
            _ => {}
        }
    }
    // What `params` returns are settings.
    let settings: Vec<Range<usize>> = script.items.iter().filter(|item| item.name(script) == "params").map(|item| item.range.clone()).collect();
    found.retain(|i| !settings.iter().any(|r| r.contains(&script.code[*i].start)));
    found
}

fn is_index(script: &Script, i: usize) -> bool {
    let is = |i: usize, kind: Kind| script.kind(i) == Some(kind);
    i > 1
        && is(i - 1, Kind::Open(Bracket::Square))
        && is(i + 1, Kind::Close(Bracket::Square))
        && is(i + 2, Kind::Assign)
        && script.code[i - 2].ends_value()
}

/// Whether a map is a value of its own: neither in another one, nor a call's options.
fn is_told(script: &Script, open: usize) -> bool {
    let Some(around) = script.enclosing(script.code[open].start).pop() else { return true };
    match script.kind(around) {
        Some(Kind::Open(Bracket::Map | Bracket::Square)) => false,
        Some(Kind::Open(Bracket::Paren)) => callee(script, around).is_none_or(|(name, _)| name.rsplit(['.', ':']).next() == Some("log")),
        _ => true,
    }
}

fn keys(script: &Script, open: usize) -> Vec<usize> {
    let close = script.pairs[open].unwrap_or(script.code.len());
    let (mut found, mut i, mut begins) = (Vec::new(), open + 1, true);
    while i < close {
        match script.kind(i) {
            Some(Kind::Open(_)) => i = script.pairs[i].filter(|p| *p < close).unwrap_or(close),
            Some(Kind::Comma) => begins = true,
            Some(Kind::Word | Kind::Text) if begins && script.kind(i + 1) == Some(Kind::Colon) => {
                found.push(i);
                begins = false;
            }
            _ => begins = false,
        }
        i += 1;
    }
    found
}

/// The hints of a part of a text.
pub fn hints(script: &Script, live: &Live, part: &Range<usize>, wire: &Wire) -> Vec<InlayHint> {
    let kept = kept(&live.text, &script.source);
    let mut lines: BTreeMap<usize, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (line, text, tip) in returned(&kept, &live.shapes) {
        lines.insert(line, (vec![text], vec![tip]));
    }
    for (line, text) in logged(script, live, &kept) {
        lines.entry(line).or_default().0.push(text);
    }
    let in_part = script.lines.line(part.start)..=script.lines.line(part.end);
    let shown = lines.into_iter().filter(|(line, _)| in_part.contains(line));
    shown
        .map(|(line, (labels, tips))| {
            let text = script.lines.text(&script.source, line);
            let end = script.lines.start(&script.source, line) + text.trim_end().len();
            InlayHint {
                position: position(script.place(end, wire.columns)),
                label: labels.join("; ").into(),
                kind: None,
                text_edits: None,
                tooltip: (!tips.is_empty()).then(|| tips.join("\n").into()),
                padding_left: Some(true),
                padding_right: None,
                data: None,
            }
        })
        .collect()
}

/// For each line that a call of the step stands in: what the last call on it returned, and what all of them did.
fn returned(kept: &[Option<usize>], shapes: &[Returned]) -> Vec<(usize, String, String)> {
    let mut by_line: BTreeMap<usize, Vec<&Returned>> = BTreeMap::new();
    for shape in shapes {
        by_line.entry(shape.line.saturating_sub(1)).or_default().push(shape);
    }
    let lines = kept.iter().enumerate().filter_map(|(new, old)| Some((new, by_line.get(&(*old)?)?)));
    lines
        .filter_map(|(line, all)| {
            let last = all.last()?;
            let tip: Vec<String> = all.iter().map(|s| format!("{}: {}", s.call, s.shown)).collect();
            Some((line, last.shown.clone(), tip.join("\n")))
        })
        .collect()
}

/// For each line that names metrics their last values.
fn logged(script: &Script, live: &Live, kept: &[Option<usize>]) -> Vec<(usize, String)> {
    let mut by_line: BTreeMap<usize, Vec<(String, u64)>> = BTreeMap::new();
    for i in named(script) {
        let line = script.lines.line(script.code[i].start);
        let name = script.text(i).trim_matches('"');
        let Some(metric) = live.metrics.iter().find(|m| m.name == name).filter(|_| kept.get(line).is_some_and(Option::is_some)) else { continue };
        let all = by_line.entry(line).or_default();
        let text = format!("{name} {}", metric.value);
        if !all.iter().any(|(t, _)| *t == text) {
            all.push((text, metric.step));
        }
    }
    let others = if live.others > 0 { format!(", the newest of {}", live.others + 1) } else { String::new() };
    let said = |all: Vec<(String, u64)>| {
        let step = all.iter().map(|(_, step)| *step).max().unwrap_or(0);
        let at = |s: u64| format!("at step {}", crate::progress::grouped(s, ' '));
        // One metric is told by the line's own name.
        let bare = |t: &str| t.split_once(' ').map_or(t, |(_, value)| value).to_owned();
        let values: Vec<String> = match &all[..] {
            [(text, _)] => vec![bare(text)],
            _ => all.iter().map(|(t, s)| if *s == step { t.clone() } else { format!("{t} {}", at(*s)) }).collect(),
        };
        format!("{} {}, run {}{others}", values.join(", "), at(step), live.run)
    };
    by_line.into_iter().map(|(line, all)| (line, said(all))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lsp::host::Logged;
    use crate::script::text::lines::Columns;
    use serde_json::json;

    const TEXT: &str = "fn params() { #{ loss: arg(1), lr: arg(2) } }\n\nfn step(run, batch) {\n    let log = #{ kl: 1, rec: 2 };\n    log.align = x.mean();\n    log[\"z\"] = 3;\n    F::conv2d(x, w, (), #{ lr: 2 });\n    run.log(#{ fid: 1 });\n    #{\n        loss: loss,\n        parts: #{ kl: 3 },\n    }\n}\n";

    fn live(text: &str) -> Live {
        let names = ["loss", "lr", "kl", "rec", "align", "z", "fid"];
        let metrics = names.iter().enumerate().map(|(i, n)| Logged {
            name: (*n).to_owned(),
            value: format!("0.{i}"),
            step: if *n == "fid" { 1000 } else { 12_301 },
        });
        let shape = |line, column, call: &str, shown: &str| Returned { line, column, call: call.into(), shown: shown.into() };
        let shapes = vec![shape(5, 17, "mean", "[] f32 cpu"), shape(7, 5, "conv2d", "[1, 2] f32 cpu"), shape(5, 17, "other", "[3] f32 cpu")];
        Live { run: "try1".into(), others: 0, text: text.into(), metrics: metrics.collect(), shapes }
    }

    fn shown(text: &str, live: &Live) -> Vec<(u32, String)> {
        let script = Script::new(text);
        let wire = Wire { columns: Columns::Utf8, opened: &|_| None };
        let label = |h: InlayHint| (h.position.line, serde_json::to_value(h.label).unwrap().as_str().unwrap().to_owned());
        hints(&script, live, &(0..text.len()), &wire).into_iter().map(label).collect()
    }

    #[test]
    fn lines_show_what_they_name() {
        let mut live = live(TEXT);
        let found = shown(TEXT, &live);
        let want = [
            (3, "kl 0.2, rec 0.3 at step 12 301, run try1"),
            (4, "[3] f32 cpu; 0.4 at step 12 301, run try1"),
            (5, "0.5 at step 12 301, run try1"),
            (6, "[1, 2] f32 cpu"),
            (7, "0.6 at step 1 000, run try1"),
            (9, "0.0 at step 12 301, run try1"),
        ];
        assert_eq!(found, want.map(|(l, t)| (l, t.to_owned())));
        live.others = 1;
        assert!(shown(TEXT, &live)[2].1.ends_with("run try1, the newest of 2"));
    }

    #[test]
    fn lines_that_changed_show_nothing() {
        let live = live(TEXT);
        let edited = TEXT.replace("log.align = x.mean()", "log.align = y.mean()").replace("fn step", "// More.\n\nfn step");
        let lines: Vec<u32> = shown(&edited, &live).into_iter().map(|(l, _)| l).collect();
        assert_eq!(lines, [5, 7, 8, 9, 11], "two lines further down, and the changed one is not among them");
        assert!(shown("", &live).is_empty());
    }

    #[test]
    fn settings_are_read_wherever_they_stand() {
        let read = |v: Value| Settings::read(&v);
        assert_eq!(read(json!(null)).unwrap().show, Show::Metrics);
        assert_eq!(read(json!({ "lathe": { "live": "shapes", "runs": "out" } })).unwrap(), Settings { show: Show::Shapes, runs: vec!["out".into()] });
        assert_eq!(read(json!({ "live": "off", "runs": ["a", "b"] })).unwrap().runs.len(), 2);
        assert!(read(json!({ "live": true })).unwrap_err().contains("\"off\", \"metrics\" or \"shapes\""));
        assert!(read(json!({ "runs": 3 })).is_err());
    }
}
