//! The image tower of SigLIP 2: google-research/big_vision, arXiv 2502.14786, as `SiglipVisionModel` of transformers has it.
//!
//! Differences from the plain ViT: no class token, GELU's tanh approximation, pictures in [-1, 1]. Tokens are those of the last block after
//! `post_layernorm` (`last_hidden_state`): `[B, 3, H, W]` -> `[B, H / 16 * W / 16, D]`, D 768 (b), 1024 (l), 1152 (so400m). For other sides than 256 the
//! published table is resampled as transformers' `interpolate_pos_encoding` does, bicubic without antialiasing. `pooled` is the mean of the tokens: the attention
//! pool (`head`) is no part of it. NaFlex models are refused.

use super::config::{Ffn, VitConfig};
use super::known::{Known, Published};
use super::positions::Interpolation;
use super::preprocess::{HALF, Preprocess, Resize};
use crate::nn::layers::Activation;

/// `siglip2-b|l|so400m` with patches of 16, and `siglip2-so400m-patch14`.
pub fn known() -> Vec<Known> {
    let one = |(name, dim, depth, heads, mlp_ratio, patch, repo): (&str, i64, i64, i64, f64, i64, &str)| {
        let config = VitConfig {
            cls: false,
            mlp_ratio,
            ffn: Ffn::Mlp(Activation::GeluTanh),
            interpolation: Some(Interpolation::default()),
            resampling: Some(Interpolation::default()),
            wrappers: &["vision_model.", "visual.trunk."],
            ..VitConfig::new(dim, depth, heads, patch, 16)
        };
        let published =
            Published { files: Vec::new(), url: String::new(), sha256: "", hugging_face: Some(format!("google/{repo}")), keys: &["state_dict"] };
        let known = Known::vit(format!("siglip2-{name}"), config, published);
        let (mean, std) = HALF;
        Known { preprocess: Preprocess { mean, std, resize_first: true, resize: Resize::Bilinear, ..known.preprocess }, ..known }
    };
    // Its MLP is 4304 wide.
    let so400m = 3.7362;
    [
        ("b", 768, 12, 12, 4.0, 16, "siglip2-base-patch16-256"),
        ("l", 1024, 24, 16, 4.0, 16, "siglip2-large-patch16-256"),
        ("so400m", 1152, 27, 16, so400m, 16, "siglip2-so400m-patch16-256"),
        ("so400m-patch14", 1152, 27, 16, so400m, 14, "siglip2-so400m-patch14-224"),
    ]
    .map(one)
    .to_vec()
}
