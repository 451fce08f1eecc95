//! `metrics.jsonl`, the truth about a run, and the window of values that were not read back yet.
//!
//! One JSON object a line: `step` (steps done), `time` (seconds of training over all restarts), then name -> value.
//! A value that is not finite is the string `nan`, `inf` or `-inf`, for which JSON has no number.

use super::tracked::Saved;
use crate::error::{Error, Result};
use crate::files;
use crate::nn::State;
use crate::torch::{DType, Device, Tensor};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// One logged value: a number, or a tensor with one element that is read later.
#[derive(Debug, Clone)]
pub enum Metric {
    /// A number.
    Number(f64),
    /// A tensor with one element, on any device.
    Tensor(Tensor),
}

impl From<f64> for Metric {
    fn from(x: f64) -> Self {
        Metric::Number(x)
    }
}
impl From<Tensor> for Metric {
    fn from(t: Tensor) -> Self {
        Metric::Tensor(t)
    }
}

/// What a step hands back: names and values, in order.
pub type Metrics = IndexMap<String, Metric>;

/// Reads every value.
///
/// # Errors
/// `E0202` naming a metric that is not one number.
pub fn read_all(metrics: &Metrics) -> Result<IndexMap<String, f64>> {
    let mut window = Window::default();
    window.push(0, metrics)?;
    window.read()?;
    Ok(window.take().into_iter().collect())
}

/// The metric that marks an edit: its number, at the step before which it took effect.
pub const EDIT: &str = "edit";

/// The keys that a line of `metrics.jsonl` has of its own, which are no names for a script's metrics.
pub const OWN: [&str; 3] = ["step", "time", EDIT];

/// Whether the run stops when this metric is not finite.
pub fn is_loss(name: &str) -> bool {
    name == "loss" || name.ends_with("_loss")
}

/// The steps since the last log line. Values on the CPU are read at once, values on a GPU together when they are wanted,
/// because reading one makes the program wait for all work before it.
#[derive(Default, Clone)]
pub struct Window {
    read: IndexMap<String, Vec<f64>>,
    unread: Vec<(u64, String, Tensor)>,
    /// Whether values on the CPU wait as well, so that tests without a GPU see how waiting goes.
    #[cfg(test)]
    pub(super) patient: bool,
}

/// A loss that is not a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NonFinite {
    /// The 0-based step that made it.
    pub step: u64,
    /// The metric's name.
    pub name: String,
    /// Its value: NaN or an infinity.
    pub value: f64,
}

impl Window {
    /// Adds the metrics of the 0-based `step`; returns the first loss that is seen to be non-finite without waiting for a GPU.
    ///
    /// # Errors
    /// `E0202` naming a metric that is not one number.
    pub fn push(&mut self, step: u64, metrics: &Metrics) -> Result<Option<NonFinite>> {
        let mut bad = None;
        for (name, metric) in metrics {
            let value = match metric {
                Metric::Number(x) => *x,
                Metric::Tensor(t) if t.numel() != 1 => {
                    return Err(
                        Error::value("metrics", format!("`{name}` must be one number, got tensor {}", t.describe())).help("reduce it with `.mean()`")
                    );
                }
                Metric::Tensor(t) if t.device() == Device::Cpu && !self.waits_for_cpu() => t.item()?,
                Metric::Tensor(t) => {
                    // A copy, because the script may change the tensor in place before it is read.
                    self.read.entry(name.clone()).or_default();
                    self.unread.push((step, name.clone(), t.detach()?.reshape(&[1])?.to_dtype(DType::Double)?.copy()?));
                    continue;
                }
            };
            self.add(step, name, value, &mut bad);
        }
        Ok(bad)
    }

    #[cfg(test)]
    fn waits_for_cpu(&self) -> bool {
        self.patient
    }

    #[cfg(not(test))]
    fn waits_for_cpu(&self) -> bool {
        false
    }

    fn add(&mut self, step: u64, name: &str, value: f64, bad: &mut Option<NonFinite>) {
        if !value.is_finite() && is_loss(name) && bad.is_none() {
            *bad = Some(NonFinite { step, name: name.to_owned(), value });
        }
        match self.read.get_mut(name) {
            Some(values) => values.push(value),
            None => {
                self.read.insert(name.to_owned(), vec![value]);
            }
        }
    }

    /// How many values wait on a GPU.
    pub fn waiting(&self) -> usize {
        self.unread.len()
    }

    /// Reads what waits, with one transfer; returns the first loss that is not finite.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn read(&mut self) -> Result<Option<NonFinite>> {
        let unread = std::mem::take(&mut self.unread);
        let mut bad = None;
        let mut at = 0;
        while at < unread.len() {
            // Values of one device in one transfer; a step rarely has more than one.
            let device = unread[at].2.device();
            let same = unread[at..].iter().take_while(|(_, _, t)| t.device() == device).count();
            let group = &unread[at..at + same];
            let values = Tensor::cat(&group.iter().map(|(_, _, t)| t).collect::<Vec<_>>(), 0)?.to_vec_f64()?;
            for ((step, name, _), value) in group.iter().zip(values) {
                self.add(*step, name, value, &mut bad);
            }
            at += same;
        }
        Ok(bad)
    }

    /// What was read, for another rank.
    ///
    /// # Errors
    /// `E0601` when it has no JSON form.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bits: IndexMap<&String, Vec<u64>> = self.read.iter().map(|(k, v)| (k, v.iter().map(|x| x.to_bits()).collect())).collect();
        serde_json::to_vec(&bits).map_err(|e| Error::run(format!("metrics: {e}")))
    }

    /// What [`Window::to_bytes`] gave.
    ///
    /// # Errors
    /// `E0601` when it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bits: IndexMap<String, Vec<u64>> = serde_json::from_slice(bytes).map_err(|e| Error::run(format!("metrics: {e}")))?;
        let read = bits.into_iter().map(|(k, v)| (k, v.into_iter().map(f64::from_bits).collect())).collect();
        Ok(Window { read, ..Window::default() })
    }

    /// The mean of what all ranks have, value by value; where they have not as many, what is here.
    #[must_use]
    pub fn mean_of(mut self, all: &[Window]) -> Self {
        for (name, values) in &mut self.read {
            let lists: Vec<&Vec<f64>> = all.iter().filter_map(|w| w.read.get(name)).filter(|v| v.len() == values.len()).collect();
            if lists.len() == all.len() {
                for (i, value) in values.iter_mut().enumerate() {
                    *value = lists.iter().map(|l| l[i]).sum::<f64>() / lists.len() as f64;
                }
            }
        }
        self
    }

    /// The sum and the number of values of each metric; it is empty afterwards.
    pub fn take_sums(&mut self) -> Vec<(String, f64, usize)> {
        let read = std::mem::take(&mut self.read);
        read.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k, v.iter().sum::<f64>(), v.len())).collect()
    }

    /// The mean of each metric over the steps that had it; the window is empty afterwards. Call [`Window::read`] before.
    pub fn take(&mut self) -> Vec<(String, f64)> {
        self.take_sums().into_iter().map(|(name, sum, count)| (name, sum / count as f64)).collect()
    }

    /// The values read so far, bit for bit, for a checkpoint in the middle of a window. Call [`Window::read`] before.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn save(&self) -> Result<Saved> {
        let names: Vec<&String> = self.read.keys().collect();
        let mut tensors = State::new();
        for (name, values) in &self.read {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.insert(name.clone(), Tensor::from_bytes(&bytes, &[values.len() as i64], DType::Double)?);
        }
        Ok(Saved { tensors, meta: serde_json::json!({ "order": names }) })
    }

    /// Puts saved values back.
    ///
    /// # Errors
    /// `E0601` when they are not a window's.
    pub fn restore(&mut self, saved: &Saved) -> Result<()> {
        let broken = || Error::run("the saved metrics are not a window of metrics");
        let order = saved.meta.get("order").and_then(Value::as_array).ok_or_else(broken)?;
        self.read.clear();
        self.unread.clear();
        for name in order {
            let name = name.as_str().ok_or_else(broken)?;
            let values = saved.tensors.get(name).ok_or_else(broken)?.to_vec_f64()?;
            self.read.insert(name.to_owned(), values);
        }
        Ok(())
    }
}

/// The open `metrics.jsonl`.
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log for appending. Lines of steps after `step`, which a resumed run does again, go (all of them where it starts over),
    /// and so do edits after number `edits`, which it has not in it, and a last line that a kill cut off.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn open(path: &Path, step: Option<u64>, edits: u64) -> Result<Self> {
        if path.exists() {
            let old = files::read(path)?;
            let text = String::from_utf8_lossy(&old);
            let undone = |l: &Line| l.values.iter().any(|(name, x)| name == EDIT && *x > edits as f64);
            let keep = |line: &&str| parse(line.trim_end()).is_some_and(|l| step.is_some_and(|s| l.step <= s) && !undone(&l)) && line.ends_with('\n');
            let kept: String = text.split_inclusive('\n').filter(keep).collect();
            if kept.as_bytes() != old {
                files::write(path, kept.as_bytes())?;
            }
        }
        let file = files::append(path)?;
        Ok(Log { path: path.to_owned(), file })
    }

    /// Appends one line with one write.
    ///
    /// # Errors
    /// `E0301` when the system refuses, as with a full disk.
    pub fn append(&mut self, step: u64, time: f64, values: &[(String, f64)]) -> Result<()> {
        let mut line = Map::new();
        line.insert("step".into(), step.into());
        line.insert("time".into(), ((time * 1000.0).round() / 1000.0).into());
        for (name, value) in values {
            line.insert(name.clone(), number(*value));
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(|e| Error::io("write", &self.path, e))
    }

    /// Waits until every line is on the disk.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("write", &self.path, e))
    }
}

/// A number as it is logged: text where JSON has none for it.
pub(super) fn number(x: f64) -> Value {
    serde_json::Number::from_f64(x).map_or_else(
        || {
            Value::from(if x.is_nan() {
                "nan"
            } else if x > 0.0 {
                "inf"
            } else {
                "-inf"
            })
        },
        Value::Number,
    )
}

/// No line that a run logs is longer.
const LONGEST: u64 = 1 << 22;

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Steps done.
    pub step: u64,
    /// Seconds of training.
    pub time: f64,
    /// The values, in order.
    pub values: Vec<(String, f64)>,
}

fn parse(line: &str) -> Option<Line> {
    let Ok(Value::Object(map)) = serde_json::from_str(line) else { return None };
    let step = map.get("step")?.as_u64()?;
    let time = map.get("time").and_then(Value::as_f64).unwrap_or(0.0);
    let value = |v: &Value| match v {
        Value::String(s) => s.parse().ok(),
        v => v.as_f64(),
    };
    let values = map.iter().filter(|(k, _)| *k != "step" && *k != "time").filter_map(|(k, v)| Some((k.clone(), value(v)?))).collect();
    Some(Line { step, time, values })
}

/// Reads a `metrics.jsonl`, also of a run that is being written: a line that is not whole yet is left out.
///
/// # Errors
/// `E0301` when it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let mut from = BufReader::new(files::open_plain(path)?);
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let n = from.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(|e| Error::io("read", path, e))?;
        if n == 0 {
            return Ok(lines);
        }
        lines.extend(parse(String::from_utf8_lossy(&line).trim_end()));
    }
}

/// How far from its end a log is looked at for the last values.
const TAIL: u64 = 1 << 16;

/// The last value of each metric that stands near the end of a `metrics.jsonl`, with the steps that were done then.
///
/// # Errors
/// `E0301` when it cannot be read.
pub fn last(path: &Path) -> Result<IndexMap<String, (u64, f64)>> {
    let io = |e| Error::io("read", path, e);
    let mut file = files::open_plain(path)?;
    let length = file.metadata().map_err(io)?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from)).map_err(io)?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).map_err(io)?;
    let text = String::from_utf8_lossy(&tail);
    let mut last = IndexMap::new();
    // The first line is a part of one, unless it is the file's.
    for line in text.split_inclusive('\n').skip(usize::from(from > 0)).filter(|l| l.ends_with('\n')) {
        let Some(line) = parse(line.trim_end()) else { continue };
        last.extend(line.values.into_iter().map(|(name, x)| (name, (line.step, x))));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(values: &[(&str, f64)]) -> Metrics {
        values.iter().map(|(k, v)| ((*k).to_owned(), Metric::Number(*v))).collect()
    }

    #[test]
    fn a_window_averages_what_there_was() {
        let mut w = Window::default();
        let t = Tensor::full(&[1, 1], 3.0, DType::BFloat16, Device::Cpu).unwrap();
        w.push(0, &metrics(&[("loss", 1.0)])).unwrap();
        let mut m = metrics(&[("d", 8.0)]);
        m.insert("loss".into(), t.clone().into());
        w.push(1, &m).unwrap();
        t.fill_(100.0).unwrap();
        assert_eq!(w.take(), vec![("loss".to_owned(), 2.0), ("d".to_owned(), 8.0)], "a later change of the tensor does not show");
        assert!(w.take().is_empty());
        let wide = Tensor::zeros(&[2], DType::Float, Device::Cpu).unwrap();
        let e = w.push(2, &[("l1".to_owned(), Metric::Tensor(wide))].into_iter().collect()).unwrap_err();
        assert!(e.to_string().contains("`l1` must be one number, got tensor [2] f32"), "{e}");
    }

    #[test]
    fn a_window_survives_a_checkpoint_bit_for_bit() {
        let mut w = Window::default();
        for i in 0..50 {
            w.push(i, &metrics(&[("z", (i as f64).sqrt() * 0.1), ("a", f64::NAN)])).unwrap();
        }
        let saved = w.save().unwrap();
        let mut back = Window::default();
        back.restore(&saved).unwrap();
        let (a, b) = (w.take(), back.take());
        assert_eq!(a[0].0, "z");
        assert_eq!(a.iter().map(|x| x.1.to_bits()).collect::<Vec<_>>(), b.iter().map(|x| x.1.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_values_are_read_from_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = Log::open(&path, None, 0).unwrap();
        log.append(1, 0.0, &[("old".into(), 7.0)]).unwrap();
        for step in 2..4000 {
            log.append(step, 0.0, &[("loss".into(), step as f64)]).unwrap();
        }
        log.append(4000, 0.0, &[("fid".into(), 1.5)]).unwrap();
        log.file.write_all(b"{\"step\": 4001, \"loss\": 1").unwrap();
        let found = last(&path).unwrap();
        assert_eq!(found.get("loss"), Some(&(3999, 3999.0)));
        assert_eq!(found.get("fid"), Some(&(4000, 1.5)));
        assert_eq!(found.get("old"), None, "too far from the end");
    }

    #[test]
    fn only_losses_stop_a_run() {
        let mut w = Window::default();
        assert_eq!(w.push(3, &metrics(&[("grad_norm", f64::INFINITY), ("loss", 1.0)])).unwrap(), None);
        let bad = w.push(4, &metrics(&[("disc_loss", f64::NEG_INFINITY)])).unwrap().unwrap();
        assert_eq!((bad.step, bad.name.as_str()), (4, "disc_loss"));
    }

    #[test]
    fn a_log_is_cut_back_to_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = Log::open(&path, None, 0).unwrap();
        for step in 1..=5 {
            log.append(step, step as f64, &[("loss".into(), 1.0 / step as f64), ("g".into(), f64::NAN)]).unwrap();
        }
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            drop(Log::open(&path, Some(3), 0).unwrap());
            let kept = std::fs::read(&path).unwrap();
            assert!(whole.starts_with(&kept) && (kept.is_empty() || kept.ends_with(b"\n")), "cut at {cut}");
            assert!(read(&path).unwrap().iter().all(|l| l.step <= 3));
        }
        std::fs::write(&path, &whole).unwrap();
        drop(Log::open(&path, Some(3), 0).unwrap());
        let lines = read(&path).unwrap();
        assert_eq!(lines.iter().map(|l| l.step).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(lines[2].values[0], ("loss".to_owned(), 1.0 / 3.0));
        assert!(lines[2].values[1].1.is_nan());
    }
}
