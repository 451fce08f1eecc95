//! The table of a profile, for people and for `sort`.

use super::ledger::{Ledger, MAIN, Place, REST};
use crate::plain::shown;
use crate::progress::grouped;
use crate::script::lang::source::Texts;
use crate::torch;
use crate::train::watcher::part;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// Which steps were measured.
pub(super) struct Measured {
    /// The first of them, from 1.
    pub first: u64,
    /// How many.
    pub steps: u64,
}

/// A part of a step in words.
fn said(name: &'static str) -> &'static str {
    match name {
        part::BATCH => "waiting for the loader",
        part::BETWEEN => "between the steps: reloads, prompts",
        part::STEP => "the language itself, in the step function",
        part::LOG => "the log line",
        part::SAMPLE => "on_sample, outside of its calls",
        part::SAVE => "the checkpoint",
        MAIN => "the language itself",
        REST => "the rest of the loop",
        other => other,
    }
}

/// The table.
pub(super) fn text(script: &Path, measured: Option<Measured>, ledger: &Ledger, sources: &Texts) -> String {
    let all = ledger.all();
    let whole: Duration = all.iter().map(|(_, f)| f.own).sum();
    let steps = measured.as_ref().map_or(1, |m| m.steps);
    let ms = |d: Duration| 1e3 * d.as_secs_f64() / steps as f64;
    let script = shown(&script.display().to_string());
    let device = torch::device_name(torch::default_device());
    let mut out = match &measured {
        Some(m) => format!(
            "# {script} on {device}, steps {} to {}: {:.3} ms each. The figures are those of one step.\n",
            grouped(m.first, ' '),
            grouped(m.first + m.steps - 1, ' '),
            ms(whole)
        ),
        None => format!("# {script} on {device}, all of `main`: {:.3} ms.\n", ms(whole)),
    };
    out.push_str("# own: in the calls of a line itself; total: with everything that they called in turn. Own times add up to the whole.\n");
    if device != "cpu" {
        out.push_str("# Each call waited for the GPU to be done with it, which takes longer than a step that does not.\n");
    }
    let _ = writeln!(out, "{:>12} {:>7} {:>12} {:>10}  place", "own ms", "share", "total ms", "calls");
    for (place, f) in all {
        let share = 100.0 * f.own.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        let calls = f.calls as f64 / steps as f64;
        let calls = if calls.fract() == 0.0 { format!("{calls:.0}") } else { format!("{calls:.2}") };
        let where_ = match place {
            Place::Part(name) => said(name).to_owned(),
            Place::Line(number, line) => {
                let source = sources.get(ledger.tag(number));
                let text = source.as_ref().and_then(|s| s.text.lines().nth(line.saturating_sub(1))).unwrap_or_default();
                format!("{}:{line}  {}", source.as_ref().map_or("?", |s| s.shown.as_str()), text.trim())
            }
        };
        let _ = writeln!(out, "{:>12.3} {share:>6.1}% {:>12.3} {calls:>10}  {}", ms(f.own), ms(f.total), shown(&where_));
    }
    out
}
