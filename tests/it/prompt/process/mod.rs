mod attach;
mod job;
mod repl;
mod told;

use rexpect::session::{PtySession, spawn_command};
use std::process::{Command, Stdio};

/// A command as in a plain terminal, without the history of whoever runs the tests.
fn terminal(mut command: Command) -> Command {
    command.env("NO_COLOR", "1").env("TERM", "xterm").env("LATHE_HISTORY", "").env_remove("TMUX");
    command
}

/// A command on a pseudo-terminal of its own: its input and output are that.
fn on_terminal(mut command: Command) -> PtySession {
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    spawn_command(command, Some(60_000)).unwrap()
}
