//! Web-DINO of Web-SSL: facebookresearch/webssl, arXiv 2504.01017.
//!
//! DINOv2's network with SwiGLU in all sizes and a position table for 224 pixels (some for 378 and 518), trained on pictures of the web. Tokens are those of the
//! last block after the final norm, without the class token: `[B, 3, H, W]` -> `[B, H / 14 * W / 14, D]`. Its MAE models are not here.

use super::config::{Ffn, VitConfig};
use super::known::{Known, Published};
use super::positions::Interpolation;

/// Parameters, width, depth, heads; data and side of the published ones.
const SIZES: [(&str, i64, i64, i64, &[&str]); 6] = [
    ("300m", 1024, 24, 16, &["full2b-224"]),
    ("1b", 1536, 40, 24, &["full2b-224"]),
    ("2b", 2688, 24, 21, &["full2b-224", "light2b-224", "heavy2b-224"]),
    ("3b", 3072, 26, 24, &["full2b-224", "light2b-224", "heavy2b-224"]),
    ("5b", 3584, 32, 28, &["full2b-224"]),
    ("7b", 4096, 32, 32, &["full8b-224", "full8b-378", "full8b-518"]),
];

/// `webssl-dino300m-full2b-224` and so on: the names of the repositories.
pub fn known() -> Vec<Known> {
    let one = |(size, dim, depth, heads): (&str, i64, i64, i64), data: &str| {
        let grid = if data.ends_with("518") {
            37
        } else if data.ends_with("378") {
            27
        } else {
            16
        };
        let config = VitConfig {
            layer_scale: true,
            mask_token: true,
            ffn: Ffn::SwiGlu,
            interpolation: Some(Interpolation { offset: 0.1, ..Interpolation::default() }),
            wrappers: &["teacher.backbone.", "backbone."],
            ..VitConfig::new(dim, depth, heads, 14, grid)
        };
        let name = format!("webssl-dino{size}-{data}");
        let file = format!("{}.pth", name.replace('-', "_"));
        let published = Published {
            url: format!("https://dl.fbaipublicfiles.com/webssl/{file}"),
            files: vec![file],
            sha256: "",
            hugging_face: Some(format!("facebook/{name}")),
            keys: &["teacher"],
        };
        Known::vit(name, config, published)
    };
    SIZES.iter().flat_map(|&(size, dim, depth, heads, all)| all.iter().map(move |data| one((size, dim, depth, heads), data))).collect()
}
