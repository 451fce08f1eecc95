mod memory;
mod rng;
mod runs;
