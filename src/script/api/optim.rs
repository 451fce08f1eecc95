//! `optim::`, optimizers, clipping, moving averages and loss scaling.

use crate::api;
use crate::error::{Error, Result};
use crate::nn::{Module, State};
use crate::script::lang::value::{FromArg, Kw, type_name};
use crate::torch::Tensor;
use crate::train::optim::{AdamW, AdamWOptions, Ema, GradScaler, GradScalerOptions, clip_grad_norm, step};
use rhai::{Array, Dynamic, Map};

crate::script_handle!(AdamW, "an optimizer");
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

api! {
    namespace "optim";

    /// AdamW (Loshchilov & Hutter 2019) on libtorch's fused kernel, for a module, an array of tensors or modules, or a map of them.
    /// Options: `lr` (1e-3), `betas` ([0.9, 0.999]), `eps` (1e-8), `weight_decay` (0.01).
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
    /// ```
    fn adamw(params: Params, options: Kw) -> AdamW {
        let mut kw = options;
        let d = AdamWOptions::default();
        let betas: Vec<f64> = kw.get("betas", vec![d.betas.0, d.betas.1])?;
        let [beta1, beta2] = betas[..] else {
            return Err(Error::value("adamw", format!("option `betas` must be two numbers, got {}", betas.len())));
        };
        let o = AdamWOptions {
            lr: kw.get("lr", d.lr)?,
            betas: (beta1, beta2),
            eps: kw.get("eps", d.eps)?,
            weight_decay: kw.get("weight_decay", d.weight_decay)?,
        };
        kw.done()?;
        AdamW::new(params.0, o)
    }

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
    fn step(opt: AdamW, params: Params, max: f64, ema: Dynamic) -> Tensor {
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

    /// A loss scaler for f16. Options: `init_scale` (65536), `growth_factor` (2), `backoff_factor` (0.5), `growth_interval` (2000), `enabled` (true).
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
    fn grad_scaler(options: Kw) -> GradScaler {
        let mut kw = options;
        let d = GradScalerOptions::default();
        let o = GradScalerOptions {
            init_scale: kw.get("init_scale", d.init_scale)?,
            growth_factor: kw.get("growth_factor", d.growth_factor)?,
            backoff_factor: kw.get("backoff_factor", d.backoff_factor)?,
            growth_interval: kw.get("growth_interval", d.growth_interval)?,
            enabled: kw.get("enabled", d.enabled)?,
        };
        kw.done()?;
        GradScaler::new(o)
    }
}

api! {
    fn adamw_methods;
    methods AdamW;

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
    fn step(opt: AdamW) -> () { opt.step() }

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
    fn zero_grad(opt: AdamW) -> () { opt.zero_grad() }

    /// The learning rate of the next step.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 }).lr, 0.5);
    /// ```
    fn lr as "get$lr"(opt: AdamW) -> f64 { Ok(opt.lr()) }

    /// Sets the learning rate of the steps that follow.
    ///
    /// # Errors
    /// `E0202` when it is negative or not finite.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()]);
    /// opt.lr = 1e-4;
    /// assert_eq(opt.lr, 1e-4);
    /// ```
    fn set_lr as "set$lr"(opt: AdamW, lr: f64) -> () { opt.set_lr(lr) }

    /// Its state by name, sharing memory: `<name>.exp_avg`, `<name>.exp_avg_sq`, `<name>.step`, and `lr`.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([1]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.state().lr.item(), 0.5);
    /// ```
    fn state(opt: AdamW) -> Map { Ok(state_to_map(opt.state()?)) }

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
    fn load(opt: AdamW, state: Map) -> () { opt.load_state(&state_from_map("load", &state)?) }

    /// What printing shows.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let opt = optim::adamw([torch::ones([3]).requires_grad_()], #{ lr: 0.5 });
    /// assert_eq(opt.to_string(), "adamw (1 tensors, 3 parameters, lr 0.5)");
    /// ```
    fn to_string(opt: AdamW) -> String {
        let params = opt.params();
        let count: usize = params.iter().map(|(_, t)| t.numel()).sum();
        Ok(format!("adamw ({} tensors, {count} parameters, lr {})", params.len(), opt.lr()))
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
    fn unscale(scaler: GradScaler, opt: AdamW) -> () { scaler.unscale(&opt) }

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
    fn step(scaler: GradScaler, opt: AdamW) -> () { scaler.step(&opt) }

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
