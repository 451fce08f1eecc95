//! What a kernel tells all its clients: whether it is busy, and what cells say. What is printed is gathered for a moment, so that a loop that
//! prints does not become a message for each line.

use super::message::Signer;
use super::zmtp::{Heard, Peer};
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long text is gathered.
const GATHER: Duration = Duration::from_millis(50);
/// More text than this is told at once.
const MUCH: usize = 64 << 10;

/// Which of a cell's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What it prints.
    Out,
    /// What is said beside it: warnings, what a run logs.
    Err,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Out => "stdout",
            Stream::Err => "stderr",
        }
    }
}

struct Subscriber {
    peer: Peer,
    topics: Vec<Vec<u8>>,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Subscriber>,
    /// The header of what is being answered.
    parent: Value,
    gathered: Option<(Stream, String)>,
}

/// The socket to all clients.
pub struct IoPub {
    signer: Arc<Signer>,
    state: Mutex<State>,
    told: Condvar,
}

impl IoPub {
    /// Nobody listens yet.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn start(signer: Arc<Signer>) -> std::io::Result<Arc<IoPub>> {
        let iopub = Arc::new(IoPub { signer, state: Mutex::new(State { parent: json!({}), ..State::default() }), told: Condvar::new() });
        let own = iopub.clone();
        std::thread::Builder::new().name("kernel-streams".into()).spawn(move || {
            loop {
                let mut state = own.lock();
                while state.gathered.is_none() {
                    state = own.told.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                drop(state);
                std::thread::sleep(GATHER);
                own.flush(&mut own.lock());
            }
        })?;
        Ok(iopub)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a subscriber says: what it wants to hear, and no longer.
    pub fn hear(&self, heard: Heard) {
        let mut state = self.lock();
        match heard {
            Heard::Gone(peer) => state.subscribers.retain(|s| !s.peer.is(&peer)),
            Heard::Message(peer, parts) => {
                let Some((verb, topic)) = parts.first().and_then(|p| p.split_first()) else { return };
                if !state.subscribers.iter().any(|s| s.peer.is(&peer)) {
                    state.subscribers.push(Subscriber { peer: peer.clone(), topics: Vec::new() });
                }
                let Some(subscriber) = state.subscribers.iter_mut().find(|s| s.peer.is(&peer)) else { return };
                if *verb == 1 {
                    subscriber.topics.push(topic.to_vec());
                    // It knows from this that it will miss nothing from now on.
                    let content = json!({ "subscription": String::from_utf8_lossy(topic) });
                    peer.send(&self.signer.write(&[topic.to_vec()], &json!({}), "iopub_welcome", &content));
                } else if let Some(i) = subscriber.topics.iter().position(|t| t == topic) {
                    subscriber.topics.remove(i);
                }
            }
        }
    }

    /// From now on what is told belongs to the request with this header.
    pub fn answer_to(&self, parent: &Value) {
        let mut state = self.lock();
        self.flush(&mut state);
        state.parent = parent.clone();
    }

    /// Tells something that belongs to the request under way.
    pub fn tell(&self, kind: &str, content: &Value) {
        let mut state = self.lock();
        self.flush(&mut state);
        let parent = state.parent.clone();
        self.send(&state, &parent, kind, content);
    }

    /// Tells something that belongs to another request.
    pub fn tell_of(&self, parent: &Value, kind: &str, content: &Value) {
        let state = self.lock();
        self.send(&state, parent, kind, content);
    }

    /// Adds text to a stream of the request under way.
    pub fn write(&self, stream: Stream, text: &str) {
        let mut state = self.lock();
        if state.gathered.as_ref().is_some_and(|(s, _)| *s != stream) {
            self.flush(&mut state);
        }
        let gathered = &mut state.gathered.get_or_insert_with(|| (stream, String::new())).1;
        gathered.push_str(text);
        if gathered.len() > MUCH {
            self.flush(&mut state);
        }
        self.told.notify_all();
    }

    fn flush(&self, state: &mut State) {
        if let Some((stream, text)) = state.gathered.take() {
            let parent = state.parent.clone();
            self.send(state, &parent, "stream", &json!({ "name": stream.name(), "text": text }));
        }
    }

    fn send(&self, state: &State, parent: &Value, kind: &str, content: &Value) {
        let message = Peer::encode(&self.signer.write(&[kind.as_bytes().to_vec()], parent, kind, content));
        for s in state.subscribers.iter().filter(|s| s.topics.iter().any(|t| kind.as_bytes().starts_with(t))) {
            s.peer.send_encoded(&message);
        }
    }

    /// Waits until all clients have what was told, for a moment.
    pub fn drain(&self) {
        let mut state = self.lock();
        self.flush(&mut state);
        let peers: Vec<Peer> = state.subscribers.iter().map(|s| s.peer.clone()).collect();
        drop(state);
        peers.iter().for_each(|p| p.flush(Duration::from_secs(1)));
    }
}
