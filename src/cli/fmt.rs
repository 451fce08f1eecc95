//! `lathe fmt [PATH..]`: one layout for all scripts.

use super::check::chosen;
use crate::error::{Diagnostic, Error, Label, Result};
use crate::files;
use crate::script::text::format::{Refused, format};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Lay scripts out: indentation, blanks between tokens, blank lines. Where lines break is the author's.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  lathe fmt                      every script in scripts/ and stdlib/, or in the working directory
  lathe fmt scripts/mine.rhai    one script
  lathe fmt --check              change nothing; name the scripts that are laid out otherwise, and exit with 1 if there are any
  lathe fmt -                    from stdin to stdout, for editors")]
pub struct Args {
    /// Scripts, or folders that hold them; `-` for stdin. Default: scripts and stdlib, or the working directory where there are none.
    paths: Vec<PathBuf>,
    /// Change nothing; name the scripts that are laid out otherwise.
    #[arg(long)]
    check: bool,
}

/// Lays out every script, each whole or not at all.
///
/// # Errors
/// `E0301` for a path that cannot be read or written, `E0302` for a text with an open string, comment or bracket, `E0503` with `--check` where a
/// layout is another one.
pub fn run(args: &Args) -> Result<()> {
    if args.paths == [Path::new("-")] {
        return stdin(args.check);
    }
    let all = chosen(&args.paths)?;
    let (mut changed, mut refused) = (0, Vec::new());
    for path in &all {
        crate::interrupt::check()?;
        let text = files::read_text(path)?;
        match format(&text) {
            Ok(out) if out == text => {}
            Ok(_) if args.check => {
                changed += 1;
                println!("{}", path.display());
            }
            Ok(out) => {
                changed += 1;
                files::write(path, out)?;
                println!("{}", path.display());
            }
            Err(e) => refused.push(diagnostic(&path.display().to_string(), &text, e)),
        }
    }
    if !refused.is_empty() {
        let first = refused.remove(0);
        return Err(Error::script(Diagnostic { also: refused, ..first }));
    }
    if args.check && changed > 0 {
        let message = format!("{changed} of {} scripts are laid out otherwise", all.len());
        return Err(Error::script(Diagnostic { help: Some("`lathe fmt` lays them out".into()), ..Diagnostic::plain("E0503", message) }));
    }
    eprintln!("{} of {} scripts {}", changed, all.len(), if changed == 1 { "was laid out anew" } else { "were laid out anew" });
    Ok(())
}

fn stdin(check: bool) -> Result<()> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).map_err(|e| Error::io("read", "stdin", e))?;
    let out = format(&text).map_err(|e| Error::script(diagnostic("stdin", &text, e)))?;
    if check {
        let wrong = || Diagnostic { help: Some("`lathe fmt -` lays it out".into()), ..Diagnostic::plain("E0503", "stdin is laid out otherwise") };
        return if out == text { Ok(()) } else { Err(Error::script(wrong())) };
    }
    match std::io::stdout().lock().write_all(out.as_bytes()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("write", "stdout", e)),
        _ => Ok(()),
    }
}

fn diagnostic(file: &str, text: &str, refused: Refused) -> Diagnostic {
    let label = Label {
        file: file.to_owned(),
        source: Arc::from(text),
        line: refused.at.line + 1,
        column: refused.at.column + 1,
        width: 1,
        text: String::new(),
    };
    let help = Some("a script is laid out when it can be read to its end".to_owned());
    Diagnostic { labels: vec![label], help, ..Diagnostic::plain("E0302", refused.message) }
}
