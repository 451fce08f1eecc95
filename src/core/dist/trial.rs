//! What all ranks do although it may end differently on each of them, or not at all on some: a line that somebody types.

use super::Dist;
use crate::error::{Error, Result};
use crate::interrupt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks whether it is to be stopped.
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks whether the others are done, at first and at last.
const TICKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(25));
/// How long the store may take for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// How long the others have to end by themselves, when one failed or the time is up.
const GRACE: Duration = Duration::from_secs(2);

/// What came of a trial on this rank, and what all say of theirs.
pub struct Tried<T> {
    /// What it came to here.
    pub value: T,
    /// What each rank says, by rank.
    pub words: Vec<Vec<u8>>,
}

/// Looks, until it is dropped, whether the trial is to be stopped, and tells the others.
struct Usher(Arc<AtomicBool>);

impl Usher {
    /// `is_cancelled` is asked on the rank that has it.
    fn start(d: &'static Dist, key: String, stop: Arc<AtomicBool>, is_cancelled: Option<Arc<AtomicBool>>) -> Result<Usher> {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = done.clone();
        let look = move || {
            while !theirs.load(Ordering::Relaxed) {
                let here = interrupt::pending() || is_cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed));
                if here && d.store.set(&key, b"1").is_err() {
                    return;
                }
                // A store that is gone is told by whoever waits for it.
                if here || d.store.has(&key).unwrap_or(false) {
                    stop.store(true, Ordering::SeqCst);
                    return;
                }
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("usher".into()).spawn(look).map_err(|e| Error::run(format!("cannot start a thread: {e}")))?;
        Ok(Usher(done))
    }
}

impl Drop for Usher {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `f` on all ranks at once, in at most `time`. It gets a flag that is set when it is to be stopped: because of `is_cancelled`, or because any rank is to stop. It
/// returns its value, what the others are to hear, and whether it went well. No rank waits for one that failed: where one is left in a
/// collective the groups are made anew.
///
/// # Errors
/// `E0802` when a rank is gone.
pub fn trial<T>(
    d: &'static Dist,
    time: Duration,
    is_cancelled: Option<Arc<AtomicBool>>,
    f: impl FnOnce(&Arc<AtomicBool>) -> (T, Vec<u8>, bool),
) -> Result<Tried<T>> {
    let key = format!("trial/{}", d.trials.fetch_add(1, Ordering::Relaxed));
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let usher = Usher::start(d, format!("{key}/stop"), stop.clone(), is_cancelled)?;
    let (value, word, is_well) = f(&stop);
    // From here on there is nothing to say before it is heard.
    let mut word = word;
    word.push(b'.');
    d.post(format!("{key}/{}", d.world.rank), word, ANSWER)?;
    let done = Instant::now();
    let mut has_parted = false;
    let mut words = d.others(&key, &mut || {
        let is_late = start.elapsed() > time + GRACE || ((!is_well || stop.load(Ordering::Relaxed)) && done.elapsed() > GRACE);
        if is_late && !has_parted {
            has_parted = true;
            d.part()?;
        }
        Ok(())
    })?;
    drop(usher);
    for word in &mut words {
        word.pop();
    }
    // Nobody parts any more when all have seen that all are done.
    let key = format!("{key}/end");
    d.post(format!("{key}/{}", d.world.rank), if has_parted { b"parted".to_vec() } else { b"whole".to_vec() }, ANSWER)?;
    if d.others(&key, &mut || Ok(()))?.iter().any(|end| end == b"parted") {
        d.renew()?;
    }
    Ok(Tried { value, words })
}

impl Dist {
    /// What each rank has said under a name; `meanwhile` is called between two looks.
    fn others(&'static self, key: &str, meanwhile: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Vec<u8>>> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        let mut tick = TICKS.0;
        let since = Instant::now();
        while words.len() < self.world.size {
            match self.peek(format!("{key}/{}", words.len()), ANSWER)? {
                Some(word) => words.push(word),
                None => {
                    meanwhile()?;
                    std::thread::sleep(tick);
                    tick = (tick * 2).min(TICKS.1);
                    // One that failed and has ended says nothing more.
                    if since.elapsed() > GRACE
                        && let Some(why) = self.peek(format!("failed/{}", words.len()), ANSWER)?
                    {
                        return Err(Error::lost(format!("rank {} failed: {}", words.len(), String::from_utf8_lossy(&why))));
                    }
                }
            }
        }
        Ok(words)
    }
}
