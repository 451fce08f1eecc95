//! Weights from the net. The net is a server of the test's own on this machine, which speaks the addresses of the hub.

pub mod hub;
pub mod process;
pub mod uploads;
