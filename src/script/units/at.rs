//! Where scripts are evaluated from outside: the engine, its scripts, its host.

use super::program::Program;
use crate::script::lang::host::Host;
use std::rc::Rc;

/// What an evaluation needs of the engine.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub(crate) rhai: &'a rhai::Engine,
    pub(crate) program: &'a Rc<Program>,
    pub(crate) host: &'a Host,
}
