//! What makes one optimizer differ from another: the tensors that it keeps for a parameter, and its arithmetic.

use super::param_group::Rates;
use crate::error::Result;
use crate::torch::Tensor;

/// An optimizer's arithmetic. Everything else (parameters and their groups, gradients, state by name, checkpoints, loss scaling) is
/// [`Optimizer`](super::Optimizer)'s.
pub trait Algorithm {
    /// Its name in scripts, messages and checkpoints: `adamw`.
    fn kind(&self) -> &'static str;

    /// What it keeps for a parameter, with PyTorch's names, in the order of [`Ready::state`].
    fn state(&self, param: &Tensor) -> Vec<Kept>;

    /// One step of `ready`, parameters of one device and dtype, along their gradients. Gradients are not recorded.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()>;

    /// The numbers that it keeps for each group, with their first values.
    fn numbers(&self) -> &'static [(&'static str, f64)] {
        &[]
    }

    /// Moves a group's numbers on, once a step and before `update`; also where none of its parameters has a gradient.
    ///
    /// # Errors
    /// `E0601` when no step can be taken now; nothing has changed then.
    fn begin(&self, _: Rates, _: &mut [f64]) -> Result<()> {
        Ok(())
    }

    /// Whether the parameters of a group with these numbers hold the weights of training, and not those of evaluation.
    fn is_training(&self, _: &[f64]) -> bool {
        true
    }

    /// Puts the weights of training or of evaluation into parameters, for an algorithm that trains others than it is judged by.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn switch(&self, _training: bool, _held: &[&Ready], _: Rates, _: &mut [f64]) -> Result<()> {
        Ok(())
    }

    /// Whether `update` looks at `found_inf` itself, on the device, and changes nothing where it is 1. Otherwise it is read first, and such a
    /// step is not begun.
    fn takes_found_inf(&self) -> bool {
        false
    }

    /// How it takes the step of [`super::step`] on the CPU in one pass over memory, if it can.
    fn one_pass(&self) -> Option<&dyn OnePass> {
        None
    }
}

/// What the parameters of a group have in common in one step.
pub struct Step<'a> {
    /// What the group goes by.
    pub rates: Rates,
    /// Its numbers, in the order of [`Algorithm::numbers`].
    pub numbers: &'a [f64],
    /// For an algorithm that takes it: 1 where the step must change nothing.
    pub found_inf: Option<&'a Tensor>,
}

/// A step in one pass over memory, for f32 tensors without gaps on the CPU: the gradient is scaled on the way in and a moving average updated
/// on the way out.
pub trait OnePass {
    /// The step of all `items`.
    ///
    /// # Errors
    /// `E0201` when a tensor is of another kind; then nothing has changed.
    fn pass(&self, items: Vec<PassItem>, rates: Rates, scale: f64, decay: f64) -> Result<()>;
}

/// A tensor that an optimizer keeps for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Zeros at first, in the parameter's layout and dtype.
    Like(&'static str),
    /// An f32 scalar on the parameter's device: the number of the parameter's steps, counted before `update`.
    Count(&'static str),
    /// The same on the CPU, for arithmetic that needs the number here.
    HostCount(&'static str),
    /// A square matrix of that many rows, zeros at first: f64 for a parameter of f64, else f32.
    Square(String, i64),
}

impl Kept {
    /// Its name in a state: `<parameter>.<name>`.
    pub fn name(&self) -> &str {
        match self {
            Kept::Like(name) | Kept::Count(name) | Kept::HostCount(name) => name,
            Kept::Square(name, _) => name,
        }
    }

    /// Whether it counts steps.
    pub fn is_count(&self) -> bool {
        matches!(self, Kept::Count(_) | Kept::HostCount(_))
    }
}

/// What one step needs of a parameter that has a gradient.
pub struct Ready {
    /// The parameter.
    pub param: Tensor,
    /// Its gradient, in the parameter's layout. Where weights are switched it is the parameter.
    pub grad: Tensor,
    /// What is kept for it, in the order of [`Algorithm::state`].
    pub state: Vec<Tensor>,
    /// Whether this is its first step.
    pub is_first: bool,
}

/// What a step in one pass needs of a parameter.
pub struct PassItem {
    /// As for every step.
    pub ready: Ready,
    /// A moving average of the parameter to update.
    pub average: Option<Tensor>,
}
