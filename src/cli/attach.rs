//! `lathe attach RUN`: a prompt inside a running job, between two steps.

use crate::error::Result;
use crate::repl::{Remote, Repl};
use crate::script::on_big_stack;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// Talk to a running job: lines are evaluated between two of its steps, on its live objects.
#[derive(clap::Args)]
pub struct Args {
    /// The run's folder, as `exps/try1`.
    run: PathBuf,
    /// Run this line, print its value, and leave. May be given several times.
    #[arg(short, long = "expr", value_name = "EXPR")]
    expr: Vec<String>,
    /// The longest that one line may hold the training up, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,
    /// How long to wait for the run to come to the end of a step, in seconds; 0 is for ever. Default: 60 with -e and from a pipe, for
    /// ever at a terminal.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// The longest wait for a run by a program, which could not be told to give up.
const PATIENCE: u64 = 60;

/// Opens the prompt.
///
/// # Errors
/// `E0601` when no process works on the run; with `-e`, what a line threw.
pub fn run(args: &Args) -> Result<()> {
    on_big_stack(|| {
        let is_watched = args.expr.is_empty() && std::io::stdin().is_terminal();
        let timeout = args.timeout.unwrap_or(if is_watched { 0 } else { PATIENCE });
        let timeout = (timeout > 0).then(|| Duration::from_secs(timeout));
        let mut remote = Remote::connect(&args.run, Duration::from_secs(args.limit), timeout)?;
        if args.expr.is_empty() {
            remote.greet()?;
        }
        let mut repl = Repl::new(remote);
        if !args.expr.is_empty() {
            return args.expr.iter().try_for_each(|e| repl.run_text(e));
        }
        if repl.is_terminal() {
            println!(
                "attached to {}; lines are evaluated between two steps: run, its objects by name, batch. Ctrl-D leaves, the run goes on",
                crate::plain::shown(&args.run.display().to_string())
            );
        }
        repl.run()
    })?
}
