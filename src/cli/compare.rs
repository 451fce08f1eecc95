//! `lathe compare RUN RUN ..`.

use super::compare_page::page;
use super::output::{print, print_json};
use super::table::{table, value};
use crate::error::{Error, Result};
use crate::eval::report::{names, shown};
use crate::progress::{grouped, human};
use crate::train::compare::{self, Best, Metrics, Table};
use std::path::PathBuf;

/// Compare two or more runs, also of different scripts: settings that differ, last and best metrics, steps, time, parameters. `lathe diff`
/// shows how the scripts of two runs differ.
#[derive(clap::Args)]
pub struct Args {
    /// The runs' folders.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write a page with curves and pictures as well: one file that needs no network.
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
    /// A metric whose lowest value is its best, where its name does not tell.
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    lower: Vec<String>,
    /// A metric whose highest value is its best.
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    higher: Vec<String>,
}

/// Prints the comparison, and writes its page.
///
/// # Errors
/// `E0101` for a run that is given twice, `E0301` or `E0302` when a folder is no run or the page cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let mut found = compare::table(&args.runs, &Metrics { lower: args.lower.clone(), higher: args.higher.clone() })?;
    let names = names(&args.runs)?;
    let known = |m: &&String| !found.metrics.iter().any(|row| row.name == **m);
    if let Some(unknown) = args.lower.iter().chain(&args.higher).find(known) {
        let near = crate::error::did_you_mean(unknown, found.metrics.iter().map(|m| m.name.as_str()));
        return Err(Error::usage(format!("no run has logged `{unknown}`{near}")));
    }
    if let Some(file) = &args.html {
        page(&mut found, &names)?.write(file)?;
    }
    if args.json {
        print_json(&found)?
    } else {
        print(&text(&found, &names))?
    }
    found.remarks.iter().for_each(|r| crate::space::say(&format!("note: {r}")));
    if let Some(file) = &args.html {
        eprintln!("{}", file.display());
    }
    Ok(())
}

fn text(t: &Table, names: &[String]) -> String {
    let row = |name: &str, cells: Vec<String>| (name.to_owned(), cells);
    let each = |f: &dyn Fn(&compare::Column) -> String| t.runs.iter().map(f).collect::<Vec<_>>();
    let mut out = table(&[
        row("run", names.to_vec()),
        row("folder", each(&|r| r.side.path.display().to_string())),
        row("script", each(&|r| r.script.clone())),
        row("state", each(&|r| r.side.state.to_owned())),
        row("steps", each(&|r| grouped(r.side.step, ' '))),
        row("trained", each(&|r| human(r.side.seconds))),
        row("parameters", each(&|r| r.parameters.map_or("-".into(), count))),
        row("edits", each(&|r| r.side.edits.to_string())),
        row("scripts", each(&|r| r.side.scripts.chars().take(12).collect())),
    ]);

    let (of_script, own): (Vec<_>, Vec<_>) = t.settings.iter().partition(|s| s.is_of_script);
    out.push_str(&format!("\nsettings that differ: {} of {}\n", own.len(), t.all_settings));
    out.push_str(&table(&own.iter().map(|s| (s.name.clone(), s.values.iter().map(value).collect())).collect::<Vec<_>>()));
    if !of_script.is_empty() {
        out.push_str(&format!("  and {} that only some of the scripts have (--html and --json list them)\n", of_script.len()));
    }

    out.push_str("\nmetrics: last, and best at its step\n");
    let mut rows = vec![row("", names.to_vec())];
    for m in &t.metrics {
        rows.push(row(&m.name, m.last.iter().map(|v| v.map_or("-".into(), |v| shown(v.0))).collect()));
        if m.best.iter().any(Option::is_some) {
            rows.push(row("  best", m.best.iter().map(|b| b.as_ref().map_or("-".into(), best)).collect()));
        }
    }
    out.push_str(&if t.metrics.is_empty() { "  no run has logged any\n".into() } else { table(&rows) });
    out
}

/// `0.1234 at 1 900`.
pub(super) fn best(b: &Best) -> String {
    format!("{} at {}", shown(b.value), grouped(b.step, ' '))
}

/// `12.3 M`: numbers of weights.
pub(super) fn count(n: u64) -> String {
    let x = n as f64;
    match n {
        0..10_000 => grouped(n, ' '),
        10_000..1_000_000 => format!("{:.1} k", x / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} M", x / 1e6),
        _ => format!("{:.2} G", x / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_three_digits_or_more() {
        assert_eq!(
            [0, 9_999, 12_345, 999_900, 1_234_567, 675_129_632, 2_000_000_000].map(count),
            ["0", "9 999", "12.3 k", "999.9 k", "1.23 M", "675.13 M", "2.00 G"]
        );
    }
}
