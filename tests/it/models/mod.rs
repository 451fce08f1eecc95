//! Models, and their weights from the files that other software writes.

mod encoder;
pub mod encoder_files;
mod encoders_today;
mod encoders_wide;
mod inception;
mod process;
mod weights;
