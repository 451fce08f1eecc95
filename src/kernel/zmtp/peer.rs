//! Whoever is connected: what is sent to it goes through a queue and a thread of its own, so that one that does not read holds up nothing
//! but the queue, and that not for long.

use super::frames::encoded;
use super::link::Link;
use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// With so many bytes in the queue whoever sends waits.
const FULL: usize = 32 << 20;
/// So long; then the other side is let go.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Vec<u8>>>,
    bytes: usize,
    is_ended: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    link: Link,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.lock().is_ended = true;
        self.changed.notify_all();
        self.link.end();
    }
}

/// One that is connected. Clones are the same one.
#[derive(Clone)]
pub struct Peer(Arc<Shared>);

impl Peer {
    /// Starts the thread that writes to `link`.
    pub(super) fn new(link: Link) -> std::io::Result<Peer> {
        let mut out = link.try_clone()?;
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), link });
        let peer = Peer(shared.clone());
        std::thread::Builder::new().name("kernel-writer".into()).spawn(move || {
            loop {
                let mut queue = shared.lock();
                let next = loop {
                    match queue.waiting.front() {
                        Some(next) => break next.clone(),
                        None if queue.is_ended => return,
                        None => queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
                    }
                };
                drop(queue);
                if out.write_all(&next).is_err() {
                    return shared.end();
                }
                // Taken out when it is written, so that an empty queue says that all is.
                let mut queue = shared.lock();
                queue.waiting.pop_front();
                queue.bytes -= next.len();
                drop(queue);
                shared.changed.notify_all();
            }
        })?;
        Ok(peer)
    }

    /// Sends a message. False where the other side is gone, or was let go because it did not read for ten seconds.
    pub fn send(&self, parts: &[impl AsRef<[u8]>]) -> bool {
        self.send_encoded(&Arc::new(encoded(parts)))
    }

    /// The same with a message that several get.
    pub(crate) fn send_encoded(&self, bytes: &Arc<Vec<u8>>) -> bool {
        let start = Instant::now();
        let mut queue = self.0.lock();
        while queue.bytes > FULL && !queue.is_ended {
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                drop(queue);
                self.end();
                tracing::warn!("a client did not read for {} s: its connection was ended", PATIENCE.as_secs());
                return false;
            }
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if queue.is_ended {
            return false;
        }
        queue.bytes += bytes.len();
        queue.waiting.push_back(bytes.clone());
        drop(queue);
        self.0.changed.notify_all();
        true
    }

    /// A message for several, encoded once.
    pub(crate) fn encode(parts: &[impl AsRef<[u8]>]) -> Arc<Vec<u8>> {
        Arc::new(encoded(parts))
    }

    /// Waits until all is written, at most so long.
    pub fn flush(&self, time: Duration) {
        let start = Instant::now();
        let mut queue = self.0.lock();
        while !queue.waiting.is_empty() && !queue.is_ended {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether both are the same one.
    pub fn is(&self, other: &Peer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets it go.
    pub fn end(&self) {
        self.0.end();
    }
}
