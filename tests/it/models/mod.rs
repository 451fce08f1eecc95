//! Models, and their weights from the files that other software writes.

mod encoder;
pub mod encoder_files;
mod encoders_today;
mod inception;
mod process;
mod weights;
