//! Figures of samples, reconstructions and latents.

mod process;
