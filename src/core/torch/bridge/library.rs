//! The libtorch that is loaded: where it lies, its CUDA kernels, what it can do.

use super::ffi;
use crate::error::Result;
use crate::torch::from_message;
use std::ffi::CString;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What became of the CUDA kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CudaKernels {
    /// [`load_cuda`] has not run.
    NotTried,
    /// There is no libtorch_cuda.so beside the libtorch_cpu.so in use: a CPU installation.
    Absent(PathBuf),
    /// It is there and does not load; why.
    Broken(String),
    /// Loaded, with that many kernels.
    Loaded(i64),
}

static CUDA: OnceLock<CudaKernels> = OnceLock::new();

/// Loads the CUDA kernels, if libtorch_cuda.so lies beside the libtorch_cpu.so in use. To be called first in `main`: whoever asks
/// libtorch for CUDA before that switches it off for the whole process. Later calls do nothing.
pub fn load_cuda() -> &'static CudaKernels {
    CUDA.get_or_init(|| {
        let folder = match library() {
            Ok(path) => path.parent().map(PathBuf::from).unwrap_or_default(),
            Err(e) => return CudaKernels::Broken(e.to_string()),
        };
        let file = folder.join("libtorch_cuda.so");
        if !file.exists() {
            return CudaKernels::Absent(folder);
        }
        let Ok(path) = CString::new(file.as_os_str().as_encoded_bytes()) else {
            return CudaKernels::Broken(format!("a zero byte in the path {}", file.display()));
        };
        // SAFETY: a terminated path; the library's initialisers only register kernels.
        match unsafe { ffi::checked(|e| ffi::lathe_dlopen(path.as_ptr(), e)) } {
            Ok(()) => CudaKernels::Loaded(kernels("CUDA")),
            Err(f) => CudaKernels::Broken(f.message),
        }
    })
}

/// Makes the C library keep up to 2 GB of freed memory of this process instead of giving it back at once: every training step asks for the
/// same memory again, and having it mapped anew costs a few percent of a step on the CPU. A choice of the whole process, so `main` makes it; the
/// variables that glibc reads for the same (`MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TOP_PAD_`) go first. Does nothing
/// where the C library is not glibc.
pub fn keep_memory() {
    if !["TRIM_THRESHOLD_", "MMAP_THRESHOLD_", "TOP_PAD_"].iter().any(|v| std::env::var_os(format!("MALLOC_{v}")).is_some()) {
        // SAFETY: sets three numbers of the allocator, which it reads under its own lock.
        unsafe { ffi::lathe_keep_memory() };
    }
}

/// What [`load_cuda`] found.
pub fn cuda_kernels() -> CudaKernels {
    CUDA.get().cloned().unwrap_or(CudaKernels::NotTried)
}

/// The libtorch_cpu.so that is loaded.
///
/// # Errors
/// `E0201` when the loader does not tell.
pub fn library() -> Result<PathBuf> {
    let mut out = std::ptr::null_mut();
    // SAFETY: on success `out` is a string that is taken over.
    unsafe { ffi::checked(|e| ffi::lathe_library(&mut out, e)) }.map_err(|f| from_message("library", &[], &f.message))?;
    Ok(PathBuf::from(ffi::take_string(out)))
}

/// Lets f32 matrix products and convolutions on a GPU round their inputs to TF32, or forbids it, for the whole process.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn allow_tf32(on: bool) -> Result<()> {
    // SAFETY: a plain number.
    unsafe { ffi::checked(|e| ffi::lathe_allow_tf32(on.into(), e)) }.map_err(|f| from_message("allow_tf32", &[], &f.message))
}

/// How many kernels are registered for a dispatch key such as `CPU` or `CUDA`.
pub fn kernels(key: &str) -> i64 {
    let Ok(key) = CString::new(key) else { return 0 };
    // SAFETY: a terminated string; an unknown key gives -1.
    unsafe { ffi::lathe_kernels(key.as_ptr()) }.max(0)
}

/// What `lathe doctor` reports of libtorch.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The version of the headers this program was compiled against.
    pub compiled: String,
    /// The version of the library in use, where it tells.
    pub version: Option<String>,
    /// The kernels it chose for this CPU: `DEFAULT`, `AVX2`, `AVX512`.
    pub cpu: String,
    /// What the CPU can do: `avx2`, `avx512_bf16`, `amx_tile`, ...
    pub features: Vec<String>,
    /// libtorch's own description of its build, many lines.
    pub config: String,
}

impl BuildInfo {
    /// Whether the CPU multiplies bf16 in hardware; without it bf16 works and is slower than f32.
    pub fn has_fast_bf16(&self) -> bool {
        self.features.iter().any(|f| f.contains("bf16"))
    }
}

/// Asks libtorch what it is.
///
/// # Errors
/// `E0201` when it fails to say.
pub fn build_info() -> Result<BuildInfo> {
    let mut out = std::ptr::null_mut();
    // SAFETY: on success `out` is a string that is taken over.
    unsafe { ffi::checked(|e| ffi::lathe_build_info(&mut out, e)) }.map_err(|f| from_message("build_info", &[], &f.message))?;
    let text = ffi::take_string(out);
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let (compiled, cpu, features, config) = (next(), next(), next(), next());
    let version = config.split_once("TORCH_VERSION=").map(|(_, rest)| rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect());
    let mut features: Vec<String> = features.split_whitespace().map(str::to_owned).collect();
    features.sort();
    Ok(BuildInfo { compiled, version, cpu, features, config })
}
