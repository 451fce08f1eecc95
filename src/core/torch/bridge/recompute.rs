//! Nodes of the graph whose gradients Rust computes.

use super::ffi;
use crate::error::{Error, Result};
use crate::torch::{Tensor, from_message};
use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};

/// Gradients of inputs, from those of outputs; `None` where there is none.
pub(in crate::torch) type Gradients = Box<dyn Fn(&[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>>;

thread_local! {
    /// What went wrong in a node, to be told by whoever ran the backward pass: libtorch hands on no more than a text.
    static THROWN: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// What a node of this thread threw, once.
pub(in crate::torch) fn thrown() -> Option<Error> {
    THROWN.with_borrow_mut(Option::take)
}

fn pointers(tensors: &[Tensor]) -> Vec<*mut c_void> {
    tensors.iter().map(|t| t.0.as_ptr().cast_mut().cast()).collect()
}

/// Whether this thread records gradients.
pub(in crate::torch) fn records() -> bool {
    // SAFETY: this thread's state.
    unsafe { ffi::lathe_records(-1) != 0 }
}

/// Runs `f` while gradients are recorded.
pub(in crate::torch) fn recording<T>(f: impl FnOnce() -> T) -> T {
    struct Back(c_int);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: this thread's state.
            unsafe { ffi::lathe_records(self.0) };
        }
    }
    // SAFETY: this thread's state.
    let _back = Back(unsafe { ffi::lathe_records(1) });
    f()
}

/// The leaves that tensors were computed from but for those in `but`, each once, in an order that hangs on the graph alone.
///
/// # Errors
/// `E0203` without memory.
pub(in crate::torch) fn leaves(of: &[Tensor], but: &[Tensor]) -> Result<Vec<Tensor>> {
    unsafe extern "C" fn each(data: *mut c_void, tensor: *mut c_void) {
        // SAFETY: `data` is the list below; `tensor` is a new handle.
        unsafe {
            let found = &mut *data.cast::<Vec<Tensor>>();
            found.push(Tensor(tch::Tensor::from_ptr(tensor.cast())));
        }
    }
    let (raw, but, mut found) = (pointers(of), pointers(but), Vec::<Tensor>::new());
    let data: *mut c_void = (&raw mut found).cast();
    // SAFETY: tensors and list outlive the call.
    let done = ffi::checked(|e| unsafe { ffi::lathe_leaves(raw.as_ptr(), raw.len() as i64, but.as_ptr(), but.len() as i64, data, each, e) });
    done.map_err(|f| from_message("checkpoint", &[], &f.message))?;
    Ok(found)
}

/// Gives `outputs`, which have no history, one: their gradients go through `gradients` to `inputs`.
///
/// # Errors
/// `E0201` for inputs that record no gradient.
pub(in crate::torch) fn attach(inputs: &[Tensor], outputs: &[Tensor], gradients: Gradients) -> Result<()> {
    let (inp, out) = (pointers(inputs), pointers(outputs));
    let data: *mut c_void = Box::into_raw(Box::new(gradients)).cast();
    // SAFETY: tensors that outlive the call; the node owns `data` and gives it to `release` once.
    let done =
        ffi::checked(|e| unsafe { ffi::lathe_recompute(inp.as_ptr(), inp.len() as i64, out.as_ptr(), out.len() as i64, data, compute, release, e) });
    done.map_err(|f| from_message("checkpoint", &[], &f.message))
}

unsafe extern "C" fn release(data: *mut c_void) {
    // SAFETY: made by `attach`, handed back once.
    drop(unsafe { Box::from_raw(data.cast::<Gradients>()) });
}

unsafe extern "C" fn compute(
    data: *mut c_void,
    grads: *const *const c_void,
    count: i64,
    into: *mut *mut c_void,
    places: i64,
    err: *mut *mut c_char,
) -> c_int {
    let run = || {
        // SAFETY: `data` is what `attach` made; `grads` has `count` entries, each null or a tensor that outlives the call.
        let (gradients, grads) = unsafe { (&*data.cast::<Gradients>(), std::slice::from_raw_parts(grads, count as usize)) };
        let grads = grads.iter().map(|p| {
            // SAFETY: a tensor of the caller's; the clone is a handle of our own.
            (!p.is_null()).then(|| unsafe { Tensor(tch::Tensor::clone_from_ptr(p.cast_mut().cast())) })
        });
        gradients(&grads.collect::<Vec<_>>())
    };
    // A panic must not cross into C++.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
    let error = match result {
        Ok(Ok(found)) => {
            for (i, t) in found.into_iter().enumerate().take(places as usize) {
                if let Some(t) = t {
                    let given = std::mem::ManuallyDrop::new(t.0);
                    // SAFETY: `into` has `places` entries; the handle belongs to the other side from here on.
                    unsafe { *into.add(i) = given.as_ptr().cast_mut().cast() };
                }
            }
            return 0;
        }
        Ok(Err(e)) => e,
        Err(_) => Error::torch("checkpoint", "the computation stopped unexpectedly"),
    };
    let text = error.to_string();
    THROWN.set(Some(error));
    // SAFETY: the text outlives the call, the copy belongs to the caller.
    unsafe { *err = ffi::lathe_copy_str(text.as_ptr().cast(), text.len() as i64) };
    1
}
