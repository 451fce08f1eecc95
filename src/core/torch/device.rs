//! Devices: where tensors live, and which one a run uses.

use super::bridge::CudaKernels;
use crate::error::{Error, ErrorKind, Result};
use std::cell::Cell;

/// A place for tensors: the CPU or a CUDA device.
pub use tch::Device;

thread_local! {
    static DEFAULT: Cell<Device> = const { Cell::new(Device::Cpu) };
}

/// The device on which new tensors and models are made, `cpu` until [`set_default_device`] says otherwise.
pub fn default_device() -> Device {
    DEFAULT.get()
}

/// Sets the device of new tensors and models on this thread.
pub fn set_default_device(device: Device) {
    DEFAULT.set(device);
}

/// Whether CUDA kernels are loaded and a GPU answers. [`super::bridge::load_cuda`] must have run before.
pub fn cuda_is_available() -> bool {
    tch::Cuda::is_available() && tch::Cuda::device_count() > 0
}

/// How many GPUs answer; 0 without CUDA.
pub fn cuda_device_count() -> usize {
    if cuda_is_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 }
}

/// Reads `cpu`, `cuda` or `cuda:N`, and makes sure that the device is there.
///
/// # Errors
/// `E0101` for another text, `E0204` for a device that is missing: never a silent CPU run.
pub fn parse_device(text: &str) -> Result<Device> {
    let index = match text {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        _ => text
            .strip_prefix("cuda:")
            .and_then(|n| n.parse::<usize>().ok())
            .ok_or_else(|| Error::usage(format!("unknown device `{text}`")).help("use `cpu`, `cuda` or `cuda:N`"))?,
    };
    let missing = |message: String| {
        Error::new(ErrorKind::Device { device: text.to_owned(), message })
            .help("`lathe doctor` shows what was found; `--device cpu` runs without a GPU")
    };
    if !cuda_is_available() {
        return Err(missing(match super::bridge::cuda_kernels() {
            CudaKernels::NotTried => "the CUDA kernels were not loaded at start-up".into(),
            CudaKernels::Absent(folder) => format!("the libtorch in `{}` has no CUDA kernels", folder.display()),
            CudaKernels::Broken(why) => format!("its CUDA kernels do not load: {why}"),
            CudaKernels::Loaded(_) => "no GPU answers".into(),
        }));
    }
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(0);
    if index >= count {
        return Err(missing(format!("this machine has {count}")));
    }
    Ok(Device::Cuda(index))
}

/// The name of a device as scripts write it.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".into(),
        Device::Cuda(n) => format!("cuda:{n}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Sets how many threads one operator may use.
pub fn set_num_threads(n: usize) {
    tch::set_num_threads(i32::try_from(n.max(1)).unwrap_or(1));
}

/// How many threads one operator may use.
pub fn num_threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// While it lives, an operator uses no more threads than this; then as many as before.
#[derive(Debug)]
pub struct ThreadCap(usize);

impl ThreadCap {
    /// At most `n` threads, at least one.
    pub fn at_most(n: usize) -> Self {
        let before = num_threads();
        set_num_threads(before.min(n));
        ThreadCap(before)
    }
}

impl Drop for ThreadCap {
    fn drop(&mut self) {
        set_num_threads(self.0);
    }
}

/// Waits until the device has done all its work; nothing to wait for on the CPU.
pub fn synchronize(device: Device) {
    if let Device::Cuda(n) = device
        && cuda_is_available()
    {
        tch::Cuda::synchronize(i64::try_from(n).unwrap_or(0));
    }
}
