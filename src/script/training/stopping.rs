//! Loops of a script's own that end by themselves when Ctrl-C asks: `run.stopping()`.

use crate::interrupt::{Hold, hold};
use crate::script::lang::host::Host;
use std::cell::RefCell;

/// Holds a request to stop up while a script looks at `run.stopping()`, among the host's values: until the call from the host program,
/// or the prompt's line, has ended.
#[derive(Default)]
pub(crate) struct Stopping(RefCell<Option<Hold>>);

impl Stopping {
    /// From now on the script looks by itself.
    pub(crate) fn begin(host: &Host) {
        host.get_or_default::<Stopping>().0.borrow_mut().get_or_insert_with(hold);
    }

    /// Requests end scripts at once again.
    pub(crate) fn end(host: &Host) {
        if let Some(stopping) = host.get::<Stopping>() {
            stopping.0.borrow_mut().take();
        }
    }
}
