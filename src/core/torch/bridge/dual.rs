//! Dual numbers: forward-mode differentiation, as `torch.func.jvp` does it.

use super::ffi::{self, Failure};
use crate::error::{Error, Result};
use crate::torch::{Tensor, from_message, out_of_memory};
use std::ffi::c_void;
use std::marker::PhantomData;

const OP: &str = "jvp";

/// A level of dual numbers, open until it is dropped. There is one at a time in a process.
pub struct Level {
    number: i64,
    /// Duals are of this level alone: it ends where it began.
    _thread: PhantomData<*const ()>,
}

fn failed(f: &Failure, shown: &[&Tensor]) -> Error {
    if f.class == ffi::MEMORY { out_of_memory(OP, &f.message) } else { from_message(OP, shown, &f.message) }
}

fn raw(t: &Tensor) -> *const c_void {
    t.0.as_ptr().cast()
}

/// Takes a handle over.
fn own(p: *mut c_void) -> Option<Tensor> {
    // SAFETY: what is not null is a new handle, taken over once.
    (!p.is_null()).then(|| Tensor(unsafe { tch::Tensor::from_ptr(p.cast()) }))
}

impl Level {
    /// Opens it. Attention is written out while it is open, since the fused kernels have no forward derivative.
    ///
    /// # Errors
    /// `E0201` inside another one.
    pub fn open() -> Result<Level> {
        let mut number = 0;
        // SAFETY: a number that is written during the call.
        ffi::checked(|e| unsafe { ffi::lathe_dual_enter(&mut number, e) }).map_err(|f| match f.message.contains("Nested forward mode") {
            true => Error::torch(OP, "a jvp inside another jvp: libtorch carries one level of dual numbers"),
            false => failed(&f, &[]),
        })?;
        Ok(Level { number, _thread: PhantomData })
    }

    /// `primal + tangent e`: of the same shape and dtype both.
    ///
    /// # Errors
    /// `E0201` where they are not.
    pub fn dual(&self, primal: &Tensor, tangent: &Tensor) -> Result<Tensor> {
        let mut out = std::ptr::null_mut();
        // SAFETY: tensors that outlive the call; the result is taken over.
        let done = ffi::checked(|e| unsafe { ffi::lathe_dual_make(raw(primal), raw(tangent), self.number, &mut out, e) });
        done.map_err(|f| failed(&f, &[primal, tangent]))?;
        own(out).ok_or_else(|| Error::torch(OP, "no dual number was made"))
    }

    /// Primal and tangent; without the latter where nothing of the inputs is in it.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn parts(&self, dual: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let (mut primal, mut tangent) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: a tensor that outlives the call; the results are taken over.
        let done = ffi::checked(|e| unsafe { ffi::lathe_dual_unpack(raw(dual), self.number, &mut primal, &mut tangent, e) });
        let (primal, tangent) = (own(primal), own(tangent));
        done.map_err(|f| failed(&f, &[dual]))?;
        Ok((primal.ok_or_else(|| Error::torch(OP, "no primal came back"))?, tangent))
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: the level that this value opened. Nobody here could mend a failure.
        let _ = ffi::checked(|e| unsafe { ffi::lathe_dual_exit(self.number, e) });
    }
}
