//! Exponential moving average of a module's weights.

use super::ema_parts::Parts;
use super::groups;
use super::profile::Profile;
use crate::error::{Error, Result};
use crate::nn::{Module, State};
use crate::torch::bridge::{Value, call};
use crate::torch::{Tensor, no_grad};
use std::cell::Cell;
use std::rc::Rc;

/// A copy of a module whose weights follow it: `ema = decay * ema + (1 - decay) * now` for parameters and float buffers (running
/// statistics); integer buffers (counters) are copied. The decay may follow a [`Profile`]. A cheap handle: clones are the same average.
#[derive(Clone)]
pub struct Ema(Rc<Inner>);

struct Inner {
    source: Module,
    copy: Module,
    /// Where ranks share the average out.
    parts: Option<Parts>,
    /// What the average was made with, or was set to since.
    own: Cell<f64>,
    profile: Profile,
    updates: Cell<u64>,
    /// What the last update kept.
    last: Cell<f64>,
}

impl Ema {
    /// A copy of `module` as it is now, in evaluation mode and without gradients.
    ///
    /// # Errors
    /// `E0202` when `decay` is not within 0 and 1, `E0201` or `E0203` when the copy fails.
    pub fn new(module: &Module, decay: f64) -> Result<Ema> {
        Ema::of_profile(module, decay, Profile::Constant)
    }

    /// The same with a decay that follows a rule. `decay` is the rule's largest, where it has one.
    ///
    /// # Errors
    /// As [`Ema::new`], and `E0202` when the rule is out of range.
    pub fn of_profile(module: &Module, decay: f64, profile: Profile) -> Result<Ema> {
        let profile = profile.check("ema")?;
        let copy = module.deep_copy()?;
        copy.set_requires_grad(false)?;
        copy.set_training(false);
        let parts = Parts::of(&copy.entries());
        let ema =
            Ema(Rc::new(Inner { source: module.clone(), copy, parts, own: Cell::new(0.0), profile, updates: Cell::new(0), last: Cell::new(0.0) }));
        ema.set_decay(decay)?;
        ema.disperse()?;
        Ok(ema)
    }

    /// The averaged module: for sampling and evaluation.
    pub fn module(&self) -> Module {
        self.0.copy.clone()
    }

    /// Whether ranks share it out: then [`Ema::module`] has the weights of other ranks only while [`Ema::whole_module`] is in force.
    pub fn is_shared(&self) -> bool {
        self.0.parts.is_some()
    }

    /// The averaged module with all its weights; where ranks share them out, until the next update. Then all ranks must call it.
    ///
    /// # Errors
    /// `E0202` where one rank works alone and they are not here, `E0802` when another rank is gone, `E0803` when one does not call it.
    pub fn whole_module(&self) -> Result<Module> {
        if let Some(parts) = &self.0.parts {
            parts.assemble(&self.0.copy.entries())?;
        }
        Ok(self.module())
    }

    /// Drops the weights that other ranks keep.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub(in crate::train) fn disperse(&self) -> Result<()> {
        match &self.0.parts {
            Some(parts) if parts.is_whole() => parts.disperse(&self.0.copy.entries()),
            _ => Ok(()),
        }
    }

    /// The state dict of the average, as far as this rank keeps it.
    pub(in crate::train) fn kept(&self) -> State {
        let keeps = |i, e: &crate::nn::Entry| self.0.parts.as_ref().is_none_or(|p| p.keeps(i, e));
        let entries = self.0.copy.entries().into_iter().enumerate();
        entries.filter(|(i, e)| e.persistent && keeps(*i, e)).map(|(_, e)| (e.name, e.tensor)).collect()
    }

    /// Copies a state dict into the average. Of one that ranks share out this rank takes what it keeps, and the rest need not be there.
    ///
    /// # Errors
    /// `E0401` with the difference when it does not fit.
    pub(in crate::train) fn load(&self, state: &State) -> Result<()> {
        let Some(parts) = &self.0.parts else { return self.0.copy.load_state(state, true).map(drop) };
        let entries = self.0.copy.entries();
        let others: Vec<String> = entries.iter().enumerate().filter(|(i, e)| !parts.keeps(*i, e)).map(|(_, e)| e.name.clone()).collect();
        if !parts.is_whole() {
            parts.make_room(&entries)?;
        }
        let loaded = self.0.copy.load_state_but(state, &others);
        parts.disperse(&entries)?;
        loaded.map(drop)
    }

    /// How much of the average each update keeps; of one that follows a rule, how much the last update kept.
    pub fn decay(&self) -> f64 {
        if self.0.profile == Profile::Constant { self.0.own.get() } else { self.0.last.get() }
    }

    /// The rule that the decay follows.
    pub fn profile(&self) -> Profile {
        self.0.profile
    }

    /// How many updates there were.
    pub fn updates(&self) -> u64 {
        self.0.updates.get()
    }

    /// Says how many updates there were: a rule goes on from there.
    pub fn set_updates(&self, n: u64) {
        self.0.updates.set(n);
    }

    /// Changes the decay: 0 copies the weights at the next update. Of an average that follows a rule, its largest.
    ///
    /// # Errors
    /// `E0202` when it is not within 0 and 1.
    pub fn set_decay(&self, decay: f64) -> Result<()> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(Error::value("ema", format!("`decay` must be from 0 to 1, got {decay}")));
        }
        self.0.own.set(decay);
        Ok(())
    }

    /// Moves the average towards the module's present weights.
    ///
    /// # Errors
    /// `E0202` when parts were added to or removed from the module since, `E0201` when libtorch refuses.
    pub fn update(&self) -> Result<()> {
        let pairs = self.pairs()?;
        self.begin();
        no_grad(|| self.follow(&pairs))
    }

    /// The same where time is not the number of updates: it is `now`, pictures seen for example, of which `part` passed since the last update.
    ///
    /// # Errors
    /// As [`Ema::update`], and `E0202` unless `now` and `part` are above 0.
    pub fn update_at(&self, now: f64, part: f64) -> Result<()> {
        if !(part > 0.0 && now >= part && now.is_finite()) {
            return Err(Error::value("ema", format!("time must be above 0 and at least what passed of it, got {now} and {part}")));
        }
        let pairs = self.pairs()?;
        self.0.updates.set(self.0.updates.get() + 1);
        self.0.last.set(self.0.profile.decay_at(now, part, self.0.own.get()));
        no_grad(|| self.follow(&pairs))
    }

    /// Begins an update: what it keeps.
    pub(super) fn begin(&self) -> f64 {
        let n = self.0.updates.get() + 1;
        self.0.updates.set(n);
        let decay = self.0.profile.decay_at(n as f64, 1.0, self.0.own.get());
        self.0.last.set(decay);
        decay
    }

    /// Every tensor as it is now, beside its average. What is not averaged is copied here.
    pub(super) fn pairs(&self) -> Result<Vec<(Tensor, Tensor)>> {
        self.disperse()?;
        let (from, to) = (self.0.source.entries(), self.0.copy.entries());
        let parts = self.0.parts.as_ref();
        let keeps = |i, e: &crate::nn::Entry| parts.is_none_or(|p| p.keeps(i, e));
        let is_same = |i, a: &Tensor, b: &crate::nn::Entry| {
            let shape = parts.filter(|p| !p.keeps(i, b)).map_or_else(|| b.tensor.shape(), |p| p.shape(i));
            a.shape() == shape
        };
        let differs = from.iter().zip(&to).enumerate().any(|(i, (a, b))| a.name != b.name || !is_same(i, &a.tensor, b));
        if from.len() != to.len() || parts.is_some_and(|p| p.len() != to.len()) || differs {
            let message = format!("the {} has other parameters than when its average was begun", self.0.source.kind());
            return Err(Error::value("ema", message).help("make the average after the module is complete"));
        }
        let mut seen = std::collections::HashSet::new();
        let mut new = |to: &Tensor| to.numel() > 0 && seen.insert(to.id());
        let kept = from.into_iter().zip(to).enumerate().filter(|(i, (_, to))| keeps(*i, to)).map(|(_, pair)| pair);
        let pairs: Vec<_> = kept.filter(|(_, to)| new(&to.tensor)).collect();
        if self.0.profile.copies_buffers() {
            no_grad(|| pairs.iter().filter(|(_, to)| to.buffer).try_for_each(|(from, to)| to.tensor.copy_(&from.tensor.detach()?).map(drop)))?;
        }
        let averaged = |to: &crate::nn::Entry| !(to.buffer && self.0.profile.copies_buffers());
        Ok(pairs.into_iter().filter(|(_, to)| averaged(to)).map(|(from, to)| (from.tensor, to.tensor)).collect())
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
            call("_foreach_lerp_.Scalar", &[of(&average), of(&now), (1.0 - self.0.last.get()).into()], &[])?;
        }
        Ok(())
    }
}
