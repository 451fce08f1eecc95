//! A command that several processes work on: each does the same, and the first says it.

use crate::dist::{self, World, launch};
use crate::error::Result;
use crate::script::on_big_stack;
use crate::space::{self, Space};
use std::rc::Rc;

/// Runs a command as one of several ranks, where a launcher started this process as one. What goes wrong on another rank is told with its name;
/// the store is kept until all are done.
///
/// # Errors
/// What the command returns; `E0101` for variables of a launcher that contradict each other.
pub(super) fn ranked(f: impl FnOnce(Option<World>) -> Result<()> + Send) -> Result<()> {
    let world = launch::world(&|name| std::env::var(name).ok())?;
    let is_first = world.as_ref().is_none_or(|w| w.rank == 0);
    let work = move || {
        let result = f(world).map_err(dist::explain);
        if result.is_ok() {
            dist::leave();
        }
        result
    };
    on_big_stack(move || {
        if is_first {
            return work();
        }
        // What the others would say is what the first says; the logs of their run have it.
        space::within(&Rc::new(Space::new(Some(Box::new(|_| {})), None)), work)
    })?
}
