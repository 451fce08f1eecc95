//! Architectures as others describe them: the `config.json` of a diffusers folder, and the sizes of a state dict.

use super::VaeConfig;
use super::names::ANCHOR;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::nn::weights::read_json;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Levels are told apart by a nominal resolution that halves: no more fit.
const MAX_LEVELS: usize = 8;
const NOMINAL: i64 = 256;

impl VaeConfig {
    /// The architecture of a folder as diffusers writes it: its `config.json`, or that in `vae/` of a whole pipeline.
    ///
    /// # Errors
    /// `E0301` when there is none, `E0302` when it is malformed or describes an autoencoder of another kind.
    pub fn from_folder(folder: &Path) -> Result<VaeConfig> {
        let path = config_file(folder)?;
        let config = read_json(&path)?;
        Self::from_diffusers(&config).map_err(|what| Error::data(&path, what))
    }

    /// How that folder's generators scale latents, as its `config.json` says it: `scaling_factor`, `shift_factor`, `latents_mean`, `latents_std`.
    ///
    /// # Errors
    /// As [`VaeConfig::from_folder`].
    pub fn scaling_of(folder: &Path) -> Result<serde_json::Map<String, Value>> {
        let config = read_json(&config_file(folder)?)?;
        let known = ["scaling_factor", "shift_factor", "latents_mean", "latents_std"];
        Ok(known.into_iter().filter_map(|k| Some((k.to_owned(), config.get(k).filter(|v| !v.is_null())?.clone()))).collect())
    }

    /// The same from the text of a `config.json`.
    fn from_diffusers(config: &Value) -> Result<VaeConfig, String> {
        if !config.is_object() {
            return Err("not a JSON object".into());
        }
        let class = config.get("_class_name").and_then(Value::as_str).unwrap_or("AutoencoderKL");
        if class != "AutoencoderKL" {
            return Err(format!("describes a `{class}`, not an AutoencoderKL"));
        }
        let int = |key: &str, default: i64| match config.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(v) => v.as_i64().filter(|n| (1..=1 << 20).contains(n)).ok_or_else(|| format!("`{key}` is no size: {v}")),
        };
        let yes = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(true);
        if !yes("mid_block_add_attention") {
            return Err("has `mid_block_add_attention: false`, which this autoencoder cannot be without".into());
        }
        if let Some(act) = config.get("act_fn").and_then(Value::as_str).filter(|a| !matches!(*a, "silu" | "swish")) {
            return Err(format!("has the activation `{act}`; only silu is known"));
        }
        let widths = config.get("block_out_channels").and_then(Value::as_array).ok_or("has no `block_out_channels`")?;
        let widths = widths.iter().map(|w| w.as_i64().filter(|n| (1..=1 << 20).contains(n))).collect::<Option<Vec<_>>>();
        let widths = widths.filter(|w| (1..=MAX_LEVELS).contains(&w.len())).ok_or(format!("`block_out_channels` must be 1 to {MAX_LEVELS} sizes"))?;
        let ch = widths[0];
        if let Some(w) = widths.iter().find(|w| **w % ch != 0) {
            return Err(format!("the width {w} is no multiple of the first, {ch}"));
        }
        let attention = |key: &str, plain: &str, attending: &str| {
            let Some(types) = config.get(key).and_then(Value::as_array) else { return Ok(vec![false; widths.len()]) };
            let known = |t: &Value| match t.as_str() {
                Some(t) if t == plain => Ok(false),
                Some(t) if t == attending => Ok(true),
                _ => Err(format!("`{key}` has an unknown block {t}")),
            };
            types.iter().map(known).collect::<Result<Vec<_>, _>>().and_then(|a| {
                if a.len() == widths.len() { Ok(a) } else { Err(format!("`{key}` has {} entries for {} levels", a.len(), widths.len())) }
            })
        };
        let down = attention("down_block_types", "DownEncoderBlock2D", "AttnDownEncoderBlock2D")?;
        let mut up = attention("up_block_types", "UpDecoderBlock2D", "AttnUpDecoderBlock2D")?;
        up.reverse();
        if up != down {
            return Err("has attention in different levels of encoder and decoder".into());
        }
        let z_channels = int("latent_channels", 4)?;
        Ok(VaeConfig {
            ch,
            ch_mult: widths.iter().map(|w| w / ch).collect(),
            num_res_blocks: int("layers_per_block", 1)?,
            z_channels,
            embed_dim: z_channels,
            attn_resolutions: resolutions(&down),
            resolution: NOMINAL,
            in_channels: int("in_channels", 3)?,
            out_ch: int("out_channels", 3)?,
            norm_groups: int("norm_num_groups", 32)?,
            use_quant_conv: yes("use_quant_conv"),
            use_post_quant_conv: yes("use_post_quant_conv"),
            ..VaeConfig::default()
        })
    }

    /// The `config.json` that diffusers needs for this architecture.
    ///
    /// # Errors
    /// `E0202` when diffusers has no such autoencoder.
    pub fn to_diffusers(&self) -> Result<Value> {
        if self.embed_dim != self.z_channels {
            let message = format!(
                "diffusers' autoencoder has one number of latent channels, this one z_channels {} and embed_dim {}",
                self.z_channels, self.embed_dim
            );
            return Err(Error::value("vae", message));
        }
        let attends: Vec<bool> = (0..self.ch_mult.len()).map(|i| self.attn_resolutions.contains(&(self.resolution >> i))).collect();
        let down: Vec<_> = attends.iter().map(|a| if *a { "AttnDownEncoderBlock2D" } else { "DownEncoderBlock2D" }).collect();
        let up: Vec<_> = attends.iter().rev().map(|a| if *a { "AttnUpDecoderBlock2D" } else { "UpDecoderBlock2D" }).collect();
        let mut config = json!({
            "_class_name": "AutoencoderKL",
            "act_fn": "silu",
            "block_out_channels": self.ch_mult.iter().map(|m| m * self.ch).collect::<Vec<_>>(),
            "down_block_types": down,
            "in_channels": self.in_channels,
            "latent_channels": self.z_channels,
            "layers_per_block": self.num_res_blocks,
            "norm_num_groups": self.norm_groups,
            "out_channels": self.out_ch,
            "sample_size": NOMINAL,
            "up_block_types": up,
        });
        for (key, on) in [("use_quant_conv", self.use_quant_conv), ("use_post_quant_conv", self.use_post_quant_conv)] {
            if !on {
                config[key] = json!(false);
            }
        }
        Ok(config)
    }

    /// The architecture of a state dict with this family's own names, from its sizes. `norm_groups`, which no size tells, is given.
    ///
    /// # Errors
    /// `E0401` when it is no autoencoder of this family.
    pub fn of_state(state: &State, norm_groups: i64) -> Result<VaeConfig> {
        let shape = |name: &str| state.get(name).map(|t| t.shape()).filter(|s| s.len() == 4);
        let lacking = |name: &str| Error::weights(format!("not the weights of an autoencoder: it has no `{name}`"));
        let need = |name: &str| shape(name).ok_or_else(|| lacking(name));
        let first = need(ANCHOR)?;
        let ch = first[0];
        let levels = (0..).take_while(|i| shape(&format!("encoder.down.{i}.block.0.conv1.weight")).is_some()).count();
        if !(1..=MAX_LEVELS).contains(&levels) || ch < 1 {
            return Err(lacking("encoder.down.0.block.0.conv1.weight"));
        }
        let mut ch_mult = Vec::new();
        for i in 0..levels {
            let width = need(&format!("encoder.down.{i}.block.0.conv1.weight"))?[0];
            if width % ch != 0 {
                return Err(Error::weights(format!("level {i} of the autoencoder has the width {width}, no multiple of {ch}")));
            }
            ch_mult.push(width / ch);
        }
        let attends: Vec<bool> = (0..levels).map(|i| state.contains_key(&format!("encoder.down.{i}.attn.0.q.weight"))).collect();
        Ok(VaeConfig {
            ch,
            ch_mult,
            num_res_blocks: (0..).take_while(|j| state.contains_key(&format!("encoder.down.0.block.{j}.conv1.weight"))).count() as i64,
            z_channels: need("encoder.conv_out.weight")?[0] / 2,
            embed_dim: shape("quant_conv.weight").map_or(need("encoder.conv_out.weight")?[0], |s| s[0]) / 2,
            use_quant_conv: shape("quant_conv.weight").is_some(),
            use_post_quant_conv: shape("post_quant_conv.weight").is_some(),
            attn_resolutions: resolutions(&attends),
            resolution: NOMINAL,
            in_channels: first[1],
            out_ch: need("decoder.conv_out.weight")?[0],
            norm_groups,
            ..VaeConfig::default()
        })
    }
}

/// The nominal resolutions of the levels that have attention.
fn resolutions(attends: &[bool]) -> Vec<i64> {
    attends.iter().enumerate().filter(|(_, a)| **a).map(|(i, _)| NOMINAL >> i).collect()
}

fn config_file(folder: &Path) -> Result<PathBuf> {
    let tried = [folder.join("config.json"), folder.join("vae/config.json")];
    match tried.iter().find(|p| p.is_file()) {
        Some(p) => Ok(p.clone()),
        None => Err(Error::data(folder, "no folder of diffusers: neither it nor `vae` in it has a config.json")
            .help("give the architecture as a name or a map, and the folder as `#{weights: folder}`")),
    }
}
