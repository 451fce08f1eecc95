//! SiT: the diffusion transformer with adaLN-Zero, as REPA and REPA-E train it.
//!
//! SiT (arXiv 2401.08740), REPA (sihyun-yu/REPA, arXiv 2410.06940), REPA-E (arXiv 2504.10483). `bn` holds the latents' statistics:
//! [`Sit::normalize`] applies it, the network itself never does.
//!
//! SiT-S does not run as published: REPA's last layer and projectors are built for a `decoder_hidden_size` that stays at 768 while the blocks
//! are 384 wide. Here every layer has the blocks' width, which is what `decoder_hidden_size=384` makes of the reference.
//! Shapes: B batch, C latent channels, h w latent size, N tokens, D width.

mod config;
mod parts;
mod positions;
mod sizes;

pub use config::SitConfig;
pub use parts::timestep_embedding;

use crate::error::{Error, Result};
use crate::models::names::strip_prefix;
use crate::nn::layers::{BatchNorm2d, BatchNormOptions, LinearInit, PatchEmbed, sincos_2d};
use crate::nn::{Built, Forward, Mode, Module, Path, State};
use crate::torch::{DType, Tensor, default_device, no_grad};
use parts::{FinalLayer, LabelEmbedder, Projector, SitBlock, TimestepEmbedder};

/// A name that every such network has.
pub const ANCHOR: &str = "x_embedder.proj.weight";

/// What to do about a file of REPA, which keeps the statistics of the latents beside the network.
const WITHOUT_STATISTICS: &str = "it has no latent statistics, as REPA publishes it: scripts take them by `--latents-stats FILE`; in a script \
    `sit.load(path, #{optional: [\"bn.\"]})` and then `sit.init_bn(scale, bias)`";

/// The tensors of the network in a state dict, without the prefix before their names.
///
/// # Errors
/// `E0401` when it holds several of them and not exactly one is an average.
pub fn without_prefix(state: &State) -> Result<State> {
    strip_prefix(state, ANCHOR)
}

/// Which labels become the null class in a forward pass.
#[derive(Debug, Clone, Default)]
pub enum LabelDrop {
    /// In training, each with probability `class_dropout`; otherwise none.
    #[default]
    Auto,
    /// None.
    Off,
    /// Those whose value of this `[B]` draw of U(0, 1) is below `class_dropout`, whatever the mode: a recorded draw.
    Uniform(Tensor),
}

/// What [`Sit::forward_features`] gives.
pub struct SitFeatures {
    /// `[B, C, h, w]`.
    pub velocity: Tensor,
    /// After block `encoder_depth`: `[B, N, D]`.
    pub tokens: Tensor,
    /// The tokens through each projector: `[B, N, z]`.
    pub projected: Vec<Tensor>,
}

impl Forward for Sit {
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        match inputs {
            [x_t, t, y] => Sit::forward(self, x_t, t, y, &LabelDrop::Auto),
            _ => Err(Error::value("sit", format!("takes x_t, t and y, got {} inputs", inputs.len()))),
        }
    }
}

/// The network.
pub struct Sit {
    config: SitConfig,
    pos_embed: Tensor,
    x_embedder: PatchEmbed,
    t_embedder: TimestepEmbedder,
    y_embedder: LabelEmbedder,
    blocks: Vec<SitBlock>,
    projectors: Vec<Projector>,
    final_layer: FinalLayer,
    bn: BatchNorm2d,
    mode: Mode,
}

impl Sit {
    /// Registers all parameters under `p`, drawn as the reference does.
    ///
    /// # Errors
    /// `E0202` for a configuration that makes no network.
    pub fn new(p: &Path, c: SitConfig) -> Result<Self> {
        c.check()?;
        let bn = BatchNormOptions { momentum: c.bn_momentum, eps: 1e-4, affine: false, ..BatchNormOptions::default() };
        let [rows, columns] = c.grid();
        let projector = |(i, &z): (usize, &i64)| Projector::new(&p.pp("projectors").pp(i), c.hidden, c.projector_dim, z);
        Ok(Sit {
            pos_embed: p.fixed("pos_embed", &sincos_2d(c.hidden, rows, columns)?.unsqueeze(0)?)?,
            x_embedder: PatchEmbed::new(&p.pp("x_embedder"), c.in_channels, c.hidden, c.patch, LinearInit::Xavier)?,
            t_embedder: TimestepEmbedder::new(&p.pp("t_embedder"), c.hidden)?,
            y_embedder: LabelEmbedder::new(&p.pp("y_embedder"), c.num_classes, c.hidden)?,
            blocks: (0..c.depth).map(|i| SitBlock::new(&p.pp("blocks").pp(i), &c)).collect::<Result<_>>()?,
            projectors: c.z_dims.iter().enumerate().map(projector).collect::<Result<_>>()?,
            final_layer: FinalLayer::new(&p.pp("final_layer"), &c)?,
            bn: BatchNorm2d::new(&p.pp("bn"), c.in_channels, bn)?,
            mode: p.mode(),
            config: c,
        })
    }

    /// A module of its own, with random weights, called `kind` in messages. It loads no weights whose positions are those of another grid.
    ///
    /// # Errors
    /// As [`Sit::new`].
    pub fn module(kind: &str, config: SitConfig) -> Result<Module> {
        Module::build(kind, default_device(), move |p| {
            let sit = Self::new(p, config.clone())?;
            let (grid, patch) = (sit.config.grid(), sit.config.patch);
            let check = move |state: &State| positions::check(state, grid, patch);
            Ok(Built::layer(sit).importing(without_prefix).checking(check).advising("bn.", WITHOUT_STATISTICS))
        })
    }

    /// The architecture.
    pub fn config(&self) -> &SitConfig {
        &self.config
    }

    /// The label of no class.
    pub fn null_label(&self) -> i64 {
        self.config.num_classes
    }

    /// The label of no class of a model that trains it.
    ///
    /// # Errors
    /// `E0202` with `class_dropout` 0: its row stays as it was drawn.
    pub fn trained_null_label(&self) -> Result<i64> {
        if self.config.class_dropout > 0.0 {
            return Ok(self.null_label());
        }
        Err(Error::value("null_label", "with class_dropout 0 (--cfg-prob 0) the row of no class is never trained")
            .help("sample without guidance (--cfg-scale 1), or train with --cfg-prob 0.1"))
    }

    /// Labels with some replaced by the null class: `y` i64 `[B]`.
    ///
    /// # Errors
    /// `E0201` when a recorded draw has another length.
    pub fn drop_labels(&self, y: &Tensor, drop: &LabelDrop) -> Result<Tensor> {
        let p = self.config.class_dropout;
        let draw = match drop {
            LabelDrop::Off => return Ok(y.clone()),
            LabelDrop::Auto if p == 0.0 || !self.mode.training() => return Ok(y.clone()),
            LabelDrop::Auto => Tensor::rand(&y.shape(), DType::Float, y.device())?,
            LabelDrop::Uniform(u) => u.clone(),
        };
        let null = Tensor::full(&[], self.null_label() as f64, DType::Int64, y.device())?;
        null.where_(&draw.lt(p)?, y)
    }

    /// The condition after SiLU, as every block takes it: `t` `[B]` or `[B, 1, 1, 1]` in [0, 1], `y` i64 `[B]` -> `[B, D]`.
    ///
    /// # Errors
    /// `E0202` when the lengths differ, `E0201` for a label outside the table.
    pub fn condition(&self, t: &Tensor, y: &Tensor, drop: &LabelDrop) -> Result<Tensor> {
        if t.numel() != y.numel() {
            return Err(Error::value("sit", format!("one time and one label for each sample, got t {} and y {}", t.describe(), y.describe())));
        }
        let y = self.y_embedder.forward(&self.drop_labels(&y.reshape(&[-1])?, drop)?)?;
        self.t_embedder.forward(t, y.dtype())?.add(&y)?.silu()
    }

    /// Latents as tokens with positions: `[B, C, h, w]` -> `[B, N, D]`.
    ///
    /// # Errors
    /// `E0202` when the latents' size is not the configured one.
    pub fn embed(&self, x_t: &Tensor) -> Result<Tensor> {
        let (b, c, h, w) = x_t.size4()?;
        let [height, width] = self.config.input_size;
        if (c, h, w) != (self.config.in_channels, height, width) {
            let message = format!("expected latents [B, {}, {height}, {width}], got {}", self.config.in_channels, x_t.describe());
            return Err(Error::value("sit", message).help("`in_channels` and `input_size` must be those of the latents"));
        }
        if b == 0 {
            return Err(Error::value("sit", "the batch is empty"));
        }
        self.x_embedder.forward(x_t)?.add(&self.pos_embed)
    }

    /// The velocity from the tokens after the last block: `[B, N, D]`, `[B, D]` -> `[B, C, h, w]`.
    ///
    /// # Errors
    /// `E0201` when the sizes do not fit.
    pub fn head(&self, tokens: &Tensor, condition: &Tensor) -> Result<Tensor> {
        let (b, _, _) = tokens.size3()?;
        let ([rows, columns], p, c) = (self.config.grid(), self.config.patch, self.config.in_channels);
        let patches = self.final_layer.forward(tokens, condition)?.view(&[b, rows, columns, p, p, c])?;
        patches.permute(&[0, 5, 1, 3, 2, 4])?.reshape(&[b, c, rows * p, columns * p])
    }

    /// The velocity: `x_t` `[B, C, h, w]` normalised and noised latents, `t` in [0, 1], `y` i64 `[B]` -> `[B, C, h, w]`.
    ///
    /// # Errors
    /// As [`Sit::embed`] and [`Sit::condition`].
    pub fn forward(&self, x_t: &Tensor, t: &Tensor, y: &Tensor, drop: &LabelDrop) -> Result<Tensor> {
        let c = self.condition(t, y, drop)?;
        let x = self.blocks.iter().try_fold(self.embed(x_t)?, |x, block| block.forward(&x, &c))?;
        self.head(&x, &c)
    }

    /// The velocity, the aligned tokens and their projections.
    ///
    /// # Errors
    /// As [`Sit::forward`].
    pub fn forward_features(&self, x_t: &Tensor, t: &Tensor, y: &Tensor, drop: &LabelDrop) -> Result<SitFeatures> {
        let c = self.condition(t, y, drop)?;
        let (first, rest) = self.blocks.split_at(usize::try_from(self.config.encoder_depth).unwrap_or(0).min(self.blocks.len()));
        let tokens = first.iter().try_fold(self.embed(x_t)?, |x, block| block.forward(&x, &c))?;
        let projected = self.project(&tokens)?;
        let x = rest.iter().try_fold(tokens.clone(), |x, block| block.forward(&x, &c))?;
        Ok(SitFeatures { velocity: self.head(&x, &c)?, tokens, projected })
    }

    /// The tokens after block `depth` (from 1; `encoder_depth` if not given), without running the rest: `[B, N, D]`.
    ///
    /// # Errors
    /// `E0202` for a depth that is not there, and as [`Sit::forward`].
    pub fn tokens(&self, x_t: &Tensor, t: &Tensor, y: &Tensor, depth: Option<i64>, drop: &LabelDrop) -> Result<Tensor> {
        let depth = depth.unwrap_or(self.config.encoder_depth);
        if !(1..=self.config.depth).contains(&depth) {
            return Err(Error::value("sit", format!("there is no block {depth}: the depth is {}", self.config.depth)));
        }
        let c = self.condition(t, y, drop)?;
        let blocks = self.blocks.iter().take(usize::try_from(depth).unwrap_or(0));
        blocks.fold(self.embed(x_t), |x, block| block.forward(&x?, &c))
    }

    /// Tokens through each projector: `[B, N, D]` -> one `[B, N, z]` for each of `z_dims`.
    ///
    /// # Errors
    /// `E0201` for another width.
    pub fn project(&self, tokens: &Tensor) -> Result<Vec<Tensor>> {
        self.projectors.iter().map(|p| p.forward(tokens)).collect()
    }

    // ---- the latents' statistics

    /// Latents through `bn`: in training by the batch's own statistics unless frozen, otherwise by the running ones. `[B, C, h, w]`.
    ///
    /// # Errors
    /// `E0201` for other channels.
    pub fn normalize(&self, z: &Tensor) -> Result<Tensor> {
        self.bn.forward(z)
    }

    /// Latents for the decoder from what the sampler gives: `z / scale + bias` by the running statistics.
    ///
    /// # Errors
    /// `E0201` for other channels.
    pub fn denormalize(&self, z: &Tensor) -> Result<Tensor> {
        let (scale, bias) = self.latent_stats()?;
        z.div(&scale)?.add(&bias)
    }

    /// Sets the running statistics from the latents' `scale = 1 / std` and `bias = mean`, `C` values each.
    ///
    /// # Errors
    /// `E0201` for another number of values.
    pub fn init_bn(&self, scale: &Tensor, bias: &Tensor) -> Result<()> {
        no_grad(|| {
            self.bn.running_var.copy_(&scale.reshape(&[-1])?.reciprocal()?.square()?)?;
            self.bn.running_mean.copy_(&bias.reshape(&[-1])?)?;
            Ok(())
        })
    }

    /// `(scale, bias)` = `(1 / std, mean)` of the running statistics, without `bn`'s eps: `[1, C, 1, 1]` each.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn latent_stats(&self) -> Result<(Tensor, Tensor)> {
        let shape = [1, -1, 1, 1];
        no_grad(|| Ok((self.bn.running_var.rsqrt()?.view(&shape)?, self.bn.running_mean.copy()?.view(&shape)?)))
    }

    /// Keeps `bn` on its running statistics while the rest trains, or lets it follow the training mode again.
    pub fn freeze_bn(&self, on: bool) {
        self.bn.set_frozen(on);
    }
}
