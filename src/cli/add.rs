//! `lathe add NAME (--path FOLDER | --git URL --rev REV)`.

use crate::error::{Error, Result};
use crate::script::units::libraries::{Entry, Project};
use std::path::{Path, PathBuf};

/// Use a library: name it in the project's lathe.toml and pin its content in lathe.lock.
#[derive(clap::Args)]
pub struct Args {
    /// Its name, as its recipe.toml says it: its modules are imported as "NAME/MODULE".
    name: String,
    /// A folder on this disk.
    #[arg(long, value_name = "FOLDER", conflicts_with = "git", required_unless_present = "git")]
    path: Option<PathBuf>,
    /// The address of a git repository.
    #[arg(long, value_name = "URL", requires = "rev")]
    git: Option<String>,
    /// A commit, tag or branch of the repository.
    #[arg(long, requires = "git")]
    rev: Option<String>,
    /// The library's folder in the repository, when it is not the root.
    #[arg(long, requires = "git")]
    folder: Option<PathBuf>,
    /// The versions that will do, such as `^1.2`.
    #[arg(long, value_name = "VERSIONS")]
    range: Option<semver::VersionReq>,
    /// A file or folder of the project that the library may read, if it asks for it; `*` for all that the script may read.
    #[arg(long, value_name = "PATH")]
    allow_read: Vec<String>,
    /// A file or folder of the project that the library may write, if it asks for it.
    #[arg(long, value_name = "PATH")]
    allow_write: Vec<String>,
}

/// Adds the library to the project around the working directory.
///
/// # Errors
/// `E0101` for a name that is taken, `E0302` for what is no library, `E0601` when git fails; no file is changed then.
pub fn run(args: &Args) -> Result<()> {
    let here = Path::new(".");
    let project = match Project::find([here])? {
        Some(project) => project,
        None => Project::open(here)?,
    };
    // A repository on this disk: git runs elsewhere.
    let local = |url: &String| Path::new(url).canonicalize().map_or_else(|_| url.clone(), |p| p.display().to_string());
    let entry = Entry {
        path: args.path.as_ref().map(|p| project.relative(here, p)),
        git: args.git.as_ref().map(local),
        rev: args.rev.clone(),
        folder: args.folder.clone(),
        version: args.range.clone(),
        read: args.allow_read.clone(),
        write: args.allow_write.clone(),
    };
    if let Some(path) = args.path.as_ref().filter(|p| !p.is_dir()) {
        return Err(Error::io("open", path, std::io::ErrorKind::NotFound.into()).help("--path is the folder with the library's recipe.toml"));
    }
    let added = project.add(&args.name, &entry)?;
    let library = &added.library;
    eprintln!("added `{}` {} to {}: import \"{}/MODULE\" as m;", library.name, library.version, added.file.display(), library.name);
    let (asked, given) = (library.rights.asked(), library.rights.given());
    if !asked.is_empty() && asked != given {
        let given = if given.is_empty() { "nothing".to_owned() } else { given };
        eprintln!("it asks to {asked}; granted: {given}. `read = [..]` and `write = [..]` in its line grant it");
    }
    Ok(())
}
