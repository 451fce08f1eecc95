//! A process on a pseudo-terminal of its own, and what it says there.

use pty_process::blocking::{Command, Pty, open};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{Read, Write};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// So long a text may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The terminal and the process that has it; the process is killed when this is dropped.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    said: Receiver<Vec<u8>>,
    /// What came and was not waited for yet.
    rest: Vec<u8>,
}

impl Terminal {
    /// Starts the command; its input and outputs are the terminal, which does not echo.
    pub fn new(command: std::process::Command) -> Terminal {
        let (pty, child_s) = open().unwrap();
        let mut modes = tcgetattr(&pty).unwrap();
        modes.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&pty, OptionalActions::Now, &modes).unwrap();
        let child = Command::from(command).spawn(child_s).unwrap();
        let pty = Arc::new(pty);
        let (to, said) = channel();
        let from = pty.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal whose process is gone reads as an error.
            while let Ok(n @ 1..) = (&*from).read(&mut buffer) {
                if to.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal { pty, child, said, rest: Vec::new() }
    }

    /// Types keys.
    pub fn keys(&mut self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.keys(&format!("{line}\n"));
    }

    /// Waits for a text; all that came before it.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let start = Instant::now();
        loop {
            if let Some(at) = self.rest.windows(text.len()).position(|w| w == text.as_bytes()) {
                let before = crate::support::text(&self.rest[..at]);
                self.rest.drain(..at + text.len());
                return before;
            }
            match self.said.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(more) => self.rest.extend(more),
                Err(e) => panic!("`{text}` did not come ({e}), but\n{}", crate::support::text(&self.rest)),
            }
        }
    }

    /// Waits until the process has closed the terminal; all that came before.
    #[track_caller]
    pub fn end(&mut self) -> String {
        let start = Instant::now();
        loop {
            match self.said.recv_timeout(PATIENCE.saturating_sub(start.elapsed())) {
                Ok(more) => self.rest.extend(more),
                Err(RecvTimeoutError::Disconnected) => return crate::support::text(&std::mem::take(&mut self.rest)),
                Err(RecvTimeoutError::Timeout) => panic!("it did not end, but said\n{}", crate::support::text(&self.rest)),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
