//! The command line: one file for each verb. stdout is data, stderr is talk.
#![expect(clippy::disallowed_macros, reason = "the process is its own here: stdout and stderr are the command's")]

mod add;
mod attach;
mod check;
mod compare;
mod compare_page;
mod config_files;
mod convert;
mod diff;
mod doc;
mod doc_json;
mod doctor;
mod export;
mod fetch;
mod flags;
mod fmt;
mod help;
mod inspect;
mod kernel;
mod lsp;
mod memory;
mod nproc;
mod output;
mod paths;
mod prune;
mod push;
mod ranks;
mod recipes;
mod remove;
mod repl;
mod replay;
mod run;
mod runs;
mod table;
mod test;
mod update;

use crate::error::{Error, Result};
use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Scripts for latent-diffusion research, on libtorch.
#[derive(Parser)]
#[command(name = "lathe", version, about, propagate_version = true, arg_required_else_help = true, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done, 1 the script or run failed, 2 wrong usage,\n75 another process of the job is gone, 130 interrupted.")]
struct Cli {
    /// What goes to stderr: off, error, warn, info, debug, trace, or a filter such as `lathe=debug`.
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    log_level: String,
    /// How much memory the process may use: 8G, 512M, a share of the machine such as 0.9, or none. Without it 0.9.
    #[arg(long, global = true, value_name = "SIZE")]
    max_memory: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Add(add::Args),
    Attach(attach::Args),
    Check(check::Args),
    Fmt(fmt::Args),
    Lsp(lsp::Args),
    Compare(compare::Args),
    Doc(doc::Args),
    Convert(convert::Args),
    Export(export::Args),
    Doctor(doctor::Args),
    Fetch(fetch::Args),
    Push(push::Args),
    Recipes(recipes::Args),
    Remove(remove::Args),
    Diff(diff::Args),
    Inspect(inspect::Args),
    Kernel(kernel::Args),
    Replay(replay::Args),
    Repl(repl::Args),
    Run(run::Args),
    Runs(runs::Args),
    Test(test::Args),
    Update(update::Args),
}

/// Runs the command line of this process; the exit code is 0, 1 (failed), 2 (usage), 75 (another process of the job is gone) or 130 (interrupted).
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are data; the rest is a usage error.
            let _ = e.print();
            if e.use_stderr() {
                let text = e.to_string();
                output::print_error(&Error::usage(text.lines().next().unwrap_or_default().trim_start_matches("error: ")));
            }
            return ExitCode::from(u8::from(e.use_stderr()) * 2);
        }
    };
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report(&e);
            output::print_error(&e);
            if !e.is_asked() {
                crate::dist::report(&e);
            }
            ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(1))
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    let level = match &cli.verb {
        Verb::Run(args) => args.log_level(),
        _ => None,
    };
    nproc::end_with_parent()?;
    // The parent of several processes has nothing of its own to save, and no tensors.
    let nproc = match &cli.verb {
        Verb::Run(args) => args.nproc()?,
        Verb::Replay(args) => args.nproc()?,
        _ => None,
    };
    if let Some(n) = nproc {
        std::process::exit(nproc::run(n)?);
    }
    start_log(level.unwrap_or(&cli.log_level))?;
    match &cli.verb {
        // A notebook's variables outlast whatever is stopped.
        Verb::Kernel(_) => crate::interrupt::install_request()?,
        _ => crate::interrupt::install()?,
    }
    memory::start(cli.max_memory.as_deref())?;
    match cli.verb {
        Verb::Add(args) => add::run(&args),
        Verb::Attach(args) => attach::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Fmt(args) => fmt::run(&args),
        Verb::Lsp(args) => lsp::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Doc(args) => doc::run(&args),
        Verb::Convert(args) => convert::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Fetch(args) => fetch::run(&args),
        Verb::Push(args) => push::run(&args),
        Verb::Recipes(args) => recipes::run(&args),
        Verb::Remove(args) => remove::run(&args),
        Verb::Diff(args) => diff::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Kernel(args) => kernel::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Repl(args) => repl::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Runs(args) => runs::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Update(args) => update::run(&args),
    }
}

/// Prints an error as users see it.
fn report(e: &Error) {
    if e.is_shown() {
    } else if e.is_asked() {
        eprintln!("interrupted");
    } else {
        eprintln!("{}", e.render(wants_color()));
    }
}

/// Whether stderr shows colors: a terminal, and `NO_COLOR` is not set.
fn wants_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Sends log lines to stderr.
///
/// # Errors
/// `E0101` for an unknown level.
fn start_log(level: &str) -> Result<()> {
    use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};
    let wrong = |e: String| Error::usage(format!("--log-level `{level}`: {e}")).help("one of off, error, warn, info, debug, trace");
    let filter = EnvFilter::try_new(level).map_err(|e| wrong(e.to_string()))?;
    // What is wrong with a certificate the error says.
    let filter =
        filter.add_directive("rustls_platform_verifier=off".parse().map_err(|e: tracing_subscriber::filter::ParseError| wrong(e.to_string()))?);
    let people = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(wants_color()).with_target(false).without_time();
    let run = tracing_subscriber::fmt::layer().with_writer(|| crate::train::log::Writer).with_ansi(false).with_target(false);
    tracing_subscriber::registry().with(filter).with(people).with(run).try_init().map_err(|e| wrong(e.to_string()))
}
