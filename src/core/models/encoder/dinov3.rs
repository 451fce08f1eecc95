//! DINOv3: facebookresearch/dinov3, arXiv 2508.10104.
//!
//! Differences from DINOv2: patches of 16, rotary positions instead of a table (so any multiple of 16 is read without interpolation), four registers,
//! no bias of keys, eps 1e-5, SwiGLU in s+ and h+. Tokens are `x_norm_patchtokens`: `[B, 3, H, W]` -> `[B, H / 16 * W / 16, D]`, D 384 (s, s+),
//! 768 (b), 1024 (l), 1280 (h+). Pictures of another size are resized before they are normalised, as transformers' processor does. Published names: those of
//! transformers, of the official files, and of timm's `Eva`.

use super::config::{Ffn, Positions, VitConfig};
use super::known::{Known, Published};
use super::names::{DINOV3, EVA};
use super::preprocess::{Preprocess, Resize};
use super::rope::Rope;

/// Letter, width, depth, heads, whether it is gated, and the digits in the name of the official file, the first of its SHA-256.
const SIZES: [(&str, i64, i64, i64, bool, &str); 5] = [
    ("s", 384, 12, 6, false, "08c60483"),
    ("s+", 384, 12, 6, true, "4057cbaa"),
    ("b", 768, 12, 12, false, "73cec8be"),
    ("l", 1024, 24, 16, false, "8aa4cbdd"),
    ("h+", 1280, 32, 20, true, "7c1da9a5"),
];

/// `dinov3-vit-s16|s+16|b16|l16|h+16`.
pub fn known() -> Vec<Known> {
    let one = |(letter, dim, depth, heads, gated, hash): (&str, i64, i64, i64, bool, &'static str)| {
        let base = VitConfig::new(dim, depth, heads, 16, 14);
        let config = VitConfig {
            layer_scale: true,
            registers: 4,
            eps: 1e-5,
            mlp_ratio: if gated { 6.0 } else { 4.0 },
            ffn: if gated { Ffn::SwiGlu } else { base.ffn },
            positions: Positions::Absent,
            rope: Some(Rope::Centres { base: 100.0 }),
            key_bias: false,
            also: &[&DINOV3, &EVA],
            wrappers: &["teacher.backbone.", "backbone."],
            ..base
        };
        let word = format!("vit{}", letter.replace('+', "") + "16" + if gated { "plus" } else { "" });
        let published = Published {
            files: vec![format!("dinov3_{word}_pretrain_lvd1689m-{hash}.pth")],
            // Given out one by one to those who have agreed to its licence.
            url: "https://github.com/facebookresearch/dinov3 (after agreeing to the licence)".into(),
            sha256: hash,
            hugging_face: Some(format!("facebook/dinov3-{word}-pretrain-lvd1689m")),
            keys: &["teacher"],
        };
        let known = Known::vit(format!("dinov3-vit-{letter}16"), config, published);
        Known { preprocess: Preprocess { resize_first: true, resize: Resize::Bilinear, ..known.preprocess }, ..known }
    };
    SIZES.map(one).to_vec()
}
