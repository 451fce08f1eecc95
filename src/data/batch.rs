//! A batch, and what a loader can draw batches from.

use crate::error::Result;
use crate::torch::Tensor;

/// Some samples of a set.
#[derive(Debug, Clone)]
pub struct Batch {
    /// u8 `[B, 3, R, R]`, for image sets.
    pub images: Option<Tensor>,
    /// f32 `[B, C, h, w]`: the mean of the posterior, for latent sets.
    pub mean: Option<Tensor>,
    /// f32 `[B, C, h, w]`: the standard deviation of the posterior, for latent sets.
    pub std: Option<Tensor>,
    /// i64 `[B]`: positions in the set's classes.
    pub labels: Tensor,
    /// u8 `[B, A]`: positions in the values of each attribute, where the set has attributes.
    pub attributes: Option<Tensor>,
    /// i64 `[B]`: which picture each sample is, counted over the whole image set.
    pub index: Tensor,
}

/// A set of samples by position. Drawing is plain copying, so that it can run on any thread.
pub trait Samples: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The samples at these positions, each below [`Samples::len`], as one batch.
    ///
    /// # Errors
    /// `E0203` without memory for the tensors.
    fn gather(&self, positions: &[usize]) -> Result<Batch>;
}
