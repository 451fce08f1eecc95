//! The random generators of a run: saved with it, and kept apart from what callbacks draw.

use super::tracked::Saved;
use crate::dist;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::bridge::{rng_state, set_rng_state};
use crate::torch::share::unshared;
use crate::torch::{DType, Device, Tensor, cuda_device_count, default_device, device_name};
use std::collections::BTreeMap;

/// The devices whose generators count: of one rank among several the CPU and its own.
fn devices() -> Vec<Device> {
    let gpus: Vec<Device> = match dist::at_work() {
        Some(_) => Some(default_device()).into_iter().filter(|d| *d != Device::Cpu).collect(),
        None => (0..cuda_device_count()).map(Device::Cuda).collect(),
    };
    std::iter::once(Device::Cpu).chain(gpus).collect()
}

/// Which GPU is a rank's own does not matter: what goes on is the rank.
const OWN: &str = "cuda";

fn name_of(device: Device) -> String {
    if dist::at_work().is_some() && device != Device::Cpu { OWN.to_owned() } else { device_name(device) }
}

/// The state of the CPU's generator and of every GPU's, by device name.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn save() -> Result<Saved> {
    let state = devices().into_iter().map(|d| Ok((name_of(d), rng_state(d)?))).collect::<Result<State>>()?;
    Ok(Saved::tensors(state))
}

/// Puts every generator back; one of a GPU that is not here now is left out. What one process has saved several ranks go on from, and the
/// other way round.
///
/// # Errors
/// `E0401` when the CPU's state is missing, `E0201` when libtorch refuses a state.
pub fn restore(saved: &Saved) -> Result<()> {
    for device in devices() {
        let first = || saved.tensors.get(OWN).or_else(|| saved.tensors.get("cuda:0"));
        let other = if device == default_device() && device != Device::Cpu { first() } else { None };
        match saved.tensors.get(&name_of(device)).or(other) {
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
    // The first goes on with what it has: its seed has made the weights already.
    if rank == 0 {
        return Ok(());
    }
    let own = i64::try_from(rank).unwrap_or(0).wrapping_mul(0x9E37_79B9) ^ i64::try_from(step).unwrap_or(0).wrapping_mul(0x85EB_CA6B);
    crate::torch::bridge::manual_seed(seed.wrapping_add(own))
}

/// The generators of the ranks behind the first, where each draws its own, for a checkpoint.
///
/// # Errors
/// `E0201` when libtorch refuses, `E0802` when a rank is gone.
pub(super) fn of_others() -> Result<Vec<(usize, Saved)>> {
    let Some(d) = dist::at_work().filter(|d| d.options.rng == dist::Rng::Rank) else { return Ok(Vec::new()) };
    let broken = |e: serde_json::Error| Error::run(format!("generators cannot be sent: {e}"));
    let own = save()?.tensors.iter().map(|(name, state)| Ok((name.clone(), state.to_bytes()?))).collect::<Result<BTreeMap<String, Vec<u8>>>>()?;
    let all = d.gather(&serde_json::to_vec(&own).map_err(broken)?)?;
    let read = |(rank, text): (usize, &Vec<u8>)| {
        let states: BTreeMap<String, Vec<u8>> = serde_json::from_slice(text).map_err(broken)?;
        let tensor = |(name, bytes): (String, Vec<u8>)| Ok((name, Tensor::from_bytes(&bytes, &[bytes.len() as i64], DType::Uint8)?));
        Ok((rank, Saved::tensors(states.into_iter().map(tensor).collect::<Result<State>>()?)))
    };
    all.iter().enumerate().skip(1).map(read).collect()
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
