//! The moment between two steps.

use super::run::Run;
use crate::script::units::program::Program;
use crate::train::log;
use std::rc::Rc;

/// Where a boundary is: whose scripts, and which run.
#[derive(Clone, Copy)]
pub(crate) struct Boundary<'a> {
    pub program: &'a Rc<Program>,
    pub rhai: &'a rhai::Engine,
    pub run: Option<&'a Run>,
}

impl Boundary<'_> {
    /// A line for the terminal and the run's log.
    pub(super) fn say(&self, line: &str) {
        match self.run {
            Some(run) => run.run().say(line),
            None => log::say(line),
        }
    }
}
