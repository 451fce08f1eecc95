//! Lathe: an embedded scripting runtime for latent-diffusion research.
pub mod cli;
pub mod data;
pub mod error;
pub mod eval;
pub mod interrupt;
pub mod models;
pub mod nn;
pub mod progress;
pub mod script;
pub mod torch;
pub mod train;
