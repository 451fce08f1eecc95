//! What is asked on the control socket: answered at once, whatever a cell does.

use super::about::information;
use super::iopub::IoPub;
use super::message::{Message, Signer};
use super::zmtp::{Heard, Peer};
use crate::interrupt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

/// How long a cell may take to end when the kernel is to.
const LAST: Duration = Duration::from_secs(20);

/// What the kernel's loop waits for.
pub(super) enum Event {
    /// A request.
    Shell(Peer, Message),
    /// The kernel is to end.
    End,
}

/// What the threads of a kernel share.
pub(super) struct Shared {
    pub(super) signer: Arc<Signer>,
    pub(super) iopub: Arc<IoPub>,
    /// Whether a cell runs that a request to stop would reach.
    pub(super) is_busy: AtomicBool,
    /// Whether the kernel is to end.
    pub(super) is_ending: AtomicBool,
}

impl Shared {
    /// Reads a message; one that may not be believed is said and dropped.
    pub(super) fn read(&self, socket: &str, parts: Vec<Vec<u8>>) -> Option<Message> {
        match self.signer.read(parts) {
            Ok(message) => Some(message),
            Err(why) => {
                tracing::warn!("a message on the {socket} socket was dropped: {why}");
                None
            }
        }
    }

    /// Answers a message.
    pub(super) fn reply(&self, peer: &Peer, to: &Message, kind: &str, content: &Value) {
        peer.send(&self.signer.write(&to.ids, &to.header, kind, content));
    }

    /// Stops the cell under way, if there is one.
    pub(super) fn stop(&self) {
        if self.is_busy.load(Ordering::SeqCst) {
            interrupt::request();
        }
    }

    /// Lets the kernel end: after the cell under way, which is stopped, but not long after.
    pub(super) fn end(&self, events: &Sender<Event>) {
        self.is_ending.store(true, Ordering::SeqCst);
        self.stop();
        // The loop may have ended by itself.
        let _ = events.send(Event::End);
        let late = || {
            std::thread::sleep(LAST);
            tracing::warn!("a cell did not end within {} s: the kernel ends without it", LAST.as_secs());
            std::process::exit(1);
        };
        if std::thread::Builder::new().name("kernel-end".into()).spawn(late).is_err() {
            std::process::exit(1);
        }
    }

    /// Hears the control socket.
    pub(super) fn control(&self, heard: Heard, events: &Sender<Event>) {
        let Heard::Message(peer, parts) = heard else { return };
        let Some(asked) = self.read("control", parts) else { return };
        let state = |state: &str| self.iopub.tell_of(&asked.header, "status", &json!({ "execution_state": state }));
        match asked.kind.as_str() {
            "interrupt_request" => {
                // First of all: telling clients may have to wait for one that does not read.
                self.stop();
                self.reply(&peer, &asked, "interrupt_reply", &json!({ "status": "ok" }));
                state("busy");
            }
            "shutdown_request" => {
                let content = json!({ "status": "ok", "restart": asked.is("restart", false) });
                self.reply(&peer, &asked, "shutdown_reply", &content);
                peer.flush(Duration::from_secs(1));
                self.iopub.tell_of(&asked.header, "shutdown_reply", &content);
                self.end(events);
                return;
            }
            "kernel_info_request" => {
                state("busy");
                self.reply(&peer, &asked, "kernel_info_reply", &information());
            }
            "debug_request" => {
                state("busy");
                self.reply(&peer, &asked, "debug_reply", &json!({}));
            }
            other => return tracing::warn!("`{other}` on the control socket is not known to this kernel"),
        }
        state("idle");
    }
}
