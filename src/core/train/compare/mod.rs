//! Runs side by side: settings, scripts, final metrics; and whether the numbers of two are the same.

mod many;
mod pictures;
mod summary;

pub use many::{Best, Better, Column, Figure, MetricRow, Metrics, SettingRow, Table, table};
pub use pictures::{RunPicture, pictures};
pub use summary::{Side, Summary};

use super::edits;
use super::metrics::{self, Line};
use super::settings;
use super::sources::Difference;
use crate::error::Result;
use crate::files;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// A setting that is another one on each side; null where it is absent.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct SettingPair {
    /// Its name, with dots for settings in a map.
    pub name: String,
    /// The first run's.
    pub a: Value,
    /// The second run's.
    pub b: Value,
}

/// The last value of a metric on each side.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct MetricPair {
    /// Its name.
    pub name: String,
    /// The first run's.
    pub a: Option<f64>,
    /// The second run's.
    pub b: Option<f64>,
}

/// A script that differs.
#[derive(Debug, Clone, Serialize)]
pub struct ScriptDiff {
    /// Its id.
    pub script: String,
    /// The unified diff.
    pub diff: String,
}

/// Everything that differs between two runs.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Both runs.
    pub runs: [Side; 2],
    /// Settings that differ, as they were at the end.
    pub settings: Vec<SettingPair>,
    /// How many settings there are.
    pub all_settings: usize,
    /// The last logged value of each metric.
    pub metrics: Vec<MetricPair>,
    /// Scripts that differ, as they were at the end.
    pub scripts: Vec<ScriptDiff>,
}

/// Compares two run folders.
///
/// # Errors
/// `E0301` or `E0302` when one is no run or cannot be read.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison> {
    let (x, y) = (Summary::of(a)?, Summary::of(b)?);
    let (mx, my) = (x.last(), y.last());
    let pair = |c: edits::SettingChange| SettingPair { name: c.name, a: c.old, b: c.new };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in mx.iter().chain(&my) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let last = |list: &[(String, f64)], name: &str| list.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    let script = |d: &Difference| ScriptDiff { script: d.source().id.clone(), diff: d.unified() };
    Ok(Comparison {
        settings: settings::differences(&x.config, &y.config).into_iter().map(pair).collect(),
        all_settings: settings::count(&x.config).max(settings::count(&y.config)),
        metrics: names.iter().map(|n| MetricPair { name: (*n).to_owned(), a: last(&mx, n), b: last(&my, n) }).collect(),
        scripts: x.sources.differences(&y.sources).iter().map(script).collect(),
        runs: [x.side, y.side],
    })
}

/// Where the numbers of two runs part.
#[derive(Debug, Clone, PartialEq)]
pub enum Parting {
    /// A value differs: step, metric, both values; one is missing where only one run logged it.
    Value(u64, String, Option<f64>, Option<f64>),
    /// From this step on, only one of them has lines.
    Lines(u64),
}

impl std::fmt::Display for Parting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |v: &Option<f64>| v.map_or("absent".to_owned(), |v| format!("{v:?}"));
        match self {
            Parting::Value(step, name, a, b) => write!(f, "`{name}` at step {step}: {} then, {} now", text(a), text(b)),
            Parting::Lines(step) => write!(f, "other steps are logged from step {step} on"),
        }
    }
}

/// The first place where the metrics of two runs differ, bit for bit, and how many lines are the same before it. Times do not count.
///
/// # Errors
/// `E0301` when a log cannot be read.
pub fn parting(a: &Path, b: &Path) -> Result<(usize, Option<Parting>)> {
    let read = |run: &Path| metrics::read(&run.join("metrics.jsonl"));
    let (x, y) = (read(a)?, read(b)?);
    for (n, (p, q)) in x.iter().zip(&y).enumerate() {
        if let Some(parting) = first_difference(p, q) {
            return Ok((n, Some(parting)));
        }
    }
    let n = x.len().min(y.len());
    let more = x.get(n).or(y.get(n)).map(|l| Parting::Lines(l.step));
    Ok((n, more))
}

fn first_difference(a: &Line, b: &Line) -> Option<Parting> {
    if a.step != b.step {
        return Some(Parting::Lines(a.step.min(b.step)));
    }
    let find = |l: &Line, name: &str| l.values.iter().find(|(n, _)| n == name).map(|(_, v)| *v);
    let names = a.values.iter().chain(&b.values).map(|(n, _)| n);
    let same = |p: Option<f64>, q: Option<f64>| p.map(f64::to_bits) == q.map(f64::to_bits) || p.zip(q).is_some_and(|(p, q)| p.is_nan() && q.is_nan());
    let name = names.into_iter().find(|n| !same(find(a, n), find(b, n)))?;
    Some(Parting::Value(a.step, name.clone(), find(a, name), find(b, name)))
}

/// What of the machine and the program differs between two runs, by name: numbers may then differ in the last bits.
///
/// # Errors
/// `E0301` or `E0302` when an `env.json` cannot be read.
pub fn environment(a: &Path, b: &Path) -> Result<Vec<SettingPair>> {
    let read = |run: &Path| -> Result<Value> {
        let path = run.join("env.json");
        files::read_json(&path)
    };
    let (x, y) = (read(a)?, read(b)?);
    let names = ["lathe", "libtorch", "cpu_kernels", "device", "threads", "arch"];
    let pair = |n: &&str| SettingPair { name: (*n).to_owned(), a: x[*n].clone(), b: y[*n].clone() };
    Ok(names.iter().map(pair).filter(|p| p.a != p.b).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_part_where_the_first_bit_differs() {
        let dir = tempfile::tempdir().unwrap();
        let put = |run: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(run)).unwrap();
            std::fs::write(dir.path().join(run).join("metrics.jsonl"), text).unwrap();
            dir.path().join(run)
        };
        let a = put("a", "{\"step\":1,\"time\":0.1,\"loss\":0.1,\"g\":\"nan\"}\n{\"step\":2,\"time\":1,\"loss\":0.30000000000000004}\n");
        let same = put("b", "{\"step\":1,\"time\":9,\"loss\":0.1,\"g\":\"nan\"}\n{\"step\":2,\"time\":9,\"loss\":0.30000000000000004}\n");
        let off = put("c", "{\"step\":1,\"time\":9,\"loss\":0.1,\"g\":\"nan\"}\n{\"step\":2,\"time\":9,\"loss\":0.3}\n");
        let short = put("d", "{\"step\":1,\"time\":9,\"loss\":0.1,\"g\":\"nan\"}\n");
        assert_eq!(parting(&a, &same).unwrap(), (2, None));
        let (n, p) = parting(&a, &off).unwrap();
        assert_eq!((n, p.unwrap().to_string().as_str()), (1, "`loss` at step 2: 0.30000000000000004 then, 0.3 now"));
        assert_eq!(parting(&a, &short).unwrap(), (1, Some(Parting::Lines(2))));
    }
}
