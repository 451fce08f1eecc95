//! Prompts: in this process, in the frame of a script, and in a running job.

pub mod answer;
pub mod attached;
pub mod breakpoint;
pub mod complete;
pub mod display;
mod in_map;
pub mod manual;
pub mod session;
pub mod twin;
