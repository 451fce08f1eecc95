//! Reading and writing the state dicts of other software.

use crate::error::{Error, Result};
use crate::models::names::strip_prefix;
use crate::nn::{State, others};
use indexmap::IndexMap;
use std::collections::HashSet;

/// A name that every autoencoder of this family has.
pub const ANCHOR: &str = "encoder.conv_in.weight";

/// What the names of an autoencoder begin with.
const OWN: [&str; 4] = ["encoder", "decoder", "quant_conv", "post_quant_conv"];
/// What autoencoders of other kinds have beside these, and cannot do without.
const OTHER_KINDS: [&str; 3] = ["quantize", "quantizer", "bn"];

/// Renames to latent diffusion's names: drops a prefix (`vae.`, `first_stage_model.`, `module.`, ...) together with what lies
/// outside it, drops the networks that training checkpoints have beside the autoencoder (a loss, VA-VAE's `foundation_model`), with a
/// word in the log, and translates diffusers' names. What is not recognised stays, so that loading reports it.
pub fn import(state: &State, levels: usize) -> Result<State> {
    let mut out = State::new();
    let mut beside: IndexMap<&str, usize> = IndexMap::new();
    let state = strip_prefix(state, ANCHOR)?;
    for (name, tensor) in &state {
        let top = name.split('.').next().unwrap_or_default();
        if state.contains_key(ANCHOR) && !OWN.contains(&top) && !OTHER_KINDS.contains(&top) {
            *beside.entry(top).or_default() += 1;
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
    if !beside.is_empty() {
        let list: Vec<String> = beside.iter().map(|(top, n)| format!("`{top}` ({n})")).collect();
        tracing::info!("left out, since it lies beside the autoencoder: {} tensors", list.join(", "));
    }
    Ok(out)
}

/// [`import`] for a state dict whose number of levels is not known: it is counted.
///
/// # Errors
/// `E0401` when it holds several autoencoders.
pub fn from_any(state: &State) -> Result<State> {
    let own = strip_prefix(&others::plain(state), ANCHOR)?;
    let levels = (0..).take_while(|i| own.contains_key(&format!("encoder.down_blocks.{i}.resnets.0.conv1.weight"))).count();
    import(&own, levels)
}

/// Whether the autoencoders among these names have a `quant_conv` and a `post_quant_conv`: FLUX and Stable Diffusion 3 have none. `None` where
/// there is no autoencoder, or several that differ.
pub fn quant_convs<'a>(names: impl Iterator<Item = &'a str>) -> Option<[bool; 2]> {
    let names: HashSet<String> = names.map(others::plain_name).collect();
    let prefixes = names.iter().filter_map(|n| n.strip_suffix(ANCHOR)).filter(|p| p.is_empty() || p.ends_with('.'));
    let mut found = prefixes.map(|p| ["quant_conv", "post_quant_conv"].map(|conv| names.contains(&format!("{p}{conv}.weight"))));
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
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

/// The same tensors with diffusers' names: the opposite of [`import`].
///
/// # Errors
/// `E0401` for a name that is none of this family's.
pub fn to_diffusers(state: &State, levels: usize) -> Result<State> {
    let mut out = State::new();
    for (name, tensor) in state {
        let other = diffusers_name(name, levels).ok_or_else(|| Error::weights(format!("`{name}` has no name in diffusers' autoencoder")))?;
        // A linear map `[C, C]` there, a 1x1 convolution here.
        let tensor = match *tensor.shape() {
            [a, b, 1, 1] if other.contains(".attentions.") => tensor.reshape(&[a, b])?,
            _ => tensor.clone(),
        };
        out.insert(other, tensor);
    }
    Ok(out)
}

/// `decoder.up.3.block.0.nin_shortcut.bias` -> `decoder.up_blocks.0.resnets.0.conv_shortcut.bias`.
fn diffusers_name(name: &str, levels: usize) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (coder, rest) = parts.split_first()?;
    if matches!(*coder, "quant_conv" | "post_quant_conv") {
        return (rest.len() == 1).then(|| name.to_owned());
    }
    let tail = match *rest {
        ["down", i, "downsample", "conv", leaf] => format!("down_blocks.{i}.downsamplers.0.conv.{leaf}"),
        ["down", i, ref inner @ ..] => format!("down_blocks.{i}.{}", diffusers_block(inner)?),
        ["up", i, "upsample", "conv", leaf] => format!("up_blocks.{}.upsamplers.0.conv.{leaf}", reversed(i, levels)?),
        ["up", i, ref inner @ ..] => format!("up_blocks.{}.{}", reversed(i, levels)?, diffusers_block(inner)?),
        ["mid", "block_1", ref inner @ ..] => format!("mid_block.resnets.0.{}", diffusers_resnet(inner)?),
        ["mid", "block_2", ref inner @ ..] => format!("mid_block.resnets.1.{}", diffusers_resnet(inner)?),
        ["mid", "attn_1", ref inner @ ..] => format!("mid_block.attentions.0.{}", diffusers_attention(inner)?),
        ["norm_out", leaf] => format!("conv_norm_out.{leaf}"),
        [layer @ ("conv_in" | "conv_out"), leaf] => format!("{layer}.{leaf}"),
        _ => return None,
    };
    Some(format!("{coder}.{tail}"))
}

fn diffusers_block(inner: &[&str]) -> Option<String> {
    match inner {
        ["block", j, rest @ ..] => Some(format!("resnets.{j}.{}", diffusers_resnet(rest)?)),
        ["attn", j, rest @ ..] => Some(format!("attentions.{j}.{}", diffusers_attention(rest)?)),
        _ => None,
    }
}

fn diffusers_resnet(inner: &[&str]) -> Option<String> {
    match inner {
        ["nin_shortcut", leaf] => Some(format!("conv_shortcut.{leaf}")),
        [layer, leaf] => Some(format!("{layer}.{leaf}")),
        _ => None,
    }
}

fn diffusers_attention(inner: &[&str]) -> Option<String> {
    let (layer, leaf) = match inner {
        ["proj_out", leaf] => ("to_out.0", leaf),
        ["q", leaf] => ("to_q", leaf),
        ["k", leaf] => ("to_k", leaf),
        ["v", leaf] => ("to_v", leaf),
        ["norm", leaf] => ("group_norm", leaf),
        _ => return None,
    };
    Some(format!("{layer}.{leaf}"))
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
