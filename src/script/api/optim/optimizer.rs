//! What an optimizer and its groups of parameters can do.

use super::state;
use crate::api;
use crate::error::Result;
use crate::train::optim::{Optimizer, Rates};
use rhai::{Array, Dynamic, Map};

crate::script_handle!(ParamGroup, "a group of parameters");

/// One of an optimizer's groups, by its index.
#[derive(Clone)]
pub struct ParamGroup {
    opt: Optimizer,
    index: usize,
}

impl ParamGroup {
    fn rates(&self) -> Result<Rates> {
        self.opt.rates(self.index)
    }
}

api! {
    fn methods;
    methods Optimizer;

    /// One step along the gradients; parameters without one are skipped.
    ///
    /// # Errors
    /// `E0202` when a gradient does not fit its parameter.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::adamw([w]);
    /// w.sum().backward();
    /// opt.step();
    /// ```
    fn step(opt: Optimizer) -> () { opt.step() }

    /// Forgets all gradients.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::adamw([w]);
    /// w.sum().backward();
    /// opt.zero_grad();
    /// assert_eq(w.grad(), ());
    /// ```
    fn zero_grad(opt: Optimizer) -> () { opt.zero_grad() }

    /// The learning rate of the next step.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 }).lr, 0.5);
    /// ```
    fn lr as "get$lr"(opt: Optimizer) -> f64 { Ok(opt.lr()) }

    /// Sets the learning rate of the steps that follow. A group with a rate of its own keeps its proportion to it, as under PyTorch's schedulers.
    ///
    /// # Errors
    /// `E0202` when it is negative or not finite.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()]);
    /// opt.lr = 1e-4;
    /// assert_eq(opt.lr, 1e-4);
    /// ```
    fn set_lr as "set$lr"(opt: Optimizer, lr: f64) -> () { opt.set_lr(lr) }

    /// Puts the weights of training into the parameters, for `schedule_free_adamw`; of other optimizers nothing changes. They are there at first.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    /// # Example
    /// ```rhai
    /// let opt = optim::schedule_free_adamw(nn::linear(1, 1));
    /// opt.eval();
    /// opt.train();
    /// assert(opt.training);
    /// ```
    fn train(opt: Optimizer) -> () { opt.set_training(true) }

    /// Puts the weights to evaluate into the parameters, for `schedule_free_adamw`, until `train()`; of other optimizers nothing changes.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    /// # Example
    /// ```rhai
    /// let opt = optim::schedule_free_adamw(nn::linear(1, 1));
    /// opt.eval();
    /// assert(!opt.training);
    /// ```
    fn evaluate as "eval$"(opt: Optimizer) -> () { opt.set_training(false) }

    /// Whether the parameters hold the weights of training.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(optim::adamw(nn::linear(1, 1)).training);
    /// ```
    fn training as "get$training"(opt: Optimizer) -> bool { opt.is_training() }

    /// The groups of its parameters, each with `lr`, `weight_decay` and `betas` to get and to set: as `param_groups` of PyTorch.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(2, 2);
    /// let opt = optim::adamw([#{ params: [m.weight] }, #{ params: [m.bias], lr: 0.01, weight_decay: 0.0 }], #{ lr: 0.1 });
    /// opt.groups[0].weight_decay = 0.1;
    /// opt.lr = 0.05;
    /// assert_eq([opt.groups[0].lr, opt.groups[1].lr], [0.05, 0.005]);
    /// for group in opt.groups { group.weight_decay = 0.0; }
    /// assert_eq(opt.groups[0].weight_decay, 0.0);
    /// ```
    fn groups as "get$groups"(opt: Optimizer) -> Array {
        Ok((0..opt.group_count()).map(|index| Dynamic::from(ParamGroup { opt: opt.clone(), index })).collect())
    }

    /// Its state by name, sharing memory: for AdamW `<name>.exp_avg`, `<name>.exp_avg_sq`, `<name>.step`, for SGD and Muon `<name>.momentum_buffer`, and
    /// so on by the published names; `lr`; where there are several groups their rates, `groups.<i>.lr`, `groups.<i>.base_lr` (the optimizer's `lr` when
    /// the group's was set), `groups.<i>.weight_decay`, and betas that were set; and what is kept for a group, as `groups.<i>.k`.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.state().lr.item(), 0.5);
    /// ```
    fn state(opt: Optimizer) -> Map { Ok(state::to_map(opt.state()?)) }

    /// Puts back what `state()` gave; nothing is changed unless all of it fits.
    ///
    /// # Errors
    /// `E0401` when it belongs to other parameters.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::adamw([w], #{ lr: 0.5 });
    /// optim::adamw([w]).load(opt.state());
    /// ```
    fn load(opt: Optimizer, state: Map) -> () { opt.load_state(&state::from_map("load", &state)?) }

    /// What printing shows.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([3]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.to_string(), "adamw (1 tensors, 3 parameters, lr 0.5)");
    /// ```
    fn to_string(opt: Optimizer) -> String {
        let params = opt.params();
        let count: usize = params.iter().map(|(_, t)| t.numel()).sum();
        let groups = if opt.group_count() > 1 { format!(", {} groups", opt.group_count()) } else { String::new() };
        Ok(format!("{} ({} tensors, {count} parameters, lr {}{groups})", opt.kind(), params.len(), opt.lr()))
    }
}

api! {
    fn group_methods;
    methods ParamGroup;

    /// The learning rate of the group's next step.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 }).groups[0].lr, 0.5);
    /// ```
    fn lr as "get$lr"(group: ParamGroup) -> f64 { Ok(group.rates()?.lr) }

    /// Sets the group's learning rate. From then on it changes in proportion to the optimizer's `lr`; that of an only group is the optimizer's.
    ///
    /// # Errors
    /// `E0202` when it is negative or not finite, or the optimizer's `lr` is 0.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()]);
    /// opt.groups[0].lr = 1e-4;
    /// assert_eq(opt.lr, 1e-4);
    /// ```
    fn set_lr as "set$lr"(group: ParamGroup, lr: f64) -> () { group.opt.set_rates(group.index, Rates { lr, ..group.rates()? }) }

    /// The group's weight decay.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw([torch::ones([1]).requires_grad_()]).groups[0].weight_decay, 0.01);
    /// ```
    fn weight_decay as "get$weight_decay"(group: ParamGroup) -> f64 { Ok(group.rates()?.weight_decay) }

    /// Sets the group's weight decay.
    ///
    /// # Errors
    /// `E0202` when it is negative.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()]);
    /// opt.groups[0].weight_decay = 0.0;
    /// assert_eq(opt.groups[0].weight_decay, 0.0);
    /// ```
    fn set_weight_decay as "set$weight_decay"(group: ParamGroup, weight_decay: f64) -> () {
        group.opt.set_rates(group.index, Rates { weight_decay, ..group.rates()? })
    }

    /// The group's decays of the averages of the gradient and of its square; `[]` where its algorithm has none.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw(nn::linear(1, 1)).groups[0].betas, [0.9, 0.999]);
    /// assert_eq(optim::sgd(nn::linear(1, 1)).groups[0].betas, []);
    /// ```
    fn betas as "get$betas"(group: ParamGroup) -> Vec<f64> { Ok(group.rates()?.betas.map_or(Vec::new(), |b| vec![b.0, b.1])) }

    /// Sets them, as a one-cycle schedule does.
    ///
    /// # Errors
    /// `E0202` when one is not from 0 to below 1, or the group's algorithm has none.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw(nn::linear(1, 1));
    /// opt.groups[0].betas = [0.85, 0.999];
    /// assert_eq(opt.groups[0].betas, [0.85, 0.999]);
    /// ```
    fn set_betas as "set$betas"(group: ParamGroup, betas: (f64, f64)) -> () {
        group.opt.set_rates(group.index, Rates { betas: Some(betas), ..group.rates()? })
    }

    /// The name of the algorithm that trains the group.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw(nn::linear(1, 1)).groups[0].algorithm, "adamw");
    /// ```
    fn algorithm as "get$algorithm"(group: ParamGroup) -> String { Ok(group.opt.algorithm_of(group.index)?.to_owned()) }

    /// The names of the group's parameters, as in the optimizer's state.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw(nn::linear(1, 1)).groups[0].names(), ["weight", "bias"]);
    /// ```
    fn names(group: ParamGroup) -> Vec<String> { Ok(group.opt.names(group.index)) }

    /// What printing shows.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([3]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.groups[0].to_string(), "group 0 of adamw (1 tensors, lr 0.5, weight_decay 0.01)");
    /// ```
    fn to_string(group: ParamGroup) -> String {
        let (rates, n) = (group.rates()?, group.opt.names(group.index).len());
        Ok(format!("group {} of {} ({n} tensors, lr {}, weight_decay {})", group.index, group.opt.kind(), rates.lr, rates.weight_decay))
    }
}
