//! Hot reload by the `lathe` binary: real processes, real signals, files edited by real tools.

mod closures;
mod edits;
mod old_run;
mod place;
mod random;
mod replay;
