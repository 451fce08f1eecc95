//! The image tower of CLIP ViT-L/14: openai/CLIP, arXiv 2103.00020.
//!
//! Differences from the plain ViT: a layer norm before the blocks, no bias of the patches, QuickGELU, eps 1e-5, names of
//! `nn.MultiheadAttention`; pictures are resized before they are normalised, with CLIP's own mean. As in REPA the tokens are those of the last
//! block, without `ln_post` and `proj`: `[B, 3, H, W]` -> `[B, H / 14 * W / 14, 1024]`. `pooled` is the class token after `ln_post`, which is
//! Hugging Face's `pooler_output`. The projection to the space of texts (`proj`, `visual_projection`) is no part of it.

use super::config::{Ffn, LastNorm, VitConfig};
use super::known::{Known, Published};
use super::names::OPENAI;
use super::preprocess::{CLIP, Preprocess};
use crate::nn::layers::Activation;

/// `clip-vit-L`.
pub fn known() -> Vec<Known> {
    let config = VitConfig {
        pre_norm: true,
        last_norm: LastNorm::Skipped,
        eps: 1e-5,
        ffn: Ffn::Mlp(Activation::QuickGelu),
        names: &OPENAI,
        wrappers: &["visual.", "module.visual."],
        beside: &["proj"],
        ..VitConfig::new(1024, 24, 16, 14, 16)
    };
    let folder = "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836";
    let published = Published {
        files: vec!["ViT-L-14.pt".into()],
        url: format!("https://openaipublic.azureedge.net/clip/models/{folder}/ViT-L-14.pt"),
        // The folder of its address.
        sha256: folder,
        hugging_face: Some("openai/clip-vit-large-patch14".into()),
        keys: &["state_dict"],
    };
    let known = Known::vit("clip-vit-L".into(), config, published);
    let (mean, std) = CLIP;
    vec![Known { preprocess: Preprocess { mean, std, resize_first: true, ..known.preprocess }, ..known }]
}
