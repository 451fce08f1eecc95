//! Perception Encoder: facebookresearch/perception_models, arXiv 2504.13181.
//!
//! CLIP's image tower (OpenAI's names, a norm before the blocks, no bias of the patches, eps 1e-5) with exact GELU, and rotary positions beside the learned table.
//! Tokens are what `forward_features(x, strip_cls_token=True)` gives: those of the last block **without** `ln_post`, which the spatially tuned ones do not have,
//! and without the class token: `[B, 3, H, W]` -> `[B, H / patch * W / patch, D]`, D 768 (b, patches of 16), 1024 (l, patches of 14). For other sides than the published
//! one the table is resampled as their code does, bilinear, and the rotary places go on counting. Pictures are in [-1, 1]. `pooled` is the class token, of the
//! core models after `ln_post`: their attention pool and projection are no part of it.

use super::config::{LastNorm, VitConfig};
use super::known::{Known, Published};
use super::names::{EVA, OPENAI};
use super::positions::Interpolation;
use super::preprocess::{HALF, Preprocess, Resize};
use super::rope::Rope;

/// `pe-core-b|l` and `pe-spatial-b|l`.
pub fn known() -> Vec<Known> {
    let one = |(name, dim, depth, heads, patch, side, repo): (&str, i64, i64, i64, i64, i64, &str)| {
        let bilinear = Some(Interpolation { bilinear: true, ..Interpolation::default() });
        let config = VitConfig {
            pre_norm: true,
            last_norm: if name.starts_with("core") { LastNorm::Skipped } else { LastNorm::Absent },
            eps: 1e-5,
            rope: Some(Rope::Counted { theta: 10_000.0, first: 1.0 }),
            interpolation: bilinear,
            resampling: bilinear,
            names: &OPENAI,
            also: &[&EVA],
            wrappers: &["visual.", "module.visual."],
            beside: &["proj"],
            ..VitConfig::new(dim, depth, heads, patch, side / patch)
        };
        let file = format!("{repo}.pt");
        let published = Published {
            url: String::new(),
            hugging_face: Some(format!("facebook/{repo}/{file}")),
            files: vec![file],
            sha256: "",
            keys: &["state_dict", "weights"],
        };
        let known = Known::vit(format!("pe-{name}"), config, published);
        let (mean, std) = HALF;
        Known { preprocess: Preprocess { mean, std, resize_first: true, resize: Resize::Bilinear, ..known.preprocess }, ..known }
    };
    [
        ("core-b", 768, 12, 12, 16, 224, "PE-Core-B16-224"),
        ("core-l", 1024, 24, 16, 14, 336, "PE-Core-L14-336"),
        ("spatial-b", 768, 12, 12, 16, 512, "PE-Spatial-B16-512"),
        ("spatial-l", 1024, 24, 16, 14, 448, "PE-Spatial-L14-448"),
    ]
    .map(one)
    .to_vec()
}
