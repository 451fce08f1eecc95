//! I-JEPA ViT-H/14: facebookresearch/ijepa, arXiv 2301.08243.
//!
//! The plain ViT with patches of 14 and without a class token; its fixed positions are saved with it. Tokens are those of the last block after
//! the final norm: `[B, 3, H, W]` -> `[B, H / 14 * W / 14, 1280]`; `pooled` is their mean. Of a training checkpoint the `encoder` is taken, as
//! REPA and Hugging Face's conversion do; `#{key: "target_encoder"}` takes its moving average.

use super::config::{Positions, VitConfig};
use super::known::{Known, Published};

/// `jepa-vit-h`.
pub fn known() -> Vec<Known> {
    let config =
        VitConfig { cls: false, positions: Positions::SinCos, wrappers: &["encoder.module.", "encoder."], ..VitConfig::new(1280, 32, 16, 14, 16) };
    let published = Published {
        files: vec!["IN1K-vit.h.14-300e.pth.tar".into(), "ijepa_vith.pth".into()],
        url: "https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar".into(),
        sha256: "",
        hugging_face: Some("facebook/ijepa_vith14_1k".into()),
        keys: &["encoder", "target_encoder"],
    };
    vec![Known::vit("jepa-vit-h".into(), config, published)]
}
