//! The networks that a checkpoint holds, by the names under which the scripts track them.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::Tensor;
use crate::train::checkpoint::Checkpoint;

/// A denoiser.
pub struct Denoiser {
    /// `sit`, or `net` for the networks of std/nets.
    pub name: String,
    /// As it was trained.
    pub model: State,
    /// Its moving average, with what an average does not hold (integers) from the model. The model itself where the run kept none.
    pub ema: State,
    /// Whether the run kept one.
    pub is_averaged: bool,
    /// Scale (1 / std) and bias (mean) of the latents, `[1, C, 1, 1]`, where it knows them.
    pub stats: Option<(Tensor, Tensor)>,
    /// Height and width of the latents, where it says them and they are no squares.
    pub oblong: Option<[i64; 2]>,
}

/// What can be exported.
pub struct Networks {
    pub denoiser: Option<Denoiser>,
    pub vae: Option<State>,
    pub discriminator: Option<State>,
    /// What else has weights, and its average where there is one: `decoder` of RAE.
    pub others: Vec<(String, State)>,
}

impl Networks {
    /// Reads them.
    ///
    /// # Errors
    /// `E0401` when there is none, `E0301` and `E0302` for the files.
    pub fn of(c: &Checkpoint) -> Result<Networks> {
        let read = |name: &str| if c.has(name) { c.read(name).map(|s| Some(s.tensors)) } else { Ok(None) };
        let ema = read("ema")?;
        let mut found = Networks { denoiser: None, vae: read("vae")?, discriminator: None, others: Vec::new() };
        for name in ["sit", "net"] {
            if let Some(model) = read(name)? {
                let kept = read("stats")?;
                let stats = match kept.as_ref().and_then(pair) {
                    Some(stats) => Some(stats),
                    None => of_norm(ema.as_ref().unwrap_or(&model))?,
                };
                let oblong = kept.as_ref().map(sides).transpose()?.flatten();
                let averaged = over(&model, ema.as_ref());
                found.denoiser = Some(Denoiser { name: name.to_owned(), model, ema: averaged, is_averaged: ema.is_some(), stats, oblong });
            }
        }
        found.discriminator = if found.vae.is_some() { read("disc")? } else { None };
        if let Some(decoder) = read("decoder")? {
            found.others.push(("decoder".to_owned(), over(&decoder, ema.as_ref())));
        }
        if found.denoiser.is_none() && found.vae.is_none() && found.others.is_empty() {
            let names: Vec<&str> = c.parts().into_iter().map(|(n, _)| n).collect();
            return Err(Error::weights(format!("`{}` holds no network that is known by its name", c.path().display())).help(format!(
                "it has: {}. `sit`, `net`, `vae` and `decoder` are exported; `lathe convert` takes any file of weights",
                names.join(", ")
            )));
        }
        Ok(found)
    }
}

/// The model with its average over it.
fn over(model: &State, ema: Option<&State>) -> State {
    let pick = |(k, t): (&String, &Tensor)| (k.clone(), ema.and_then(|e| e.get(k)).unwrap_or(t).clone());
    model.iter().map(pick).collect()
}

/// What the scripts keep as `stats`.
fn pair(stats: &State) -> Option<(Tensor, Tensor)> {
    Some((stats.get("scale")?.clone(), stats.get("bias")?.clone()))
}

/// Height and width of latents that are no squares, as the scripts keep them: `latents` i64 `[C, h, w, classes]`.
fn sides(stats: &State) -> Result<Option<[i64; 2]>> {
    let Some(latents) = stats.get("latents") else { return Ok(None) };
    Ok(match latents.to_vec_i64()?[..] {
        [_, height, width, _] if height != width => Some([height, width]),
        _ => None,
    })
}

/// What SiT's batch norm knows.
fn of_norm(state: &State) -> Result<Option<(Tensor, Tensor)>> {
    let (Some(mean), Some(var)) = (state.get("bn.running_mean"), state.get("bn.running_var")) else { return Ok(None) };
    let shape = [1, i64::try_from(mean.numel()).unwrap_or(0), 1, 1];
    Ok(Some((var.rsqrt()?.reshape(&shape)?, mean.reshape(&shape)?)))
}
