//! libtorch's own profiler: what operators and kernels take, and ranges of ours around them, as a Chrome trace.

use super::ffi;
use crate::error::{Error, Result};
use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The profiler while it records what this thread does.
#[derive(Debug)]
pub struct Profiler {
    cuda: c_int,
    is_over: bool,
}

fn failed(f: &ffi::Failure) -> Error {
    Error::torch("profiler", f.message.trim())
}

impl Profiler {
    /// To be called by the thread that began the process, before another one records: libkineto makes itself ready on that thread alone, and elsewhere
    /// writes an error to stderr.
    pub fn ready() {
        // Whoever records is told what is wrong.
        drop(Profiler::begin(false));
    }

    /// Begins to record; `cuda` for the kernels of GPUs as well.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn begin(cuda: bool) -> Result<Self> {
        let cuda = c_int::from(cuda);
        // SAFETY: a place for the message.
        ffi::checked(|e| unsafe { ffi::lathe_profiler_begin(cuda, e) }).map_err(|f| failed(&f))?;
        Ok(Profiler { cuda, is_over: false })
    }

    /// Ends it, and writes what was recorded into a new file.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn end(mut self, path: &Path) -> Result<()> {
        self.is_over = true;
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::value("profiler", "a path may hold no zero byte"))?;
        // SAFETY: the path outlives the call.
        ffi::checked(|e| unsafe { ffi::lathe_profiler_end(self.cuda, path.as_ptr(), e) }).map_err(|f| failed(&f))
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        if !self.is_over {
            // SAFETY: null writes nothing. There is nobody to tell of a failure.
            let _ = ffi::checked(|e| unsafe { ffi::lathe_profiler_end(self.cuda, std::ptr::null(), e) });
        }
    }
}

/// A range in the trace, for as long as it lives. Ranges end in the reverse order of that in which they began.
#[derive(Debug)]
pub struct Range(*mut c_void);

impl Range {
    /// Begins a range; `None` where libtorch has no memory for it.
    pub fn begin(name: &str) -> Option<Self> {
        let name = CString::new(name.replace('\0', " ")).ok()?;
        let mut range = std::ptr::null_mut();
        // SAFETY: the name is copied.
        ffi::checked(|e| unsafe { ffi::lathe_range_begin(name.as_ptr(), &mut range, e) }).ok()?;
        Some(Range(range))
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        // SAFETY: made by `begin`, ended once.
        unsafe { ffi::lathe_range_end(self.0) };
    }
}
