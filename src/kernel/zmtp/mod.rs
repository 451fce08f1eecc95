//! ZeroMQ's wire protocol (ZMTP 3.0, mechanism NULL; <https://rfc.zeromq.org/spec/23>), as far as a Jupyter kernel needs it: sockets that others
//! connect to, over loopback TCP and Unix sockets. What comes from outside has bounds: frames, parts, connections, and what waits to be read.

mod frames;
mod link;
mod peer;
mod serve;

pub use link::Address;
pub use peer::Peer;
pub use serve::{Heard, Kind, serve};

/// The parts of a message.
pub type Parts = Vec<Vec<u8>>;
