//! The protocol of attribute probing: how well linear models read the factors of pictures from their latents.
//!
//! For each seed the pictures are divided into training and test pictures by a permutation of the seed alone (the same for every set of latents
//! of as many pictures), features are standardised by the training pictures, and every factor gets an L2-regularised logistic regression that
//! is fitted to convergence. A factor whose values are `0` or `-1` and `1` (or no/yes, false/true) is binary, with the F1 of the positive
//! value; any other is a choice among its values, with the F1 averaged over them. Figures are means over seeds with a 95 % interval.

use super::linear::{Standardise, fit_binary, fit_classes};
use super::scores::{average_precision, f1, interval};
use crate::data::epoch_order;
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, ThreadCap, no_grad};

/// More numbers than this are fitted in f32: 1 GB of f64.
const MOST_F64: usize = 1 << 27;
/// Numbers that keep a thread busy: a fit makes thousands of steps, and in small ones threads spend their time waiting for each other.
const NUMBERS_A_THREAD: usize = 1 << 24;
/// Answers behind Top-5 recall.
const TOP: usize = 5;

/// A factor: its name and its values; a column of the targets holds positions in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The column's name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
}

impl Factor {
    /// Whether it is there or not: the position of the positive value.
    fn positive(&self) -> Option<i64> {
        let pairs = [("-1", "1"), ("0", "1"), ("false", "true"), ("no", "yes")];
        let values: Vec<String> = self.values.iter().map(|v| v.to_lowercase()).collect();
        let [a, b] = &values[..] else { return None };
        if pairs.contains(&(a, b)) { Some(1) } else { pairs.contains(&(b, a)).then_some(0) }
    }
}

/// How to probe.
#[derive(Debug, Clone)]
pub struct ProbeOptions {
    /// One division into training and test pictures for each.
    pub seeds: Vec<u64>,
    /// The part of the pictures that is tested on.
    pub test: f64,
    /// scikit-learn's `C`: the inverse of the regularisation.
    pub c: f64,
    /// The most steps of L-BFGS.
    pub iterations: usize,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        ProbeOptions { seeds: (0..5).collect(), test: 0.2, c: 1.0, iterations: 2000 }
    }
}

/// A figure over the seeds.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % interval of the mean; `None` with one seed.
    pub interval: Option<f64>,
    /// The value of each seed.
    pub values: Vec<f64>,
}

impl Summary {
    fn of(values: Vec<f64>) -> Option<Summary> {
        if values.is_empty() {
            return None;
        }
        let (mean, half) = interval(&values);
        Some(Summary { mean, interval: half, values })
    }
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Probed {
    /// F1 averaged over factors.
    pub f1_macro: Summary,
    /// F1 of all answers together.
    pub f1_micro: Summary,
    /// Average precision, averaged over factors.
    pub ap: Summary,
    /// The part of the true answers that is among each picture's five highest scores; where there are more than five binary factors, or for a
    /// single factor of more than five values.
    pub top5: Option<Summary>,
    /// Name, F1 and average precision of each factor.
    pub factors: Vec<(String, Summary, Summary)>,
    /// Training and test pictures.
    pub sizes: [usize; 2],
    /// The most steps that a fit took.
    pub steps: usize,
    /// Factors and seeds that had no training or no test picture of a second value, or of the positive one: not part of the figures.
    pub left_out: Vec<String>,
}

/// Counts of true positives, false positives, false negatives.
type Counts = [u64; 3];

/// What one seed found of one factor.
struct Found {
    f1: f64,
    ap: f64,
    counts: Counts,
    steps: usize,
}

/// Probes features `[N, ..]` (flattened) for factors, whose values are the columns of `targets` `[N, A]`.
///
/// # Errors
/// `E0202` for sizes that differ, features that are not finite, a factor with one value (naming it), a target that is no position in its
/// factor's values, too few pictures, or a fit that does not converge; `E0901` when interrupted.
pub fn probe(features: &Tensor, targets: &Tensor, factors: &[Factor], o: &ProbeOptions) -> Result<Probed> {
    let wrong = |m: String| Error::value("probe", m);
    if features.rank() < 2 || targets.rank() != 2 || targets.size(0)? != features.size(0)? || targets.size(1)? != factors.len() as i64 {
        let shapes = format!("{} and {}", features.describe(), targets.describe());
        return Err(wrong(format!("features [N, ..] and targets [N, {}] of as many pictures are needed, got {shapes}", factors.len())));
    }
    let n = features.size(0)? as usize;
    let tested = (n as f64 * o.test).round();
    if !(o.test > 0.0 && o.test < 1.0)
        || tested < 1.0
        || tested as usize + 2 > n
        || o.seeds.is_empty()
        || o.c.is_nan()
        || o.c <= 0.0
        || factors.is_empty()
    {
        return Err(wrong(format!(
            "{n} pictures, {} factors, {} seeds, a test part of {} and c = {}: nothing to fit or to test",
            factors.len(),
            o.seeds.len(),
            o.test,
            o.c
        )));
    }
    let dtype = if features.numel() > MOST_F64 { DType::Float } else { DType::Double };
    let x = no_grad(|| features.detach()?.to_device(Device::Cpu)?.to_dtype(dtype)?.flatten(1, -1))?;
    if !x.is_finite()? {
        return Err(wrong("the latents hold NaN or infinite values".into()));
    }
    let y: Vec<Vec<i64>> = columns(targets, factors)?;
    let _cap = ThreadCap::at_most(x.numel() / NUMBERS_A_THREAD);
    for (f, column) in factors.iter().zip(&y) {
        if column.iter().all(|v| *v == column[0]) {
            let value = f.values.get(column[0] as usize).cloned().unwrap_or_default();
            return Err(wrong(format!("factor `{}` has one value, `{value}`, in all {n} pictures: nothing can be read from it", f.name))
                .help("leave it out: `#{factors: [..]}` names those to probe"));
        }
    }
    let tested = tested as usize;
    let mut all = Gathered { per_factor: vec![(Vec::new(), Vec::new()); factors.len()], ..Gathered::default() };
    for seed in &o.seeds {
        let order = epoch_order(n, true, *seed, 0);
        one_seed(&x, &y, factors, o, &order[tested..], &order[..tested], *seed, &mut all)?;
    }
    all.finish(factors, [n - tested, tested])
}

fn columns(targets: &Tensor, factors: &[Factor]) -> Result<Vec<Vec<i64>>> {
    let column = |(i, f): (usize, &Factor)| {
        let v = targets.select(1, i as i64)?.to_device(Device::Cpu)?.to_vec_i64()?;
        match v.iter().position(|v| !(0..f.values.len() as i64).contains(v)) {
            Some(row) => {
                Err(Error::value("probe", format!("picture {row} has value {} of factor `{}`, which has {}", v[row], f.name, f.values.len())))
            }
            None => Ok(v),
        }
    };
    factors.iter().enumerate().map(column).collect()
}

#[derive(Default)]
struct Gathered {
    macros: Vec<f64>,
    micros: Vec<f64>,
    aps: Vec<f64>,
    tops: Vec<f64>,
    per_factor: Vec<(Vec<f64>, Vec<f64>)>,
    steps: usize,
    left_out: Vec<String>,
}

impl Gathered {
    fn finish(self, factors: &[Factor], sizes: [usize; 2]) -> Result<Probed> {
        let none =
            || Error::value("probe", "no seed left a factor with two values in both training and test pictures").help("more pictures are needed");
        let named = |(f, (a, b)): (&Factor, (Vec<f64>, Vec<f64>))| Some((f.name.clone(), Summary::of(a)?, Summary::of(b)?));
        Ok(Probed {
            f1_macro: Summary::of(self.macros).ok_or_else(none)?,
            f1_micro: Summary::of(self.micros).ok_or_else(none)?,
            ap: Summary::of(self.aps).ok_or_else(none)?,
            top5: Summary::of(self.tops),
            factors: factors.iter().zip(self.per_factor).filter_map(named).collect(),
            sizes,
            steps: self.steps,
            left_out: self.left_out,
        })
    }
}

#[allow(clippy::too_many_arguments)] // Everything that makes up one fit.
fn one_seed(
    x: &Tensor,
    y: &[Vec<i64>],
    factors: &[Factor],
    o: &ProbeOptions,
    train: &[usize],
    test: &[usize],
    seed: u64,
    all: &mut Gathered,
) -> Result<()> {
    let rows = |p: &[usize]| x.index_select(0, &Tensor::from_slice(&p.iter().map(|i| *i as i64).collect::<Vec<_>>())?);
    let (x_train, x_test) = (rows(train)?, rows(test)?);
    let scaling = Standardise::of(&x_train)?;
    let (x_train, x_test) = (scaling.apply(&x_train)?, scaling.apply(&x_test)?);
    let pick = |column: &[i64], p: &[usize]| p.iter().map(|i| column[*i]).collect::<Vec<i64>>();
    let mut found: Vec<(usize, Found)> = Vec::new();

    // Binary factors share their products.
    let usable = |i: &usize| {
        let positive = factors[*i].positive();
        let both = |p: &[usize]| positive.is_some_and(|v| p.iter().any(|r| y[*i][*r] == v) && p.iter().any(|r| y[*i][*r] != v));
        both(train) && both(test)
    };
    let (binary, unusable): (Vec<usize>, Vec<usize>) = (0..factors.len()).filter(|i| factors[*i].positive().is_some()).partition(|i| usable(i));
    all.left_out.extend(unusable.iter().map(|i| format!("`{}` with seed {seed}", factors[*i].name)));
    if !binary.is_empty() {
        let truth = |p: &[usize]| -> Vec<Vec<bool>> {
            binary.iter().map(|i| pick(&y[*i], p).iter().map(|v| Some(*v) == factors[*i].positive()).collect()).collect()
        };
        let flat: Vec<f64> = truth(train).concat().into_iter().map(|b| f64::from(u8::from(b))).collect();
        let target = Tensor::from_vec(&flat, &[binary.len() as i64, train.len() as i64])?.t()?.contiguous()?;
        let fitted = fit_binary(&x_train, &target, o.c, o.iterations)?;
        let scores = fitted.scores(&x_test)?.t()?.contiguous()?.to_vec_f64()?;
        let scores: Vec<&[f64]> = scores.chunks(test.len()).collect();
        let truth = truth(test);
        for ((i, s), t) in binary.iter().zip(&scores).zip(&truth) {
            let counts = counted(s.iter().map(|s| *s > 0.0).zip(t.iter().copied()));
            let ap = average_precision(s, t).unwrap_or(0.0);
            found.push((*i, Found { f1: f1(counts[0], counts[1], counts[2]), ap, counts, steps: fitted.steps }));
        }
        if binary.len() > TOP {
            all.tops.extend(top_recall(&scores, &truth));
        }
    }

    for (i, factor) in factors.iter().enumerate().filter(|(_, f)| f.positive().is_none()) {
        let (a, b) = (pick(&y[i], train), pick(&y[i], test));
        if a.iter().all(|v| *v == a[0]) {
            all.left_out.push(format!("`{}` with seed {seed}", factor.name));
            continue;
        }
        let k = factor.values.len();
        let fitted = fit_classes(&x_train, &Tensor::from_slice(&a)?, k as i64, o.c, o.iterations)?;
        let scores = fitted.scores(&x_test)?;
        let answers = scores.argmax(Some(1), false)?.to_vec_i64()?;
        // Scores of different pictures compare only as probabilities: softmax is free to shift those of one picture together.
        let by_class = scores.softmax(1)?.t()?.contiguous()?.to_vec_f64()?;
        let by_class: Vec<&[f64]> = by_class.chunks(test.len()).collect();
        let truth: Vec<Vec<bool>> = (0..k as i64).map(|v| b.iter().map(|t| *t == v).collect()).collect();
        let (mut f1s, mut aps, mut sum) = (Vec::new(), Vec::new(), [0u64; 3]);
        for v in 0..k {
            let counts = counted(answers.iter().map(|a| *a == v as i64).zip(truth[v].iter().copied()));
            // As scikit-learn averages: over the values that occur among truths or answers.
            if counts.iter().any(|c| *c > 0) {
                f1s.push(f1(counts[0], counts[1], counts[2]));
            }
            aps.extend(average_precision(by_class[v], &truth[v]));
            sum.iter_mut().zip(counts).for_each(|(s, c)| *s += c);
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
        found.push((i, Found { f1: mean(&f1s), ap: mean(&aps), counts: sum, steps: fitted.steps }));
        if factors.len() == 1 && k > TOP {
            all.tops.extend(top_recall(&by_class, &truth));
        }
    }

    if found.is_empty() {
        return Ok(());
    }
    let mean = |f: &dyn Fn(&Found) -> f64| found.iter().map(|(_, x)| f(x)).sum::<f64>() / found.len() as f64;
    all.macros.push(mean(&|x| x.f1));
    all.aps.push(mean(&|x| x.ap));
    let sum = found.iter().fold([0u64; 3], |s, (_, f)| [s[0] + f.counts[0], s[1] + f.counts[1], s[2] + f.counts[2]]);
    all.micros.push(f1(sum[0], sum[1], sum[2]));
    all.steps = found.iter().map(|(_, f)| f.steps).max().unwrap_or(0).max(all.steps);
    for (i, f) in found {
        all.per_factor[i].0.push(f.f1);
        all.per_factor[i].1.push(f.ap);
    }
    Ok(())
}

fn counted(answers: impl Iterator<Item = (bool, bool)>) -> Counts {
    answers.fold([0; 3], |[tp, fp, missed], (answer, truth)| match (answer, truth) {
        (true, true) => [tp + 1, fp, missed],
        (true, false) => [tp, fp + 1, missed],
        (false, true) => [tp, fp, missed + 1],
        (false, false) => [tp, fp, missed],
    })
}

/// The part of all true answers that is among the five highest scores of its picture; `None` without one.
fn top_recall(scores: &[&[f64]], truth: &[Vec<bool>]) -> Option<f64> {
    let pictures = truth.first().map_or(0, Vec::len);
    let (mut hits, mut all) = (0usize, 0usize);
    for p in 0..pictures {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b][p].total_cmp(&scores[*a][p]));
        hits += order.iter().take(TOP).filter(|k| truth[**k][p]).count();
        all += truth.iter().filter(|t| t[p]).count();
    }
    (all > 0).then(|| hits as f64 / all as f64)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
