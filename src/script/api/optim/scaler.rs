//! What a loss scaler can do.

use super::state;
use crate::api;
use crate::torch::Tensor;
use crate::train::optim::{GradScaler, Optimizer};
use rhai::Map;

crate::script_handle!(GradScaler, "a gradient scaler");

api! {
    fn methods;
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
    fn state(scaler: GradScaler) -> Map { Ok(state::to_map(scaler.state())) }

    /// Puts back what `state()` gave.
    ///
    /// # Errors
    /// `E0401` when it is not a scaler's.
    /// # Example
    /// ```rhai
    /// optim::grad_scaler().load(optim::grad_scaler(#{ init_scale: 8.0 }).state());
    /// ```
    fn load(scaler: GradScaler, state: Map) -> () { scaler.load_state(&state::from_map("load", &state)?) }
}
