//! Exponential moving average of a module's weights.

use super::groups;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::torch::bridge::{Value, call};
use crate::torch::{Tensor, no_grad};
use std::cell::Cell;
use std::rc::Rc;

/// A copy of a module whose weights follow it: `ema = decay * ema + (1 - decay) * now` for parameters and float buffers (running
/// statistics); integer buffers (counters) are copied. A cheap handle: clones are the same average.
#[derive(Clone)]
pub struct Ema(Rc<Inner>);

struct Inner {
    source: Module,
    copy: Module,
    decay: Cell<f64>,
}

impl Ema {
    /// A copy of `module` as it is now, in evaluation mode and without gradients.
    ///
    /// # Errors
    /// `E0202` when `decay` is not within 0 and 1, `E0201` or `E0203` when the copy fails.
    pub fn new(module: &Module, decay: f64) -> Result<Ema> {
        let copy = module.deep_copy()?;
        copy.set_requires_grad(false)?;
        copy.set_training(false);
        let ema = Ema(Rc::new(Inner { source: module.clone(), copy, decay: Cell::new(0.0) }));
        ema.set_decay(decay)?;
        Ok(ema)
    }

    /// The averaged module: for sampling and evaluation.
    pub fn module(&self) -> Module {
        self.0.copy.clone()
    }

    /// How much of the average each update keeps.
    pub fn decay(&self) -> f64 {
        self.0.decay.get()
    }

    /// Changes it: 0 copies the weights at the next update.
    ///
    /// # Errors
    /// `E0202` when it is not within 0 and 1.
    pub fn set_decay(&self, decay: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::value("ema", format!("`decay` must be from 0 to 1, got {decay}")));
        }
        self.0.decay.set(decay);
        Ok(())
    }

    /// Moves the average towards the module's present weights.
    ///
    /// # Errors
    /// `E0202` when parts were added to or removed from the module since, `E0201` when libtorch refuses.
    pub fn update(&self) -> Result<()> {
        let pairs = self.pairs()?;
        no_grad(|| self.follow(&pairs))
    }

    /// Every tensor as it is now, beside its average.
    pub(super) fn pairs(&self) -> Result<Vec<(Tensor, Tensor)>> {
        let (from, to) = (self.0.source.entries(), self.0.copy.entries());
        if from.len() != to.len() || from.iter().zip(&to).any(|(a, b)| a.name != b.name || a.tensor.shape() != b.tensor.shape()) {
            let message = format!("the {} has other parameters than when its average was begun", self.0.source.kind());
            return Err(Error::value("ema", message).help("make the average after the module is complete"));
        }
        let mut seen = std::collections::HashSet::new();
        let mut new = |to: &Tensor| to.numel() > 0 && seen.insert(to.id());
        Ok(from.into_iter().zip(to).filter(|(_, to)| new(&to.tensor)).map(|(from, to)| (from.tensor, to.tensor)).collect())
    }

    /// Moves the averages of `pairs`.
    pub(super) fn follow<'a>(&self, pairs: impl IntoIterator<Item = &'a (Tensor, Tensor)>) -> Result<()> {
        let (mut average, mut now): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        for (from, to) in pairs {
            let source = from.detach()?;
            if !to.is_float() {
                to.copy_(&source)?;
                continue;
            }
            // A module that was moved or converted after the average was begun.
            now.push(source.to_device(to.device())?.to_dtype(to.dtype())?);
            average.push(to.detach()?);
        }
        for group in groups(&average) {
            let of = |list: &[Tensor]| Value::List(group.iter().map(|&i| (&list[i]).into()).collect());
            call("_foreach_lerp_.Scalar", &[of(&average), of(&now), (1.0 - self.decay()).into()], &[])?;
        }
        Ok(())
    }
}
