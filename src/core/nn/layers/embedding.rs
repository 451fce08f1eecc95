//! The lookup table.

use super::forward_one;
use crate::error::Result;
use crate::nn::{Built, Init, Module, Path};
use crate::torch::{Tensor, default_device};

/// Rows of a table: i64 `[..]` -> `[.., dim]`.
#[derive(Debug, Clone)]
pub struct Embedding {
    weight: Tensor,
}
forward_one!(Embedding, "embedding");

impl Embedding {
    /// Registers `weight` `[rows, dim]`. PyTorch's default is N(0, 1).
    ///
    /// # Errors
    /// `E0201` for sizes that libtorch refuses.
    pub fn new(p: &Path, rows: i64, dim: i64, std: f64) -> Result<Self> {
        Ok(Embedding { weight: p.param("weight", &[rows, dim], Init::Normal(0.0, std))? })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Embedding::new`].
    pub fn module(rows: i64, dim: i64, std: f64) -> Result<Module> {
        Module::build("embedding", default_device(), move |p| Ok(Built::layer(Embedding::new(p, rows, dim, std)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` for an index outside the table.
    pub fn forward(&self, index: &Tensor) -> Result<Tensor> {
        self.weight.embedding(index)
    }
}
