//! `models::`, the networks of latent-diffusion research. What each can do is in a file of its own.

pub mod given;
pub mod sit;
pub mod sizes;
pub mod vae;
pub mod vision;

use crate::error::{Error, Result};
use crate::models::encoder::{Ffn, VitOptions};
use crate::models::{AutoencoderKl, Encoder, EncoderOptions, Inception, Lpips, PatchGan, PatchGanConfig, Sit, SitConfig, VaeConfig};
use crate::nn::Module;
use crate::nn::layers::Activation;
use crate::script::api::models::given::{Given, files, load, place, published, state};
use crate::script::lang::options::{OrOptions, Over};
use crate::script::lang::value::FromArg;
use crate::{api, options};
use rhai::Dynamic;
use std::path::PathBuf;

options! {
    VaeConfig {
        /// channels of the first level
        ch,
        /// channels of each level over `ch`; each further one halves the picture
        ch_mult,
        /// blocks in a level
        num_res_blocks,
        /// channels of the latent
        z_channels,
        /// attention where `resolution / 2^level` is one of them, whatever the pictures' size
        attn_resolutions,
        /// the size that `attn_resolutions` refer to
        resolution,
        /// channels of pictures
        in_channels,
        /// channels of reconstructions
        out_ch,
        /// probability of dropout
        dropout,
        /// groups of the norms
        norm_groups,
    }
    SitConfig {
        /// side of a patch
        patch,
        /// side of the latents, or their height and width
        input_size,
        /// channels of the latents
        in_channels,
        /// how many classes there are; the null label is the one behind them
        num_classes,
        /// widths of the alignment targets
        z_dims,
        /// whether queries and keys are normalised
        qk_norm,
        /// how often a label is left out in training
        class_dropout,
        /// width of the projectors
        projector_dim,
        /// width of the hidden layers over the width
        mlp_ratio,
        /// weight of a batch in the running statistics
        bn_momentum,
    }
    PatchGanConfig {
        /// channels of the first layer
        ndf,
        /// how many layers halve the picture
        layers,
        /// channels of pictures
        in_channels,
        /// whether a batch is normalised between the convolutions; without it no picture's logits depend on the others
        batch_norm,
    }
    VitOptions {
        /// width of the tokens
        embed_dim,
        /// how many blocks there are
        depth,
        /// heads of attention
        heads,
        /// side of a patch
        patch,
        /// side of the grid that the positions were made for, or [rows, columns]
        native_grid,
        /// side of the grid of positions in the network, or [rows, columns]
        pos_grid,
        /// register tokens
        registers,
        /// width of the hidden layers over the width
        mlp_ratio,
        /// the activation of the feed-forward layers, or `swiglu`
        ffn,
        /// whether branches are scaled
        layer_scale,
        /// added to the variance in the norms
        eps,
        /// added to the grid where positions are interpolated
        interpolate_offset,
        /// whether positions are interpolated with antialiasing
        interpolate_antialias,
    }
    EncoderOptions {
        /// the part of a checkpoint that holds the weights
        key,
        /// side of the network's input, or [height, width]; the model's own unless given
        resolution,
        /// side of the pictures that will come, or [height, width], from which the resolution follows as in REPA
        pictures,
        /// picture pixels along one side of a token, for models with maps of several sizes
        stride,
        /// mean of the normalisation, in [0, 1]; the model's own unless given
        mean,
        /// deviation of the normalisation; the model's own unless given
        std,
        /// tokens to leave out at the front of a TorchScript program's
        skip,
        vit,
    }
}

impl FromArg for Ffn {
    const NAME: &'static str = "the name of an activation, or \"swiglu\"";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        match String::from_dynamic(d)?.as_str() {
            "swiglu" => Some(Ffn::SwiGlu),
            name => Activation::parse(name).map(Ffn::Mlp).ok(),
        }
    }
    fn explain(d: &Dynamic) -> Option<Error> {
        Activation::parse(&String::from_dynamic(d)?).err()
    }
}

/// The size of a transformer that no name gives.
fn needed(option: &str, given: Option<i64>) -> Result<i64> {
    given.ok_or_else(|| Error::value("sit", format!("option `{option}` is required: {}", i64::NAME)))
}

fn one_file(files: Vec<PathBuf>) -> Result<PathBuf> {
    let n = files.len();
    let mut files = files.into_iter();
    files.next().filter(|_| n == 1).ok_or_else(|| Error::value("encoder", format!("the weights of a vision model are in one file, got {n}")))
}

api! {
    namespace "models";

    /// Variational autoencoder of latent diffusion (AutoencoderKL): `f8d4`, `f8d16`, `f16d32`, or any sizes.
    ///
    /// Weights have the names of latent diffusion, REPA-E or diffusers. A folder of diffusers in place of the architecture gives both: the
    /// sizes of its config.json and its weights. Where the weights have no `quant_conv` (FLUX, Stable Diffusion 3), the autoencoder has none.
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
    fn vae[cx](architecture: OrOptions;
        /// the architecture to start from, in a map of sizes
        name: Option<String>,
        sizes: Over<VaeConfig>,
        /// channels of the latent before its last layer; as `z_channels` unless given
        embed_dim: Option<i64>,
        /// whether a 1x1 convolution makes the moments; as the weights have it unless given
        use_quant_conv: Option<bool>,
        /// whether a 1x1 convolution stands before the decoder; as the weights have it unless given
        use_post_quant_conv: Option<bool>,
        /// a file, a folder or a map of tensors
        weights: Option<Dynamic>,
        /// the part of a checkpoint, where several fit
        key: Option<String>,
    ) -> Module {
        let name = architecture.0.or(name);
        let named = name.clone().filter(|n| !VaeConfig::NAMES.contains(&n.as_str()));
        let folder = named.map(|n| place(cx, &n)).transpose()?.filter(|p| p.is_dir());
        let base = match (&folder, &name) {
            (Some(folder), _) => VaeConfig::from_folder(folder)?,
            (None, Some(name)) => VaeConfig::named(name)?,
            (None, None) => VaeConfig::default(),
        };
        let config = sizes.over(base)?;
        let given = weights.or_else(|| folder.map(|f| f.display().to_string().into())).map(|w| Given::open(cx, &w)).transpose()?;
        let found = given.as_ref().map(|g| g.quant_convs(key.as_deref())).transpose()?.flatten();
        let [quant, post_quant] = found.unwrap_or([config.use_quant_conv, config.use_post_quant_conv]);
        let config = VaeConfig {
            embed_dim: embed_dim.unwrap_or(config.z_channels),
            use_quant_conv: use_quant_conv.unwrap_or(quant),
            use_post_quant_conv: use_post_quant_conv.unwrap_or(post_quant),
            ..config
        };
        let kind = name.map_or("vae".into(), |n| format!("vae {n}"));
        let module = AutoencoderKl::module(&kind, config)?;
        given.map(|g| g.load(&module, key.as_deref(), true, &[])).transpose()?;
        Ok(module)
    }

    /// Diffusion transformer SiT as REPA trains it: `SiT-S`, `-B`, `-L` or `-XL` with `/1`, `/2`, `/4`, `/8`, or any sizes.
    ///
    /// Of a checkpoint with several parts the average (`ema`) is taken where there is one and no `key` says otherwise.
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
    fn sit[cx](architecture: OrOptions;
        /// the architecture to start from, in a map of sizes
        name: Option<String>,
        /// how many blocks there are; needed where no name is given
        depth: Option<i64>,
        /// width of the tokens; needed where no name is given
        hidden: Option<i64>,
        /// heads of attention; needed where no name is given
        heads: Option<i64>,
        sizes: Over<SitConfig>,
        /// the block whose tokens are aligned; a third of the depth, at most 8, unless given
        encoder_depth: Option<i64>,
        /// a file, a folder or a map of tensors
        weights: Option<Dynamic>,
        /// the part of a checkpoint, where several fit
        key: Option<String>,
    ) -> Module {
        let name = architecture.0.or(name);
        let base = match &name {
            Some(name) => SitConfig::named(name)?,
            None => SitConfig::sized(needed("depth", depth)?, needed("hidden", hidden)?, needed("heads", heads)?),
        };
        let depth = depth.unwrap_or(base.depth);
        let (hidden, heads) = (hidden.unwrap_or(base.hidden), heads.unwrap_or(base.heads));
        let encoder_depth = encoder_depth.unwrap_or_else(|| SitConfig::default_encoder_depth(depth));
        let config = SitConfig { depth, hidden, heads, encoder_depth, ..sizes.over(base)? };
        let module = Sit::module(&name.unwrap_or_else(|| "sit".into()), config)?;
        load(cx, &module, weights, key)?;
        Ok(module)
    }

    /// PatchGAN discriminator.
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
    fn discriminator[cx](;
        config: PatchGanConfig,
        /// a file, a folder or a map of tensors
        weights: Option<Dynamic>,
        /// the part of a checkpoint, where several fit
        key: Option<String>,
    ) -> Module {
        let module = PatchGan::module(config)?;
        load(cx, &module, weights, key)?;
        Ok(module)
    }

    /// Perceptual distance LPIPS (VGG16), frozen. Its weights are torchvision's `vgg16-397923af.pth` and the heads `vgg.pth` of the PyPI package lpips
    /// 0.1.4 (`lathe fetch lpips`); `weights` names others, as an array of paths or a map of tensors. Like REPA-E it maps its inputs by `x * 2 - 1` once
    /// more.
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
    fn lpips[cx](;
        /// the two files as an array of paths, or a map of tensors; those of `lathe fetch lpips` unless given
        weights: Option<Dynamic>,
    ) -> Module {
        match weights {
            Some(given) if given.is_map() => Lpips::with_state(&state(cx, &given)?),
            Some(given) => Lpips::module(&files(cx, &given)?),
            None => Lpips::module(&published(cx, "lpips", Lpips::missing)?),
        }
    }

    /// InceptionV3 in the layout behind FID (TensorFlow's `inception-2015-12-05`), frozen. Its weights are pytorch-fid's
    /// `pt_inception-2015-12-05-6726825d.pth` (95 MB, `lathe fetch inception`); `weights` names others, a file or a map of tensors.
    /// `.activations(images)` gives `#{pool, spatial, logits}`.
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
    fn inception[cx](;
        /// a file or a map of tensors
        weights: Option<Dynamic>,
        /// whether it gets published weights
        pretrained: bool = true,
    ) -> Module {
        match weights {
            Some(_) if !pretrained => Err(Error::value("inception", "`pretrained: false` and `weights` exclude each other")),
            None if !pretrained => Inception::untrained(),
            Some(given) if given.is_map() => Inception::with_state(&state(cx, &given)?),
            Some(given) => match &files(cx, &given)?[..] {
                [file] => Inception::module(file),
                list => Err(Error::value("inception", format!("the weights are one file, got {}", list.len()))),
            },
            None => Inception::module(&one_file(published(cx, "inception", Inception::missing)?)?),
        }
    }

    /// The file or folder of weights that a text names: `hf://owner/repo[@revision]/file` (without a file a folder of diffusers), or a published name
    /// (`lathe fetch --list`) where no file is called so; a path stays as it is. Every function that takes weights does this by itself. What is not
    /// in the caches is fetched where the user allows it (docs/guide/weights.md).
    ///
    /// # Errors
    /// `E0202` for a broken reference, `E0303` for weights that are not there and may not or cannot be fetched.
    /// # Example
    /// ```rhai
    /// assert_eq(models::weights("w/vae.pt"), "w/vae.pt");
    /// ```
    fn weights_of as "weights"[cx](reference: String) -> String { Ok(cx.weights(&reference)?.display().to_string()) }

    /// Frozen vision model: the target of alignment. A name, or a map of sizes with a `name` (`#{name: "dinov2-vit-b", depth: 2, ..}`).
    ///
    /// | name | tokens of pictures of 256 | source |
    /// |---|---|---|
    /// | `dinov2-vit-s`, `-b`, `-l`, `-g` | 16x16 of 384, 768, 1024, 1536: `x_norm_patchtokens` | facebookresearch/dinov2, arXiv 2304.07193 |
    /// | `dinov2reg-vit-s`, `-b`, `-l`, `-g` | the same, with 4 registers | arXiv 2309.16588 |
    /// | `dinov3-vit-s16`, `-s+16`, `-b16`, `-l16`, `-h+16` | 16x16 of 384, 384, 768, 1024, 1280: `x_norm_patchtokens` | facebookresearch/dinov3, arXiv 2508.10104 |
    /// | `webssl-dino300m-full2b-224`, .. (the repositories' names, to `dino7b-full8b-518`) | 16x16 of 1024, .., 4096, after the norm | facebookresearch/webssl, arXiv 2504.01017 |
    /// | `siglip2-b`, `-l`, `-so400m`, `-so400m-patch14` | 16x16 of 768, 1024, 1152, 1152, after `post_layernorm` | google-research/big_vision, arXiv 2502.14786 |
    /// | `pe-core-b`, `-l` | 16x16 of 768, 1024, before `ln_post` | facebookresearch/perception_models, arXiv 2504.13181 |
    /// | `pe-spatial-b`, `-l` | 16x16 of 768, 1024; there is no `ln_post` | the same |
    /// | `clip-vit-L` | 16x16 of 1024, before `ln_post` and `proj` | openai/CLIP, arXiv 2103.00020 |
    /// | `jepa-vit-h` | 16x16 of 1280, after the norm | facebookresearch/ijepa, arXiv 2301.08243 |
    /// | `mae-vit-b`, `-l`, `-h` | 16x16 of 768, 1024, 1280, before the norm | facebookresearch/mae, arXiv 2111.06377 |
    /// | `mocov3-vit-s`, `-b`, `-l` | 16x16 of 384, 768, 1024, after the norm | facebookresearch/moco-v3, arXiv 2104.02057 |
    /// | `dinov1-vit-s`, `-b` | 16x16 of 384, 768, after the norm | facebookresearch/dino, arXiv 2104.14294 |
    /// | `efficientnet-lite0` | 14x14 of 112 | tensorflow/tpu, arXiv 1905.11946 |
    /// | `torchscript:PATH` | what the program returns: `[B, N, D]`, or a map `[B, C, h, h]` | any |
    ///
    /// Each has the preprocessing of its reference, as REPA applies it; DINOv3, SigLIP 2 and Perception Encoder that of their published processors (bilinear with
    /// antialiasing, then normalised; the latter two to [-1, 1]). Class token and registers are left out.
    ///
    /// Weights have the official names, those of Hugging Face (in one file or several) or of timm; without `weights` the file is looked for in `LATHE_WEIGHTS`, in the cache folder and in
    /// the hub's cache, and fetched where that is allowed (docs/guide/weights.md); else the error says where to get it. `pictures` gives the resolution as in REPA: the same for patches of 16, 14/16 for patches of 14.
    ///
    /// Inputs that are no squares, `pictures: [height, width]` or `resolution: [height, width]`, make tokens row by row; `encoder.grid_size` says how many rows
    /// and columns. Positions are interpolated along each side as for squares. TorchScript programs take squares.
    ///
    /// Sizes of a transformer: `embed_dim`, `depth`, `heads`, `patch`, `registers`, `mlp_ratio`, `ffn` ("gelu", "gelu_tanh", "quick_gelu" or "swiglu"),
    /// `layer_scale`, `eps`; `native_grid`: patches along a side in the published position table, which is resampled to the input's grid on loading
    /// (bicubic with antialiasing, as timm does), or to `pos_grid`; where that is another grid than the input's, the forward pass
    /// interpolates as DINO and DINOv2 do, with `interpolate_offset` and `interpolate_antialias`. SigLIP 2 (bicubic) and Perception Encoder (bilinear) are
    /// resampled as their own code does it; DINOv3 has no table, and reads any multiple of 16.
    ///
    /// Of `efficientnet-lite0`: `stride` (16; pixels along a side of a token: 2, 4, 8, 16, 32).
    ///
    /// Of `torchscript:PATH`: `resolution` (224); pictures are divided by 255, normalised by `mean` and `std` (ImageNet's), then resized. `skip`:
    /// tokens to leave out at the front, such as a class token; `output`: key or index of the tokens where a dict, tuple or list comes back.
    /// It is a program of operators on tensors; one that names files, or does anything else, is refused. A script may run those that a flag names
    /// (`--enc-type torchscript:PATH`), others with `--allow-torchscript`.
    ///
    /// # Shapes
    /// - `features`: u8 `[B, 3, H, W]`, or floats in [-1, 1] -> `[B, rows * columns, dim]`
    /// # Errors
    /// `E0202` for an unknown name or option, `E0301` when the weights are not there, `E0302` for a broken file or a program that does what
    /// programs may not, `E0401` for weights of another network, `E0701` for a program that the script may not run.
    /// # Example
    /// ```rhai
    /// let sizes = #{embed_dim: 16, depth: 2, heads: 2, native_grid: 5, resolution: 56, pretrained: false};
    /// let encoder = models::encoder("dinov2-vit-b", sizes);
    /// assert_eq([encoder.dim, encoder.grid, encoder.resolution], [16, 4, 56]);
    /// assert_eq(encoder.features(torch::zeros([2, 3, 64, 64])).shape, [2, 16, 16]);
    /// // Of pictures with 32 rows and 48 columns: 2 rows and 3 columns of tokens.
    /// let wide = models::encoder("dinov2-vit-b", #{embed_dim: 16, depth: 2, heads: 2, pictures: [32, 48], pretrained: false});
    /// assert_eq(wide.features(torch::zeros([2, 3, 32, 48])).shape, [2, 2 * 3, 16]);
    /// ```
    fn encoder[cx](architecture: OrOptions;
        /// the architecture to start from, in a map of sizes
        name: Option<String>,
        /// a file, a folder or a map of tensors
        weights: Option<Dynamic>,
        /// whether it gets published weights
        pretrained: bool = true,
        options: EncoderOptions,
        /// the key or index of the tokens in what a TorchScript program returns
        output: Option<Dynamic>,
    ) -> Module {
        let name = architecture.0.or(name);
        let name = name.ok_or_else(|| Error::value("encoder", "which model? the map has no `name`").help("`#{name: \"dinov2-vit-b\", ..}`"))?;
        if let Some(path) = name.strip_prefix("torchscript:") {
            cx.runnable(path)?;
        }
        let mut options = EncoderOptions { output: output.map(|o| o.to_string()), ..options };
        match weights {
            Some(_) if !pretrained => Err(Error::value("encoder", "`pretrained: false` and `weights` exclude each other")),
            None if !pretrained => Encoder::untrained(&name, options),
            Some(given) if given.is_map() => Encoder::with_state(&name, options, &state(cx, &given)?),
            given => {
                options.weights = given.map(|g| files(cx, &g)).transpose()?.map(one_file).transpose()?;
                if let Some((item, missing)) = Encoder::absent(&name, &options)? {
                    options.weights = cx.fetched(&item, || missing)?.into_iter().next();
                }
                Encoder::module(&name, options)
            }
        }
    }
}
