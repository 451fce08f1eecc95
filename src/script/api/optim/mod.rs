//! `optim::`, optimizers, clipping, moving averages and loss scaling.

pub mod algorithms;
pub mod average;
pub mod optimizer;
mod params;
pub mod scaler;
mod state;

use crate::error::{Error, Result};
use crate::script::lang::value::type_name;
use crate::torch::Tensor;
use crate::train::optim::{AdamWOptions, Ema, GradScaler, GradScalerOptions, Optimizer, SgdOptions, adamw, clip_grad_norm, sgd, step};
use crate::{api, options};
use params::{Params, Trained};
use rhai::{Array, Dynamic};

crate::script_handle!(Optimizer, "an optimizer");

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
        /// whether the largest average so far takes the place of the average of squares (arXiv 1904.09237)
        amsgrad,
        /// whether steps go up the gradient
        maximize,
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
    /// An array of groups, `#{params: .., lr: .., weight_decay: .., betas: ..}`, gives each its own rates; what a group leaves out is the option's. Or
    /// the option `groups` divides parameters by their names: each goes to the first group that takes it, by `names`, a pattern with `*` and `?` or
    /// several, by `where: |name, p| ..`, by `params`, or by all that are given; what none takes is the last group.
    ///
    /// # Shapes
    /// - any float leaves
    /// # Errors
    /// `E0202` when there is nothing to train, an option is out of range, or a group takes no parameter.
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
    /// let opt = optim::adamw(m, #{ lr: 1e-3, groups: [#{ where: |name, p| p.shape.len() < 2, weight_decay: 0.0 }] });
    /// assert_eq(opt.groups.map(|g| g.names()), [["bias"], ["weight"]]);
    /// let opt = optim::adamw(#{ net: m, mapper: nn::linear(2, 2) }, #{ groups: [#{ names: "mapper.*", lr: 1e-5 }] });
    /// assert_eq(opt.groups[0].names(), ["mapper.weight", "mapper.bias"]);
    /// ```
    fn adamw_of as "adamw"[cx](params: Trained;
        options: AdamWOptions,
        /// groups by name or condition: `#{names|where|params: .., lr: .., weight_decay: .., betas: ..}`
        groups: Option<Array>,
    ) -> Optimizer { adamw(params.read(cx, groups)?, options) }

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
    fn sgd_of as "sgd"[cx](params: Trained;
        options: SgdOptions,
        /// groups by name or condition, as for `adamw`
        groups: Option<Array>,
    ) -> Optimizer { sgd(params.read(cx, groups)?, options) }

    /// Scales all gradients together so that their norm is at most `max`, and gives the norm before as a tensor. With `max` 0 they stay as they are.
    ///
    /// # Shapes
    /// - any parameters -> `[]`
    /// # Errors
    /// `E0202` when `max` is negative.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([3.0, 4.0], #{ requires_grad: true });
    /// (w * w).sum().backward();
    /// let norm = optim::clip_grad_norm([w], 1.0);
    /// assert_close(norm.item(), 10.0, #{ atol: 1e-4 });
    /// assert_close(w.grad().norm().item(), 1.0, #{ atol: 1e-4 });
    /// ```
    fn clip_norm as "clip_grad_norm"(params: Params, max: f64) -> Tensor { clip_grad_norm(&params.tensors(), max) }

    /// Everything that follows `backward()`: scales the gradients of `params` so that their norm is at most `max` (0: any), takes the optimizer's step,
    /// and updates the average `ema` (or `()`, or all of an array). Gives the norm before. The same as `clip_grad_norm`, `step` and `update`, and on the CPU faster: it
    /// goes through memory once.
    ///
    /// # Shapes
    /// - any parameters -> `[]`
    /// # Errors
    /// `E0202` when `max` is negative, a gradient does not fit its parameter, or `ema` is no average.
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
        let wrong = |d: &Dynamic| Error::value("step", format!("the last argument is a moving average, an array of them, or `()`, got {}", type_name(d)));
        let one = |d: &Dynamic| d.read_lock::<Ema>().map(|e| e.clone()).ok_or_else(|| wrong(d));
        let averages: Vec<Ema> = match ema.read_lock::<Array>() {
            Some(all) => all.iter().map(one).collect::<Result<_>>()?,
            None if ema.is_unit() => Vec::new(),
            None => vec![one(&ema)?],
        };
        let norm = step(&opt, &params.tensors(), max, averages.first())?;
        averages.iter().skip(1).try_for_each(Ema::update)?;
        Ok(norm)
    }

    /// The backward pass of a loss. Of one process it is `loss.backward()`; where several train together the gradients of the optimizer's parameters are
    /// averaged while the pass computes the rest, which hides most of the way between machines. Every rank must call it, whatever its loss reaches.
    ///
    /// # Shapes
    /// - `[]`
    /// # Errors
    /// As `loss.backward()`; `E0802` when another rank is gone.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([3.0], #{ requires_grad: true });
    /// let opt = optim::adamw([w]);
    /// optim::backward(opt, (w * w).sum());
    /// assert_eq(w.grad().item(), 6.0);
    /// ```
    fn backward(opt: Optimizer, loss: Tensor) -> () { opt.backward(&loss) }

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
