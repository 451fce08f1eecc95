//! The random generators: their whole state, so that a resumed run draws the same numbers bit for bit.

use super::ffi;
use crate::error::{Error, Result};
use crate::torch::{Device, Tensor, from_message};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

/// How often generators were moved by this crate, in all threads and in this one.
static MOVED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static MOVED_HERE: Cell<u64> = const { Cell::new(0) };
}

/// Runs what moves a random generator.
pub(in crate::torch) fn moving<T>(f: impl FnOnce() -> T) -> T {
    let count = || {
        MOVED.fetch_add(1, Ordering::Relaxed);
        MOVED_HERE.set(MOVED_HERE.get() + 1);
    };
    count();
    let value = f();
    count();
    value
}

/// How often other threads have moved a generator: they are the process's.
pub(in crate::torch) fn moved_elsewhere() -> u64 {
    MOVED.load(Ordering::Relaxed).wrapping_sub(MOVED_HERE.get())
}

/// The state of a device's global generator, u8 `[bytes]` on the CPU.
///
/// # Errors
/// `E0201` when the device has no generator.
pub fn rng_state(device: Device) -> Result<Tensor> {
    let mut out: *mut c_void = std::ptr::null_mut();
    let index = index(device)?;
    // SAFETY: on success `out` is a new tensor, which is taken over here.
    unsafe {
        ffi::checked(|e| ffi::lathe_rng_get(index, &mut out, e)).map_err(|f| from_message("rng_state", &[], &f.message))?;
        Ok(Tensor(tch::Tensor::from_ptr(out.cast())))
    }
}

/// Puts a generator into a state that [`rng_state`] gave.
///
/// # Errors
/// `E0201` when the state is not one of this device's.
pub fn set_rng_state(device: Device, state: &Tensor) -> Result<()> {
    if !state.0.defined() {
        return Err(Error::value("set_rng_state", "an undefined tensor is no state"));
    }
    let state = state.to_device(Device::Cpu)?.contiguous()?;
    let index = index(device)?;
    // SAFETY: a defined tensor that outlives the call.
    moving(|| unsafe { ffi::checked(|e| ffi::lathe_rng_set(index, state.0.as_ptr().cast::<c_void>(), e)) })
        .map_err(|f| from_message("set_rng_state", &[&state], &f.message))
}

/// Seeds one device's generator.
///
/// # Errors
/// `E0201` when the device has no generator.
pub fn manual_seed_on(device: Device, seed: i64) -> Result<()> {
    let index = index(device)?;
    // SAFETY: plain numbers.
    moving(|| unsafe { ffi::checked(|e| ffi::lathe_rng_seed(index, seed.cast_unsigned(), e)) })
        .map_err(|f| from_message("manual_seed", &[], &f.message))
}

/// Seeds the generators of the CPU and of every GPU, as `torch.manual_seed`.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn manual_seed(seed: i64) -> Result<()> {
    manual_seed_on(Device::Cpu, seed)?;
    if crate::torch::cuda_is_available() {
        for n in 0..usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
            manual_seed_on(Device::Cuda(n), seed)?;
        }
    }
    Ok(())
}

fn index(device: Device) -> Result<i32> {
    match device {
        Device::Cpu => Ok(-1),
        // libtorch indexes its table of generators without a check where CUDA was never started.
        Device::Cuda(n) if crate::torch::cuda_is_available() && n < usize::try_from(tch::Cuda::device_count()).unwrap_or(0) => {
            i32::try_from(n).map_err(|_| Error::value("rng", format!("no device cuda:{n}")))
        }
        other => Err(Error::value("rng", format!("no generator for {}", crate::torch::device_name(other)))),
    }
}
