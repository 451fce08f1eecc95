//! Names of a vision transformer's parameters: its own, and those under which its weights are published.

use super::positions::{grid_of, resample_positions};
use super::vit::VitConfig;
use crate::error::{Error, Result};
use crate::models::names::strip_prefixes;
use crate::nn::State;
use crate::torch::{DType, Device, Tensor};
use indexmap::IndexMap;

/// The names of one line of code; those of a block are relative to it.
#[derive(Debug, PartialEq)]
pub struct Names {
    /// The class token, and its rank.
    pub cls: (&'static str, usize),
    /// The position table, and its rank.
    pub pos: (&'static str, usize),
    /// The patch convolution.
    pub patch: &'static str,
    /// The norm before the blocks.
    pub pre_norm: &'static str,
    /// What stands before a block's number.
    pub blocks: &'static str,
    /// The norm before attention.
    pub norm1: &'static str,
    /// Weight and bias of the joint query, key, value map.
    pub qkv: [&'static str; 2],
    /// Attention's output map.
    pub out: &'static str,
    /// The norm before the MLP.
    pub norm2: &'static str,
    /// The MLP's two maps.
    pub mlp: [&'static str; 2],
    /// The norm after the blocks.
    pub norm: &'static str,
}

/// timm's names, which DINO, DINOv2, MAE, MoCo v3 and I-JEPA share.
pub const TIMM: Names = Names {
    cls: ("cls_token", 3),
    pos: ("pos_embed", 3),
    patch: "patch_embed.proj",
    pre_norm: "norm_pre",
    blocks: "blocks",
    norm1: "norm1",
    qkv: ["attn.qkv.weight", "attn.qkv.bias"],
    out: "attn.proj",
    norm2: "norm2",
    mlp: ["mlp.fc1", "mlp.fc2"],
    norm: "norm",
};

/// The names of OpenAI's CLIP below `visual.`.
pub const OPENAI: Names = Names {
    cls: ("class_embedding", 1),
    pos: ("positional_embedding", 2),
    patch: "conv1",
    pre_norm: "ln_pre",
    blocks: "transformer.resblocks",
    norm1: "ln_1",
    qkv: ["attn.in_proj_weight", "attn.in_proj_bias"],
    out: "attn.out_proj",
    norm2: "ln_2",
    mlp: ["mlp.c_fc", "mlp.c_proj"],
    norm: "ln_post",
};

/// The maps of a SwiGLU network.
pub const SWIGLU: [&str; 2] = ["mlp.w12", "mlp.w3"];
/// The scales of a block's two branches.
pub const SCALES: [&str; 2] = ["ls1.gamma", "ls2.gamma"];
/// DINOv2's learned token for masked patches, which inference never uses.
pub const MASK: &str = "mask_token";
/// DINOv2's registers.
pub const REGISTERS: &str = "register_tokens";

/// Hugging Face's patch convolution, in its ViT line and in its CLIP.
const HUGGING_FACE_PATCH: [&str; 2] = ["embeddings.patch_embeddings.projection.weight", "embeddings.patch_embedding.weight"];

/// Heads, poolers and decoders that published files hold beside the network, by the beginning of their names.
const BESIDE: [&str; 9] = ["head.", "fc.", "pooler.", "classifier.", "decoder_", "decoder.", "predictor.", "embeddings.position_ids", "rope_embed."];

/// A published state dict with the network's own names: takes off a wrapper's prefix (`module.base_encoder.`, `visual.`, `vit.`, ..), and
/// with it what lies outside, drops heads, translates the names of Hugging Face, and resamples the position table. What is not
/// recognised stays, so that loading reports it.
///
/// # Errors
/// `E0401` when the network is there more than once, or its position table is for another grid than the network's.
pub fn import(state: &State, config: &VitConfig, pos_grid: i64) -> Result<State> {
    let names = config.names;
    let own_patch = format!("{}.weight", names.patch);
    let anchors: Vec<&str> = std::iter::once(own_patch.as_str()).chain(HUGGING_FACE_PATCH).collect();
    let (mut out, mut thirds) = (State::new(), IndexMap::<String, [Option<(&str, &Tensor)>; 3]>::new());
    let state = strip_prefixes(state, &anchors, config.wrappers)?;
    for (name, tensor) in &state {
        if BESIDE.iter().any(|b| name.starts_with(b)) || config.beside.contains(&name.as_str()) {
            continue;
        }
        match from_hugging_face(name, names) {
            Some((own, None)) => drop(out.insert(own, tensor.clone())),
            Some((own, Some(third))) => thirds.entry(own).or_default()[third] = Some((name, tensor)),
            None => drop(out.insert(mended(name), tensor.clone())),
        }
    }
    for (own, parts) in thirds {
        match parts {
            [Some(q), Some(k), Some(v)] => drop(out.insert(own, Tensor::cat(&[q.1, k.1, v.1], 0)?)),
            // Incomplete: under their own names, to be reported.
            some => out.extend(some.into_iter().flatten().map(|(name, t)| (name.to_owned(), t.clone()))),
        }
    }
    if config.mask_token {
        // timm's conversions leave it out.
        let shape = [1, config.embed_dim];
        out.entry(MASK.into()).or_insert(Tensor::zeros(&shape, DType::Float, Device::Cpu)?);
    } else if out.get(MASK).is_some_and(|t| t.numel() as i64 == config.embed_dim) {
        out.shift_remove(MASK);
    }
    if let Some(table) = out.get(names.pos.0) {
        let table = positions(table, config, pos_grid)?;
        out.insert(names.pos.0.into(), table);
    }
    Ok(out)
}

/// The position table on the grid of the network's own.
fn positions(table: &Tensor, config: &VitConfig, pos_grid: i64) -> Result<Tensor> {
    let (name, rank) = config.names.pos;
    let flat = match table.rank() {
        2 => table.unsqueeze(0)?,
        3 => table.clone(),
        _ => return Ok(table.clone()),
    };
    let prefix = i64::from(config.cls);
    let Some(grid) = grid_of(flat.size(1)?, prefix) else { return Ok(table.clone()) };
    if grid != pos_grid && grid != config.native_grid {
        return Err(Error::weights(format!(
            "`{name}` {:?} is for a grid of {grid}x{grid} patches; this network's is {n}x{n}, resampled to {pos_grid}x{pos_grid}",
            table.shape(),
            n = config.native_grid
        ))
        .help(format!("if that is right, `#{{native_grid: {grid}}}`")));
    }
    let table = resample_positions(&flat, pos_grid, prefix)?;
    if rank == 2 { table.squeeze(Some(0)) } else { Ok(table) }
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

/// The own name of one of Hugging Face's, and which third of the joint map it is; `None` for other names. Its ViT, ViTMAE, I-JEPA, DINOv2
/// (with registers) and CLIP.
fn from_hugging_face(name: &str, n: &Names) -> Option<(String, Option<usize>)> {
    let parts: Vec<&str> = name.split('.').collect();
    let whole = |own: String| Some((own, None));
    match *parts {
        ["embeddings", "cls_token" | "class_embedding"] => whole(n.cls.0.into()),
        ["embeddings", "position_embeddings"] | ["embeddings", "position_embedding", "weight"] => whole(n.pos.0.into()),
        ["embeddings", "mask_token"] => whole(MASK.into()),
        ["embeddings", "register_tokens"] => whole(REGISTERS.into()),
        ["embeddings", "patch_embeddings", "projection", leaf] | ["embeddings", "patch_embedding", leaf] => whole(format!("{}.{leaf}", n.patch)),
        ["pre_layrnorm", leaf] => whole(format!("{}.{leaf}", n.pre_norm)),
        ["layernorm" | "post_layernorm", leaf] => whole(format!("{}.{leaf}", n.norm)),
        ["encoder", "layer" | "layers", i, ref inner @ ..] => {
            let (own, third) = from_hugging_face_block(inner, n)?;
            Some((format!("{}.{i}.{own}", n.blocks), third))
        }
        _ => None,
    }
}

fn from_hugging_face_block(inner: &[&str], n: &Names) -> Option<(String, Option<usize>)> {
    let third = |leaf: &str, i| Some((n.qkv[usize::from(leaf == "bias")].to_owned(), Some(i)));
    let (own, leaf) = match *inner {
        ["attention", "attention", "query", leaf] | ["self_attn", "q_proj", leaf] => return third(leaf, 0),
        ["attention", "attention", "key", leaf] | ["self_attn", "k_proj", leaf] => return third(leaf, 1),
        ["attention", "attention", "value", leaf] | ["self_attn", "v_proj", leaf] => return third(leaf, 2),
        ["layer_scale1", "lambda1"] => return Some((SCALES[0].into(), None)),
        ["layer_scale2", "lambda1"] => return Some((SCALES[1].into(), None)),
        ["attention", "output", "dense", leaf] | ["self_attn", "out_proj", leaf] => (n.out, leaf),
        ["norm1" | "layernorm_before" | "layer_norm1", leaf] => (n.norm1, leaf),
        ["norm2" | "layernorm_after" | "layer_norm2", leaf] => (n.norm2, leaf),
        ["mlp", "fc1", leaf] | ["intermediate", "dense", leaf] => (n.mlp[0], leaf),
        ["mlp", "fc2", leaf] | ["output", "dense", leaf] => (n.mlp[1], leaf),
        ["mlp", "weights_in", leaf] => (SWIGLU[0], leaf),
        ["mlp", "weights_out", leaf] => (SWIGLU[1], leaf),
        _ => return None,
    };
    Some((format!("{own}.{leaf}"), None))
}
