//! `lathe kernel`: cells of a Jupyter notebook.

use super::paths::{Paths, fetching};
use crate::error::{Error, Result};
use crate::kernel::{Connection, serve, spec};
use crate::script::{Engine, EngineOptions, Permissions, on_big_stack};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Serve Jupyter notebooks: `lathe kernel install`, then choose Lathe in Jupyter.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The file in which Jupyter says where it wants the kernel. Jupyter gives it.
    #[arg(long, value_name = "FILE")]
    connection: Option<PathBuf>,
    /// Also listen on an address that other machines can reach. Messages are signed, but everybody on the way can read them.
    #[arg(long)]
    allow_remote: bool,
    /// How many CPU threads to use.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    paths: Paths,
}

#[derive(clap::Subcommand)]
enum Verb {
    Install(Install),
}

/// Tell Jupyter of this kernel.
#[derive(clap::Args)]
struct Install {
    /// For this user, which is what happens without a flag: in Jupyter's data folder (`jupyter --paths` shows it).
    #[arg(long, conflicts_with = "prefix")]
    user: bool,
    /// For an environment of its own: below DIR/share/jupyter.
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
}

/// Serves, or installs.
///
/// # Errors
/// What is wrong with the connection file; `E0301` when its ports are taken, or the kernelspec cannot be written.
pub fn run(args: &Args) -> Result<()> {
    match (&args.verb, &args.connection) {
        (Some(Verb::Install(install)), _) => install.run(),
        (None, Some(file)) => on_big_stack(|| start(args, file))?,
        (None, None) => {
            let e = Error::usage("`lathe kernel` needs `install`, or `--connection FILE`");
            Err(e.help("`lathe kernel install`, then choose Lathe in Jupyter, which gives the file"))
        }
    }
}

impl Install {
    fn run(&self) -> Result<()> {
        let no_home = || Error::usage("where Jupyter keeps its kernels is not known: HOME is not set").help("`--prefix DIR` says where");
        let folder = match &self.prefix {
            Some(prefix) => prefix.join("share/jupyter"),
            None => spec::user_folder().ok_or_else(no_home)?,
        };
        let program = std::env::current_exe().map_err(|e| Error::io("find", "lathe", e))?;
        let file = spec::install(&folder, &program)?;
        println!("{}", file.display());
        println!("Jupyter starts {} for notebooks of Lathe; `jupyter kernelspec remove {}` undoes it", program.display(), spec::NAME);
        Ok(())
    }
}

fn start(args: &Args, file: &Path) -> Result<()> {
    let connection = Connection::read(file, args.allow_remote)?;
    if let Some(n) = args.threads {
        super::run::limit_threads(n);
    }
    let mut permissions = Permissions::interactive(None);
    args.paths.grant(&mut permissions);
    let engine = Engine::new(EngineOptions { allow_eval: true, permissions: Some(permissions), ..EngineOptions::default() });
    engine.host().put(fetching(Path::new("."), args.paths.fetch)?);
    serve(&connection, Rc::new(engine))
}
