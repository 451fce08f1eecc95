//! Prompts: in this process, in the frame of a script, and in a running job.

pub mod answer;
pub mod attached;
pub mod breakpoint;
pub mod check;
pub mod complete;
pub mod display;
pub mod evaluation;
mod in_map;
pub mod lines;
pub mod manual;
mod marks;
mod overwritten;
mod parts;
mod post_mortem;
pub mod rich;
pub mod session;
pub mod twin;
mod watched;
