//! Streams that messages go through: TCP on this machine, or a Unix socket.

use crate::error::{Error, Result};
use crate::files;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// Where a socket is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port.
    Tcp(SocketAddr),
    /// A file.
    Ipc(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "tcp://{address}"),
            Address::Ipc(path) => write!(f, "ipc://{}", path.display()),
        }
    }
}

impl Address {
    /// Removes the file of a Unix socket that was heard here.
    pub fn forget(&self) {
        if let Address::Ipc(path) = self
            && let Err(e) = files::remove(path)
        {
            tracing::warn!("{e}");
        }
    }
}

/// An open stream.
pub(super) enum Link {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Link {
    pub(super) fn try_clone(&self) -> io::Result<Link> {
        Ok(match self {
            Link::Tcp(s) => Link::Tcp(s.try_clone()?),
            Link::Unix(s) => Link::Unix(s.try_clone()?),
        })
    }

    /// Ends both directions, also for whoever waits in a read or a write.
    pub(super) fn end(&self) {
        // Nothing is left to be done with one that the other side has ended.
        let _ = match self {
            Link::Tcp(s) => s.shutdown(Shutdown::Both),
            Link::Unix(s) => s.shutdown(Shutdown::Both),
        };
    }

    /// How long a read may wait.
    pub(super) fn patience(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Link::Tcp(s) => s.set_read_timeout(time),
            Link::Unix(s) => s.set_read_timeout(time),
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(s) => s.read(buffer),
            Link::Unix(s) => s.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(s) => s.write(bytes),
            Link::Unix(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that others connect to. A Unix socket's file stays behind: see [`Address::forget`].
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// `E0301` when something else has the port or the name, or the name is too long for a socket.
    pub(super) fn bind(address: &Address) -> Result<Listener> {
        let taken = |e: io::Error| {
            let is_taken = e.kind() == io::ErrorKind::AddrInUse;
            let error = Error::io("listen on", address.to_string(), e);
            if is_taken { error.help("another program has it; start the kernel again from Jupyter, which then chooses other ports") } else { error }
        };
        match address {
            Address::Tcp(to) => TcpListener::bind(to).map(Listener::Tcp).map_err(taken),
            Address::Ipc(path) => {
                // The socket of a kernel that was killed stays behind; one that answers is somebody's.
                if path.exists() && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
                    files::remove(path)?;
                }
                let listener = UnixListener::bind(path).map_err(taken)?;
                #[expect(clippy::disallowed_methods, reason = "a socket, for its owner alone")]
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(taken)?;
                Ok(Listener::Unix(listener))
            }
        }
    }

    /// Waits for the next to connect.
    pub(super) fn accept(&self) -> io::Result<Link> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Small messages that are waited for.
                stream.set_nodelay(true)?;
                Ok(Link::Tcp(stream))
            }
            Listener::Unix(listener) => Ok(Link::Unix(listener.accept()?.0)),
        }
    }
}
