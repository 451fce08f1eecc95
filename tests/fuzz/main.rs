//! `make fuzz`: calls that a stranger's script could make, each family in processes of its own. What ends a process by a signal, writes or
//! reads outside of a tensor, returns memory that nobody wrote, or goes on for ever is a failure with the call that did it.
//!
//! `cargo test --release --test fuzz -- FAMILY [flags]`; FAMILY is `ops` (every overload of libtorch) or `api` (every function of scripts).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures and stops where something fails"
)]

mod api;
mod flags;
mod ops;
mod process;

use flags::Flags;

fn main() {
    let flags = Flags::read(std::env::args().skip(1));
    let ok = match (flags.family.as_str(), &flags.worker) {
        ("ops", None) => ops::run(&flags),
        ("ops", Some(name)) => ops::worker::work(name, &flags),
        ("api", None) => api::run(&flags),
        ("api", Some(name)) => api::work(name, &flags),
        (other, _) => panic!("no family `{other}`: ops or api"),
    };
    std::process::exit(i32::from(!ok));
}
