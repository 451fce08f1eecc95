//! The names of Hugging Face's transformers: its ViT, ViTMAE, I-JEPA, DINOv2 (with registers), DINOv3, CLIP and SigLIP.

use super::names::{MASK, Names, SWIGLU};

/// The patch convolution, in its ViT line, in CLIP and SigLIP, and in DINOv3.
pub const PATCH: [&str; 3] =
    ["embeddings.patch_embeddings.projection.weight", "embeddings.patch_embedding.weight", "embeddings.patch_embeddings.weight"];

/// A place in the network: the own name, and for a part of a joint map which of how many.
pub type Place = (String, Option<(usize, usize)>);

/// The place of one of Hugging Face's parameters; `None` for other names. `gated` tells a SwiGLU network from an MLP.
pub fn place(name: &str, n: &Names, gated: bool) -> Option<Place> {
    let parts: Vec<&str> = name.split('.').collect();
    let whole = |own: String| Some((own, None));
    match *parts {
        ["embeddings", "cls_token" | "class_embedding"] => whole(n.cls.0.into()),
        ["embeddings", "position_embeddings"] | ["embeddings", "position_embedding", "weight"] => whole(n.pos.0.into()),
        ["embeddings", "mask_token"] => whole(MASK.into()),
        ["embeddings", "register_tokens"] => whole(n.registers.into()),
        ["embeddings", "patch_embeddings", "projection", leaf]
        | ["embeddings", "patch_embedding", leaf]
        | ["embeddings", "patch_embeddings", leaf] => whole(format!("{}.{leaf}", n.patch)),
        ["pre_layrnorm", leaf] => whole(format!("{}.{leaf}", n.pre_norm)),
        ["layernorm" | "post_layernorm", leaf] => whole(format!("{}.{leaf}", n.norm)),
        ["encoder", "layer" | "layers", i, ref inner @ ..] | ["layer", i, ref inner @ ..] | ["model", "layer", i, ref inner @ ..] => {
            let (own, part) = in_block(inner, n, gated)?;
            Some((format!("{}.{i}.{own}", n.blocks), part))
        }
        _ => None,
    }
}

fn in_block(inner: &[&str], n: &Names, gated: bool) -> Option<Place> {
    let third = |leaf: &str, i| Some((n.qkv[usize::from(leaf == "bias")].to_owned(), Some((i, 3))));
    let half = |leaf: &str, i| Some((format!("{}.{leaf}", SWIGLU[0]), Some((i, 2))));
    let last = if gated { SWIGLU[1] } else { n.mlp[1] };
    let (own, leaf) = match *inner {
        ["attention", "attention", "query", leaf] | ["self_attn" | "attention", "q_proj", leaf] => return third(leaf, 0),
        ["attention", "attention", "key", leaf] | ["self_attn" | "attention", "k_proj", leaf] => return third(leaf, 1),
        ["attention", "attention", "value", leaf] | ["self_attn" | "attention", "v_proj", leaf] => return third(leaf, 2),
        ["layer_scale1", "lambda1"] => return Some((n.scales[0].into(), None)),
        ["layer_scale2", "lambda1"] => return Some((n.scales[1].into(), None)),
        ["mlp", "gate_proj", leaf] => return half(leaf, 0),
        ["mlp", "up_proj", leaf] if gated => return half(leaf, 1),
        ["attention", "output", "dense", leaf] | ["self_attn", "out_proj", leaf] | ["attention", "o_proj", leaf] => (n.out, leaf),
        ["norm1" | "layernorm_before" | "layer_norm1", leaf] => (n.norm1, leaf),
        ["norm2" | "layernorm_after" | "layer_norm2", leaf] => (n.norm2, leaf),
        ["mlp", "fc1" | "up_proj", leaf] | ["intermediate", "dense", leaf] => (n.mlp[0], leaf),
        ["mlp", "fc2", leaf] | ["output", "dense", leaf] => (n.mlp[1], leaf),
        ["mlp", "down_proj", leaf] => (last, leaf),
        ["mlp", "weights_in", leaf] => (SWIGLU[0], leaf),
        ["mlp", "weights_out", leaf] => (SWIGLU[1], leaf),
        _ => return None,
    };
    Some((format!("{own}.{leaf}"), None))
}
