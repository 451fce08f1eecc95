//! Recording gradients, and forgetting them.

use super::{Tensor, bridge};
use crate::error::Result;

/// Runs `f` without recording gradients.
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    struct Guard {
        _inner: tch::NoGradGuard,
    }
    impl Drop for Guard {
        fn drop(&mut self) {
            // Weights that mixed precision converted in here have no history: outside they must be converted anew.
            if bridge::autocast_is_on() {
                bridge::clear_autocast_cache();
            }
        }
    }
    let _guard = Guard { _inner: tch::no_grad_guard() };
    f()
}

impl Tensor {
    /// Forgets the gradient, so that it is missing until the next `backward`.
    pub fn clear_grad(&self) -> Result<()> {
        bridge::clear_grad(self)
    }
}
