//! The networks of latent-diffusion research, one file or folder each, with the state-dict names of their references.

pub mod encoder;
pub mod inception;
pub mod lpips;
mod names;
pub mod patchgan;
pub mod published;
pub mod sit;
pub mod vae;

pub use encoder::{Encoder, EncoderOptions, VisionModel, VitOptions, encoder_weights};
pub use inception::{Activations, Inception};
pub use lpips::Lpips;
pub use patchgan::{PatchGan, PatchGanConfig};
pub use sit::{LabelDrop, Sit, SitConfig, SitFeatures};
pub use vae::{AutoencoderKl, Posterior, VaeConfig};
