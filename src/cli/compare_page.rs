//! The page of `lathe compare`.

use super::compare::{best, count};
use crate::error::Result;
use crate::eval::Series;
use crate::eval::report::{Cell, Page, Picture, Plot};
use crate::progress::{grouped, human};
use crate::train::compare::{Better, Column, MetricRow, RunPicture, Table, pictures};
use serde_json::Value;

/// How many pictures of a sampled set are shown.
const SHOWN: i64 = 32;
/// From this ratio of the largest to the smallest value on, a curve is drawn on a logarithmic axis.
const LOGARITHMIC: f64 = 50.0;

/// Everything that the table has, and curves and pictures. Pictures that cannot be read become remarks.
///
/// # Errors
/// `E0202` when a chart cannot be drawn, `E0301` when a folder cannot be listed.
pub(super) fn page(t: &mut Table, names: &[String]) -> Result<Page> {
    let grids = grids(t, names)?;
    let title = format!("Comparison of {}", list(names));
    let mut page = Page::new(title, "Everything is in this file: it needs no network.");
    t.remarks.iter().for_each(|r| page.text(&format!("Note: {r}.")));
    runs(&mut page, t, names)?;
    metrics(&mut page, t, names)?;
    curves(&mut page, t, names)?;
    if !grids.is_empty() {
        page.section("Pictures");
        for (picture, title, note) in &grids {
            page.picture(picture, title, note, &format!("{title}, {note}"));
        }
    }
    settings(&mut page, t, names)?;
    Ok(page)
}

/// `a, b and c`; of many the first ones.
fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if names.len() <= 4 => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} more runs", names[..3].join(", "), names.len() - 3),
    }
}

fn header(first: &str, names: &[String]) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(names.iter().cloned()).collect()
}

fn runs(page: &mut Page, t: &Table, names: &[String]) -> Result<()> {
    let row = |name: &str, f: &dyn Fn(&Column) -> Cell| std::iter::once(Cell::text(name)).chain(t.runs.iter().map(f)).collect::<Vec<_>>();
    let modules = |r: &Column| r.modules.iter().map(|(name, n)| format!("{name} {}", count(*n))).collect::<Vec<_>>().join(", ");
    let rows = [
        row("folder", &|r| Cell::text(r.side.path.display().to_string())),
        row("script", &|r| Cell::text(&r.script)),
        row("state", &|r| Cell::text(r.side.state)),
        row("steps", &|r| Cell::text(grouped(r.side.step, ' '))),
        row("trained", &|r| Cell::text(human(r.side.seconds))),
        row("parameters", &|r| r.parameters.map_or_else(Cell::none, |n| Cell::text(count(n)).note(modules(r)))),
        row("edits", &|r| Cell::text(r.side.edits.to_string())),
        row("scripts", &|r| Cell::text(r.side.scripts.chars().take(12).collect::<String>())),
    ];
    page.section("Runs");
    page.table(&header("", names), &rows, "")
}

/// The last values with the best ones below them; the best run of each row stands out, where it is known which way is good.
fn metrics(page: &mut Page, t: &Table, names: &[String]) -> Result<()> {
    page.section("Metrics");
    if t.metrics.is_empty() {
        page.text("No run has logged any.");
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = t.metrics.iter().map(|m| metric(m, &t.runs)).collect();
    page.table(&header("", names), &rows, "Last value; below it the best one and its step, where the name tells which way is good.")
}

fn metric(m: &MetricRow, runs: &[Column]) -> Vec<Cell> {
    let way = m.better.map_or("", |b| if b == Better::Lower { "lower is better" } else { "higher is better" });
    let best_run = best_run(m, runs);
    let cell = |i: usize| match m.last[i] {
        Some(last) => {
            let note = m.best[i].as_ref().map_or(String::new(), |b| format!("best {}", best(b)));
            Cell::number(last.0).note(note).strong(best_run == Some(i))
        }
        None => Cell::none(),
    };
    std::iter::once(Cell::text(&m.name).note(way)).chain((0..m.last.len()).map(cell)).collect()
}

/// The run with the best value, where there is one; losses of two scripts are not compared.
fn best_run(m: &MetricRow, runs: &[Column]) -> Option<usize> {
    let found: Vec<(usize, f64)> = m.best.iter().enumerate().filter_map(|(i, b)| Some((i, b.as_ref()?.value))).collect();
    if found.iter().any(|(i, _)| runs[*i].script != runs[found[0].0].script) {
        return None;
    }
    let order = |a: &&(usize, f64), b: &&(usize, f64)| if m.better == Some(Better::Lower) { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) };
    let first = found.iter().min_by(order)?;
    (found.len() > 1 && found.iter().filter(|f| f.1 == first.1).count() == 1).then_some(first.0)
}

fn curves(page: &mut Page, t: &Table, names: &[String]) -> Result<()> {
    if t.metrics.is_empty() {
        return Ok(());
    }
    page.section("Curves");
    for m in &t.metrics {
        let series: Vec<Series> = t.runs.iter().zip(names).filter_map(|(r, name)| series(r, name, &m.name)).collect();
        let log_y = is_wide(&series);
        let note = if log_y { "logarithmic" } else { "" };
        page.plot(&Plot { title: m.name.clone(), note: note.into(), x_label: "step".into(), log_y, ..Plot::default() }, &series)?;
    }
    Ok(())
}

fn series(run: &Column, name: &str, metric: &str) -> Option<Series> {
    let points: Vec<(f64, f64)> = run.summary.curve(metric).into_iter().map(|(step, v)| (step as f64, v)).collect();
    // A run that never logged the metric keeps its place, so that colours stay the same in all charts.
    (!run.summary.lines.is_empty()).then(|| Series { name: name.to_owned(), points })
}

/// Whether values are positive and of very different size.
fn is_wide(series: &[Series]) -> bool {
    let values = || series.iter().flat_map(|s| &s.points).map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = values().fold((f64::INFINITY, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
    low > 0.0 && low.is_finite() && high / low > LOGARITHMIC
}

fn grids(t: &mut Table, names: &[String]) -> Result<Vec<(Picture, String, String)>> {
    let mut found: Vec<(usize, RunPicture)> = Vec::new();
    for (i, run) in t.runs.iter().enumerate() {
        found.extend(pictures(&run.side.path)?.into_iter().map(|p| (i, p)));
    }
    // Pictures of one name stand beside each other.
    found.sort_by(|a, b| a.1.name.cmp(&b.1.name).then(a.0.cmp(&b.0)));
    let mut out = Vec::new();
    for (i, p) in found {
        let picture = if p.is_set { Picture::of_set(&p.path, SHOWN) } else { Picture::read(&p.path) };
        match picture {
            Ok(picture) => {
                let note = p.step.map_or(String::new(), |s| format!("step {s}"));
                out.push((picture, format!("{}: {}", names[i], p.name), note));
            }
            Err(e) => t.remarks.push(format!("a picture is left out: {e}")),
        }
    }
    Ok(out)
}

fn settings(page: &mut Page, t: &Table, names: &[String]) -> Result<()> {
    // To the left all of them: numbers and words are mixed in a column.
    let cell = |v: &Value| match v {
        Value::Null => Cell::text("\u{2013}"),
        Value::String(s) if s.is_empty() => Cell::text("\"\""),
        Value::String(s) => Cell::text(s),
        v => Cell::text(v.to_string()),
    };
    let rows = |of_script: bool| -> Vec<Vec<Cell>> {
        let row = |s: &crate::train::compare::SettingRow| std::iter::once(Cell::text(&s.name)).chain(s.values.iter().map(cell)).collect();
        t.settings.iter().filter(|s| s.is_of_script == of_script).map(row).collect()
    };
    page.section("Settings");
    let (own, of_script) = (rows(false), rows(true));
    page.text(&format!("{} of {} settings differ.", own.len(), t.all_settings));
    if !own.is_empty() {
        page.table(&header("", names), &own, "Settings that differ, as they were at the end")?;
    }
    if !of_script.is_empty() {
        page.folded_table(&format!("{} settings that only some of the scripts have", of_script.len()), &header("", names), &of_script)?;
    }
    Ok(())
}
