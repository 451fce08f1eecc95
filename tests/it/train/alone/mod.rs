mod rng;
mod runs;
