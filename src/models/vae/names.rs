//! Reading the state dicts of other software.

use crate::error::Result;
use crate::models::names::strip_prefix;
use crate::nn::State;

/// A name that every autoencoder of this family has.
const ANCHOR: &str = "encoder.conv_in.weight";

/// Renames to latent diffusion's names: drops a prefix (`vae.`, `first_stage_model.`, `module.`, ...) together with what lies
/// outside it, drops the loss of a latent-diffusion training checkpoint, and translates diffusers' names. What is not
/// recognised stays, so that loading reports it.
pub fn import(state: &State, levels: usize) -> Result<State> {
    let mut out = State::new();
    for (name, tensor) in &strip_prefix(state, ANCHOR)? {
        if name.starts_with("loss.") {
            continue;
        }
        let own = from_diffusers(name, levels).unwrap_or_else(|| name.to_owned());
        // diffusers keeps the attention's 1x1 convolutions as linear maps `[C, C]`.
        let tensor = match *tensor.shape() {
            [a, b] if own.ends_with(".weight") => tensor.reshape(&[a, b, 1, 1])?,
            _ => tensor.clone(),
        };
        out.insert(own, tensor);
    }
    Ok(out)
}

/// `encoder.down_blocks.0.resnets.1.conv_shortcut.bias` -> `encoder.down.0.block.1.nin_shortcut.bias`; `None` for a name that is no
/// name of diffusers.
fn from_diffusers(name: &str, levels: usize) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (coder, rest) = parts.split_first()?;
    let tail = match *rest {
        ["down_blocks", i, "downsamplers", "0", "conv", leaf] => format!("down.{i}.downsample.conv.{leaf}"),
        ["down_blocks", i, ref inner @ ..] => format!("down.{i}.{}", block(inner)?),
        ["up_blocks", j, "upsamplers", "0", "conv", leaf] => format!("up.{}.upsample.conv.{leaf}", reversed(j, levels)?),
        // diffusers counts the decoder's levels from the coarsest one.
        ["up_blocks", j, ref inner @ ..] => format!("up.{}.{}", reversed(j, levels)?, block(inner)?),
        ["mid_block", "resnets", j, ref inner @ ..] => {
            let index = j.parse::<usize>().ok()? + 1;
            format!("mid.block_{index}.{}", resnet(inner)?)
        }
        ["mid_block", "attentions", j, ref inner @ ..] => {
            let index = j.parse::<usize>().ok()? + 1;
            format!("mid.attn_{index}.{}", attention(inner)?)
        }
        ["conv_norm_out", leaf] => format!("norm_out.{leaf}"),
        _ => return None,
    };
    Some(format!("{coder}.{tail}"))
}

fn reversed(j: &str, levels: usize) -> Option<usize> {
    levels.checked_sub(1 + j.parse::<usize>().ok()?)
}

fn block(inner: &[&str]) -> Option<String> {
    match inner {
        ["resnets", j, rest @ ..] => Some(format!("block.{j}.{}", resnet(rest)?)),
        ["attentions", j, rest @ ..] => Some(format!("attn.{j}.{}", attention(rest)?)),
        _ => None,
    }
}

fn resnet(inner: &[&str]) -> Option<String> {
    match inner {
        ["conv_shortcut", leaf] => Some(format!("nin_shortcut.{leaf}")),
        [layer, leaf] => Some(format!("{layer}.{leaf}")),
        _ => None,
    }
}

/// Both the present names (`to_q`) and the older ones (`query`, `proj_attn`).
fn attention(inner: &[&str]) -> Option<String> {
    let (layer, leaf) = match inner {
        ["to_out", "0", leaf] | ["proj_attn", leaf] => ("proj_out", leaf),
        ["to_q" | "query", leaf] => ("q", leaf),
        ["to_k" | "key", leaf] => ("k", leaf),
        ["to_v" | "value", leaf] => ("v", leaf),
        ["group_norm", leaf] => ("norm", leaf),
        _ => return None,
    };
    Some(format!("{layer}.{leaf}"))
}
