mod checkpointing;
mod memory;
mod rng;
mod runs;
mod share;
