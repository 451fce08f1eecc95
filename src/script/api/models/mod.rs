//! `models::`, the networks of latent-diffusion research. What each can do is in a file of its own.

pub mod sit;
pub mod vae;
pub mod vision;

use crate::api;
use crate::error::{Error, Result};
use crate::models::encoder::{Ffn, VitOptions};
use crate::models::{AutoencoderKl, Encoder, EncoderOptions, Inception, Lpips, PatchGan, PatchGanConfig, Sit, SitConfig, VaeConfig};
use crate::nn::layers::Activation;
use crate::nn::{LoadReport, Module, State, Weights, read_state};
use crate::script::Cx;
use crate::script::lang::value::{FromArg, Kw};
use crate::torch::Tensor;
use rhai::{Array, Dynamic, Map};
use std::path::{Path, PathBuf};

/// The name of an architecture, or its sizes as a map (which may name one to start from: `#{name: "SiT-B/2", in_channels: 32}`).
pub struct Architecture {
    name: Option<String>,
    map: Map,
}

impl FromArg for Architecture {
    const NAME: &'static str = "a name or a map of sizes";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(name) = String::from_dynamic(d) {
            return Some(Architecture { name: Some(name), map: Map::new() });
        }
        Map::from_dynamic(d).map(|map| Architecture { name: None, map })
    }
}

impl Architecture {
    /// The name, if there is one, and all sizes: those of the map, then those of `opts`.
    fn read(mut self, cx: &Cx, opts: Map) -> Result<(Option<String>, Kw)> {
        self.map.extend(opts);
        let mut kw = Kw::new(cx.name(), self.map);
        let inner = kw.opt("name")?;
        Ok((self.name.or(inner), kw))
    }
}

/// Weights as scripts give them, with option `key`: a file or folder, in which the module's part is found, or a map of tensors.
fn weights(cx: &Cx, module: &Module, given: Option<Dynamic>, key: Option<String>) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    load_weights(cx, module, &given, key.as_deref(), true).map(|_| ())
}

/// Loads weights into a module: a path, several, or a map of tensors. Of a checkpoint the part that is this module's is taken.
pub(crate) fn load_weights(cx: &Cx, module: &Module, given: &Dynamic, key: Option<&str>, strict: bool) -> Result<LoadReport> {
    let Some(path) = String::from_dynamic(given) else {
        if key.is_some() {
            return Err(Error::value("weights", "option `key` is for files and folders"));
        }
        return module.load_state(&state(cx, given)?, strict);
    };
    let path = Path::new(&path);
    cx.readable_within(path)?;
    let state = Weights::open(path)?.for_module(module, key)?;
    module.load_state(&state, strict).map_err(|e| e.context(format!("`{}`", path.display())))
}

fn state(cx: &Cx, given: &Dynamic) -> Result<State> {
    if let Some(map) = Map::from_dynamic(given) {
        let entry =
            |(k, v): (_, &Dynamic)| Tensor::from_dynamic(v).map(|t| (k, t)).ok_or_else(|| Error::value("weights", "the map must hold tensors only"));
        return map.iter().map(|(k, v)| entry((k.to_string(), v))).collect();
    }
    let mut state = State::new();
    for path in files(cx, given)? {
        state.extend(read_state(&path, None)?);
    }
    Ok(state)
}

fn files(cx: &Cx, given: &Dynamic) -> Result<Vec<PathBuf>> {
    let many = || Array::from_dynamic(given)?.iter().map(String::from_dynamic).collect::<Option<Vec<_>>>();
    let names = String::from_dynamic(given).map(|p| vec![p]).or_else(many);
    let names = names.ok_or_else(|| Error::value("weights", "must be a path, an array of paths, or a map of tensors"))?;
    names.iter().map(|n| cx.readable_within(n).map(|()| Path::new(n).to_owned())).collect()
}

fn vae_config(base: VaeConfig, kw: &mut Kw) -> Result<VaeConfig> {
    let z_channels = kw.get("z_channels", base.z_channels)?;
    Ok(VaeConfig {
        ch: kw.get("ch", base.ch)?,
        ch_mult: kw.get("ch_mult", base.ch_mult)?,
        num_res_blocks: kw.get("num_res_blocks", base.num_res_blocks)?,
        z_channels,
        embed_dim: kw.get("embed_dim", z_channels)?,
        attn_resolutions: kw.get("attn_resolutions", base.attn_resolutions)?,
        resolution: kw.get("resolution", base.resolution)?,
        in_channels: kw.get("in_channels", base.in_channels)?,
        out_ch: kw.get("out_ch", base.out_ch)?,
        dropout: kw.get("dropout", base.dropout)?,
        norm_groups: kw.get("norm_groups", base.norm_groups)?,
    })
}

fn sit_config(name: Option<&str>, kw: &mut Kw) -> Result<SitConfig> {
    let base = match name {
        Some(name) => SitConfig::named(name)?,
        None => SitConfig::sized(kw.required("depth")?, kw.required("hidden")?, kw.required("heads")?),
    };
    let depth = kw.get("depth", base.depth)?;
    Ok(SitConfig {
        depth,
        hidden: kw.get("hidden", base.hidden)?,
        heads: kw.get("heads", base.heads)?,
        patch: kw.get("patch", base.patch)?,
        input_size: kw.get("input_size", base.input_size)?,
        in_channels: kw.get("in_channels", base.in_channels)?,
        num_classes: kw.get("num_classes", base.num_classes)?,
        z_dims: kw.get("z_dims", base.z_dims)?,
        encoder_depth: kw.get("encoder_depth", SitConfig::default_encoder_depth(depth))?,
        qk_norm: kw.get("qk_norm", base.qk_norm)?,
        class_dropout: kw.get("class_dropout", base.class_dropout)?,
        projector_dim: kw.get("projector_dim", base.projector_dim)?,
        mlp_ratio: kw.get("mlp_ratio", base.mlp_ratio)?,
        bn_momentum: kw.get("bn_momentum", base.bn_momentum)?,
    })
}

fn one_file(files: Vec<PathBuf>) -> Result<PathBuf> {
    let n = files.len();
    let mut files = files.into_iter();
    files.next().filter(|_| n == 1).ok_or_else(|| Error::value("encoder", format!("the weights of a vision model are in one file, got {n}")))
}

fn encoder_options(kw: &mut Kw) -> Result<EncoderOptions> {
    let three = |v: Option<Vec<f64>>, what: &str| {
        let three = |v: Vec<f64>| {
            v.try_into()
                .map_err(|v: Vec<f64>| Error::value("encoder", format!("option `{what}` has one number for each of 3 channels, got {}", v.len())))
        };
        v.map(three).transpose()
    };
    let ffn = |name: String| if name == "swiglu" { Ok(Ffn::SwiGlu) } else { Activation::parse(&name).map(Ffn::Mlp) };
    let vit = VitOptions {
        embed_dim: kw.opt("embed_dim")?,
        depth: kw.opt("depth")?,
        heads: kw.opt("heads")?,
        patch: kw.opt("patch")?,
        native_grid: kw.opt("native_grid")?,
        pos_grid: kw.opt("pos_grid")?,
        registers: kw.opt("registers")?,
        mlp_ratio: kw.opt("mlp_ratio")?,
        ffn: kw.opt("ffn")?.map(ffn).transpose()?,
        layer_scale: kw.opt("layer_scale")?,
        eps: kw.opt("eps")?,
        interpolate_offset: kw.opt("interpolate_offset")?,
        interpolate_antialias: kw.opt("interpolate_antialias")?,
    };
    let output: Option<Dynamic> = kw.opt("output")?;
    Ok(EncoderOptions {
        weights: None,
        key: kw.opt("key")?,
        resolution: kw.opt("resolution")?,
        pictures: kw.opt("pictures")?,
        stride: kw.opt("stride")?,
        mean: three(kw.opt("mean")?, "mean")?,
        std: three(kw.opt("std")?, "std")?,
        skip: kw.opt("skip")?,
        output: output.map(|o| o.to_string()),
        vit,
    })
}

api! {
    namespace "models";

    /// Variational autoencoder of latent diffusion (AutoencoderKL): `f8d4`, `f16d32`, or any sizes.
    ///
    /// Sizes, with f8d4's values: `ch` (128), `ch_mult` ([1, 2, 4, 4], each further level halves the picture), `num_res_blocks` (2), `z_channels` (4),
    /// `embed_dim` (as `z_channels`), `attn_resolutions` ([16]) and `resolution` (256): attention where `resolution / 2^level` is one of them, whatever
    /// the pictures' size; `in_channels`, `out_ch` (3), `dropout` (0), `norm_groups` (32). `weights`: a file, a folder or a map of tensors, with the
    /// names of latent diffusion, REPA-E or diffusers; `key`: the part of a checkpoint, where several fit. A folder of diffusers in place of the
    /// architecture gives both: the sizes of its config.json and its weights.
    ///
    /// # Shapes
    /// - `encode`: `[B, 3, H, W]` in [-1, 1] -> a posterior of `[B, z_channels, H / f, W / f]`, `f = 2^(levels - 1)`
    /// # Errors
    /// `E0202` for sizes that make no network, `E0401` for weights of another one.
    /// # Example
    /// ```rhai
    /// let vae = models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 4});
    /// let posterior = vae.encode(torch::zeros([2, 3, 16, 16]));
    /// assert_eq(posterior.mean.shape, [2, 4, 8, 8]);
    /// assert_eq(vae.decode(posterior.sample()).shape, [2, 3, 16, 16]);
    /// ```
    fn vae[cx](architecture: Architecture, opts: Option<Map>) -> Module {
        let (name, mut kw) = architecture.read(cx, opts.unwrap_or_default())?;
        let folder = name.clone().filter(|n| !VaeConfig::NAMES.contains(&n.as_str()) && Path::new(n).is_dir());
        let base = match (&folder, &name) {
            (Some(folder), _) => {
                cx.readable_within(folder)?;
                VaeConfig::from_folder(Path::new(folder))?
            }
            (None, Some(name)) => VaeConfig::named(name)?,
            (None, None) => VaeConfig::default(),
        };
        let config = vae_config(base, &mut kw)?;
        let (given, key) = (kw.opt("weights")?, kw.opt("key")?);
        kw.done()?;
        let kind = name.map_or("vae".into(), |n| format!("vae {n}"));
        let module = AutoencoderKl::module(&kind, config)?;
        weights(cx, &module, given.or_else(|| folder.map(Dynamic::from)), key)?;
        Ok(module)
    }

    /// Diffusion transformer SiT as REPA trains it: `SiT-S`, `-B`, `-L` or `-XL` with `/1`, `/2`, `/4`, `/8`, or any sizes.
    ///
    /// Sizes: `depth`, `hidden`, `heads` (needed where no name is given), `patch` (2), `input_size` (32), `in_channels` (4), `num_classes` (1000; the null
    /// label is `num_classes`), `z_dims` ([768], widths of the alignment targets), `encoder_depth` (a third of the depth, at most 8), `qk_norm` (false),
    /// `class_dropout` (0.1), `projector_dim` (2048), `mlp_ratio` (4), `bn_momentum` (0.1). `weights`: a file or a map of tensors; `key`: the part of a
    /// checkpoint, which otherwise is the average (`ema`) where there is one.
    ///
    /// # Shapes
    /// - `forward(x_t, t, y)`: `[B, C, h, w]`, `[B]` in [0, 1], i64 `[B]` -> velocity `[B, C, h, w]`
    /// # Errors
    /// `E0202` for sizes that make no network, `E0401` for weights of another one.
    /// # Example
    /// ```rhai
    /// let sit = models::sit(#{depth: 2, hidden: 32, heads: 2, patch: 1, input_size: 4, num_classes: 3, z_dims: [8], projector_dim: 16});
    /// let out = sit.forward_features(torch::randn([2, 4, 4, 4]), torch::rand([2]), torch::tensor([0, 2]));
    /// assert_eq(out.velocity.shape, [2, 4, 4, 4]);
    /// assert_eq(out.projected[0].shape, [2, 16, 8]);
    /// ```
    fn sit[cx](architecture: Architecture, opts: Option<Map>) -> Module {
        let (name, mut kw) = architecture.read(cx, opts.unwrap_or_default())?;
        let config = sit_config(name.as_deref(), &mut kw)?;
        let (given, key) = (kw.opt("weights")?, kw.opt("key")?);
        kw.done()?;
        let module = Sit::module(&name.unwrap_or_else(|| "sit".into()), config)?;
        weights(cx, &module, given, key)?;
        Ok(module)
    }

    /// PatchGAN discriminator. Options: `ndf` (64), `layers` (3), `in_channels` (3), `weights` (a file or a map of tensors), `key` (the part of a
    /// checkpoint, found by itself where one fits).
    ///
    /// # Shapes
    /// - `forward`: `[B, 3, H, W]` -> logits `[B, 1, H', W']`, one for each patch
    /// # Errors
    /// `E0202` for sizes that make no network, `E0401` for weights of another one.
    /// # Example
    /// ```rhai
    /// let disc = models::discriminator(#{ndf: 4, layers: 2});
    /// assert(type_of(disc) != "()", "a module");
    /// ```
    fn discriminator[cx](opts: Kw) -> Module {
        let mut kw = opts;
        let d = PatchGanConfig::default();
        let config = PatchGanConfig { ndf: kw.get("ndf", d.ndf)?, layers: kw.get("layers", d.layers)?, in_channels: kw.get("in_channels", d.in_channels)? };
        let (given, key) = (kw.opt("weights")?, kw.opt("key")?);
        kw.done()?;
        let module = PatchGan::module(config)?;
        weights(cx, &module, given, key)?;
        Ok(module)
    }

    /// Perceptual distance LPIPS (VGG16), frozen. Options: `weights`, which are needed: torchvision's `vgg16-397923af.pth` and the heads `vgg.pth` of the
    /// PyPI package lpips 0.1.4 as an array of paths, or a map of tensors. Like REPA-E it maps its inputs by `x * 2 - 1` once more.
    ///
    /// # Shapes
    /// - `forward(a, b)`: `[B, 3, H, W]` twice -> `[B, 1, 1, 1]`
    /// # Errors
    /// `E0202` without weights, naming the files; `E0401` for weights of another network.
    /// # Example
    /// ```rhai
    /// // Random weights of the right shapes; of use are only the published ones: `#{weights: ["vgg16-397923af.pth", "vgg.pth"]}`.
    /// let weights = #{};
    /// let index = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    /// let width = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
    /// for (n, i) in index {
    ///     weights[`features.${n}.weight`] = torch::randn([width[i + 1], width[i], 3, 3]) * 0.05;
    ///     weights[`features.${n}.bias`] = torch::zeros([width[i + 1]]);
    /// }
    /// for (c, i) in [64, 128, 256, 512, 512] { weights[`lin${i}.model.1.weight`] = torch::rand([1, c, 1, 1]); }
    /// let lpips = models::lpips(#{weights: weights});
    /// let x = torch::rand([1, 3, 32, 32]);
    /// assert_eq(lpips.forward(x, x).item(), 0.0);
    /// assert(lpips.forward(x, 1.0 - x).item() > 0.0);
    /// ```
    fn lpips[cx](opts: Kw) -> Module {
        let mut kw = opts;
        let given: Option<Dynamic> = kw.opt("weights")?;
        kw.done()?;
        match given {
            Some(given) if given.is_map() => Lpips::with_state(&state(cx, &given)?),
            Some(given) => Lpips::module(&files(cx, &given)?),
            None => Lpips::module(&[]),
        }
    }

    /// InceptionV3 in the layout behind FID (TensorFlow's `inception-2015-12-05`), frozen. Options: `weights`, which are needed: pytorch-fid's
    /// `pt_inception-2015-12-05-6726825d.pth` (95 MB), or a map of tensors. `.activations(images)` gives `#{pool, spatial, logits}`.
    ///
    /// # Shapes
    /// - `pooled(x)`: `[B, 3, H, W]` u8, or floats in [-1, 1] -> `[B, 2048]`; `logits(x)` -> `[B, 1008]`
    /// # Errors
    /// `E0202` without weights, saying where to get them; `E0401` for weights of another network.
    /// # Example
    /// ```rhai
    /// let net = models::inception(#{pretrained: false});
    /// assert_eq(net.activations(torch::zeros([1, 3, 32, 32])).pool.shape, [1, 2048]);
    /// ```
    /// ```rhai
    /// let message = "";
    /// try { models::inception() } catch (e) { message = `${e.help}`; }
    /// assert(message.contains("pt_inception-2015-12-05-6726825d.pth"), message);
    /// ```
    fn inception[cx](opts: Kw) -> Module {
        let mut kw = opts;
        let given: Option<Dynamic> = kw.opt("weights")?;
        let pretrained = kw.get("pretrained", true)?;
        kw.done()?;
        match given {
            Some(_) if !pretrained => Err(Error::value("inception", "`pretrained: false` and `weights` exclude each other")),
            None if !pretrained => Inception::untrained(),
            Some(given) if given.is_map() => Inception::with_state(&state(cx, &given)?),
            Some(given) => match &files(cx, &given)?[..] {
                [file] => Inception::module(Some(file.clone())),
                list => Err(Error::value("inception", format!("the weights are one file, got {}", list.len()))),
            },
            None => Inception::module(None),
        }
    }

    /// Frozen vision model: the target of alignment. A name, or a map of sizes with a `name` (`#{name: "dinov2-vit-b", depth: 2, ..}`).
    ///
    /// | name | tokens of pictures of 256 | source |
    /// |---|---|---|
    /// | `dinov2-vit-s`, `-b`, `-l`, `-g` | 16x16 of 384, 768, 1024, 1536: `x_norm_patchtokens` | facebookresearch/dinov2, arXiv 2304.07193 |
    /// | `dinov2reg-vit-s`, `-b`, `-l`, `-g` | the same, with 4 registers | arXiv 2309.16588 |
    /// | `clip-vit-L` | 16x16 of 1024, before `ln_post` and `proj` | openai/CLIP, arXiv 2103.00020 |
    /// | `jepa-vit-h` | 16x16 of 1280, after the norm | facebookresearch/ijepa, arXiv 2301.08243 |
    /// | `mae-vit-b`, `-l`, `-h` | 16x16 of 768, 1024, 1280, before the norm | facebookresearch/mae, arXiv 2111.06377 |
    /// | `mocov3-vit-s`, `-b`, `-l` | 16x16 of 384, 768, 1024, after the norm | facebookresearch/moco-v3, arXiv 2104.02057 |
    /// | `dinov1-vit-s`, `-b` | 16x16 of 384, 768, after the norm | facebookresearch/dino, arXiv 2104.14294 |
    /// | `efficientnet-lite0` | 14x14 of 112 | tensorflow/tpu, arXiv 1905.11946 |
    /// | `torchscript:PATH` | what the program returns: `[B, N, D]`, or a map `[B, C, h, h]` | any |
    ///
    /// Each has the preprocessing of its reference, as REPA applies it. Class token and registers are left out.
    ///
    /// Options: `weights`: a file (.pth, .safetensors, ..), a folder of Hugging Face, or a map of tensors, with the official names or those of
    /// Hugging Face; without it the file is looked for in `LATHE_WEIGHTS` and in the cache folder (the error says where to get it). `key`: the place
    /// of the weights in a checkpoint. `pretrained: false`: random weights. `resolution`: side of the network's input, to which pictures are
    /// resized; or `pictures`: side of the pictures, from which it follows as in REPA (the same for patches of 16, 14/16 for patches of 14).
    /// `mean`, `std`: arrays of 3, in [0, 1].
    ///
    /// Sizes of a transformer: `embed_dim`, `depth`, `heads`, `patch`, `registers`, `mlp_ratio`, `ffn` ("gelu", "quick_gelu" or "swiglu"),
    /// `layer_scale`, `eps`; `native_grid`: patches along a side in the published position table, which is resampled to the input's grid on loading
    /// (bicubic with antialiasing, as timm does), or to `pos_grid`; where that is another grid than the input's, the forward pass
    /// interpolates as DINO and DINOv2 do, with `interpolate_offset` and `interpolate_antialias`.
    ///
    /// Of `efficientnet-lite0`: `stride` (16; pixels along a side of a token: 2, 4, 8, 16, 32).
    ///
    /// Of `torchscript:PATH`: `resolution` (224); pictures are divided by 255, normalised by `mean` and `std` (ImageNet's), then resized. `skip`:
    /// tokens to leave out at the front, such as a class token; `output`: key or index of the tokens where a dict, tuple or list comes back.
    /// It is a program: load only files that you trust.
    ///
    /// # Shapes
    /// - `features`: u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, grid * grid, dim]`
    /// # Errors
    /// `E0202` for an unknown name or option, `E0301` when the weights are not there, `E0302` for a broken file, `E0401` for weights of another
    /// network.
    /// # Example
    /// ```rhai
    /// let sizes = #{embed_dim: 16, depth: 2, heads: 2, native_grid: 5, resolution: 56, pretrained: false};
    /// let encoder = models::encoder("dinov2-vit-b", sizes);
    /// assert_eq([encoder.dim, encoder.grid, encoder.resolution], [16, 4, 56]);
    /// assert_eq(encoder.features(torch::zeros([2, 3, 64, 64])).shape, [2, 16, 16]);
    /// ```
    fn encoder[cx](architecture: Architecture, opts: Option<Map>) -> Module {
        let (name, mut kw) = architecture.read(cx, opts.unwrap_or_default())?;
        let name = name.ok_or_else(|| Error::value("encoder", "which model? the map has no `name`").help("`#{name: \"dinov2-vit-b\", ..}`"))?;
        if let Some(path) = name.strip_prefix("torchscript:") {
            cx.unrestricted("run a TorchScript program")?;
            cx.readable(path)?;
        }
        let given: Option<Dynamic> = kw.opt("weights")?;
        let pretrained = kw.get("pretrained", true)?;
        let mut options = encoder_options(&mut kw)?;
        kw.done()?;
        match given {
            Some(_) if !pretrained => Err(Error::value("encoder", "`pretrained: false` and `weights` exclude each other")),
            None if !pretrained => Encoder::untrained(&name, options),
            Some(given) if given.is_map() => Encoder::with_state(&name, options, &state(cx, &given)?),
            given => {
                options.weights = given.map(|g| files(cx, &g)).transpose()?.map(one_file).transpose()?;
                Encoder::module(&name, options)
            }
        }
    }
}
