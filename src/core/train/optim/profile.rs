//! How much of a moving average each update keeps: always the same, or by a rule that follows the number of updates.

use crate::error::{Error, Result};

/// A rule. Where training goes by pictures and not by steps, [`Profile::decay_at`] takes those.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Profile {
    /// Always the same.
    Constant,
    /// Short at first: `EMAModel` of diffusers.
    WarmUp(WarmUp),
    /// The power function of EDM2 (arXiv 2312.02696, eq. 127): what lies `t` back weighs `t^exponent` of the time that has passed.
    Power {
        /// The exponent.
        exponent: f64,
    },
    /// A half-life, as EDM2's `TraditionalEMA`.
    HalfLife {
        /// Updates after which half is kept.
        updates: f64,
        /// At first, this part of the time that has passed.
        rampup: Option<f64>,
    },
}

/// The rule of diffusers' `EMAModel`, with its names and defaults; the decay itself is the average's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// The decay is at least this.
    pub min_decay: f64,
    /// Updates that copy the weights first.
    pub update_after_step: i64,
    /// `1 - (1 + t / inv_gamma)^-power` in place of `(1 + t) / (10 + t)`.
    pub use_ema_warmup: bool,
    /// The time that warming up takes.
    pub inv_gamma: f64,
    /// How steeply.
    pub power: f64,
}

impl Default for WarmUp {
    fn default() -> Self {
        WarmUp { min_decay: 0.0, update_after_step: 0, use_ema_warmup: false, inv_gamma: 1.0, power: 2.0 / 3.0 }
    }
}

impl Profile {
    /// Refuses what is out of range.
    ///
    /// # Errors
    /// `E0202`.
    pub(super) fn check(self, op: &str) -> Result<Self> {
        let (is_right, message) = match self {
            Profile::Constant => (true, ""),
            Profile::WarmUp(w) => (
                (0.0..=1.0).contains(&w.min_decay) && w.inv_gamma > 0.0 && w.power >= 0.0 && w.update_after_step >= 0,
                "`min_decay` must be from 0 to 1, `inv_gamma` above 0, `power` and `update_after_step` not negative",
            ),
            Profile::Power { exponent } => (exponent > -1.0 && exponent.is_finite(), "`exponent` must be above -1"),
            Profile::HalfLife { updates, rampup } => {
                (updates >= 0.0 && rampup.is_none_or(|r| r > 0.0), "the half-life must not be negative, and `rampup` above 0 or ()")
            }
        };
        if is_right { Ok(self) } else { Err(Error::value(op, message)) }
    }

    /// The decay of the update that ends at time `now` and took `part` of it; `decay` is the average's own.
    pub fn decay_at(self, now: f64, part: f64, decay: f64) -> f64 {
        match self {
            Profile::Constant => decay,
            Profile::WarmUp(w) => {
                let t = now / part - w.update_after_step as f64 - 1.0;
                if t <= 0.0 {
                    return 0.0;
                }
                let rule = if w.use_ema_warmup { 1.0 - (1.0 + t / w.inv_gamma).powf(-w.power) } else { (1.0 + t) / (10.0 + t) };
                rule.min(decay).max(w.min_decay)
            }
            Profile::Power { exponent } => (1.0 - part / now).max(0.0).powf(exponent + 1.0),
            Profile::HalfLife { updates, rampup } => {
                let life = rampup.map_or(updates, |ratio| updates.min(now / part * ratio));
                // EDM2's guard of 1e-8 pictures: a life of nothing keeps nothing.
                0.5f64.powf(1.0 / life.max(1e-8))
            }
        }
    }

    /// Whether buffers are copied, as EDM2 does it, and not averaged.
    pub(super) fn copies_buffers(self) -> bool {
        matches!(self, Profile::Power { .. } | Profile::HalfLife { .. })
    }
}

/// The exponent of the power function whose standard deviation is `std` of the time of training (arXiv 2312.02696, eq. 126): the largest root of
/// `(x + 2)^2 (x + 3) = (x + 1) / std^2`.
///
/// # Errors
/// `E0202` when there is none: `std` is from above 0 to 0.289.
pub fn std_to_exponent(std: f64) -> Result<f64> {
    let t = std.powi(-2);
    let value = |x: f64| (x + 2.0).powi(2) * (x + 3.0) - t * (x + 1.0);
    let slope = |x: f64| (x + 2.0) * (3.0 * x + 8.0) - t;
    // From the right of the largest root: the cubic is convex there, so that Newton's steps come down to it.
    let mut x = t.sqrt() + 1.0;
    for _ in 0..200 {
        let next = x - value(x) / slope(x);
        if next.is_nan() || next >= x {
            break;
        }
        x = next;
    }
    let is_root = std > 0.0 && x > -1.0 && x.is_finite() && value(x).abs() <= 1e-9 * t.max(1.0) * (x.abs() + 1.0);
    if !is_root {
        let message = format!("no power function has a standard deviation of {std} of the time of training");
        return Err(Error::value("power_ema", message).help("`std` is from above 0 to 0.289, usually from 0.05 to 0.25"));
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exponent_is_that_of_its_standard_deviation() {
        for exponent in [0.0, 0.5, 1.0, 6.94, 97.0] {
            let std: f64 = ((exponent + 1.0) / (exponent + 2.0f64).powi(2) / (exponent + 3.0)).sqrt();
            assert!((std_to_exponent(std).unwrap() - exponent).abs() < 1e-9 * (1.0 + exponent), "{exponent}");
        }
        for std in [0.0, -0.1, 0.5, f64::NAN, f64::INFINITY] {
            assert_eq!(std_to_exponent(std).unwrap_err().code(), "E0202", "{std}");
        }
    }

    #[test]
    fn the_first_update_of_a_rule_copies() {
        for profile in [Profile::Power { exponent: 6.0 }, Profile::WarmUp(WarmUp::default())] {
            assert_eq!(profile.decay_at(1.0, 1.0, 0.999), 0.0);
        }
        // Half of what was there ten updates ago.
        let ten = (1..=10).map(|n| Profile::HalfLife { updates: 10.0, rampup: None }.decay_at(f64::from(n), 1.0, 0.0)).product::<f64>();
        assert!((ten - 0.5).abs() < 1e-12);
        assert!(Profile::HalfLife { updates: 10.0, rampup: Some(0.0) }.check("ema").is_err());
        assert!(Profile::Power { exponent: -1.0 }.check("ema").is_err());
        assert!(Profile::WarmUp(WarmUp { inv_gamma: 0.0, ..WarmUp::default() }).check("ema").is_err());
    }
}
