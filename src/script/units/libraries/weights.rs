//! The weights in `lathe.lock`: what each was when it was fetched first, so that it is the same on every machine, or an error.

use super::lock::{Lock, LockedWeights};
use crate::error::Result;
use crate::fetch::{Pin, Pins};
use crate::{files, interrupt};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// The weights of a project.
#[derive(Debug, Clone)]
pub struct PinnedWeights {
    lock: PathBuf,
}

impl PinnedWeights {
    pub(super) fn new(lock: PathBuf) -> Self {
        PinnedWeights { lock }
    }

    /// The folder, held: of several processes that fetch, each adds its line to what the others wrote.
    fn alone(&self) -> Result<File> {
        let folder = files::open(self.lock.parent().unwrap_or(&self.lock))?;
        files::lock(&folder, &self.lock, || {
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(20));
            Ok(())
        })?;
        Ok(folder)
    }
}

impl Pins for PinnedWeights {
    fn get(&self, source: &str) -> Result<Option<Pin>> {
        let lock = Lock::read(&self.lock)?;
        let found = lock.weights.into_iter().find(|w| w.source == source);
        Ok(found.map(|w| Pin { commit: w.commit, sha256: w.sha256, size: w.size }))
    }

    fn put(&self, source: &str, pin: &Pin) -> Result<()> {
        let _alone = self.alone()?;
        let mut lock = Lock::read(&self.lock)?;
        lock.weights.retain(|w| w.source != source);
        let Pin { commit, sha256, size } = pin.clone();
        lock.weights.push(LockedWeights { source: source.to_owned(), commit, sha256, size });
        lock.write(&self.lock)
    }

    fn place(&self) -> String {
        self.lock.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::units::libraries::Project;

    #[test]
    fn pins_stay_beside_libraries_and_of_many_writers_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lathe.toml"), "fetch = true\n").unwrap();
        let project = Project::open(folder.path()).unwrap();
        assert_eq!(project.fetches(), Some(true));
        let pin = |n: u64| Pin { commit: Some(format!("{n:040x}")), sha256: format!("{n:064x}"), size: n };
        std::thread::scope(|s| {
            for n in 0..8 {
                let pins = project.pins();
                s.spawn(move || pins.put(&format!("hf://a/b/{n}"), &pin(n)).unwrap());
            }
        });
        let pins = project.pins();
        assert!((0..8).all(|n| pins.get(&format!("hf://a/b/{n}")).unwrap() == Some(pin(n))));
        pins.put("hf://a/b/3", &Pin { commit: None, ..pin(9) }).unwrap();
        assert_eq!(pins.get("hf://a/b/3").unwrap(), Some(Pin { commit: None, ..pin(9) }));
        // `lathe update` writes the libraries anew, and leaves these.
        project.update(None).unwrap();
        assert_eq!(pins.get("hf://a/b/7").unwrap(), Some(pin(7)));
        assert_eq!(pins.get("hf://a/b/8").unwrap(), None);
    }
}
