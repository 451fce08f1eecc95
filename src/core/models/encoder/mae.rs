//! MAE: facebookresearch/mae, arXiv 2111.06377.
//!
//! The plain ViT with fixed positions, which are saved with it; no patch is masked here. As in REPA the tokens are those of the last block
//! **without** the final norm and the class token: `[B, 3, H, W]` -> `[B, H / patch * W / patch, D]`, D 768 (b), 1024 (l), 1280 (h), patches of 16
//! (h: 14). REPA resamples the published 14x14 positions to 16x16 and does not resize pictures of 256.

use super::config::{LastNorm, Positions, VitConfig};
use super::known::{Known, Published};

/// `mae-vit-b|l|h`.
pub fn known() -> Vec<Known> {
    let one = |(letter, dim, depth, heads, patch, word): (&str, i64, i64, i64, i64, &str)| {
        let config =
            VitConfig { last_norm: LastNorm::Skipped, positions: Positions::SinCos, ..VitConfig::new(dim, depth, heads, patch, 224 / patch) };
        let published = Published {
            files: vec![format!("mae_pretrain_vit_{word}.pth"), format!("mae_vit{letter}.pth")],
            url: format!("https://dl.fbaipublicfiles.com/mae/pretrain/mae_pretrain_vit_{word}.pth"),
            sha256: "",
            hugging_face: Some(format!("facebook/vit-mae-{word}")),
            keys: &["model"],
        };
        Known::vit(format!("mae-vit-{letter}"), config, published)
    };
    [("b", 768, 12, 12, 16, "base"), ("l", 1024, 24, 16, 16, "large"), ("h", 1280, 32, 16, 14, "huge")].map(one).to_vec()
}
