//! DINO: facebookresearch/dino, arXiv 2104.14294.
//!
//! The plain ViT with patches of 16. Tokens are those of the last block after the final norm, without the class token: `[B, 3, H, W]` ->
//! `[B, H / 16 * W / 16, D]`, D 384 (s), 768 (b). REPA resamples the published 14x14 positions to 16x16 and does not resize pictures of 256.

use super::config::VitConfig;
use super::known::{Known, Published};
use super::positions::Interpolation;

/// `dinov1-vit-s|b`.
pub fn known() -> Vec<Known> {
    let one = |(letter, dim, heads, word): (&str, i64, i64, &str)| {
        let config = VitConfig {
            interpolation: Some(Interpolation { offset: 0.1, ..Interpolation::default() }),
            wrappers: &["module.backbone.", "backbone.", "teacher.backbone."],
            ..VitConfig::new(dim, 12, heads, 16, 14)
        };
        let published = Published {
            files: vec![format!("dino_{word}16_pretrain.pth"), format!("dinov1_vit{letter}.pth")],
            url: format!("https://dl.fbaipublicfiles.com/dino/dino_{word}16_pretrain/dino_{word}16_pretrain.pth"),
            sha256: "",
            hugging_face: Some(format!("facebook/dino-vit{letter}16")),
            keys: &["teacher"],
        };
        Known::vit(format!("dinov1-vit-{letter}"), config, published)
    };
    [("s", 384, 6, "deitsmall"), ("b", 768, 12, "vitbase")].map(one).to_vec()
}
