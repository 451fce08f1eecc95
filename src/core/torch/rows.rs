//! Random numbers row by row: row `j` of a draw comes from a stream of its own, so that it does not matter which rows are drawn together.
//!
//! A stream is ChaCha8 keyed with seed, the row's number and how many draws came before: counter-based, as Salmon et al. 2011 ("Parallel random
//! numbers: as easy as 1, 2, 3") ask for, and the same on every device and for any number of threads.

use super::draws::{Law, Wanted};
use super::{DType, Tensor};
use crate::error::{Error, Result};
use crate::memory;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;
use std::rc::Rc;

/// The streams of some numbered rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    seed: u64,
    numbers: Rc<[u64]>,
    /// Draws before the next.
    done: u64,
}

impl Rows {
    pub(super) fn new(seed: u64, numbers: &[u64]) -> Rows {
        Rows { seed, numbers: numbers.into(), done: 0 }
    }

    /// The streams of the next draw.
    pub(super) fn next(&mut self) -> Rows {
        let now = self.clone();
        self.done += 1;
        now
    }

    /// A draw whose row `j` is that of `numbers[j]`.
    pub(super) fn draw(&self, wanted: Wanted) -> Result<Tensor> {
        let Wanted { law, shape, dtype, device, bounds, .. } = wanted;
        let asked = format!("{} {shape:?}", law.name());
        if law == Law::Permutation || shape.first() != Some(&(self.numbers.len() as i64)) {
            let message = format!("{asked} is asked for, which has no row for each of {} pictures", self.numbers.len());
            return Err(Error::value("seeded_rows", message).help("inside it, the first size of every draw is the number of rows"));
        }
        let width = shape[1..].iter().try_fold(1usize, |n, s| n.checked_mul(usize::try_from(*s).ok()?));
        let width = width.ok_or_else(|| Error::value("seeded_rows", format!("{asked} is asked for: no such size")))?;
        let drawn = match law {
            Law::Normal => Tensor::from_vec(&self.fill(width, 0.0, normal)?, shape),
            Law::Int => {
                let (low, high) = bounds;
                let span = high.checked_sub(low).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
                let span = span.ok_or_else(|| Error::value("seeded_rows", format!("randint from {low} to {high}: nothing lies between")))?;
                // Multiply-shift: the bias is below `span` / 2^64.
                let one = |r: &mut ChaCha8Rng, out: &mut [i64]| out.iter_mut().for_each(|x| *x = low + scaled(r.next_u64(), span));
                Tensor::from_vec(&self.fill(width, 0, one)?, shape)
            }
            _ => {
                // As many bits as the dtype holds: a rounded draw could be 1.
                let bits = match dtype {
                    DType::Double => 53,
                    DType::Half => 11,
                    DType::BFloat16 => 8,
                    _ => 24,
                };
                let one = |r: &mut ChaCha8Rng, out: &mut [f64]| out.iter_mut().for_each(|x| *x = unit(r.next_u64(), bits));
                Tensor::from_vec(&self.fill(width, 0.0, one)?, shape)
            }
        };
        drawn?.to_dtype(dtype)?.to_device(device)
    }

    fn fill<T: Copy + Send>(&self, width: usize, zero: T, one: impl Fn(&mut ChaCha8Rng, &mut [T]) + Sync) -> Result<Vec<T>> {
        let len = self.numbers.len().saturating_mul(width);
        // The tensor that it goes to is as large again.
        memory::room_for("seeded_rows", len, 2 * size_of::<T>())?;
        let mut out = Vec::new();
        out.try_reserve_exact(len).map_err(|_| Error::value("seeded_rows", "not enough memory for the draw"))?;
        out.resize(len, zero);
        let (numbers, seed, done): (&[u64], _, _) = (&self.numbers, self.seed, self.done);
        if width > 0 {
            out.par_chunks_mut(width).zip(numbers).for_each(|(row, number)| one(&mut stream(seed, *number, done), row));
        }
        Ok(out)
    }
}

fn stream(seed: u64, number: u64, draw: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (part, word) in key.chunks_exact_mut(8).zip([seed, number, draw, u64::from_le_bytes(*b"rows v1.")]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// The first `bits` bits as a number in [0, 1).
fn unit(word: u64, bits: u32) -> f64 {
    (word >> (64 - bits)) as f64 / (1u64 << bits) as f64
}

fn scaled(word: u64, span: u64) -> i64 {
    ((u128::from(word) * u128::from(span)) >> 64) as i64
}

/// Box and Muller's pairs.
fn normal(random: &mut ChaCha8Rng, out: &mut [f64]) {
    for pair in out.chunks_mut(2) {
        // 1 - u lies in (0, 1], whose logarithm is finite.
        let (u, turn) = (1.0 - unit(random.next_u64(), 53), unit(random.next_u64(), 53));
        let radius = (-2.0 * u.ln()).sqrt();
        let (sin, cos) = (turn * std::f64::consts::TAU).sin_cos();
        pair[0] = radius * cos;
        if let Some(second) = pair.get_mut(1) {
            *second = radius * sin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::seeded_rows;
    use super::*;
    use crate::torch::Device;

    fn numbers(t: &Tensor) -> Vec<f64> {
        t.to_vec_f64().unwrap()
    }

    /// Three draws of four numbers a row.
    fn drawn(seed: i64, rows: &[i64]) -> Vec<Vec<f64>> {
        let n = rows.len() as i64;
        let draws = seeded_rows(seed, rows, || {
            let a = Tensor::randn(&[n, 2, 2], DType::Float, Device::Cpu)?;
            Ok([a.randn_like()?, Tensor::rand(&[n, 4], DType::Double, Device::Cpu)?, Tensor::randint(-3, 1 << 40, &[n, 4], Device::Cpu)?, a])
        });
        let draws = draws.unwrap().map(|t| numbers(&t));
        (0..rows.len()).map(|j| draws.iter().flat_map(|d| d[j * 4..(j + 1) * 4].to_vec()).collect()).collect()
    }

    #[test]
    fn a_row_depends_on_seed_and_number_alone() {
        let all = drawn(7, &[0, 1, 2, 3, 4, 5]);
        assert_eq!(drawn(7, &[4, 1]), [all[4].clone(), all[1].clone()]);
        assert_eq!(drawn(7, &[3]), [all[3].clone()]);
        // No row of another seed is one of these, at whatever distance.
        let other: Vec<_> = (0..12).flat_map(|seed| if seed == 7 { vec![] } else { drawn(seed, &[0, 1, 2, 3, 4, 5]) }).collect();
        assert!(all.iter().all(|row| !other.contains(row)));
        let firsts: std::collections::BTreeSet<_> = all.iter().flatten().map(|x| x.to_bits()).collect();
        assert_eq!(firsts.len(), 6 * 16, "every number is drawn once");
        assert_eq!(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| drawn(7, &[5]))[0], all[5]);
    }

    #[test]
    fn the_laws_are_those_asked_for() {
        let n = 40_000i64;
        let rows: Vec<i64> = (0..n / 100).collect();
        let shape = [n / 100, 100];
        let of = |f: &dyn Fn() -> Result<Tensor>| numbers(&seeded_rows(3, &rows, f).unwrap());
        let moments = |x: &[f64]| {
            let mean = x.iter().sum::<f64>() / n as f64;
            (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64)
        };
        // Five standard errors.
        let (mean, variance) = moments(&of(&|| Tensor::randn(&shape, DType::Double, Device::Cpu)));
        assert!(mean.abs() < 0.025 && (variance - 1.0).abs() < 0.036, "{mean} {variance}");
        for dtype in [DType::Double, DType::Float, DType::Half, DType::BFloat16] {
            let x = of(&|| Tensor::rand(&shape, dtype, Device::Cpu));
            let (mean, variance) = moments(&x);
            assert!((mean - 0.5).abs() < 0.0073 + 0.002 && (variance - 1.0 / 12.0).abs() < 0.002, "{dtype:?} {mean} {variance}");
            assert!(x.iter().all(|v| (0.0..1.0).contains(v)), "{dtype:?}");
        }
        let x = of(&|| Tensor::randint(2, 5, &shape, Device::Cpu));
        for k in [2.0, 3.0, 4.0] {
            let share = x.iter().filter(|v| **v == k).count() as f64 / n as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.012, "{k}: {share}");
        }
        // What is drawn does not hang on the dtype.
        let one = |dtype| numbers(&seeded_rows(1, &[9], || Tensor::randn(&[1, 3], dtype, Device::Cpu)).unwrap());
        assert!(one(DType::Float).iter().zip(one(DType::Double)).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn what_has_no_rows_is_refused_by_name() {
        let fails = |f: &dyn Fn() -> Result<Tensor>, want: &str| {
            // A draw of another test at the same moment hides what was drawn otherwise.
            let e = (0..10_000).find_map(|_| seeded_rows(0, &[0, 1, 2], f).err()).unwrap().to_string();
            assert!(e.contains(want), "{e}");
        };
        fails(&|| Tensor::randn(&[6], DType::Float, Device::Cpu), "randn [6] is asked for, which has no row for each of 3");
        fails(&|| Tensor::randn(&[], DType::Float, Device::Cpu), "randn []");
        fails(&|| Tensor::randperm(3, Device::Cpu), "randperm [3]");
        fails(&|| Tensor::randint(4, 4, &[3], Device::Cpu), "nothing lies between");
        fails(&|| Tensor::zeros(&[3], DType::Float, Device::Cpu)?.uniform_(0.0, 1.0), "not row by row");
        fails(&|| seeded_rows(1, &[0], || Tensor::zeros(&[1], DType::Float, Device::Cpu)), "inside another");
        assert!(seeded_rows(0, &[0, -1], || Ok(())).unwrap_err().to_string().contains("-1"));
        assert_eq!(seeded_rows(0, &[1, 2], || Tensor::randn(&[2, 0], DType::Float, Device::Cpu)).unwrap().shape(), [2, 0]);
    }

    #[test]
    fn records_and_replays_go_through() {
        use super::super::draws::{record, replay};
        let code = || seeded_rows(5, &[3, 8], || Tensor::randn(&[2, 3], DType::Float, Device::Cpu));
        let (value, draws) = record(code).unwrap();
        assert_eq!(draws.len(), 1);
        let mut other = draws.clone();
        other[0].value = value.mul(2.0).unwrap();
        assert_eq!(numbers(&replay(other, code).unwrap()), numbers(&value.mul(2.0).unwrap()));
    }
}
