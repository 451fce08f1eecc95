//! Mixed precision on CPU and CUDA, with a dtype. tch's own autocast is CUDA and f16 only.

use super::ffi;
use crate::error::{Error, Result};
use crate::torch::{DType, Device, dtype_name, from_message};
use std::marker::PhantomData;

/// Mixed precision from now until it is dropped: matrix products and convolutions run in the dtype, reductions in f32.
/// Dropping it restores what was before and, when it was the outermost, frees the cached copies of the weights.
#[must_use = "mixed precision ends when the guard is dropped"]
pub struct Autocast {
    cuda: i32,
    enabled: i32,
    dtype: i32,
    /// The state belongs to this thread.
    _thread: PhantomData<*const ()>,
}

impl Autocast {
    /// Enters it. `f32` switches mixed precision off inside.
    ///
    /// # Errors
    /// `E0202` for a dtype other than bf16, f16 and f32, and for f16 on the CPU, where libtorch has no fast kernels for it.
    pub fn enter(device: Device, dtype: DType) -> Result<Autocast> {
        let cuda = i32::from(device.is_cuda());
        // c10::ScalarType numbers.
        let code = match dtype {
            DType::BFloat16 => 15,
            DType::Half if cuda == 0 => {
                return Err(Error::value("autocast", "f16 on the CPU is some sixty times slower than f32").help("use `bf16`"));
            }
            DType::Half => 5,
            DType::Float => 6,
            other => return Err(Error::value("autocast", format!("bf16, f16 or f32 is needed, got {}", dtype_name(other)))),
        };
        let (mut enabled, mut saved) = (0, 0);
        // SAFETY: plain integers, written during the calls.
        unsafe {
            check(ffi::checked(|e| ffi::lathe_autocast_get(cuda, &mut enabled, &mut saved, e)))?;
            // With autocast off, the dtype that was set stays: libtorch refuses f32 there.
            let inner = if dtype == DType::Float { saved } else { code };
            check(ffi::checked(|e| ffi::lathe_autocast_set(cuda, i32::from(dtype != DType::Float), inner, e)))?;
            check(ffi::checked(|e| ffi::lathe_autocast_nest(1, e)))?;
        }
        Ok(Autocast { cuda, enabled, dtype: saved, _thread: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: plain integers. Restoring what was read cannot fail in a way that anyone could mend here.
        unsafe {
            let _ = ffi::checked(|e| ffi::lathe_autocast_set(self.cuda, self.enabled, self.dtype, e));
            let _ = ffi::checked(|e| ffi::lathe_autocast_nest(0, e));
        }
    }
}

/// A state of mixed precision, to come back to.
#[derive(Debug, Clone, Copy)]
pub struct Mixed {
    cuda: i32,
    enabled: i32,
    dtype: i32,
}

impl Mixed {
    /// That of this thread for a device.
    ///
    /// # Errors
    /// `E0201` when libtorch does not tell.
    pub fn now(device: Device) -> Result<Mixed> {
        let (cuda, mut enabled, mut dtype) = (i32::from(device.is_cuda()), 0, 0);
        // SAFETY: plain integers, written during the call.
        check(ffi::checked(|e| unsafe { ffi::lathe_autocast_get(cuda, &mut enabled, &mut dtype, e) }))?;
        Ok(Mixed { cuda, enabled, dtype })
    }

    /// Enters it.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses the dtype.
    pub fn enter(self) -> Result<Autocast> {
        let (mut enabled, mut saved) = (0, 0);
        // SAFETY: plain integers, written during the calls.
        unsafe {
            check(ffi::checked(|e| ffi::lathe_autocast_get(self.cuda, &mut enabled, &mut saved, e)))?;
            check(ffi::checked(|e| ffi::lathe_autocast_set(self.cuda, self.enabled, self.dtype, e)))?;
            check(ffi::checked(|e| ffi::lathe_autocast_nest(1, e)))?;
        }
        Ok(Autocast { cuda: self.cuda, enabled, dtype: saved, _thread: PhantomData })
    }
}

/// Runs `f` in mixed precision.
///
/// # Errors
/// As [`Autocast::enter`].
pub fn autocast<T>(device: Device, dtype: DType, f: impl FnOnce() -> T) -> Result<T> {
    let _guard = Autocast::enter(device, dtype)?;
    Ok(f())
}

/// Whether mixed precision is on, on the CPU or on CUDA.
pub fn autocast_is_on() -> bool {
    // SAFETY: reads this thread's state.
    unsafe { ffi::lathe_autocast_active() != 0 }
}

/// Frees the converted weights that mixed precision keeps. A weight converted without gradients must not be met again with them.
pub(crate) fn clear_autocast_cache() {
    // SAFETY: this thread's cache; the C side catches everything.
    unsafe { ffi::lathe_autocast_clear() }
}

fn check(r: std::result::Result<(), ffi::Failure>) -> Result<()> {
    r.map_err(|f| from_message("autocast", &[], &f.message))
}
