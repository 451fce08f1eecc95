//! The random generators of a run: saved with it, and kept apart from what callbacks draw.

use super::tracked::Saved;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::bridge::{rng_state, set_rng_state};
use crate::torch::{Device, cuda_device_count, device_name};

fn devices() -> Vec<Device> {
    std::iter::once(Device::Cpu).chain((0..cuda_device_count()).map(Device::Cuda)).collect()
}

/// The state of the CPU's generator and of every GPU's, by device name.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn save() -> Result<Saved> {
    let state = devices().into_iter().map(|d| Ok((device_name(d), rng_state(d)?))).collect::<Result<State>>()?;
    Ok(Saved::tensors(state))
}

/// Puts every generator back; one of a GPU that is not here now is left out.
///
/// # Errors
/// `E0401` when the CPU's state is missing, `E0201` when libtorch refuses a state.
pub fn restore(saved: &Saved) -> Result<()> {
    for device in devices() {
        match saved.tensors.get(&device_name(device)) {
            Some(state) => set_rng_state(device, state)?,
            None if device == Device::Cpu => return Err(Error::weights("the checkpoint lacks the state of the CPU's random generator")),
            None => {}
        }
    }
    Ok(())
}

/// Runs `f` and puts the generators back, so that what it draws changes nothing that comes after it.
///
/// # Errors
/// What `f` returns, or `E0201`.
pub fn apart<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = save()?;
    let result = f();
    restore(&before)?;
    result
}
