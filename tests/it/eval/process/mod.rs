//! `scripts/evaluate.rhai` with Inception and LPIPS, `scripts/probe_vae.rhai` and their bad input, as a user runs them: real pictures, weight files of
//! the published names (their values are hashed, since the published ones are not part of this repository), processes that are killed.

mod evaluate;
mod figures;
mod pictures;
mod probes;
mod reconstructions;
mod resumed;
mod run;
mod training;
mod weights;
