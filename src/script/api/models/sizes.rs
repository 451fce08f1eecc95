//! The sizes of networks whose weights are there: architectures that a file tells.

use crate::api;
use crate::error::{Error, Result};
use crate::models::{SitConfig, VaeConfig, sit, vae};
use crate::nn::{State, Weights, others};
use crate::script::Cx;
use crate::script::api::models::given::place;
use crate::script::lang::value::FromArg;
use crate::torch::{DType, Device, Tensor};
use rhai::{Array, Dynamic, Map};

/// Names and sizes, from a path or from the map that `checkpoint.shapes(name)` gives, as tensors without data.
fn sketch(cx: &Cx, from: &Dynamic, key: Option<&str>, what: &str, anchor: &str) -> Result<State> {
    if let Some(path) = String::from_dynamic(from) {
        return Weights::open(&place(cx, &path)?)?.sketch_of(key, what, anchor);
    }
    let wanted = || Error::value("sizes", "a path is wanted, or a map of shapes as `checkpoint.shapes(name)` gives it");
    let map = Map::from_dynamic(from).ok_or_else(wanted)?;
    let empty = |(name, shape): (&rhai::Identifier, &Dynamic)| {
        let shape = Vec::<i64>::from_dynamic(shape).filter(|s| s.iter().all(|n| *n >= 0)).ok_or_else(wanted)?;
        Ok((name.to_string(), Tensor::zeros(&[], DType::Half, Device::Cpu)?.expand(&shape)?))
    };
    Ok(others::plain(&map.iter().map(empty).collect::<Result<State>>()?))
}

fn map_of(entries: Vec<(&str, Dynamic)>) -> Map {
    entries.into_iter().map(|(k, v)| (k.into(), v)).collect()
}

fn list(sizes: &[i64]) -> Dynamic {
    sizes.iter().map(|n| Dynamic::from(*n)).collect::<Array>().into()
}

api! {
    namespace "models";

    /// The sizes of a denoiser whose weights are there: a map for `models::sit`. `heads` is that of the published SiT of that depth and width; where
    /// there is none, the map lacks it, because no tensor tells it. Nor does one tell the sides of latents that are no squares: `input_size` gives them.
    ///
    /// # Shapes
    /// - `from`: a file or folder, or the map of shapes that `checkpoint.shapes(name)` gives
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read, `E0401` when it holds no SiT, or several.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 16, heads: 2, patch: 1, input_size: 4, num_classes: 3});
    /// let path = io::temp_dir() + "/sit.safetensors";
    /// sit.save(path);
    /// let sizes = models::sit_config(path);
    /// assert_eq([sizes.depth, sizes.hidden, sizes.input_size, sizes.num_classes], [2, 16, 4, 3]);
    /// models::sit(sizes + #{heads: 2}, #{weights: path});
    /// ```
    fn sit_config[cx](from: Dynamic;
        /// the part of a checkpoint, where several fit
        key: Option<String>,
        /// side of the latents, or their height and width; that of a square unless given
        input_size: Option<[i64; 2]>,
    ) -> Map {
        let state = sketch(cx, &from, key.as_deref(), "SiT", sit::ANCHOR)?;
        let c = SitConfig::of_state(&sit::without_prefix(&state)?, input_size)?;
        let [height, width] = c.input_size;
        let input_size = if height == width { height.into() } else { list(&c.input_size) };
        let mut out = map_of(vec![
            ("depth", c.depth.into()), ("hidden", c.hidden.into()), ("patch", c.patch.into()), ("input_size", input_size),
            ("in_channels", c.in_channels.into()), ("num_classes", c.num_classes.into()), ("z_dims", list(&c.z_dims)),
            ("projector_dim", c.projector_dim.into()), ("mlp_ratio", c.mlp_ratio.into()), ("qk_norm", c.qk_norm.into()),
        ]);
        if c.heads > 0 {
            out.insert("heads".into(), c.heads.into());
        }
        Ok(out)
    }

    /// The sizes of an autoencoder whose weights are there: a map for `models::vae`.
    ///
    /// # Shapes
    /// - `from`: a file or folder, or the map of shapes that `checkpoint.shapes(name)` gives
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read, `E0401` when it holds no autoencoder, or several.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/vae.safetensors";
    /// models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 2}).save(path);
    /// let sizes = models::vae_config(path, #{norm_groups: 4});
    /// assert_eq([sizes.ch, sizes.z_channels], [8, 2]);
    /// models::vae(sizes, #{weights: path});
    /// ```
    fn vae_config[cx](from: Dynamic;
        /// the part of a checkpoint, where several fit
        key: Option<String>,
        /// groups of the norms, which no tensor tells
        norm_groups: i64[1..] = 32,
    ) -> Map {
        let state = vae::from_any(&sketch(cx, &from, key.as_deref(), "autoencoder", vae::ANCHOR)?)?;
        let c = VaeConfig::of_state(&state, norm_groups)?;
        Ok(map_of(vec![
            ("ch", c.ch.into()), ("ch_mult", list(&c.ch_mult)), ("num_res_blocks", c.num_res_blocks.into()), ("z_channels", c.z_channels.into()),
            ("embed_dim", c.embed_dim.into()), ("attn_resolutions", list(&c.attn_resolutions)), ("resolution", c.resolution.into()),
            ("in_channels", c.in_channels.into()), ("out_ch", c.out_ch.into()), ("norm_groups", c.norm_groups.into()),
            ("use_quant_conv", c.use_quant_conv.into()), ("use_post_quant_conv", c.use_post_quant_conv.into()),
        ]))
    }

    /// The networks that a file, folder or checkpoint of published weights holds, by their kind: `"vae"`, `"sit"`, `"discriminator"`.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it cannot be read.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/disc.safetensors";
    /// models::discriminator(#{ndf: 4, layers: 1}).save(path);
    /// assert_eq(models::kinds(path), ["discriminator"]);
    /// ```
    fn kinds[cx](path: String) -> Vec<String> {
        let weights = Weights::open(&place(cx, &path)?)?;
        let names: Vec<String> = weights.parts().iter().flat_map(|p| p.shapes.iter().map(|(name, _)| others::plain_name(name))).collect();
        let has = |anchor: &str| names.iter().any(|n| n.strip_suffix(anchor).is_some_and(|p| p.is_empty() || p.ends_with('.')));
        let known = [("vae", vae::ANCHOR), ("sit", sit::ANCHOR), ("discriminator", "main.0.weight")];
        Ok(known.into_iter().filter(|(_, anchor)| has(anchor)).map(|(kind, _)| kind.to_owned()).collect())
    }
}
