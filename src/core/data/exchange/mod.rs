//! Our sets as the reference's HDF5 containers, and back.

mod export;
mod import;

pub use export::{export_images, export_latents};
pub use import::{LatentLabels, import_latents};
