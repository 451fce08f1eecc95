//! Foreign clients: Jupyter's, from PyPI, in `target/editors/jupyter`. What they do is in the `.py` files beside this one.

mod attached;
mod refused;
mod suite;

use crate::support::process::{LATHE, Place, ok};
use crate::support::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages and their versions.
const PACKAGES: [&str; 5] = ["jupyter_client==8.10.0", "jupyter_kernel_test==0.7.0", "nbclient==0.11.0", "nbformat==5.11.1", "pyzmq==27.3.0"];

/// Python with Jupyter's clients, installed once.
fn python() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(|| install(&root().join("target/editors/jupyter"))).clone()
}

fn install(folder: &Path) -> Result<PathBuf, String> {
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).ok().as_ref() == Some(&wanted) && python.is_file() {
        return Ok(python);
    }
    let done = |command: &mut Command| {
        let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        if out.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))) }
    };
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    done(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))?;
    std::fs::write(stamp, wanted).unwrap();
    Ok(python)
}

/// Installs the kernel into a place, and gives Python there with a Jupyter that finds it alone.
fn jupyter(place: &Place, python: &Path) -> Command {
    let said = ok(&mut place.command(&["kernel", "install", "--prefix", &place.at("env")]));
    assert!(said.contains("env/share/jupyter/kernels/lathe/kernel.json") && said.contains(LATHE), "{said}");
    let mut command = Command::new(python);
    command.current_dir(place.folder()).env("JUPYTER_PATH", place.path("env/share/jupyter")).env("OMP_NUM_THREADS", "1").env_remove("LATHE_STDLIB");
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("LATHE_HISTORY", "");
    for (name, folder) in
        [("JUPYTER_RUNTIME_DIR", "runtime"), ("JUPYTER_DATA_DIR", "data"), ("JUPYTER_CONFIG_DIR", "config"), ("IPYTHONDIR", "ipython")]
    {
        command.env(name, place.path(folder));
    }
    command
}

/// Runs one of the scripts of this folder, which says so when all is well.
fn driven(name: &str, script: &str, place: &Place) {
    match python() {
        Err(why) => println!("skipped: {name}: {why}"),
        Ok(python) => {
            let said = ok(jupyter(place, &python).arg(root().join("tests/it/kernel/process").join(script)));
            assert!(said.contains("all well"), "{said}");
        }
    }
}
