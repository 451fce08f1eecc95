mod after;
mod chain;
mod demo;
mod killed;
mod networks;
mod origins;
mod packed;
mod published;
mod recipes;
mod seeds;

pub use chain::{ENCODER, SIT, VAE, ldm, made, words};
