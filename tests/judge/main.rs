//! `scripts/evaluate.rhai` with Inception and LPIPS, `scripts/probe_vae.rhai` and their bad input, as a user runs them: real pictures, weight files of
//! the published names (their values are hashed, since the published ones are not part of this repository), processes that are killed.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

#[allow(dead_code)] // Shared with the parity tests, of which these need a part.
#[path = "../parity/fixture.rs"]
mod fixture;
#[allow(dead_code)]
#[path = "../parity/report.rs"]
mod report;

mod figures;
mod pictures;
mod probes;
mod reconstructions;
mod resumed;
mod run;
mod training;
mod weights;
