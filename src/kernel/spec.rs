//! The kernelspec: how Jupyter finds the kernel.

use crate::error::{Error, Result};
use crate::files;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The kernel's name among others.
pub const NAME: &str = "lathe";

/// The user's folder of Jupyter: `JUPYTER_DATA_DIR`, or where Jupyter has it on this system.
pub fn user_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || named("HOME");
    named("JUPYTER_DATA_DIR").or_else(|| match cfg!(target_os = "macos") {
        true => Some(home()?.join("Library/Jupyter")),
        false => Some(named("XDG_DATA_HOME").or_else(|| Some(home()?.join(".local/share")))?.join("jupyter")),
    })
}

/// Where the kernelspec lies below a folder of Jupyter.
pub fn file(jupyter: &Path) -> PathBuf {
    jupyter.join("kernels").join(NAME).join("kernel.json")
}

/// Writes the kernelspec, by which Jupyter starts `program`, below a folder of Jupyter's; tells where.
///
/// # Errors
/// `E0301` when the folder cannot be written, `E0101` when the path of the program is no text.
pub fn install(jupyter: &Path, program: &Path) -> Result<PathBuf> {
    let program = program.to_str().ok_or_else(|| Error::usage(format!("`{}` is no text, as a kernelspec needs it", program.display())))?;
    let spec = json!({
        "argv": [program, "kernel", "--connection", "{connection_file}"],
        "display_name": "Lathe", "language": "lathe", "interrupt_mode": "message", "metadata": { "debugger": false },
    });
    let file = file(jupyter);
    if let Some(folder) = file.parent() {
        files::create_dir(folder)?;
    }
    files::write(&file, files::json(&spec)?)?;
    Ok(file)
}

/// The program that an installed kernelspec starts, if there is one.
///
/// # Errors
/// `E0301` or `E0302` for a kernelspec that cannot be read.
pub fn installed(jupyter: &Path) -> Result<Option<PathBuf>> {
    let file = file(jupyter);
    if !file.exists() {
        return Ok(None);
    }
    let spec: serde_json::Value = files::read_json(&file)?;
    let program = spec.pointer("/argv/0").and_then(|p| p.as_str()).ok_or_else(|| Error::data(&file, "names no program"))?;
    Ok(Some(PathBuf::from(program)))
}
