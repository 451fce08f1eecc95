//! `module.hash()`.

use crate::api;
use crate::nn::{Module, digest};

api! {
    methods Module;

    /// SHA-256 of the weights, in hexadecimal: two modules with the same names, shapes and values have the same.
    ///
    /// # Errors
    /// `E0203` when the weights, copied to the CPU, do not fit into memory.
    /// # Example
    /// ```rhai
    /// let m = nn::linear(2, 3);
    /// assert_eq(m.hash().len(), 64);
    /// assert(m.hash() != nn::linear(2, 3).hash());
    /// ```
    fn hash(module: Module) -> String { digest(&module) }
}
