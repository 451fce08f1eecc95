//! The random generators of a run: saved with it, and kept apart from what callbacks draw.

use super::tracked::Saved;
use crate::dist;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::bridge::{rng_state, set_rng_state};
use crate::torch::share::unshared;
use crate::torch::{DType, Device, Tensor, cuda_device_count, device_name};

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

/// Numbers of a rank's own, from `seed`; `step` is how many steps are done.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub(super) fn of_rank(rank: usize, seed: i64, step: u64) -> Result<()> {
    let own = i64::try_from(rank).unwrap_or(0).wrapping_mul(0x9E37_79B9) ^ i64::try_from(step).unwrap_or(0).wrapping_mul(0x85EB_CA6B);
    crate::torch::bridge::manual_seed(seed.wrapping_add(own))
}

/// The generators of the ranks behind the first, where each draws its own, for a checkpoint.
///
/// # Errors
/// `E0201` when libtorch refuses, `E0802` when a rank is gone.
pub(super) fn of_others() -> Result<Vec<(usize, Saved)>> {
    let Some(d) = dist::at_work().filter(|d| d.options.rng == dist::Rng::Rank) else { return Ok(Vec::new()) };
    let mut all: Vec<(usize, Saved)> = (1..d.world.size).map(|rank| (rank, Saved::tensors(State::new()))).collect();
    for (name, state) in save()?.tensors {
        for ((_, saved), bytes) in all.iter_mut().zip(d.gather(&state.to_bytes()?)?.into_iter().skip(1)) {
            saved.tensors.insert(name.clone(), Tensor::from_bytes(&bytes, &[bytes.len() as i64], DType::Uint8)?);
        }
    }
    Ok(all)
}

/// Runs `f` and puts the generators back, so that what it draws changes nothing that comes after it.
///
/// # Errors
/// What `f` returns, or `E0201`.
pub fn apart<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = save()?;
    let result = unshared(f);
    restore(&before)?;
    result
}
