//! `lathe diff RUN RUN`.

use super::output::{print, print_json};
use super::table::{table, value};
use crate::error::Result;
use crate::progress::{grouped, human, short};
use crate::train::compare::{Comparison, MetricPair, compare};
use std::path::PathBuf;

/// Compare two runs: settings, final metrics, and the scripts as they were at the end.
#[derive(clap::Args)]
pub struct Args {
    /// The first run's folder.
    a: PathBuf,
    /// The second run's folder.
    b: PathBuf,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// Prints the comparison.
///
/// # Errors
/// `E0301` or `E0302` when a folder is no run.
pub fn run(args: &Args) -> Result<()> {
    let c = compare(&args.a, &args.b)?;
    if args.json { print_json(&c) } else { print(&text(&c)) }
}

fn text(c: &Comparison) -> String {
    let sides = |f: &dyn Fn(usize) -> String| [f(0), f(1)];
    let mut rows = vec![("run", sides(&|i| c.runs[i].path.display().to_string()))];
    rows.push(("state", sides(&|i| c.runs[i].state.to_owned())));
    rows.push(("steps", sides(&|i| grouped(c.runs[i].step, ' '))));
    rows.push(("trained", sides(&|i| human(c.runs[i].seconds))));
    rows.push(("edits", sides(&|i| c.runs[i].edits.to_string())));
    rows.push(("scripts", sides(&|i| c.runs[i].scripts.chars().take(12).collect())));
    let mut out = table(&rows.into_iter().map(|(a, b)| (a.to_owned(), b.to_vec())).collect::<Vec<_>>());

    out.push_str(&format!("\nsettings that differ: {} of {}\n", c.settings.len(), c.all_settings));
    out.push_str(&table(&c.settings.iter().map(|s| (s.name.clone(), vec![value(&s.a), value(&s.b)])).collect::<Vec<_>>()));
    out.push_str("\nlast metrics\n");
    out.push_str(&table(&c.metrics.iter().map(|m| (m.name.clone(), vec![number(m.a), number(m.b), change(m)])).collect::<Vec<_>>()));
    out.push_str(&format!("\nscripts that differ: {}\n", c.scripts.len()));
    c.scripts.iter().for_each(|s| out.push_str(&s.diff));
    out
}

fn number(x: Option<f64>) -> String {
    x.map_or("-".into(), short)
}

fn change(m: &MetricPair) -> String {
    match (m.a, m.b) {
        (Some(a), Some(b)) if a.to_bits() == b.to_bits() => "the same".into(),
        (Some(a), Some(b)) if a != 0.0 => format!("{:+.2} %", (b - a) / a.abs() * 100.0),
        _ => String::new(),
    }
}
