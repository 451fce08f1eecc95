//! Foreign clients: Jupyter's, from PyPI. What they do is in the `.py` files beside this one.

mod attached;
mod refused;
mod suite;

use crate::support::process::{LATHE, Place, ok, python};
use crate::support::root;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages and their versions.
const PACKAGES: &str = "jupyter_client==8.10.0 jupyter_kernel_test==0.7.0 nbclient==0.11.0 nbformat==5.11.1 pyzmq==27.3.0";

/// The folder that has Jupyter's clients.
fn clients() -> Result<PathBuf, String> {
    python(PACKAGES, "jupyter_client, jupyter_kernel_test, nbclient, nbformat, zmq")
}

/// Installs the kernel into a place, and gives Python there with a Jupyter that finds it alone.
fn jupyter(place: &Place, clients: &Path) -> Command {
    let said = ok(&mut place.command(&["kernel", "install", "--prefix", &place.at("env")]));
    assert!(said.contains("env/share/jupyter/kernels/lathe/kernel.json") && said.contains(LATHE), "{said}");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", clients);
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
    match clients() {
        Err(why) => println!("skipped: {name}: {why}"),
        Ok(clients) => {
            let said = ok(jupyter(place, &clients).arg(root().join("tests/it/kernel/process").join(script)));
            assert!(said.contains("all well"), "{said}");
        }
    }
}
