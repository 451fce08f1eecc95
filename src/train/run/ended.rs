//! What is noted where a script or the process ends beside the steps of its runs.

use super::{LAST, OPEN};
use crate::error::{Diagnostic, Error};
use crate::train::log;
use crate::train::status::{Phase, Status};

/// Takes note of how the script ended that this thread has run. When it failed beside its steps, as in its set-up, the run that it opened
/// last gets the reason: in the table of runs, and in `log.txt`.
pub fn ended(error: Option<&Error>) {
    let Some((dir, run)) = LAST.take() else { return };
    let Some(error) = error.filter(|e| !e.is_asked()) else { return };
    // Something may hold the run still: the error itself, for example.
    let mut state = match run.upgrade() {
        Some(inner) => inner.status.borrow().clone(),
        None => match Status::read(&dir) {
            Ok(status) if status.pid == std::process::id() => status,
            _ => return,
        },
    };
    if matches!(state.state, Phase::Running | Phase::Stopped) {
        (state.state, state.error) = (Phase::Failed, Some(error.to_string()));
        // The error itself is on its way to the user and matters more than this note.
        let _ = state.write(&dir);
        if let Some(inner) = run.upgrade() {
            *inner.status.borrow_mut() = state.clone();
        }
    }
    if state.state == Phase::Failed && !error.is_shown() {
        log::add(&dir.join("log.txt"), &format!("{}\n", error.render(false)));
    }
}

/// Says on stderr and in the folders of the open runs why the process ends at once. It waits for nothing: other threads may hold anything.
pub fn ending(why: &str) {
    let message = format!("{why}; it grew on after everything was asked to stop, so the process ends");
    let error = Error::over_memory(Diagnostic::plain("E0203", message)).help(crate::memory::HELP);
    let text = format!("{}\n", error.render(false));
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    let Ok(open) = OPEN.try_lock() else { return };
    for dir in open.iter() {
        log::add(&dir.join("log.txt"), &text);
        if let Ok(status) = Status::read(dir) {
            // Nobody is left to tell.
            let _ = Status { state: Phase::Failed, error: Some(error.to_string()), ..status }.write(dir);
        }
    }
}
