//! Published weights of a vision transformer, brought to the network's own names and grid.

use super::config::{Ffn, Positions, VitConfig};
use super::hugging_face::{self, Place};
use super::names::{MASK, SWIGLU};
use super::positions::{interpolate_positions, resample_positions};
use super::size::{Size, area, text};
use crate::error::{Error, Result};
use crate::models::names::strip_prefixes;
use crate::nn::State;
use crate::nn::bounds::square_side;
use crate::torch::{DType, Device, Tensor};
use indexmap::IndexMap;

/// Heads, poolers and decoders that published files hold beside the network, by the beginning of their names.
const BESIDE: [&str; 10] =
    ["head.", "fc.", "pooler.", "attn_pool.", "classifier.", "decoder_", "decoder.", "predictor.", "embeddings.position_ids", "rope_embed."];

/// The mask over DINOv3's official biases: zero for the keys', which [`key_biases`] sees to.
const BIAS_MASK: &str = ".attn.qkv.bias_mask";

/// A published state dict with the network's own names: takes off a wrapper's prefix (`module.base_encoder.`, `visual.`, `vit.`, ..), and
/// with it what lies outside, drops heads, translates the names of Hugging Face and of [`VitConfig::also`], joins what is published in parts, and
/// resamples the position table. What is not recognised stays, so that loading reports it.
///
/// # Errors
/// `E0401` when the network is there more than once, when it is one of another width or patch or a NaFlex one, or when its position table is for
/// another grid than the network's, or does not tell for which.
pub fn import(state: &State, config: &VitConfig, pos_grid: Size) -> Result<State> {
    let names = config.names;
    let published = std::iter::once(&names).chain(config.also).map(|n| format!("{}.weight", n.patch));
    let patches: Vec<String> = published.chain(hugging_face::PATCH.map(String::from)).collect();
    let anchors: Vec<&str> = patches.iter().map(String::as_str).collect();
    let state = strip_prefixes(state, &anchors, config.wrappers)?;
    same_size(&state, config, &anchors)?;
    let mut out = State::new();
    let mut joint = IndexMap::<String, Vec<Option<(&str, &Tensor)>>>::new();
    for (name, tensor) in &state {
        if BESIDE.iter().any(|b| name.starts_with(b)) || config.beside.contains(&name.as_str()) || (!config.key_bias && name.ends_with(BIAS_MASK)) {
            continue;
        }
        match place(name, config) {
            (own, None) => drop(out.insert(own, tensor.clone())),
            (own, Some((part, of))) => joint.entry(own).or_insert_with(|| vec![None; of])[part] = Some((name, tensor)),
        }
    }
    for (own, parts) in joint {
        match joined(&own, &parts, config)? {
            Some(whole) => drop(out.insert(own, whole)),
            // Incomplete: under their own names, to be reported.
            None => out.extend(parts.into_iter().flatten().map(|(name, t)| (name.to_owned(), t.clone()))),
        }
    }
    if !config.key_bias {
        key_biases(&mut out, config, state.contains_key("reg_token"))?;
    }
    if config.mask_token {
        // timm's conversions leave it out.
        let shape = [1, config.embed_dim];
        out.entry(MASK.into()).or_insert(Tensor::zeros(&shape, DType::Float, Device::Cpu)?);
    } else if out.get(MASK).is_some_and(|t| t.numel() as i64 == config.embed_dim) {
        out.shift_remove(MASK);
    }
    let (cls, rank) = names.cls;
    if let Some(token) = out.get(cls).filter(|t| t.numel() as i64 == config.embed_dim) {
        let token = token.reshape(&[1, 1, config.embed_dim][3 - rank..])?;
        out.insert(cls.into(), token);
    }
    if let Some(table) = out.get(names.pos.0).filter(|_| config.positions != Positions::Absent) {
        let table = positions(table, config, pos_grid)?;
        out.insert(names.pos.0.into(), table);
    }
    Ok(out)
}

/// Refuses weights of another width or patch, and those of a NaFlex model, in one sentence: names and shapes would fill a page.
fn same_size(state: &State, config: &VitConfig, patches: &[&str]) -> Result<()> {
    let naflex = |what: String| {
        Err(Error::weights(format!("these are weights of a NaFlex model ({what}): it reads pictures of any shape, which is not implemented"))
            .help("take those of a fixed resolution, such as google/siglip2-base-patch16-256 for `siglip2-b`"))
    };
    if let Some(name) = state.keys().find(|k| k.starts_with("embeds.")) {
        return naflex(format!("timm's `{name}`"));
    }
    let Some((name, weight)) = patches.iter().find_map(|p| state.get_key_value(*p)) else { return Ok(()) };
    match weight.shape()[..] {
        [_, _] => naflex(format!("`{name}` is {:?}", weight.shape())),
        [width, _, patch, _] if (width, patch) != (config.embed_dim, config.patch) => Err(Error::weights(format!(
            "these are weights of another size: width {width} and patches of {patch}, the network has width {} and patches of {}",
            config.embed_dim, config.patch
        ))
        .help(
            "take the model of that size by its name (`lathe fetch --list`), or say the sizes: `#{embed_dim: .., depth: .., heads: .., patch: ..}`",
        )),
        _ => Ok(()),
    }
}

/// Where a published parameter belongs. A name that is nobody's stays as it is.
fn place(name: &str, config: &VitConfig) -> Place {
    let gated = config.ffn == Ffn::SwiGlu;
    if let Some(place) = hugging_face::place(name, config.names, gated) {
        return place;
    }
    let name = mended(name);
    let own = config.also.iter().find_map(|other| config.names.of(other, &name)).unwrap_or(name);
    let of_block = |own: &str| {
        let inner = own.strip_prefix(config.names.blocks)?.strip_prefix('.')?;
        let (block, inner) = inner.split_once('.')?;
        let (inner, part) = in_parts(inner, config.names.qkv[1], gated)?;
        Some((format!("{}.{block}.{inner}", config.names.blocks), part))
    };
    of_block(&own).unwrap_or((own, None))
}

/// The maps that official DINOv3 and timm's `Eva` publish in parts, and timm's names of a SwiGLU's.
fn in_parts(inner: &str, bias: &str, gated: bool) -> Option<Place> {
    match inner {
        "attn.q_bias" => return Some((bias.into(), Some((0, 3)))),
        "attn.v_bias" => return Some((bias.into(), Some((2, 3)))),
        _ => {}
    }
    let (map, leaf) = inner.strip_prefix("mlp.")?.split_once('.').filter(|_| gated)?;
    let [both, last] = SWIGLU;
    match map {
        "w1" | "fc1_g" => Some((format!("{both}.{leaf}"), Some((0, 2)))),
        "w2" | "fc1_x" => Some((format!("{both}.{leaf}"), Some((1, 2)))),
        "fc1" => Some((format!("{both}.{leaf}"), None)),
        "fc2" => Some((format!("{last}.{leaf}"), None)),
        _ => None,
    }
}

/// The whole of a joint map, when all its parts are there; keys' biases may be missing where they are zero.
fn joined(own: &str, parts: &[Option<(&str, &Tensor)>], config: &VitConfig) -> Result<Option<Tensor>> {
    let present: Vec<&Tensor> = parts.iter().flatten().map(|(_, t)| *t).collect();
    match *parts {
        [Some((_, q)), None, Some((_, v))] if !config.key_bias && own.ends_with(config.names.qkv[1]) => {
            Tensor::cat(&[q, &q.zeros_like()?, v], 0).map(Some)
        }
        _ if present.len() == parts.len() => Tensor::cat(&present, 0).map(Some),
        _ => Ok(None),
    }
}

/// Makes the keys' third of all joint biases zero. timm's `Eva` without biases (`may_lack`) gets zeros: what it leaves out is zero.
fn key_biases(state: &mut State, config: &VitConfig, may_lack: bool) -> Result<()> {
    let d = config.embed_dim;
    let names: Vec<String> = (0..config.depth).map(|i| format!("{}.{i}.{}", config.names.blocks, config.names.qkv[1])).collect();
    let lacking = may_lack && !names.iter().any(|n| state.contains_key(n));
    for name in names {
        match state.get(&name) {
            Some(bias) if bias.numel() as i64 == 3 * d => {
                let whole = Tensor::cat(&[bias.narrow(0, 0, d)?, bias.narrow(0, d, d)?.zeros_like()?, bias.narrow(0, 2 * d, d)?], 0)?;
                state.insert(name, whole);
            }
            None if lacking => drop(state.insert(name, Tensor::zeros(&[3 * d], DType::Float, Device::Cpu)?)),
            _ => {}
        }
    }
    Ok(())
}

/// The position table on the grid of the network's own.
fn positions(table: &Tensor, config: &VitConfig, pos_grid: Size) -> Result<Tensor> {
    let (_, rank) = config.names.pos;
    let flat = match table.rank() {
        2 => table.unsqueeze(0)?,
        3 => table.clone(),
        _ => return Ok(table.clone()),
    };
    let prefix = i64::from(config.cls);
    let Some(from) = published_grid(table, flat.size(1)?, config, pos_grid)? else { return Ok(table.clone()) };
    let table = match config.resampling {
        Some(how) => interpolate_positions(&flat, from, pos_grid, prefix, how)?,
        None => resample_positions(&flat, from, pos_grid, prefix)?,
    };
    if rank == 2 { table.squeeze(Some(0)) } else { Ok(table) }
}

/// The grid of a published table of so many rows: that on which the model is published, or the network's own, of weights that were saved from here. `None`
/// for a table of no grid, which loading reports.
fn published_grid(table: &Tensor, rows: i64, config: &VitConfig, pos_grid: Size) -> Result<Option<Size>> {
    let (name, native, cells) = (config.names.pos.0, config.native_grid, rows - i64::from(config.cls));
    let ([n, m], [a, b]) = (native, pos_grid);
    match (cells == area(native), cells == area(pos_grid)) {
        (true, true) if config.two_shapes(pos_grid) && !config.native_said => Err(Error::weights(format!(
            "`{name}` {:?} is of the published {n}x{m} patches, or of this network's own {a}x{b}: both have as many",
            table.shape()
        ))
        .help(format!(
            "`#{{native_grid: {}}}` for published weights, `#{{native_grid: {}}}` for those saved from such a network",
            text(native),
            text(pos_grid)
        ))),
        (true, _) => Ok(Some(native)),
        (_, true) => Ok(Some(pos_grid)),
        _ => match square_side(cells) {
            None => Ok(None),
            Some(grid) => Err(Error::weights(format!(
                "`{name}` {:?} is for a grid of {grid}x{grid} patches; this network's is {n}x{m}, resampled to {a}x{b}",
                table.shape()
            ))
            .help(format!("if that is right, `#{{native_grid: {grid}}}`"))),
        },
    }
}

/// `blocks.0.7.norm1.weight` of a checkpoint in chunks -> `blocks.7.norm1.weight`; and the misspelt layers of MoCo v3's published ViT
/// (`blocks.13.norm13`, `blocks.14.mlp.fc14`, ..), which REPA's loader mends as well.
fn mended(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    match *parts {
        ["blocks", chunk, block, _, ..] if digits(chunk) && digits(block) => format!("blocks.{}", parts[2..].join(".")),
        ["blocks", "13", "norm13", leaf] => format!("blocks.13.norm1.{leaf}"),
        ["blocks", "13", "mlp", "fc13", leaf] => format!("blocks.13.mlp.fc1.{leaf}"),
        ["blocks", "14", "norm14", leaf] => format!("blocks.14.norm2.{leaf}"),
        ["blocks", "14", "mlp", "fc14", leaf] => format!("blocks.14.mlp.fc2.{leaf}"),
        _ => name.to_owned(),
    }
}
