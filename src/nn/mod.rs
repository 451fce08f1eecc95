//! Layers and named parameters.
//!
//! A model is a struct of layers over one [`Store`]; a script's network is a [`Module`] tree. Both give the same named
//! parameters, so checkpoints, optimizers and the EMA need not know which one they hold. Loading, freezing and moving
//! work in place on the tensors, so that every handle to them (an optimizer's, an EMA's) stays valid.

mod init;
mod module;
mod store;

pub use init::Init;
pub use module::{Forward, LoadReport, Module, State};
pub use store::{Entry, Mode, Path, Store};
