//! Which TorchScript programs a script may run.
//!
//! A program computes on tensors only (`torch/bridge/program`), and is code all the same: it can take time and memory without end, and
//! libtorch's kernels were not made for strangers. So it is run where whoever started the script says so: all that the script cannot write,
//! or those that are named. What a script itself wrote is never run by it: a script could bring a program as data.

use crate::files::resolve;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as it was at a moment: where it is kept, and when it was last changed in any way.
type State = (u64, u64, i64, i64);

/// The programs that may be run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    /// All that a script cannot write.
    all: bool,
    /// Those that were named, as they were then; `None` for one that was not there.
    named: Vec<(PathBuf, Option<State>)>,
}

fn state(path: &Path) -> Option<State> {
    let m = path.metadata().ok()?;
    Some((m.dev(), m.ino(), m.ctime(), m.ctime_nsec()))
}

impl Programs {
    /// Allows all programs that a script cannot write.
    pub(crate) fn allow(&mut self) {
        self.all = true;
    }

    /// Allows the program in that file, as it is now.
    pub(crate) fn name(&mut self, path: &Path) {
        let target = resolve(path);
        let now = state(&target);
        self.named.push((target, now));
    }

    /// Whether a file may be run by its name: `None` for one that was not named, `false` for one that has changed since then.
    pub(super) fn named(&self, target: &Path) -> Option<bool> {
        let now = state(target);
        let mut then = self.named.iter().filter(|(path, _)| path == target).map(|(_, then)| *then).peekable();
        then.peek()?;
        Some(then.any(|then| then.is_some() && then == now))
    }

    /// Whether all may be run that a script cannot write.
    pub(super) fn all(&self) -> bool {
        self.all
    }
}
