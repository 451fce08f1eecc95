//! What `tch` lacks, through a small C++ file set: operators by name, random generators, mixed precision, CUDA at run time.

mod adamw;
mod autocast;
mod autograd;
mod bounded;
mod call;
pub mod dist;
mod dual;
mod ffi;
mod finite;
mod library;
mod memory;
mod profiler;
mod program;
pub(super) mod recompute;
mod rng;
mod spin;
#[cfg(test)]
mod tests;
mod value;

pub use adamw::{AdamWItem, AdamWPass, adamw_pass, total_norm_cpu};
pub(crate) use autocast::clear_autocast_cache;
pub use autocast::{Autocast, Mixed, autocast, autocast_is_on};
pub use autograd::{GradOptions, grad};
pub use bounded::bound_memory;
pub(crate) use call::clear_grad;
pub use call::{Op, call, call_op, call1, find_among, names, pick, schemas};
pub use dual::Level;
pub use finite::{Content, Gradients, content};
pub use library::{BuildInfo, CudaKernels, allow_tf32, build_info, cuda_kernels, keep_memory, kernels, library, load_cuda};
pub use memory::{bump_version, guard_memory, storage};
pub(crate) use memory::{filled, map};
pub use profiler::{Profiler, Range};
pub(super) use program::{Item, Program, ProgramResult};
pub use rng::{manual_seed, manual_seed_on, rng_state, set_rng_state};
pub(super) use rng::{moved_elsewhere, moving};
pub use spin::{Spin, spin};
pub use value::Value;
