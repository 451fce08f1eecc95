//! The tensors that an optimizer keeps for its parameters: making them, and reading them out of a state.

use super::algorithm::Kept;
use super::param_group::{Group, Rates};
use crate::error::{Error, Result, did_you_mean};
use crate::nn::State;
use crate::torch::{DType, Device, Tensor, no_grad};
use std::collections::HashSet;

/// A parameter in an optimizer.
pub(super) struct Slot {
    pub name: String,
    pub param: Tensor,
    pub group: usize,
    /// What the algorithm keeps, once there was a gradient.
    pub state: Option<Vec<Tensor>>,
}

/// The name under which a state holds the learning rate. A parameter cannot be called so: names of state have a suffix.
pub(super) const LR: &str = "lr";

/// A number as a state holds it.
pub(super) fn number(x: f64) -> Result<Tensor> {
    Tensor::full(&[], x, DType::Double, Device::Cpu)
}

/// The dtype of the matrices that are kept for a parameter.
fn wide(param: &Tensor) -> DType {
    if param.dtype() == DType::Double { DType::Double } else { DType::Float }
}

/// What is kept for a parameter before its first step.
pub(super) fn make(kept: &[Kept], param: &Tensor) -> Result<Vec<Tensor>> {
    let one = |k: &Kept| match k {
        Kept::Like(_) => param.detach()?.zeros_like(),
        Kept::Count(_) => Tensor::zeros(&[], DType::Float, param.device()),
        Kept::HostCount(_) => Tensor::zeros(&[], DType::Float, Device::Cpu),
        Kept::Square(_, n) => Tensor::zeros(&[*n, *n], wide(param), param.device()),
    };
    kept.iter().map(one).collect()
}

/// The bytes of what is kept for a parameter.
pub(super) fn bytes(kept: &[Kept], param: &Tensor) -> usize {
    let one = |k: &Kept| match k {
        Kept::Like(_) => param.numel() * param.dtype().elt_size_in_bytes(),
        Kept::Count(_) | Kept::HostCount(_) => 4,
        Kept::Square(_, n) => usize::try_from(n * n).unwrap_or(0) * wide(param).elt_size_in_bytes(),
    };
    kept.iter().map(one).sum()
}

/// Whether `state` has the dtype, the device and the layout of the parameter: kernels walk both by address.
pub(super) fn is_like(kept: &[Kept], state: &[Tensor], param: &Tensor) -> bool {
    let one = |(k, t): (&Kept, &Tensor)| match k {
        Kept::Count(_) => t.device() == param.device() && t.rank() == 0,
        Kept::HostCount(_) => t.device() == Device::Cpu && t.rank() == 0,
        Kept::Like(_) => t.device() == param.device() && t.dtype() == param.dtype() && t.strides() == param.strides(),
        Kept::Square(..) => t.device() == param.device() && t.dtype() == wide(param),
    };
    kept.iter().zip(state).all(one)
}

/// Whether a tensor may be what is kept of a parameter.
fn fits(k: &Kept, t: &Tensor, param: &Tensor) -> bool {
    match k {
        Kept::Like(_) => t.shape() == param.shape(),
        Kept::Count(_) | Kept::HostCount(_) => t.numel() == 1,
        Kept::Square(_, n) => t.shape() == [*n, *n],
    }
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
    let Some(state) = &slot.state else { return Ok(()) };
    let wrong = kept.iter().zip(state).find(|(k, t)| !fits(k, t, param)).map(|(k, t)| format!("its `{}` {}", k.name(), t.describe()));
    let wrong = wrong.or_else(|| (kept.len() != state.len()).then(|| "its state that of another shape".to_owned()));
    match wrong {
        None => Ok(()),
        Some(wrong) => {
            let message = format!("the parameter `{name}` is {}, {wrong}", param.describe());
            Err(Error::value(op, message).help("it got another shape since the last step: make the optimizer anew"))
        }
    }
}

/// Copies in the layout, dtype and on the device of the parameter.
pub(super) fn copy_like(kept: &[Kept], state: &[Tensor], param: &Tensor) -> Result<Vec<Tensor>> {
    let new = make(kept, param)?;
    no_grad(|| {
        for ((k, to), from) in kept.iter().zip(&new).zip(state) {
            to.copy_(&if k.is_count() { from.reshape(&[])? } else { from.clone() })?;
        }
        Ok(new)
    })
}

/// What is kept of a slot, made where there is nothing yet, and put where its parameter is now.
pub(super) fn present(kept: &[Kept], slot: &mut Slot) -> Result<Vec<Tensor>> {
    let state = match &slot.state {
        Some(s) if is_like(kept, s, &slot.param) => s.clone(),
        // The module was moved or converted since the last step.
        Some(s) => copy_like(kept, s, &slot.param)?,
        None => make(kept, &slot.param)?,
    };
    slot.state = Some(state.clone());
    Ok(state)
}

/// What a group's part of a state says.
pub(super) struct ReadGroup {
    /// The learning rate, the optimizer's at that time, and the rest of the rates.
    pub rates: Option<(f64, Rates)>,
    /// The numbers of its algorithm.
    pub numbers: Vec<f64>,
}

/// What a state says of an optimizer.
pub(super) struct Read {
    /// Its learning rate.
    pub lr: Option<f64>,
    /// Each of its groups.
    pub groups: Vec<ReadGroup>,
    /// What is kept for each parameter.
    pub slots: Vec<Option<Vec<Tensor>>>,
}

/// Writes what there is to say of a group; its rates where `with_rates`.
pub(super) fn write_group(i: usize, group: &Group, names: &[(&str, f64)], with_rates: bool, out: &mut State) -> Result<()> {
    let mut put = |part: &str, x: f64| number(x).map(|t| out.insert(format!("groups.{i}.{part}"), t)).map(drop);
    if with_rates {
        let (lr, base) = group.lr.get();
        put(LR, lr)?;
        put("base_lr", base)?;
        put("weight_decay", group.weight_decay.get())?;
        if let Some((beta1, beta2)) = group.betas.get().filter(|b| Some(*b) != group.made.betas) {
            put("beta1", beta1)?;
            put("beta2", beta2)?;
        }
    }
    names.iter().zip(group.numbers.borrow().iter()).try_for_each(|((name, _), x)| put(name, *x))
}

/// Reads the state of an optimizer with these parameters and groups. Of parameters that are not `own` nothing is taken. `kept` is what is kept of each parameter, `numbers` what of each group.
pub(super) fn read(
    op: &str,
    kept: &[Vec<Kept>],
    slots: &[Slot],
    groups: &[Group],
    numbers: &[&[(&str, f64)]],
    state: &State,
    own: &dyn Fn(usize) -> bool,
) -> Result<Read> {
    let mut used: HashSet<String> = HashSet::new();
    let mut new = Vec::new();
    for (i, (s, kept)) in slots.iter().zip(kept).enumerate() {
        let names: Vec<String> = kept.iter().map(|k| format!("{}.{}", s.name, k.name())).collect();
        let found: Vec<Tensor> = names.iter().filter_map(|n| state.get(n)).cloned().collect();
        if found.is_empty() {
            new.push(None);
            continue;
        }
        if found.len() != kept.len() {
            return Err(Error::weights(format!("the optimizer's state of `{}` is incomplete", s.name)));
        }
        if let Some((k, t)) = kept.iter().zip(&found).find(|(k, t)| !fits(k, t, &s.param)) {
            let wanted = if let Kept::Square(_, n) = k { vec![*n, *n] } else { s.param.shape() };
            return Err(Error::weights(if k.is_count() {
                format!("the step counter of `{}` is not one number", s.name)
            } else {
                format!("the optimizer's state of `{}` has shape {:?}, not {wanted:?}", s.name, t.shape())
            }));
        }
        used.extend(names);
        new.push(if own(i) { Some(copy_like(kept, &found, &s.param)?) } else { None });
    }
    let lr = state.get(LR).map(Tensor::item).transpose()?;
    used.extend(lr.map(|_| LR.to_owned()));
    let groups = read_groups(op, groups, numbers, state, &mut used)?;
    if let Some(unknown) = state.keys().find(|k| !used.contains(*k)) {
        let known: HashSet<&str> = slots.iter().map(|s| s.name.as_str()).collect();
        let unknown = unknown.rsplit_once('.').map_or(unknown.as_str(), |(name, _)| name);
        let near = did_you_mean(unknown, known.iter().copied());
        let message = if known.contains(unknown) {
            format!("the optimizer's state of `{unknown}` is that of another optimizer, not of {op}")
        } else {
            format!("the optimizer's state speaks of `{unknown}`, which it does not train{near}")
        };
        return Err(Error::weights(message));
    }
    if let Some(lr) = lr {
        Rates { lr, ..Rates::default() }.check(op)?;
    }
    Ok(Read { lr, groups, slots: new })
}

fn read_groups(op: &str, groups: &[Group], numbers: &[&[(&str, f64)]], state: &State, used: &mut HashSet<String>) -> Result<Vec<ReadGroup>> {
    let of = |i: usize, part: &str| format!("groups.{i}.{part}");
    let has_rates = |i: usize| [LR, "base_lr", "weight_decay"].iter().all(|part| state.contains_key(&of(i, part)));
    let spoken = (0..).take_while(|i| has_rates(*i)).count();
    let count = groups.len();
    if spoken.max(1) != count {
        let plural = if spoken > 1 { "s" } else { "" };
        let message = format!("the optimizer's state is of {} group{plural}, this one has {count}", spoken.max(1));
        return Err(Error::weights(message).help("make it of the same groups of parameters"));
    }
    let mut get = |i: usize, part: &str| -> Result<Option<f64>> {
        let name = of(i, part);
        let found = state.get(&name).map(Tensor::item).transpose()?;
        used.extend(found.map(|_| name));
        Ok(found)
    };
    let mut out = Vec::new();
    for (i, (group, names)) in groups.iter().zip(numbers).enumerate() {
        let mut rates = None;
        if let (Some(lr), Some(base), Some(weight_decay)) = (get(i, LR)?, get(i, "base_lr")?, get(i, "weight_decay")?) {
            let betas = get(i, "beta1")?.zip(get(i, "beta2")?).or(group.made.betas);
            rates = Some((base, Rates { lr, weight_decay, betas }.check(op)?));
        }
        let missing = |name: &str| Error::weights(format!("the optimizer's state lacks `{}`: it is of another optimizer than {op}", of(i, name)));
        let numbers = names.iter().map(|(name, _)| get(i, name)?.ok_or_else(|| missing(name))).collect::<Result<_>>()?;
        out.push(ReadGroup { rates, numbers });
    }
    Ok(out)
}
