//! Notices that scripts on disk were saved, whatever way the editor saves.
//!
//! Folders are watched, not files: most editors write another file and rename it. A background thread waits until nothing has
//! happened for a moment and every file is there and not empty; only then does it ring. What counts is the state of the files, so a
//! look at them now and then finds what events do not tell: on network disks, where the system runs out of watches, after an overflow.

use crate::files;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long nothing must happen before a save counts as done.
const QUIET: Duration = Duration::from_millis(30);
/// How long a file that is missing or empty is taken for one that is being saved.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at the files where the system tells of changes.
const LOOK: Duration = Duration::from_millis(500);
/// Between two looks where it does not.
const POLL: Duration = Duration::from_millis(150);

/// How changes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchMode {
    /// By the system's events, and by looking where there are none.
    #[default]
    Auto,
    /// By looking alone.
    Poll,
}

/// What the thread is told.
enum Message {
    /// Something happened to a script in a watched folder.
    Changed,
    /// These are the files now.
    Files(Vec<PathBuf>),
}

/// Watches the files of a program until it is dropped.
pub(crate) struct Watch {
    tell: Sender<Message>,
    bell: Receiver<()>,
    saved: Arc<AtomicBool>,
    /// Why looking must do, if it must.
    pub polls: Option<String>,
}

/// What tells one state of a file from another; `None` where there is none.
type Stamp = Option<(u64, u64, i64, i64, i64, i64)>;

fn stamp(path: &Path) -> Stamp {
    let m = path.metadata().ok()?;
    Some((m.len(), m.ino(), m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()))
}

impl Watch {
    /// Watches `files` and every other script in their folders.
    pub(crate) fn start(mode: WatchMode, files: Vec<PathBuf>) -> Watch {
        let (tell, told) = unbounded();
        let (ring, bell) = bounded(1);
        let mut watcher = None;
        let mut polls = match mode {
            WatchMode::Poll => Some("as --watch=poll asks".to_owned()),
            WatchMode::Auto => None,
        };
        if polls.is_none() {
            let events = tell.clone();
            let handler = move |event: notify::Result<notify::Event>| {
                let concerns = match &event {
                    Ok(e) => e.need_rescan() || (is_change(e.kind) && (e.paths.is_empty() || e.paths.iter().any(|p| is_text(p)))),
                    // Overflows and the like: look.
                    Err(_) => true,
                };
                if concerns {
                    let _ = events.send(Message::Changed);
                }
            };
            match notify::recommended_watcher(handler) {
                Ok(w) => watcher = Some(w),
                Err(e) => polls = Some(e.to_string()),
            }
        }
        let mut thread = Thread { watcher, folders: BTreeSet::new(), files: Vec::new(), seen: BTreeMap::new(), remote: None, saved: Arc::default() };
        let saved = thread.saved.clone();
        thread.set_files(files);
        let polls = polls.or_else(|| thread.remote.clone());
        let looks = if polls.is_some() { POLL } else { LOOK };
        let spawned = std::thread::Builder::new().name("watch".into()).spawn(move || thread.run(&told, &ring, looks));
        let polls = polls.or_else(|| spawned.err().map(|e| format!("cannot start a thread, so that nothing is watched: {e}")));
        Watch { tell, bell, saved, polls }
    }

    /// Says which files matter now.
    pub(crate) fn set_files(&self, files: Vec<PathBuf>) {
        let _ = self.tell.send(Message::Files(files));
    }

    /// Whether a file of the program itself was saved since the last time this was asked. The bell rings for every script beside them, since one
    /// that is missed may be written anew.
    pub(crate) fn saved(&self) -> bool {
        self.saved.swap(false, Ordering::Relaxed)
    }

    /// Whether something was saved since the last time. Costs next to nothing.
    pub(crate) fn rang(&self) -> bool {
        self.bell.try_recv().is_ok()
    }

    /// The same, waiting for it.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        self.bell.recv_timeout(timeout).is_ok()
    }
}

fn is_change(kind: EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    // Reading is no change; closing after writing is.
    !matches!(kind, EventKind::Access(k) if k != AccessKind::Close(AccessMode::Write))
}

/// Scripts and settings; not the swap and backup files of editors.
fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|x| x == "rhai" || x == "toml")
}

struct Thread {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Stamp>,
    /// Why events will not do.
    remote: Option<String>,
    saved: Arc<AtomicBool>,
}

impl Thread {
    fn run(mut self, told: &Receiver<Message>, ring: &Sender<()>, mut looks: Duration) {
        loop {
            let forced = match told.recv_timeout(looks) {
                Ok(Message::Changed) => true,
                Ok(Message::Files(files)) => {
                    self.set_files(files);
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.remote.is_some() {
                looks = POLL;
            }
            if !forced && self.stamps() == self.seen {
                continue;
            }
            let before = self.seen.clone();
            if !self.settle(told) {
                return;
            }
            if before.iter().any(|(path, old)| self.seen.get(path).is_some_and(|new| new != old)) {
                self.saved.store(true, Ordering::Relaxed);
            }
            // One ring waiting is enough.
            let _ = ring.try_send(());
        }
    }

    /// Waits until nothing happens any more; false when nobody listens.
    fn settle(&mut self, told: &Receiver<Message>) -> bool {
        let since = Instant::now();
        loop {
            let before = self.stamps();
            let busy = match told.recv_timeout(QUIET) {
                Ok(Message::Changed) => true,
                Ok(Message::Files(files)) => {
                    self.set_files(files);
                    true
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return false,
            };
            let after = self.stamps();
            if busy || after != before {
                continue;
            }
            let is_half = |(path, now): (&PathBuf, &Stamp)| now.is_none_or(|s| s.0 == 0) && self.seen.get(path).is_some_and(|old| old != now);
            if after.iter().any(is_half) && since.elapsed() < PATIENCE {
                continue;
            }
            self.seen = after;
            return true;
        }
    }

    fn stamps(&self) -> BTreeMap<PathBuf, Stamp> {
        self.files.iter().map(|p| (p.clone(), stamp(p))).collect()
    }

    /// Takes note of the files as they are now, and watches their folders, also those that links lead to.
    fn set_files(&mut self, files: Vec<PathBuf>) {
        let mut folders = BTreeSet::new();
        for file in &files {
            let real = file.canonicalize().ok();
            folders.extend([Some(file.as_path()), real.as_deref()].into_iter().flatten().filter_map(|p| folder_of(p).canonicalize().ok()));
        }
        for folder in folders.difference(&self.folders) {
            if let Some(kind) = remote_kind(folder) {
                self.remote = Some(format!("`{}` is on {kind}, which tells of no changes", folder.display()));
            }
            if let Some(watcher) = &mut self.watcher
                && let Err(e) = watcher.watch(folder, RecursiveMode::NonRecursive)
            {
                self.remote = Some(format!("`{}`: {e}", folder.display()));
            }
        }
        self.folders.extend(folders);
        let known = std::mem::take(&mut self.seen);
        self.seen = files.iter().map(|p| (p.clone(), known.get(p).copied().unwrap_or_else(|| stamp(p)))).collect();
        self.files = files;
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    }
}

/// File systems whose changes may be made on another machine.
const REMOTE: &[&str] = &["nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "virtiofs", "fuse."];

/// The kind of the file system under a folder, if it is a remote one. Systems without `/proc` have none known.
fn remote_kind(folder: &Path) -> Option<String> {
    remote_in(&files::read_text(Path::new("/proc/self/mountinfo")).ok()?, folder)
}

fn remote_in(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        // Spaces in names are written as in octal.
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        folder.starts_with(&point).then(|| (point.len(), right.split(' ').next().unwrap_or_default().to_owned()))
    };
    // Of mounts at one place the last one is seen.
    let (_, kind) = mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length)?;
    REMOTE.iter().any(|r| kind.starts_with(r)).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_disks_are_recognised() {
        let mounts = "22 1 0:21 / / rw - overlay overlay rw\n30 22 0:30 / /data rw shared:1 - nfs4 server:/x rw\n31 30 8:1 / /data/local\\040disk rw - ext4 /dev/a rw\n32 22 0:5 / /home/me rw - fuse.sshfs x rw\n";
        let kind = |p: &str| remote_in(mounts, Path::new(p));
        assert_eq!((kind("/work"), kind("/data/set"), kind("/database")), (None, Some("nfs4".into()), None));
        assert_eq!((kind("/data/local disk/x"), kind("/home/me/a")), (None, Some("fuse.sshfs".into())));
    }

    /// Every way of saving rings, and only when the file is whole again.
    fn saves_ring(mode: WatchMode) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.rhai");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write("1");
        let watch = Watch::start(mode, vec![file.clone()]);
        assert_eq!(watch.polls.is_some(), mode == WatchMode::Poll);
        let long = Duration::from_secs(10);
        assert!(!watch.wait(Duration::from_millis(700)) && !watch.saved(), "nothing happened yet");
        std::fs::write(dir.path().join("other.rhai"), "1").unwrap();
        assert_eq!(watch.wait(Duration::from_millis(700)), mode == WatchMode::Auto, "a script that may be missed");
        assert!(!watch.saved(), "it is none of the program's");
        write("2");
        assert!(watch.wait(long) && watch.saved() && !watch.saved(), "in place");
        std::fs::write(dir.path().join(".a.rhai.tmp"), "3").unwrap();
        std::fs::rename(dir.path().join(".a.rhai.tmp"), &file).unwrap();
        assert!(watch.wait(long), "write and rename");
        std::fs::remove_file(&file).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        write("4");
        assert!(watch.wait(long), "delete and create");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "4");
        // Truncated for longer than the quiet period.
        write("");
        std::thread::sleep(Duration::from_millis(150));
        assert!(!watch.rang(), "an empty file is one that is being saved");
        write("5");
        assert!(watch.wait(long), "truncate, then write");
        std::fs::remove_file(&file).unwrap();
        assert!(watch.wait(long), "a file that stays away is told in the end");
        assert!(!file.exists());
        let other = dir.path().join("b.rhai");
        std::fs::write(&other, "1").unwrap();
        watch.set_files(vec![file.clone(), other.clone()]);
        while watch.wait(Duration::from_millis(900)) {}
        std::fs::write(&other, "2").unwrap();
        assert!(watch.wait(long), "a file that is watched only now");
    }

    /// Both wait most of the time, so they wait together.
    #[test]
    fn saves_ring_by_events_and_by_looking() {
        std::thread::scope(|s| {
            s.spawn(|| saves_ring(WatchMode::Auto));
            s.spawn(|| saves_ring(WatchMode::Poll));
        });
    }
}
