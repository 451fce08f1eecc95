//! Moving averages of weights, and what they can do.

use crate::error::Error;
use crate::nn::Module;
use crate::train::optim::{Ema, Profile, WarmUp, std_to_exponent};
use crate::{api, options};

crate::script_handle!(Ema, "a moving average");

options! {
    WarmUp {
        /// the decay is at least this
        min_decay,
        /// updates that copy the weights first
        update_after_step: [0..],
        /// `1 - (1 + t / inv_gamma)^-power` in place of `(1 + t) / (10 + t)`
        use_ema_warmup,
        /// the time that warming up takes
        inv_gamma,
        /// how steeply
        power,
    }
}

api! {
    namespace "optim";

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
    /// // Several at once.
    /// for ema in [0.999, 0.9999].map(|decay| optim::ema(m, decay)) { ema.update(); }
    /// ```
    fn ema(module: Module, decay: f64) -> Ema { Ema::new(&module, decay) }

    /// A moving average that is short at first, as diffusers' `EMAModel`: the first update copies the weights, later ones keep
    /// `(1 + t) / (10 + t)` and at most `decay`.
    ///
    /// # Shapes
    /// - a module of any shape
    /// # Errors
    /// `E0202` when `decay` is not from 0 to 1 or an option is out of range.
    /// # Example
    /// ```rhai
    /// let ema = optim::warmup_ema(nn::linear(2, 2), 0.9999, #{ use_ema_warmup: true, power: 0.75 });
    /// ema.update();
    /// assert_eq(ema.decay, 0.0);
    /// ema.update();
    /// assert_close(ema.decay, 1.0 - 2.0 ** -0.75);
    /// ```
    fn warmup_ema(module: Module, decay: f64; rule: WarmUp) -> Ema { Ema::of_profile(&module, decay, Profile::WarmUp(rule)) }

    /// A power-function average (EDM2, arXiv 2312.02696): how far back it reaches grows with the time of training, to `std` of it. Averages of two
    /// widths that are saved now and then are enough to make any other afterwards: see std/phema. Buffers are copied.
    ///
    /// # Shapes
    /// - a module of any shape
    /// # Errors
    /// `E0202` unless one of `std` and `exponent` is given, or when it is out of range.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(2, 2);
    /// let averages = [0.05, 0.1].map(|std| optim::power_ema(m, #{ std: std }));
    /// for i in 0..3 { for ema in averages { ema.update(); } }
    /// assert_close(averages[0].decay, (2.0 / 3.0) ** 17.972198602, #{ atol: 1e-9 });
    /// ```
    fn power_ema(module: Module;
        /// standard deviation of the time it averages over, relative to the time of training: below 0.289
        std: Option<f64>,
        /// the exponent of the power function in its place
        exponent: Option<f64>,
    ) -> Ema {
        let exponent = match (std, exponent) {
            (Some(std), None) => std_to_exponent(std)?,
            (None, Some(exponent)) => exponent,
            _ => return Err(Error::value("power_ema", "either `std` or `exponent` is needed").help("EDM2 keeps `std: 0.05` and `std: 0.1`")),
        };
        Ema::of_profile(&module, 0.0, Profile::Power { exponent })
    }

    /// A moving average that keeps half after so many updates, as EDM2's `TraditionalEMA`; at first after the part `rampup` of the updates there were.
    /// Buffers are copied.
    ///
    /// # Shapes
    /// - a module of any shape
    /// # Errors
    /// `E0202` when a number is out of range.
    /// # Example
    /// ```rhai
    /// let ema = optim::halflife_ema(nn::linear(2, 2), 100.0, #{ rampup: 0.0 });
    /// ema.update();
    /// assert_close(ema.decay, 0.5 ** 0.01);
    /// ```
    fn halflife_ema(module: Module, updates: f64;
        /// the half-life is at most this part of the time of training; 0 for no such bound
        rampup: f64[0.0..] = 0.09,
    ) -> Ema { Ema::of_profile(&module, 0.0, Profile::HalfLife { updates, rampup: (rampup > 0.0).then_some(rampup) }) }
}

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

    /// The same where time is not the number of updates: it is `now`, of which `part` passed since the last update; pictures seen, for example. Only
    /// an average whose decay follows a rule goes by it.
    ///
    /// # Errors
    /// As `update`, and `E0202` unless both are above 0.
    /// # Example
    /// ```rhai
    /// let ema = optim::power_ema(nn::linear(1, 1), #{ exponent: 1.0 });
    /// ema.update_at(128.0, 64.0);
    /// assert_eq(ema.decay, 0.25);
    /// ```
    fn update_at(ema: Ema, now: f64, part: f64) -> () { ema.update_at(now, part) }

    /// How many updates there were.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let ema = optim::ema(nn::linear(1, 1), 0.5);
    /// ema.update();
    /// assert_eq(ema.updates, 1);
    /// ```
    fn updates as "get$updates"(ema: Ema) -> i64 { Ok(i64::try_from(ema.updates()).unwrap_or(i64::MAX)) }

    /// The averaged module, for sampling and evaluation. Under `--shard-optimizer` it has all its weights in `on_sample`, and after this call until the next update;
    /// there every rank must ask for it.
    ///
    /// # Errors
    /// `E0202` where one rank works alone and the weights are with others, `E0802` when another rank is gone.
    /// # Example
    /// ```rhai
    /// let ema = optim::ema(nn::linear(1, 1), 0.5);
    /// assert(!ema.module.weight.requires_grad);
    /// ```
    fn module_of as "get$module"(ema: Ema) -> Module { ema.whole_module() }

    /// How much of the average each update keeps; where that follows a rule, how much the last one kept.
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
