//! DINOv2, with and without registers: facebookresearch/dinov2, arXiv 2304.07193 and 2309.16588.
//!
//! Differences from the plain ViT: LayerScale, patches of 14, a learned mask token (unused here), SwiGLU in the giant. With registers there are
//! four more tokens behind the class token, without positions; their code interpolates positions with antialiasing and without the
//! offset of the first release. Tokens are `x_norm_patchtokens`: `[B, 3, H, W]` -> `[B, H / 14 * W / 14, D]`, D 384 (s), 768 (b), 1024 (l), 1536 (g).

use super::config::{Ffn, VitConfig};
use super::known::{Known, Published};
use super::positions::Interpolation;

/// Letter, width, depth, heads, and Hugging Face's word.
const SIZES: [(&str, i64, i64, i64, &str); 4] =
    [("s", 384, 12, 6, "small"), ("b", 768, 12, 12, "base"), ("l", 1024, 24, 16, "large"), ("g", 1536, 40, 24, "giant")];

/// `dinov2-vit-s|b|l|g` and `dinov2reg-vit-s|b|l|g`.
pub fn known() -> Vec<Known> {
    let one = |registers: bool, (letter, dim, depth, heads, word): (&str, i64, i64, i64, &str)| {
        let base = VitConfig::new(dim, depth, heads, 14, 37);
        let config = VitConfig {
            layer_scale: true,
            mask_token: true,
            registers: if registers { 4 } else { 0 },
            ffn: if letter == "g" { Ffn::SwiGlu } else { base.ffn },
            interpolation: Some(if registers {
                Interpolation { antialias: true, ..Interpolation::default() }
            } else {
                Interpolation { offset: 0.1, ..Interpolation::default() }
            }),
            wrappers: &["teacher.backbone.", "backbone."],
            ..base
        };
        let (reg, reg4, with) = if registers { ("reg", "_reg4", "-with-registers") } else { ("", "", "") };
        let file = format!("dinov2_vit{letter}14{reg4}_pretrain.pth");
        let published = Published {
            url: format!("https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{letter}14/{file}"),
            files: vec![file],
            sha256: "",
            hugging_face: Some(format!("facebook/dinov2{with}-{word}")),
            keys: &["teacher"],
        };
        Known::vit(format!("dinov2{reg}-vit-{letter}"), config, published)
    };
    [false, true].into_iter().flat_map(|registers| SIZES.map(|size| one(registers, size))).collect()
}
