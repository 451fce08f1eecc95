//! The tensors that an optimizer keeps for its parameters: making them, and reading them out of a state.

use super::algorithm::Kept;
use super::optimizer::Slot;
use super::param_group::Rates;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::State;
use crate::torch::{DType, Device, Tensor, no_grad};
use std::collections::HashSet;

/// The name under which a state holds the learning rate. A parameter cannot be called so: names of state have a suffix.
pub(super) const LR: &str = "lr";

/// A number as a state holds it.
pub(super) fn number(x: f64) -> Result<Tensor> {
    Tensor::full(&[], x, DType::Double, Device::Cpu)
}

/// What is kept for a parameter before its first step.
pub(super) fn make(kept: &[Kept], param: &Tensor) -> Result<Vec<Tensor>> {
    let one = |k: &Kept| match k {
        Kept::Like(_) => param.detach()?.zeros_like(),
        Kept::Count(_) => Tensor::zeros(&[], DType::Float, param.device()),
    };
    kept.iter().map(one).collect()
}

/// Whether `state` has the dtype, the device and the layout of the parameter: kernels walk both by address.
pub(super) fn is_like(kept: &[Kept], state: &[Tensor], param: &Tensor) -> bool {
    let one = |(k, t): (&Kept, &Tensor)| match k {
        Kept::Count(_) => t.device() == param.device() && t.rank() == 0,
        Kept::Like(_) => t.device() == param.device() && t.dtype() == param.dtype() && t.strides() == param.strides(),
    };
    kept.iter().zip(state).all(one)
}

/// Refuses a parameter that is not what it was when the optimizer was made, or when its state was: a script has its handle too.
///
/// # Errors
/// `E0202` naming the parameter.
pub(super) fn check(op: &str, kept: &[Kept], slot: &Slot) -> Result<()> {
    let (name, param) = (&slot.name, &slot.param);
    if !(param.is_float() && param.is_dense()) {
        let message = format!("`{name}` can no longer be trained: {}", param.describe());
        return Err(Error::value(op, message).help("parameters are float tensors that have no gaps; it was changed since the optimizer was made"));
    }
    for (k, t) in kept.iter().zip(slot.state.iter().flatten()) {
        let fits = match k {
            Kept::Like(_) => t.shape() == param.shape(),
            Kept::Count(_) => t.numel() == 1,
        };
        if !fits {
            let message = format!("the parameter `{name}` is {}, its `{}` {}", param.describe(), k.name(), t.describe());
            return Err(Error::value(op, message).help("it got another shape since the last step: make the optimizer anew"));
        }
    }
    Ok(())
}

/// Copies in the layout, dtype and on the device of the parameter.
pub(super) fn copy_like(kept: &[Kept], state: &[Tensor], param: &Tensor) -> Result<Vec<Tensor>> {
    let new = make(kept, param)?;
    no_grad(|| {
        for ((k, to), from) in kept.iter().zip(&new).zip(state) {
            to.copy_(&if matches!(k, Kept::Count(_)) { from.reshape(&[])? } else { from.clone() })?;
        }
        Ok(new)
    })
}

/// What a state says of an optimizer.
pub(super) struct Read {
    /// Its learning rate.
    pub lr: Option<f64>,
    /// `(lr, base_lr, weight_decay)` of each group, if it speaks of groups.
    pub groups: Vec<(f64, f64, f64)>,
    /// What is kept for each parameter.
    pub slots: Vec<Option<Vec<Tensor>>>,
}

/// Reads the state of an optimizer with these parameters.
pub(super) fn read(op: &str, kept: &[Kept], slots: &[Slot], group_count: usize, state: &State) -> Result<Read> {
    let mut used = 0;
    let mut new = Vec::new();
    for s in slots {
        let found: Vec<&Tensor> = kept.iter().filter_map(|k| state.get(&format!("{}.{}", s.name, k.name()))).collect();
        if found.is_empty() {
            new.push(None);
            continue;
        }
        if found.len() != kept.len() {
            return Err(Error::weights(format!("the optimizer's state of `{}` is incomplete", s.name)));
        }
        for (k, t) in kept.iter().zip(&found) {
            match k {
                Kept::Like(_) if t.shape() != s.param.shape() => {
                    let (got, wanted) = (t.shape(), s.param.shape());
                    return Err(Error::weights(format!("the optimizer's state of `{}` has shape {got:?}, not {wanted:?}", s.name)));
                }
                Kept::Count(_) if t.numel() != 1 => return Err(Error::weights(format!("the step counter of `{}` is not one number", s.name))),
                _ => {}
            }
        }
        used += kept.len();
        let found: Vec<Tensor> = found.into_iter().cloned().collect();
        new.push(Some(copy_like(kept, &found, &s.param)?));
    }
    let lr = state.get(LR).map(Tensor::item).transpose()?;
    let groups = read_groups(op, group_count, state)?;
    if used + 3 * groups.len() + usize::from(lr.is_some()) != state.len() {
        let known: HashSet<&str> = slots.iter().map(|s| s.name.as_str()).collect();
        let of = |k: &str| k.rsplit_once('.').map_or(k.to_owned(), |(name, _)| name.to_owned());
        let unknown = state.keys().filter(|k| *k != LR).map(|k| of(k)).find(|k| !known.contains(k.as_str())).unwrap_or_default();
        let near = did_you_mean(&unknown, known.iter().copied());
        return Err(Error::weights(format!("the optimizer's state speaks of `{unknown}`, which it does not train{near}")));
    }
    if let Some(lr) = lr {
        Rates { lr, weight_decay: 0.0 }.check(op)?;
    }
    Ok(Read { lr, groups, slots: new })
}

fn read_groups(op: &str, count: usize, state: &State) -> Result<Vec<(f64, f64, f64)>> {
    let get = |i: usize, part: &str| state.get(&format!("groups.{i}.{part}"));
    let mut groups = Vec::new();
    while let (Some(lr), Some(base), Some(decay)) = (get(groups.len(), LR), get(groups.len(), "base_lr"), get(groups.len(), "weight_decay")) {
        let (rates, base) = (Rates { lr: lr.item()?, weight_decay: decay.item()? }.check(op)?, base.item()?);
        groups.push((rates.lr, base, rates.weight_decay));
    }
    if groups.len().max(1) != count {
        let plural = if groups.len() > 1 { "s" } else { "" };
        let message = format!("the optimizer's state is of {} group{plural}, this one has {count}", groups.len().max(1));
        return Err(Error::weights(message).help("make it of the same groups of parameters"));
    }
    Ok(groups)
}
