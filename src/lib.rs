//! Lathe: an embedded scripting runtime for latent-diffusion research.
//!
//! A script is what a researcher reads and edits; everything under it is Rust and libtorch. The `lathe` command runs scripts;
//! this library is the same engine for a program of your own, which adds its own operators and keeps its own state.
//!
//! # Embedding
//! [`Runtime`] is the engine for a program of one's own: with operators, types, modules and values of its own, sinks, limits and hot
//! reload. `docs/embedding.md` in the repository is the whole story; this is the shortest program.
//!
//! ```
//! use lathe::Runtime;
//! use lathe::torch::Tensor;
//!
//! lathe::api! {
//!     namespace "lab";
//!     /// Swish: `x * sigmoid(x)`.
//!     fn swish(x: Tensor) -> Tensor { x.mul(&x.sigmoid()?) }
//! }
//!
//! # fn main() -> lathe::error::Result<()> {
//! let runtime = Runtime::builder().functions(functions()).build()?;
//! runtime.load_text("experiment.rhai", "fn params() { #{n: 2} } fn main(cfg) { lab::swish(torch::ones([cfg.n])) }")?;
//! let y = runtime.run(&[("n", "3")])?;
//! assert_eq!(y.cast::<Tensor>().shape(), [3]);
//! # Ok(())
//! # }
//! ```
//!
//! [`script::Engine`] is the layer below: without settings, sinks and a device of its own, as the `lathe` command uses it.
//!
//! # Parts
//! Arrows go down only: `cli` -> [`script`] -> [`train`] -> [`models`], [`data`] -> [`nn`] -> [`torch`] -> [`error`].
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, clippy::panic, reason = "tests make files as others would")
)]

pub mod cli;
pub mod kernel;
pub mod lsp;
pub mod repl;
pub mod script;

#[doc(inline)]
pub use lathe_core::{data, dist, error, eval, fetch, files, git, interrupt, memory, models, nn, origin, plain, progress, space, torch, train};
pub use script::Runtime;

/// The examples of docs/embedding.md, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
mod embedding_page {}
