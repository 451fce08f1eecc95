//! The limit of memory over CPU tensors: libtorch's allocator asks before it allocates.

use super::ffi;
use crate::error::Result;
use crate::memory;
use crate::torch::from_message;
use std::ffi::{c_char, c_int};

/// Puts CPU tensors under the limit of [`memory::set_limit`] from now on: an operator whose result is over it fails with `E0203`. For the whole
/// process, once, before other threads make tensors.
///
/// # Errors
/// `E0201` when another allocator is in place that cannot be asked.
pub fn bound_memory() -> Result<()> {
    memory::on_release(release);
    // SAFETY: both functions are there for as long as the process is, and neither unwinds.
    ffi::checked(|err| unsafe { ffi::lathe_bound_memory(ask, moved, err) }).map_err(|f| from_message("allocator", &[], &f.message))
}

/// Whether `bytes` more may be allocated: 1, or 0 with the reason in `text`, which holds `len` bytes.
extern "C" fn ask(bytes: usize, text: *mut c_char, len: usize) -> c_int {
    let Err(message) = memory::ask(bytes as u64) else { return 1 };
    let n = message.len().min(len.saturating_sub(1));
    // SAFETY: the C side hands over room for `len` bytes, `len` is at least 1, and n + 1 <= len.
    unsafe {
        std::ptr::copy_nonoverlapping(message.as_ptr().cast::<c_char>(), text, n);
        *text.add(n) = 0;
    }
    0
}

extern "C" fn moved(bytes: i64) {
    memory::moved(bytes);
}

fn release() {
    // SAFETY: glibc hands back what is free; nothing that is in use moves.
    unsafe { ffi::lathe_release_memory() };
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_libtorch_says_of_the_limit_becomes_an_error_with_the_remedy() {
        let e = crate::torch::from_message("zeros", &[], "8.0 GiB are asked for with 1.0 GiB in use, over the memory limit of 4.0 GiB");
        assert!(e.is_memory() && e.help_text().unwrap().contains("--max-memory"), "{e:?}");
        assert_eq!(e.to_string(), "zeros: out of memory: 8.0 GiB are asked for with 1.0 GiB in use, over the memory limit of 4.0 GiB");
    }
}
