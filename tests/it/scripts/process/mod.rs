mod after;
mod chain;
mod demo;
mod killed;
mod origins;
mod packed;
mod published;
mod recipes;
mod seeds;

pub use chain::{ENCODER, SIT, VAE, ldm, made, words};
