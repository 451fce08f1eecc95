//! The rules of the house, read off the sources.

mod architecture;
mod modules;
mod process;
mod processes;
