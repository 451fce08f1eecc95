//! What checkpoints keep of an optimizer.

use super::super::state;
use super::{Optimizer, Rates};
use crate::error::Result;
use crate::nn::State;

impl Optimizer {
    /// The state, sharing memory with the optimizer: `<name>.exp_avg` and the like of every parameter that has had a gradient, and `lr`. Where
    /// there are several groups, or one whose rates were set, also `groups.<i>.lr`, `groups.<i>.weight_decay`, and `groups.<i>.base_lr`, the
    /// optimizer's own learning rate to which the group's is in proportion; `groups.<i>.beta1` and `groups.<i>.beta2` where they were set; and the
    /// numbers that the algorithm keeps for a group.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn state(&self) -> Result<State> {
        let mut out = self.common_state()?;
        out.extend(self.slot_state()?);
        Ok(out)
    }

    /// What a state holds beside what is kept for parameters.
    pub(in crate::train) fn common_state(&self) -> Result<State> {
        let mut out = State::new();
        out.insert(state::LR.into(), state::number(self.lr())?);
        let with_rates = !matches!(&self.0.groups[..], [only] if !only.has_changed());
        for (i, g) in self.0.groups.iter().enumerate() {
            state::write_group(i, g, self.algorithm(g)?.numbers(), with_rates, &mut out)?;
        }
        Ok(out)
    }

    /// What is kept for parameters, here.
    pub(in crate::train) fn slot_state(&self) -> Result<State> {
        let mut out = State::new();
        for s in self.0.slots.borrow().iter() {
            let Some(state) = &s.state else { continue };
            for (kept, t) in self.algorithm(self.group(s.group)?)?.state(&s.param).iter().zip(state) {
                out.insert(format!("{}.{}", s.name, kept.name()), t.clone());
            }
        }
        Ok(out)
    }

    /// Puts a state back, the learning rates included; the steps that follow are bit for bit those that would have followed then. Whether the
    /// parameters hold the weights of training or of evaluation is the state's, as theirs are the weights of that time. Nothing is changed unless
    /// everything fits.
    ///
    /// # Errors
    /// `E0401` when it belongs to other parameters or groups.
    pub fn load_state(&self, state: &State) -> Result<()> {
        let mut slots = self.0.slots.borrow_mut();
        let all = &self.0.groups;
        let kept = slots.iter().map(|s| Ok(self.algorithm(self.group(s.group)?)?.state(&s.param))).collect::<Result<Vec<_>>>()?;
        let numbers = all.iter().map(|g| Ok(self.algorithm(g)?.numbers())).collect::<Result<Vec<_>>>()?;
        let read = state::read(self.kind(), &kept, &slots, all, &numbers, state, &|i| self.is_own(i))?;
        self.take(read.lr, read.groups)?;
        for (slot, state) in slots.iter_mut().zip(read.slots) {
            slot.state = state;
        }
        Ok(())
    }

    /// Puts back what [`Optimizer::common_state`] gave.
    pub(in crate::train) fn load_common(&self, state: &State) -> Result<()> {
        let numbers = self.0.groups.iter().map(|g| Ok(self.algorithm(g)?.numbers())).collect::<Result<Vec<_>>>()?;
        let read = state::read(self.kind(), &[], &[], &self.0.groups, &numbers, state, &|_| false)?;
        self.take(read.lr, read.groups)
    }

    fn take(&self, lr: Option<f64>, groups: Vec<state::ReadGroup>) -> Result<()> {
        if let Some(lr) = lr {
            self.set_lr(lr)?;
        }
        for (group, read) in self.0.groups.iter().zip(groups) {
            // A state of one group without rates of its own does not speak of them.
            let (base, rates) = read.rates.unwrap_or((self.lr(), Rates { lr: self.lr(), ..group.made }));
            group.lr.set((rates.lr, base));
            group.weight_decay.set(rates.weight_decay);
            group.betas.set(rates.betas);
            *group.numbers.borrow_mut() = read.numbers;
        }
        Ok(())
    }
}
