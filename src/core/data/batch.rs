//! A batch, and what a loader can draw batches from.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::Tensor;

/// Some samples of a set: tensors `[B, ..]` by the names under which scripts find them, in order.
///
/// Image sets have `images` (u8 `[B, 3, R, R]`), latent sets `mean` and `std` (f32 `[B, C, h, w]`, of the posterior). Both have `labels` (i64
/// `[B]`, positions in the set's classes) and `index` (i64 `[B]`, which picture each sample is, counted over the whole image set), and
/// `attributes` (u8 `[B, A]`, positions in the values of each attribute) where the set has them. A loader that flips pictures
/// adds `flipped` (u8 `[B]`).
#[derive(Debug, Clone, Default)]
pub struct Batch(State);

impl Batch {
    /// The same with one tensor more.
    #[must_use]
    pub fn with(mut self, name: &str, tensor: Tensor) -> Batch {
        self.0.insert(name.to_owned(), tensor);
        self
    }

    /// The tensor of that name.
    ///
    /// # Errors
    /// `E0202` when the set has none, with those that it has.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        let names = || self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.0.get(name).ok_or_else(|| Error::value("batch", format!("there is no `{name}` in it, it has {}", names())))
    }

    /// All tensors by name.
    pub fn tensors(&self) -> &State {
        &self.0
    }
}

/// A set of samples by position. Drawing is plain copying, so that it can run on any thread.
pub trait Samples: Send + Sync {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The identity of its content; empty where it is not known.
    fn identity(&self) -> String {
        String::new()
    }

    /// Whether its batches have `images`, which can be mirrored.
    fn has_pictures(&self) -> bool {
        false
    }

    /// Whether it crops pictures when they are drawn, anywhere it is told.
    fn has_crops(&self) -> bool {
        false
    }

    /// The same as [`Samples::gather`], each picture cropped as its number in `draws` says.
    ///
    /// # Errors
    /// `E0202` for a set that crops nothing; as [`Samples::gather`].
    fn gather_cropped(&self, positions: &[usize], draws: &[u64]) -> Result<Batch> {
        let _ = (positions, draws);
        Err(Error::value("loader", "this set crops no pictures"))
    }

    /// The samples at these positions, each below [`Samples::len`], as one batch.
    ///
    /// # Errors
    /// `E0203` without memory for the tensors.
    fn gather(&self, positions: &[usize]) -> Result<Batch>;
}
