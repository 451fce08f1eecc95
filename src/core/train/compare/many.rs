//! Two or more runs in one table.

use super::summary::{Side, Summary};
use crate::error::{Error, Result};
use crate::files;
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::{metrics, settings};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A number that may be NaN or infinite: in JSON the text `nan`, `inf` or `-inf`, as in `metrics.jsonl`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        metrics::number(self.0).serialize(s)
    }
}

/// Which way a metric is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Losses, distances.
    Lower,
    /// PSNR, F1.
    Higher,
}

/// Metrics whose direction the caller says; the others go by their names.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Good when low.
    pub lower: Vec<String>,
    /// Good when high.
    pub higher: Vec<String>,
}

/// Words of names, joined by `_`, whose metric is good when high.
const HIGHER: &[&str] = &["psnr", "ssim", "f1", "ap", "acc", "accuracy", "precision", "recall", "score", "top1", "top5"];
/// Words of names whose metric is good when low.
const LOWER: &[&str] = &[
    "loss",
    "recon",
    "reconstruction",
    "l1",
    "l2",
    "mse",
    "mae",
    "lpips",
    "perceptual",
    "align",
    "proj",
    "fid",
    "rfid",
    "sfid",
    "fd",
    "error",
    "nll",
];

impl Metrics {
    /// Which way a metric is good, where that is known.
    pub fn better(&self, name: &str) -> Option<Better> {
        let is_in = |list: &[String]| list.iter().any(|n| n == name);
        let lower = name.to_lowercase();
        let has = |words: &[&str]| lower.split(['_', '-', '.', '/', ' ']).any(|w| words.contains(&w));
        match (is_in(&self.lower), is_in(&self.higher)) {
            (true, _) => Some(Better::Lower),
            (_, true) => Some(Better::Higher),
            // `probe_f1_loss` is a loss.
            _ if has(LOWER) => Some(Better::Lower),
            _ if has(HIGHER) => Some(Better::Higher),
            _ => None,
        }
    }
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Column {
    /// Folder, state, steps, time.
    #[serde(flatten)]
    pub side: Side,
    /// The script that was started.
    pub script: String,
    /// Numbers in the modules of its newest checkpoint, buffers included; `None` where there is no readable checkpoint.
    pub parameters: Option<u64>,
    /// The same, module by module.
    pub modules: Vec<(String, u64)>,
    /// The whole run.
    #[serde(skip)]
    pub summary: Summary,
}

/// A setting that is not the same in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingRow {
    /// Its name, with dots for settings in a map.
    pub name: String,
    /// Its value in each run; null where it is absent.
    pub values: Vec<Value>,
    /// Whether it says only which scripts the runs are of: those that have it have the same, and no two runs of one script differ.
    pub is_of_script: bool,
}

/// The best value of a metric in a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Best {
    /// The value, which is finite.
    pub value: f64,
    /// The first step that has it.
    pub step: u64,
}

/// A metric in all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricRow {
    /// Its name.
    pub name: String,
    /// Which way it is good, where that is known.
    pub better: Option<Better>,
    /// The last logged value.
    pub last: Vec<Option<Figure>>,
    /// The best one; none where the direction is unknown or no value is finite.
    pub best: Vec<Option<Best>>,
}

/// Two or more runs side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// The runs.
    pub runs: Vec<Column>,
    /// Settings that differ, as they were at the end.
    pub settings: Vec<SettingRow>,
    /// How many settings there are over all runs.
    pub all_settings: usize,
    /// Every metric that a run has logged.
    pub metrics: Vec<MetricRow>,
    /// What is missing or odd, with the files' names.
    pub remarks: Vec<String>,
}

/// Compares run folders, of any scripts.
///
/// # Errors
/// `E0101` for fewer than two runs or one that is given twice; `E0301` or `E0302` when one is no run or cannot be read. A missing log or a
/// checkpoint that cannot be read is a remark.
pub fn table(paths: &[PathBuf], known: &Metrics) -> Result<Table> {
    if paths.len() < 2 {
        return Err(Error::usage("a comparison takes two runs or more").help("lathe compare exps/a exps/b"));
    }
    let mut remarks = Vec::new();
    let mut runs: Vec<Column> = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let same = |other: &PathBuf| path.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(a, b)| a == b);
        if paths[..i].iter().any(same) {
            return Err(Error::usage(format!("the run `{}` is given twice", path.display())));
        }
        runs.push(column(path, &mut remarks)?);
    }
    let mut kinds: Vec<&str> = Vec::new();
    for run in &runs {
        if !kinds.contains(&run.script.as_str()) {
            kinds.push(&run.script);
        }
    }
    if kinds.len() > 1 {
        remarks.push(format!("the runs are of different scripts ({}): metrics of one name may mean different things", kinds.join(", ")));
    }
    let metrics = metric_rows(&runs, known, &mut remarks);
    let configs: Vec<Vec<(String, Value)>> = runs.iter().map(|r| settings::flat(&r.summary.config)).collect();
    let scripts: Vec<&str> = runs.iter().map(|r| r.script.as_str()).collect();
    let (settings, all_settings) = setting_rows(&configs, &scripts);
    Ok(Table { runs, settings, all_settings, metrics, remarks })
}

fn column(path: &Path, remarks: &mut Vec<String>) -> Result<Column> {
    let summary = Summary::of(path)?;
    let log = path.join("metrics.jsonl");
    if !log.exists() {
        remarks.push(format!("`{}` is missing: the run has no figures", log.display()));
    } else if summary.lines.is_empty() {
        let size = files::size(&log).unwrap_or(0);
        let what = if size == 0 { "is empty: the run never logged" } else { "has no line of metrics that can be read" };
        remarks.push(format!("`{}` {what}", log.display()));
    }
    let mut modules = Vec::new();
    let mut parameters = None;
    let newest = checkpoint::list(&path.join("checkpoints")).and_then(|all| all.last().map(|(_, c)| Checkpoint::peek(c)?.module_sizes()).transpose());
    match newest {
        Ok(Some(sizes)) => {
            parameters = Some(sizes.iter().map(|(_, n)| n).sum());
            modules = sizes;
        }
        Ok(None) => {}
        Err(e) => remarks.push(format!("its newest checkpoint cannot be read, so its parameters are not counted: {e}")),
    }
    Ok(Column { side: summary.side.clone(), script: summary.script.clone(), parameters, modules, summary })
}

fn metric_rows(runs: &[Column], known: &Metrics, remarks: &mut Vec<String>) -> Vec<MetricRow> {
    let last: Vec<Vec<(String, f64)>> = runs.iter().map(|r| r.summary.last()).collect();
    let mut rows: Vec<MetricRow> = Vec::new();
    for (name, _) in last.iter().flatten() {
        if rows.iter().any(|r| r.name == *name) {
            continue;
        }
        let better = known.better(name);
        let mut best = Vec::new();
        for run in runs {
            let curve = run.summary.curve(name);
            let odd = curve.iter().filter(|(_, v)| !v.is_finite()).count();
            if odd > 0 {
                remarks.push(format!("`{name}` of `{}` is not finite in {odd} of {} lines", run.side.path.display(), curve.len()));
            }
            best.push(better.and_then(|b| best_of(&curve, b)));
        }
        let last = last.iter().map(|l| l.iter().find(|(n, _)| n == name).map(|(_, v)| Figure(*v))).collect();
        rows.push(MetricRow { name: name.clone(), better, last, best });
    }
    rows
}

fn best_of(curve: &[(u64, f64)], better: Better) -> Option<Best> {
    let mut best: Option<Best> = None;
    for (step, value) in curve.iter().filter(|(_, v)| v.is_finite()) {
        let is_better = best.is_none_or(|b| if better == Better::Lower { *value < b.value } else { *value > b.value });
        if is_better {
            best = Some(Best { value: *value, step: *step });
        }
    }
    best
}

/// Settings that differ, and how many there are in all. `scripts` are those of the runs.
fn setting_rows(configs: &[Vec<(String, Value)>], scripts: &[&str]) -> (Vec<SettingRow>, usize) {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in configs.iter().flatten() {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let find = |c: &Vec<(String, Value)>, name: &str| c.iter().find(|(n, _)| n == name).map_or(Value::Null, |(_, v)| v.clone());
    let row = |name: &&str| {
        let values: Vec<Value> = configs.iter().map(|c| find(c, name)).collect();
        let differs = |a: usize, b: usize| !settings::same(&values[a], &values[b]);
        let pairs = || (0..values.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let matters = |(a, b): (usize, usize)| differs(a, b) && (scripts[a] == scripts[b] || !(values[a].is_null() || values[b].is_null()));
        let is_of_script = !pairs().any(matters);
        let is_any = pairs().any(|(a, b)| differs(a, b)) && !settings::is_place(name);
        is_any.then(|| SettingRow { name: (*name).to_owned(), values: values.clone(), is_of_script })
    };
    (names.iter().filter_map(row).collect(), names.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn directions_go_by_names_and_flags() {
        let m = Metrics { lower: vec!["psnr".into()], higher: vec!["speed".into()] };
        for (name, want) in [
            ("loss", Some(Better::Lower)),
            ("disc_loss", Some(Better::Lower)),
            ("probe_f1", Some(Better::Higher)),
            ("FD-lite0", Some(Better::Lower)),
            ("psnr", Some(Better::Lower)),
            ("speed", Some(Better::Higher)),
            ("grad_norm", None),
            ("map", None),
            ("lr", None),
        ] {
            assert_eq!(m.better(name), want, "{name}");
        }
    }

    #[test]
    fn the_best_is_finite_and_the_first() {
        let curve = [(1, f64::NAN), (2, 0.5), (3, f64::NEG_INFINITY), (4, 0.2), (5, 0.2), (6, 0.9)];
        assert_eq!(best_of(&curve, Better::Lower), Some(Best { value: 0.2, step: 4 }));
        assert_eq!(best_of(&curve, Better::Higher), Some(Best { value: 0.9, step: 6 }));
        assert_eq!(best_of(&curve[..1], Better::Lower), None);
        assert_eq!(serde_json::to_string(&[Figure(f64::NAN), Figure(f64::NEG_INFINITY), Figure(0.5)]).unwrap(), r#"["nan","-inf",0.5]"#);
    }

    #[test]
    fn settings_of_three_runs() {
        let config = |v: Value| settings::flat(v.as_object().unwrap());
        let configs = [
            config(json!({"lr": 1, "seed": 0, "exp_name": "a", "mapper": {"depth": 1}, "opt": 3})),
            config(json!({"lr": 1.0, "seed": 1, "exp_name": "b", "mapper": {"depth": 1}})),
            config(json!({"lr": 1, "seed": 0, "exp_name": "c", "own": "x"})),
        ];
        let (rows, all) = setting_rows(&configs, &["train", "train", "sample"]);
        let row = |name: &str, values: Value, of_script| SettingRow {
            name: name.into(),
            values: values.as_array().unwrap().clone(),
            is_of_script: of_script,
        };
        let want = [
            row("seed", json!([0, 1, 0]), false),
            // Both runs of `train` have it, and the same.
            row("mapper.depth", json!([1, 1, null]), true),
            // Here two runs of one script differ.
            row("opt", json!([3, null, null]), false),
            row("own", json!([null, null, "x"]), true),
        ];
        assert_eq!((rows.as_slice(), all), (&want[..], 6));
    }
}
