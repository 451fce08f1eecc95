//! `lathe lsp`: the language server, on stdin and stdout.

mod host;
mod live;
mod tables;

use crate::error::{Error, Result};
use crate::lsp::{Ended, serve};
use crate::script::on_big_stack;

/// Serve an editor: faults while you type, completion, documentation, definitions, renaming, layout.
#[derive(clap::Args)]
#[command(after_help = "An editor starts it and speaks the Language Server Protocol with it on stdin and stdout; docs/editor.md has the settings.")]
pub struct Args {
    /// For editors that say how: stdin and stdout are all there is.
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Serves until the editor ends it, or is gone.
///
/// # Errors
/// `E0101` where the editor went without a word, so that the exit code says so.
pub fn run(_: &Args) -> Result<()> {
    let ended = on_big_stack(|| serve(std::io::stdin(), std::io::stdout(), Box::new(host::Lathe::new()), env!("CARGO_PKG_VERSION")))?;
    match ended {
        Ok(Ended::Asked) => Ok(()),
        Ok(Ended::Alone) => Err(Error::new(crate::error::ErrorKind::Shown)),
        Err(e) => Err(Error::io("start", "a thread that reads stdin", e)),
    }
}
