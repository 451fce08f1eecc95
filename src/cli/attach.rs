//! `lathe attach RUN`: a prompt inside a running job, between two steps.

use crate::error::Result;
use crate::repl::{Remote, Repl};
use crate::script::on_big_stack;
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
}

/// Opens the prompt.
///
/// # Errors
/// `E0601` when no process works on the run; with `-e`, what a line threw.
pub fn run(args: &Args) -> Result<()> {
    on_big_stack(|| {
        let mut remote = Remote::connect(&args.run, Duration::from_secs(args.limit))?;
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
                args.run.display()
            );
        }
        repl.run()
    })?
}
