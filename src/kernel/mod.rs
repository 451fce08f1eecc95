//! The Jupyter kernel: cells in the prompt's language, over Jupyter's protocol 5.4.
//!
//! Threads: one evaluates cells and answers what is asked about them (`server`); each connection has one that reads and one that writes
//! (`zmtp`); what is asked on the control socket is answered by its reader, so that it never waits for a cell (`control`); one gathers what
//! cells print (`iopub`).

mod about;
mod asked;
mod attached;
mod bars;
mod cells;
mod connection;
mod control;
mod failure;
mod history;
mod iopub;
mod message;
mod server;
pub mod spec;
mod zmtp;

pub use connection::Connection;
pub use server::serve;
