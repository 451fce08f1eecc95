//! `lathe runs [DIR]`.

use super::output::{print, print_json};
use super::prune;
use crate::error::Result;
use crate::files::unix_time;
use crate::plain::shown;
use crate::progress::{grouped, human, short, speed};
use crate::train::status::{self, Phase, Row};
use std::path::PathBuf;

/// List the runs below a folder: what each is doing, how far it is, its last loss. A run whose process died shows as `killed`; one that
/// failed has its error below the table, and more of it in its log.txt.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that holds the runs.
    #[arg(default_value = "exps", value_name = "DIR")]
    dir: PathBuf,
    /// Print one JSON array, for programs.
    #[arg(long)]
    json: bool,
    /// Remove the runs that ended without a checkpoint. Says first which those are, and asks.
    #[arg(long, conflicts_with = "json")]
    prune: bool,
    /// With --prune: remove them without asking.
    #[arg(long, requires = "prune")]
    yes: bool,
}

/// Prints the table.
///
/// # Errors
/// `E0301` when the folder cannot be listed.
pub fn run(args: &Args) -> Result<()> {
    let rows = status::list(&args.dir, &mut |w| crate::space::say(&format!("warning: {w}")))?;
    if args.prune {
        return prune::run(&rows, args.yes);
    }
    if args.json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        eprintln!("no runs below `{}`", args.dir.display());
    }
    print(&table(&rows, unix_time()))
}

fn table(rows: &[Row], now: f64) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut cells = vec![["name", "script", "step", "loss", "rate", "state", "trained", "age", "size"].map(str::to_owned)];
    cells.extend(rows.iter().map(|r| row(r, now)));
    let width = |column: usize| cells.iter().map(|c| c[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
    let mut out = String::new();
    for line in &cells {
        let mut text = String::new();
        for (i, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let fill = " ".repeat(width - cell.chars().count());
            // Words to the left, numbers to the right.
            let left = i < 2 || i == 5;
            text.push_str(&if left { format!("{cell}{fill}  ") } else { format!("{fill}{cell}  ") });
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    for (row, error) in rows.iter().filter_map(|r| Some((r, r.status.error.as_ref()?))).filter(|(r, _)| r.status.state == Phase::Failed) {
        out.push_str(&format!("{}: {}\n", shown(&row.name), shown(error.lines().next().unwrap_or_default())));
    }
    out
}

fn row(r: &Row, now: f64) -> [String; 9] {
    let s = &r.status;
    let steps = s.steps.map_or(String::new(), |n| format!("/{}", grouped(n, ' ')));
    let rate = s.rate.filter(|_| s.state == Phase::Running);
    [
        shown(&r.name),
        shown(&s.script),
        format!("{}{steps}", grouped(s.step, ' ')),
        s.loss.map_or("-".into(), short),
        rate.map_or("-".into(), speed),
        if s.ranks > 1 { format!("{} x{}", s.state.name(), s.ranks) } else { s.state.name().to_owned() },
        human(s.seconds),
        age(now - s.updated),
        bytes(r.bytes),
    ]
}

/// `3m`, `5h`, `12d`: rounded down.
fn age(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..172_800 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

/// `812 B`, `3.1 MB`, `2.4 GB`.
pub(super) fn bytes(n: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let (mut x, mut unit) = (n as f64, 0);
    while x >= 1000.0 && unit + 1 < units.len() {
        x /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{x:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::status::Status;

    #[test]
    fn a_table_reads_like_one() {
        let status = |state, loss, rate| Status {
            state,
            script: "train_ldm.rhai".into(),
            pid: 7,
            started: 0.0,
            updated: 100.0,
            step: 1240,
            steps: Some(100_091),
            loss,
            rate,
            seconds: 4000.0,
            ranks: 1,
            error: None,
        };
        let row = |name: &str, status| Row { name: name.into(), path: name.into(), status, bytes: 3_140_000 };
        let died = Status { error: Some("there is no folder `x`\n  help".into()), ..status(Phase::Failed, None, None) };
        let rows =
            [row("try1", status(Phase::Running, Some(0.041), Some(0.14))), row("a/longer", status(Phase::Killed, None, None)), row("no", died)];
        let want = "\
name      script                   step     loss      rate  state    trained  age    size
try1      train_ldm.rhai  1 240/100 091  0.04100  7.1 s/it  running   1h 06m   3m  3.1 MB
a/longer  train_ldm.rhai  1 240/100 091        -         -  killed    1h 06m   3m  3.1 MB
no        train_ldm.rhai  1 240/100 091        -         -  failed    1h 06m   3m  3.1 MB
no: there is no folder `x`
";
        assert_eq!(table(&rows, 300.0), want);
        assert_eq!(table(&[], 0.0), "");
        let odd = table(&[row("a\nb\u{202e}", status(Phase::Failed, None, None))], 300.0);
        assert!(odd.contains("a\\nb\\u{202e}  train_ldm.rhai") && odd.lines().count() == 2, "{odd}");
        let back: serde_json::Value = serde_json::to_value(&rows).unwrap();
        assert_eq!((&back[0]["state"], &back[1]["name"]), (&"running".into(), &"a/longer".into()));
    }
}
