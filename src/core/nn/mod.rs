//! Layers and named parameters.
//!
//! A model is a struct of layers over one [`Store`]; a script's network is a [`Module`] tree. Both give the same named
//! parameters, so checkpoints, optimizers and the EMA need not know which one they hold. Loading, freezing and moving
//! work in place on the tensors, so that every handle to them (an optimizer's, an EMA's) stays valid.

pub mod bounds;
mod digest;
mod init;
pub mod layers;
mod load;
mod module;
mod nesting;
pub mod others;
mod store;
#[cfg(test)]
mod tests;
pub mod weights;

pub use digest::{digest, digest_state};
pub use init::Init;
pub use load::LoadReport;
pub use module::{Built, Forward, GroupForward, Import, Module, State};
pub use store::{Entry, Mode, Path, Store, Switch};
pub use weights::{Weights, read_state};
