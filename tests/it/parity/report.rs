//! What a check found.

use lathe::error::Result;
use lathe::torch::{DType, Device, Tensor, default_device};

/// The limits of the fixtures are for another CPU. A GPU sums in another order, not even always in the same one, and of the thousands of ReLU
/// and max-pooling units between a loss and what it is derived by some lie so near their kink that they switch: a jump, not an error that
/// grows. So where a loss through VGG16 and a discriminator is derived, and where a million rounding errors are summed, a GPU is given ten
/// times as much; docs/parity.md has what eager PyTorch itself does there.
pub fn on_this_device(limit: f64) -> f64 {
    if default_device() == Device::Cpu { limit } else { 10.0 * limit }
}

/// A quantity with its error and the most it may be.
#[derive(Clone)]
pub struct Worst {
    pub name: String,
    pub error: f64,
    pub limit: f64,
}

impl Worst {
    /// A part of the limit; an error that is no number is beyond all limits.
    fn ratio(&self) -> f64 {
        let ratio = if self.error == 0.0 { 0.0 } else { self.error / self.limit };
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    }
}

/// The comparisons of one fixture.
#[derive(Default)]
pub struct Report {
    compared: usize,
    /// The error that is nearest to its limit or furthest beyond it.
    worst: Option<Worst>,
    failures: Vec<String>,
    notes: Vec<String>,
    /// The gradients that are too far off.
    jumps: Vec<Worst>,
    /// What is said of kinks.
    kinks: Vec<String>,
}

impl Report {
    /// One comparison with an error and the most it may be.
    pub fn within(&mut self, name: &str, error: f64, tolerance: f64) {
        self.compared += 1;
        let new = Worst { name: name.to_owned(), error, limit: tolerance };
        if self.worst.as_ref().is_none_or(|w| new.ratio() > w.ratio()) {
            self.worst = Some(new);
        }
        // A NaN compares false with everything and must fail.
        if error > tolerance || error.is_nan() {
            self.fail(format!("{name}: error {error:.3e}, allowed {tolerance:.3e}"));
        }
    }

    /// The same of a gradient, which may lie at a kink.
    pub fn within_gradient(&mut self, name: &str, error: f64, tolerance: f64) {
        let before = self.failures.len();
        self.within(name, error, tolerance);
        if self.failures.len() > before {
            self.jumps.push(Worst { name: name.to_owned(), error, limit: tolerance });
        }
    }

    /// The gradient that is furthest off, when nothing but gradients is.
    pub fn only_gradients(&self) -> Option<Worst> {
        let worst = self.jumps.iter().max_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        worst.filter(|_| self.jumps.len() == self.failures.len()).cloned()
    }

    /// Something about a kink, which the page says too.
    pub fn kink(&mut self, what: String) {
        self.kinks.push(what);
    }

    pub fn kinks(&self) -> &[String] {
        &self.kinks
    }

    /// Takes another report's comparisons over.
    pub fn add(&mut self, other: Report) {
        self.compared += other.compared;
        if let Some(w) = other.worst
            && self.worst.as_ref().is_none_or(|own| w.ratio() > own.ratio())
        {
            self.worst = Some(w);
        }
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
        self.jumps.extend(other.jumps);
        self.kinks.extend(other.kinks);
    }

    /// Largest absolute difference at most `tolerance * max(1, max |want|)`.
    pub fn close(&mut self, name: &str, got: &Tensor, want: &Tensor, tolerance: f64) -> Result<()> {
        if got.shape() != want.shape() {
            self.fail(format!("{name}: shape {:?}, expected {:?}", got.shape(), want.shape()));
            return Ok(());
        }
        let (got, want) = (got.to_vec_f64()?, want.to_vec_f64()?);
        let scale = want.iter().fold(1.0f64, |m, x| m.max(x.abs()));
        let error = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, nan_max);
        self.within(name, error, tolerance * scale);
        Ok(())
    }

    /// Relative L2 error at most `tolerance`. A gradient whose norm is below `zero` is mathematically zero (key biases): then both must be.
    pub fn gradient(&mut self, name: &str, got: &Tensor, want: &Tensor, tolerance: f64, zero: f64) -> Result<()> {
        if got.shape() != want.shape() {
            self.fail(format!("{name}: shape {:?}, expected {:?}", got.shape(), want.shape()));
            return Ok(());
        }
        let (got, want) = (got.to_dtype(DType::Double)?, want.to_dtype(DType::Double)?);
        let norm = want.norm()?.item()?;
        if norm <= zero {
            self.within_gradient(name, got.norm()?.item()?, zero);
        } else {
            self.within_gradient(name, got.sub(&want)?.norm()?.item()? / norm, tolerance);
        }
        Ok(())
    }

    /// Equal text.
    pub fn same<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, got: T, want: T) {
        self.compared += 1;
        if got != want {
            self.fail(format!("{name}: {got:?}, expected {want:?}"));
        }
    }

    pub fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Something that a reader of the line should know.
    pub fn note(&mut self, what: impl Into<String>) {
        self.notes.push(what.into());
    }

    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// How many comparisons were made.
    pub fn compared(&self) -> usize {
        self.compared
    }

    /// The worst of the comparisons that have an error; exact ones have none.
    pub fn worst(&self) -> Option<&Worst> {
        self.worst.as_ref()
    }

    /// `ok, 93 compared, worst train.loss: error 1.2e-7, limit 1.0e-5`.
    pub fn line(&self) -> String {
        let state = if self.failures.is_empty() { "ok" } else { "FAILED" };
        let worst = match &self.worst {
            Some(w) => format!(", worst {}: error {:.1e}, limit {:.1e}", w.name, w.error, w.limit),
            None if self.compared > 0 => ", all exact".to_owned(),
            None => String::new(),
        };
        let notes: String = self.notes.iter().chain(&self.kinks).map(|n| format!("; {n}")).collect();
        format!("{state}, {} compared{worst}{notes}", self.compared)
    }
}

fn nan_max(a: f64, b: f64) -> f64 {
    if b.is_nan() || b > a { b } else { a }
}
