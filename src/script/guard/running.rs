//! The question before a TorchScript program is run.

use crate::error::{Error, ErrorKind, Result};
use crate::files::{Access, resolve};
use crate::script::bind::Cx;
use crate::script::guard::permissions::{Permissions, lies_in_made};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

impl Cx<'_> {
    /// Makes sure that the calling script may run the program in a file.
    ///
    /// # Errors
    /// `E0701` naming the file and what would allow it.
    pub fn runnable(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.unrestricted("run a TorchScript program")?;
        self.readable(path)?;
        let Some(permissions) = self.host().get::<Arc<Permissions>>() else { return Ok(()) };
        let target = resolve(path);
        let shown = target.display();
        let no = |message: String| Err(Error::new(ErrorKind::Permission { message }));
        match permissions.programs().named(&target) {
            Some(true) => return Ok(()),
            Some(false) => return no(format!("does not run the program `{shown}`: it has changed since it was named; run again")),
            None => {}
        }
        if !permissions.programs().all() {
            return no(format!(
                "needs the right to run the TorchScript program `{shown}`; run again with `--allow-torchscript={shown}`, or with \
                 `--allow-torchscript` for all that the script cannot write"
            ));
        }
        if permissions.allows(Access::Write, &target) || lies_in_made(self, &target) {
            return no(format!(
                "does not run the program `{shown}`: it lies where the script may write; run again with `--allow-torchscript={shown}` if it \
                 is yours"
            ));
        }
        // A second name may lie anywhere.
        if target.metadata().is_ok_and(|m| m.nlink() > 1) {
            return no(format!(
                "does not run the program `{shown}`: the file has another name, by which the script may have written it; run again with \
                 `--allow-torchscript={shown}` if it is yours"
            ));
        }
        Ok(())
    }
}
