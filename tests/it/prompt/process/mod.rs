mod attach;
mod job;
mod repl;
mod told;

use std::process::Command;

/// A command as in a plain terminal, without the history of whoever runs the tests.
fn terminal(mut command: Command) -> Command {
    command.env("NO_COLOR", "1").env("TERM", "xterm").env("LATHE_HISTORY", "").env_remove("TMUX");
    command
}
