//! What a moving average of weights can do.

use crate::api;
use crate::nn::Module;
use crate::train::optim::Ema;

crate::script_handle!(Ema, "a moving average");

api! {
    fn methods;
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
