//! The verbs of the `lathe` command.

mod process;
