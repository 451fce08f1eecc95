//! MoCo v3: facebookresearch/moco-v3, arXiv 2104.02057; the large model from LTH14/rcg.
//!
//! The plain ViT with fixed positions (rows first), which are saved with it; the small one has 12 heads. Tokens are those of the last block after
//! the final norm, without the class token: `[B, 3, H, W]` -> `[B, H / 16 * W / 16, D]`, D 384 (s), 768 (b), 1024 (l). REPA resamples the
//! published 14x14 positions to 16x16 and does not resize pictures of 256. Of a training checkpoint the base encoder is taken, as in REPA. The table
//! that the published code makes tells rows and columns of squares only; here it does of any shape, as the resampled one does.

use super::config::{Positions, VitConfig};
use super::known::{Known, Published};

/// `mocov3-vit-s|b|l`.
pub fn known() -> Vec<Known> {
    let one = |(letter, dim, depth, heads): (&str, i64, i64, i64)| {
        let config = VitConfig {
            positions: Positions::SinCosRowsFirst,
            wrappers: &["module.base_encoder.", "base_encoder."],
            ..VitConfig::new(dim, depth, heads, 16, 14)
        };
        let file = format!("vit-{letter}-300ep");
        let published = Published {
            files: vec![format!("{file}.pth.tar"), format!("mocov3_vit{letter}.pth")],
            url: match letter {
                "l" => "https://github.com/LTH14/rcg (its MoCo v3 ViT-L)".into(),
                _ => format!("https://dl.fbaipublicfiles.com/moco-v3/{file}/{file}.pth.tar"),
            },
            sha256: "",
            hugging_face: (letter != "s").then(|| format!("nyu-visionx/moco-v3-vit-{letter}")),
            keys: &["state_dict"],
        };
        Known::vit(format!("mocov3-vit-{letter}"), config, published)
    };
    [("s", 384, 12, 12), ("b", 768, 12, 12), ("l", 1024, 24, 16)].map(one).to_vec()
}
