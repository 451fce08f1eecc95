//! `lathe kernel`, driven by Jupyter's own clients.

mod process;
