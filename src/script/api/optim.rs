//! `optim::`, optimizers, clipping, moving averages and loss scaling.

use crate::error::{Error, Result};
use crate::nn::{Module, State};
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::Tensor;
use crate::train::optim::{
    self, AdamWOptions, Ema, GradScaler, GradScalerOptions, Optimizer, ParamGroups, Rates, SgdOptions, adamw, clip_grad_norm, sgd, step,
};
use crate::{api, entries, options};
use rhai::{Array, Dynamic, Map};

crate::script_handle!(Optimizer, "an optimizer");
crate::script_handle!(ParamGroup, "a group of parameters");
crate::script_handle!(Ema, "a moving average");
crate::script_handle!(GradScaler, "a gradient scaler");

/// Parameters in any form: a module, an array of tensors or modules, a map of names to tensors or modules.
struct Params(Vec<(String, Tensor)>);

impl FromArg for Params {
    const NAME: &'static str = "a module, an array of tensors or modules, or a map of them";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let mut out = Vec::new();
        if let Some(m) = d.read_lock::<Map>() {
            for (name, v) in m.iter() {
                collect(v, name, &mut out)?;
            }
        } else if let Some(list) = d.read_lock::<Array>() {
            for (i, v) in list.iter().enumerate() {
                collect(v, &i.to_string(), &mut out)?;
            }
        } else if let Some(m) = d.read_lock::<Module>() {
            out = m.named_parameters();
        } else {
            collect(d, "0", &mut out)?;
        }
        Some(Params(out))
    }
}

fn collect(d: &Dynamic, name: &str, out: &mut Vec<(String, Tensor)>) -> Option<()> {
    if let Some(t) = d.read_lock::<Tensor>() {
        out.push((name.to_owned(), t.clone()));
        return Some(());
    }
    let module = d.read_lock::<Module>()?;
    out.extend(module.named_parameters().into_iter().map(|(n, t)| (format!("{name}.{n}"), t)));
    Some(())
}

impl Params {
    fn tensors(self) -> Vec<Tensor> {
        self.0.into_iter().map(|(_, t)| t).collect()
    }
}

/// What an optimizer trains: parameters in any form, or groups of them, `#{params: .., lr: .., weight_decay: ..}`.
enum Trained {
    All(Params),
    Groups(Vec<Map>),
}

impl FromArg for Trained {
    const NAME: &'static str = "a module, an array of tensors or modules, a map of them, or an array of groups `#{params: ..}`";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let groups: Option<Vec<Map>> = d.read_lock::<Array>().and_then(|list| list.iter().map(Map::from_dynamic).collect());
        groups.filter(|g| !g.is_empty()).map(Trained::Groups).or_else(|| Params::from_dynamic(d).map(Trained::All))
    }
}

impl Trained {
    /// The names of a group's parameters begin with its index, as those of an array do.
    fn read(self, op: &str) -> Result<ParamGroups> {
        let groups = match self {
            Trained::All(params) => return Ok(params.0.into()),
            Trained::Groups(groups) => groups,
        };
        let read = |(i, map)| {
            entries!(all op, map; params: Params, lr: Option<f64>, weight_decay: Option<f64>);
            let params = params.0.into_iter().map(|(name, t)| (format!("{i}.{name}"), t)).collect();
            Ok(optim::ParamGroup { params, lr, weight_decay })
        };
        groups.into_iter().enumerate().map(read).collect::<Result<_>>().map(ParamGroups)
    }
}

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

fn state_to_map(state: State) -> Map {
    state.into_iter().map(|(k, t)| (k.into(), Dynamic::from(t))).collect()
}

fn state_from_map(op: &str, map: &Map) -> Result<State> {
    let tensor = |(k, v): (&rhai::Identifier, &Dynamic)| match Tensor::from_dynamic(v) {
        Some(t) => Ok((k.to_string(), t)),
        None => Err(Error::value(op, format!("`{k}` must be a tensor, got {}", type_name(v)))),
    };
    map.iter().map(tensor).collect()
}

options! {
    AdamWOptions {
        /// learning rate
        lr,
        /// decay of the averages of the gradient and of its square
        betas,
        /// added to the denominator
        eps,
        /// decoupled: each step first multiplies the weights by `1 - lr * weight_decay`
        weight_decay,
    }
    SgdOptions {
        /// learning rate
        lr,
        /// how much of the buffer each step keeps
        momentum,
        /// how much of each gradient after the first the buffer does not take in
        dampening,
        /// added to the gradient as `weight_decay * weight`
        weight_decay,
        /// steps along `gradient + momentum * buffer` in place of the buffer
        nesterov,
    }
    GradScalerOptions {
        /// the first factor
        init_scale,
        /// by what it grows after `growth_interval` steps without overflow
        growth_factor,
        /// by what it shrinks after an overflow
        backoff_factor,
        /// how many steps without overflow it takes to grow
        growth_interval,
        /// whether it does anything
        enabled,
    }
}

api! {
    namespace "optim";

    /// AdamW (Loshchilov & Hutter 2019) on libtorch's fused kernel, for a module, an array of tensors or modules, or a map of them.
    ///
    /// An array of groups, `#{params: .., lr: .., weight_decay: ..}`, gives each its own `lr` and `weight_decay`; what a group leaves out is the
    /// option's.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train or an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([1.0, 2.0], #{ requires_grad: true });
    /// let opt = optim::adamw([w], #{ lr: 0.1, weight_decay: 0.0 });
    /// opt.zero_grad();
    /// (w * w).sum().backward();
    /// opt.step();
    /// assert_close(w, torch::tensor([0.9, 1.9]), #{ atol: 1e-5 });
    /// let m = nn::linear(2, 2);
    /// optim::adamw([#{ params: [m.weight] }, #{ params: [m.bias], lr: 1e-2, weight_decay: 0.0 }], #{ lr: 1e-3 });
    /// ```
    fn adamw_of as "adamw"(params: Trained; options: AdamWOptions) -> Optimizer { adamw(params.read("adamw")?, options) }

    /// Stochastic gradient descent on libtorch's fused kernel, for what `adamw` takes.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train, an option is out of range, or `nesterov` has no `momentum`.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([1.0, 2.0], #{ requires_grad: true });
    /// let opt = optim::sgd([w], #{ lr: 0.1, momentum: 0.9 });
    /// for i in 0..2 {
    ///     opt.zero_grad();
    ///     w.sum().backward();
    ///     opt.step();
    /// }
    /// assert_close(w, torch::tensor([0.71, 1.71]), #{ atol: 1e-6 });
    /// ```
    fn sgd_of as "sgd"(params: Trained; options: SgdOptions) -> Optimizer { sgd(params.read("sgd")?, options) }

    /// Scales all gradients together so that their norm is at most `max`, and gives the norm before as a tensor.
    ///
    /// # Shapes
    /// - any parameters -> `[]`
    /// # Errors
    /// `E0202` when `max` is not above 0.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([3.0, 4.0], #{ requires_grad: true });
    /// (w * w).sum().backward();
    /// let norm = optim::clip_grad_norm([w], 1.0);
    /// assert_close(norm.item(), 10.0, #{ atol: 1e-4 });
    /// assert_close(w.grad().norm().item(), 1.0, #{ atol: 1e-4 });
    /// ```
    fn clip_norm as "clip_grad_norm"(params: Params, max: f64) -> Tensor { clip_grad_norm(&params.tensors(), max) }

    /// Everything that follows `backward()`: scales the gradients of `params` so that their norm is at most `max`, takes the optimizer's step,
    /// and updates the average `ema` (or `()`). Gives the norm before. The same as `clip_grad_norm`, `step` and `update`, and on the CPU faster: it
    /// goes through memory once.
    ///
    /// # Shapes
    /// - any parameters -> `[]`
    /// # Errors
    /// `E0202` when `max` is not above 0, a gradient does not fit its parameter, or `ema` is no average.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(2, 2);
    /// let opt = optim::adamw(m, #{ lr: 0.1 });
    /// let ema = optim::ema(m, 0.5);
    /// m.forward(torch::ones([1, 2])).sum().backward();
    /// assert(optim::step(opt, m, 1.0, ema).item() > 0.0);
    /// assert_close(ema.module.bias, m.bias + 0.05, #{ atol: 1e-3 });
    /// ```
    fn step(opt: Optimizer, params: Params, max: f64, ema: Dynamic) -> Tensor {
        let average = ema.read_lock::<Ema>().map(|e| e.clone());
        if average.is_none() && !ema.is_unit() {
            return Err(Error::value("step", format!("the last argument is a moving average or `()`, got {}", type_name(&ema))));
        }
        step(&opt, &params.tensors(), max, average.as_ref())
    }

    /// A moving average of a module's weights: `ema = decay * ema + (1 - decay) * now` at each `update()`.
    ///
    /// # Shapes
    /// - a module of any shape
    /// # Errors
    /// `E0202` when `decay` is not from 0 to 1.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(2, 2);
    /// let ema = optim::ema(m, 0.999);
    /// ema.update();
    /// assert_eq(ema.module.forward(torch::ones([1, 2])).shape, [1, 2]);
    /// ```
    fn ema(module: Module, decay: f64) -> Ema { Ema::new(&module, decay) }

    /// A loss scaler for f16.
    ///
    /// # Shapes
    /// - scalar losses
    /// # Errors
    /// `E0202` when an option is out of range.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([1.0], #{ requires_grad: true });
    /// let opt = optim::adamw([w]);
    /// let scaler = optim::grad_scaler();
    /// scaler.scale((w * w).sum()).backward();
    /// scaler.step(opt);
    /// scaler.update();
    /// assert_eq(scaler.get_scale(), 65536.0);
    /// ```
    fn grad_scaler(; options: GradScalerOptions) -> GradScaler { GradScaler::new(options) }
}

api! {
    fn optimizer_methods;
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

    /// The groups of its parameters, each with `lr` and `weight_decay` to get and to set: as `param_groups` of PyTorch.
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

    /// Its state by name, sharing memory: for AdamW `<name>.exp_avg`, `<name>.exp_avg_sq`, `<name>.step`, for SGD `<name>.momentum_buffer`; `lr`; and
    /// where there are several groups their rates, `groups.<i>.lr`, `groups.<i>.base_lr` (the optimizer's `lr` when the group's was set) and
    /// `groups.<i>.weight_decay`.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.state().lr.item(), 0.5);
    /// ```
    fn state(opt: Optimizer) -> Map { Ok(state_to_map(opt.state()?)) }

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
    fn load(opt: Optimizer, state: Map) -> () { opt.load_state(&state_from_map("load", &state)?) }

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

api! {
    fn ema_methods;
    methods Ema;

    /// Moves the average towards the module's present weights; integer buffers are copied.
    ///
    /// # Errors
    /// `E0202` when the module got or lost parts since.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(1, 1);
    /// let ema = optim::ema(m, 0.5);
    /// torch::no_grad(|| m.weight.fill_(1.0));
    /// ema.update();
    /// ```
    fn update(ema: Ema) -> () { ema.update() }

    /// The averaged module, for sampling and evaluation.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let ema = optim::ema(nn::linear(1, 1), 0.5);
    /// assert(!ema.module.weight.requires_grad);
    /// ```
    fn module_of as "get$module"(ema: Ema) -> Module { Ok(ema.module()) }

    /// How much of the average each update keeps.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::ema(nn::linear(1, 1), 0.5).decay, 0.5);
    /// ```
    fn decay as "get$decay"(ema: Ema) -> f64 { Ok(ema.decay()) }

    /// Changes how much of the average each update keeps.
    ///
    /// # Errors
    /// `E0202` when it is not from 0 to 1.
    /// # Example
    /// ```rhai
    /// let ema = optim::ema(nn::linear(1, 1), 0.5);
    /// ema.decay = 0.9;
    /// ```
    fn set_decay as "set$decay"(ema: Ema, decay: f64) -> () { ema.set_decay(decay) }

    /// What printing shows.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// print(optim::ema(nn::linear(1, 1), 0.5));
    /// ```
    fn to_string(ema: Ema) -> String { Ok(format!("ema {} of {:?}", ema.decay(), ema.module())) }
}

api! {
    fn scaler_methods;
    methods GradScaler;

    /// The loss times the present factor, for `backward()`.
    ///
    /// # Shapes
    /// - `[..]` -> `[..]`
    /// # Errors
    /// `E0201` when libtorch refuses.
    /// # Example
    /// ```rhai
    /// let scaler = optim::grad_scaler(#{ init_scale: 8.0 });
    /// assert_eq(scaler.scale(torch::tensor(2.0)).item(), 16.0);
    /// ```
    fn scale(scaler: GradScaler, loss: Tensor) -> Tensor { scaler.scale(&loss) }

    /// Divides the gradients of an optimizer's parameters by the factor, before they are clipped.
    ///
    /// # Errors
    /// `E0601` when it was done already in this step.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::adamw([w]);
    /// let scaler = optim::grad_scaler();
    /// scaler.scale(w.sum()).backward();
    /// scaler.unscale(opt);
    /// assert_eq(w.grad().item(), 1.0);
    /// ```
    fn unscale(scaler: GradScaler, opt: Optimizer) -> () { scaler.unscale(&opt) }

    /// Takes the optimizer's step, unless a gradient is infinite or NaN.
    ///
    /// # Errors
    /// `E0202` when a gradient does not fit its parameter.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([1]).requires_grad_();
    /// let opt = optim::adamw([w]);
    /// let scaler = optim::grad_scaler();
    /// scaler.scale((w / 0.0).sum()).backward();
    /// scaler.step(opt);
    /// scaler.update();
    /// assert_eq([w.item(), scaler.get_scale()], [1.0, 32768.0]);
    /// ```
    fn step(scaler: GradScaler, opt: Optimizer) -> () { scaler.step(&opt) }

    /// Adjusts the factor to what the step found; once a step, at its end.
    ///
    /// # Errors
    /// `E0601` when there was no step since the last time.
    /// # Example
    /// ```rhai
    /// optim::grad_scaler(#{ enabled: false }).update();
    /// ```
    fn update(scaler: GradScaler) -> () { scaler.update() }

    /// The present factor.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::grad_scaler(#{ enabled: false }).get_scale(), 1.0);
    /// ```
    fn get_scale(scaler: GradScaler) -> f64 { scaler.get_scale() }

    /// Its state: `scale` and `growth_tracker`.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::grad_scaler().state().scale.item(), 65536.0);
    /// ```
    fn state(scaler: GradScaler) -> Map { Ok(state_to_map(scaler.state())) }

    /// Puts back what `state()` gave.
    ///
    /// # Errors
    /// `E0401` when it is not a scaler's.
    /// # Example
    /// ```rhai
    /// optim::grad_scaler().load(optim::grad_scaler(#{ init_scale: 8.0 }).state());
    /// ```
    fn load(scaler: GradScaler, state: Map) -> () { scaler.load_state(&state_from_map("load", &state)?) }
}
