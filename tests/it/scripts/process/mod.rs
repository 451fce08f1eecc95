mod after;
mod autoencoders;
mod chain;
mod demo;
mod exports;
mod killed;
mod networks;
mod online;
mod origins;
mod packed;
mod parts;
mod phema;
mod published;
mod rae;
mod recipes;
mod seeds;
mod tiny;

pub use chain::{ENCODER, SIT, VAE, ldm, made, words};
