//! A socket that others connect to: a thread that waits for them, and one for each that reads what it says.

use super::Parts;
use super::frames::{greet, message};
use super::link::{Address, Link, Listener};
use super::peer::Peer;
use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// So many may be connected to one socket.
const MOST: usize = 64;
/// How long a greeting may take.
const GREETING: Duration = Duration::from_secs(10);

/// The type of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers each by itself.
    Router,
    /// Tells all who asked for it.
    Publisher,
    /// Says what was said.
    Echo,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Router => "ROUTER",
            Kind::Publisher => "PUB",
            Kind::Echo => "REP",
        }
    }

    fn takes(self) -> &'static [&'static str] {
        match self {
            Kind::Router => &["DEALER", "REQ", "ROUTER"],
            Kind::Publisher => &["SUB", "XSUB"],
            Kind::Echo => &["REQ", "DEALER"],
        }
    }
}

/// What a socket hears.
pub enum Heard {
    /// A message from one that is connected.
    Message(Peer, Parts),
    /// It has gone.
    Gone(Peer),
}

/// Listens, and hands what is heard to `hear`, which is called on threads of the socket's own.
///
/// # Errors
/// `E0301` when nothing can be heard there.
pub fn serve(address: &Address, kind: Kind, hear: impl Fn(Heard) + Send + Sync + 'static) -> Result<()> {
    let listener = Listener::bind(address)?;
    let (hear, connected) = (Arc::new(hear), Arc::new(AtomicUsize::new(0)));
    let start = |e| Error::io("start a thread for", address.to_string(), e);
    std::thread::Builder::new()
        .name("kernel-socket".into())
        .spawn(move || {
            loop {
                let link = match listener.accept() {
                    Ok(link) => link,
                    Err(e) => {
                        tracing::warn!("a client could not connect: {e}");
                        // Too many open files, for one: the next try would fail as fast.
                        std::thread::sleep(Duration::from_millis(100));
                        continue;
                    }
                };
                if connected.fetch_add(1, Ordering::SeqCst) >= MOST {
                    connected.fetch_sub(1, Ordering::SeqCst);
                    tracing::warn!("a client was refused: {MOST} are connected to this socket already");
                    link.end();
                    continue;
                }
                let (hear, left) = (hear.clone(), connected.clone());
                let read = move || {
                    listen(link, kind, &*hear);
                    left.fetch_sub(1, Ordering::SeqCst);
                };
                if let Err(e) = std::thread::Builder::new().name("kernel-reader".into()).spawn(read) {
                    connected.fetch_sub(1, Ordering::SeqCst);
                    tracing::warn!("a client could not be served: {e}");
                }
            }
        })
        .map_err(start)?;
    Ok(())
}

/// Reads what one says until it goes.
fn listen(mut link: Link, kind: Kind, hear: &dyn Fn(Heard)) {
    let greeted = link.patience(Some(GREETING)).and_then(|()| greet(&mut link, kind.name())).and_then(|theirs| {
        link.patience(None)?;
        if kind.takes().contains(&theirs.as_str()) {
            Ok(())
        } else {
            Err(std::io::Error::other(format!("a {theirs} cannot talk to a {}", kind.name())))
        }
    });
    let peer = match greeted.and_then(|()| Peer::new(link.try_clone()?)) {
        Ok(peer) => peer,
        Err(e) => {
            link.end();
            // One that goes in the middle of its greeting has looked whether somebody is here.
            let is_gone = matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            return if is_gone { tracing::debug!("a client left: {e}") } else { tracing::warn!("a client was let go: {e}") };
        }
    };
    loop {
        match message(&mut link) {
            Ok(parts) if kind == Kind::Echo => drop(peer.send(&parts)),
            Ok(parts) => hear(Heard::Message(peer.clone(), parts)),
            Err(e) => {
                // One that ends between two messages has simply gone.
                if e.kind() == ErrorKind::InvalidData {
                    tracing::warn!("a client was let go: {e}");
                }
                break;
            }
        }
    }
    peer.end();
    hear(Heard::Gone(peer));
}
