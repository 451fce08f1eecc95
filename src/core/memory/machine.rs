//! How much memory there is, and how much of it this process fills.

use crate::files;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The memory that a process can have here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of the machine.
    pub total: u64,
    /// The least limit of the control groups that the process is in, where it is below that: a container's, a batch job's.
    pub group: Option<u64>,
}

impl Machine {
    /// What the system says; `None` where it says nothing.
    pub fn read() -> Option<Self> {
        Self::read_in(Path::new("/"))
    }

    /// The same with `/proc` and `/sys` below `root`.
    fn read_in(root: &Path) -> Option<Self> {
        let total = field(&files::read_text(&root.join("proc/meminfo")).ok()?, "MemTotal:")?;
        Some(Machine { total, group: group(root).filter(|n| *n < total) })
    }

    /// Bytes that the process can have at most.
    pub fn most(self) -> u64 {
        self.group.unwrap_or(self.total)
    }
}

/// A line `Name:   123 kB` in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit of the control groups, version 1 and 2: those of the process and all around them.
fn group(root: &Path) -> Option<u64> {
    let mounts = files::read_text(&root.join("proc/self/mountinfo")).ok()?;
    let own = files::read_text(&root.join("proc/self/cgroup")).ok()?;
    let mut least = None;
    for line in mounts.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let (mut front, mut back) = (front.split(' ').skip(3), back.split(' '));
        let (Some(base), Some(at), Some(kind)) = (front.next(), front.next(), back.next()) else { continue };
        let is_memory = back.nth(1).is_some_and(|options| options.split(',').any(|o| o == "memory"));
        let (name, controller) = match kind {
            "cgroup2" => ("memory.max", ""),
            "cgroup" if is_memory => ("memory.limit_in_bytes", "memory"),
            _ => continue,
        };
        let path = own.lines().find_map(|l| {
            let mut parts = l.splitn(3, ':').skip(1);
            let (names, path) = (parts.next()?, parts.next()?);
            names.split(',').any(|n| n == controller).then_some(path)
        });
        let Some(path) = path else { continue };
        // Inside a container the mount shows a part of the tree: `base` of it.
        let inside = path.strip_prefix(base.trim_end_matches('/')).unwrap_or(path);
        let top = root.join(at.trim_start_matches('/'));
        let mut folder: PathBuf = top.join(inside.trim_start_matches('/'));
        loop {
            let limit = files::read_text(&folder.join(name)).ok().and_then(|text| text.trim().parse::<u64>().ok());
            least = least.into_iter().chain(limit.filter(|n| *n > 0)).min();
            if folder == top || !folder.pop() || !folder.starts_with(&top) {
                break;
            }
        }
    }
    least
}

/// Bytes that this process alone fills, without pages of mapped files; 0 where the system does not say.
pub(super) fn filled() -> u64 {
    // Kept open: it must work when no other file can be opened.
    static STATUS: OnceLock<Option<File>> = OnceLock::new();
    let Some(file) = STATUS.get_or_init(|| files::open(Path::new("/proc/self/status")).ok()) else { return 0 };
    let mut text = [0; 4096];
    let Ok(n) = file.read_at(&mut text, 0) else { return 0 };
    let text = String::from_utf8_lossy(&text[..n]);
    field(&text, "RssAnon:").or_else(|| field(&text, "VmRSS:")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planted(list: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in list {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    const INFO: (&str, &str) = ("proc/meminfo", "MemTotal:       16384 kB\nMemFree:         100 kB\n");

    #[test]
    fn the_least_limit_of_the_control_groups_counts() {
        let two = planted(&[
            INFO,
            ("proc/self/cgroup", "0::/job/step\n"),
            ("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/job/step/memory.max", "max\n"),
            ("sys/fs/cgroup/job/memory.max", "8388608\n"),
        ]);
        assert_eq!(Machine::read_in(two.path()), Some(Machine { total: 16 << 20, group: Some(8 << 20) }));
        let one = planted(&[
            INFO,
            ("proc/self/cgroup", "4:cpu,memory:/docker/abc\n0::/\n"),
            ("proc/self/mountinfo", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "4194304\n"),
        ]);
        assert_eq!(Machine::read_in(one.path()).map(Machine::most), Some(4 << 20));
        let free = planted(&[
            INFO,
            ("proc/self/cgroup", "4:memory:/a\n"),
            ("proc/self/mountinfo", "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(Machine::read_in(free.path()), Some(Machine { total: 16 << 20, group: None }));
        assert_eq!(Machine::read_in(planted(&[]).path()), None);
    }

    #[test]
    fn what_this_process_fills_grows_with_what_it_writes() {
        let before = filled();
        assert!(before > 1 << 20, "{before}");
        // So much that what other tests free meanwhile does not hide it.
        let more = std::hint::black_box(vec![1_u8; 512 << 20]);
        assert!(filled() > before + (128 << 20), "{before}");
        drop(more);
    }
}
