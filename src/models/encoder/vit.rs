//! The vision transformer behind DINO, DINOv2, CLIP, I-JEPA, MAE and MoCo v3.
//!
//! Dosovitskiy et al., arXiv 2010.11929: patches through one convolution, a class token, learned positions, pre-LN blocks. The models' own
//! files say how theirs differs. Shapes: B batch, D width, R input side, g grid `R / patch`, P prefix tokens (class token and registers).

use super::VisionModel;
use super::names::{self, MASK, Names, REGISTERS, SCALES, SWIGLU, TIMM};
use super::positions::{Interpolation, interpolate_positions};
use crate::error::{Error, Result};
use crate::nn::bounds::{DEEPEST, room_for_weights, within};
use crate::nn::layers::{Activation, Attention, Conv2d, Conv2dOptions, LayerNorm, Linear, LinearInit, patchify, sincos_2d};
use crate::nn::{Init, Path, State};
use crate::torch::{DType, Tensor};

/// What a block does after attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ffn {
    /// Two maps with an activation between them.
    Mlp(Activation),
    /// `w3(silu(a) * b)` with `a, b` the halves of `w12(x)`; two thirds of the MLP's width, rounded up to a multiple of 8 (DINOv2 giant).
    SwiGlu,
}

/// The first values of the position table, for a network without published weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// N(0, 0.02).
    Learned,
    /// The sine-cosine table: columns in the first half of the channels, rows in the second.
    SinCos,
    /// The same with rows first.
    SinCosRowsFirst,
}

/// The architecture of a vision transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct VitConfig {
    /// Width D of the tokens.
    pub embed_dim: i64,
    /// Number of blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Pixels along a side of a patch.
    pub patch: i64,
    /// Patches along a side in the published position table.
    pub native_grid: i64,
    /// Patches along a side in the network's own table, to which the published one is resampled on loading; the input's grid where not given.
    /// Where both differ the forward pass interpolates, if the model's own code does.
    pub pos_grid: Option<i64>,
    /// Register tokens, which carry no position.
    pub registers: i64,
    /// Width of the MLP over D.
    pub mlp_ratio: f64,
    /// What a block does after attention.
    pub ffn: Ffn,
    /// Whether each branch is scaled by a learned vector.
    pub layer_scale: bool,
    /// Epsilon of all layer norms.
    pub eps: f64,
    /// Whether there is a class token.
    pub cls: bool,
    /// Whether there is a learned token for masked patches, which is loaded and saved only.
    pub mask_token: bool,
    /// Whether there is a layer norm before the blocks, and no bias of the patch convolution (CLIP).
    pub pre_norm: bool,
    /// Whether the tokens pass the last layer norm.
    pub final_norm: bool,
    /// First values of the position table.
    pub positions: Positions,
    /// The model's own interpolation of positions in the forward pass.
    pub interpolation: Option<Interpolation>,
    /// Parameter names.
    pub names: &'static Names,
    /// Prefixes under which checkpoints of several networks hold the wanted one, best first.
    pub wrappers: &'static [&'static str],
    /// Names in published files that the tokens do not need.
    pub beside: &'static [&'static str],
}

impl VitConfig {
    /// timm's ViT of those sizes: MLP ratio 4, exact GELU, eps 1e-6, class token, last norm.
    pub fn new(embed_dim: i64, depth: i64, heads: i64, patch: i64, native_grid: i64) -> Self {
        VitConfig {
            embed_dim,
            depth,
            heads,
            patch,
            native_grid,
            pos_grid: None,
            registers: 0,
            mlp_ratio: 4.0,
            ffn: Ffn::Mlp(Activation::Gelu),
            layer_scale: false,
            eps: 1e-6,
            cls: true,
            mask_token: false,
            pre_norm: false,
            final_norm: true,
            positions: Positions::Learned,
            interpolation: None,
            names: &TIMM,
            wrappers: &[],
            beside: &[],
        }
    }

    /// The same with what a user set.
    #[must_use]
    pub fn with(&self, o: &VitOptions) -> Self {
        let own = self.interpolation;
        let interpolation = match (o.interpolate_offset, o.interpolate_antialias) {
            (None, None) => own,
            (offset, antialias) => Some(Interpolation {
                offset: offset.or(own.map(|i| i.offset)).unwrap_or(0.0),
                antialias: antialias.or(own.map(|i| i.antialias)).unwrap_or(false),
            }),
        };
        VitConfig {
            embed_dim: o.embed_dim.unwrap_or(self.embed_dim),
            depth: o.depth.unwrap_or(self.depth),
            heads: o.heads.unwrap_or(self.heads),
            patch: o.patch.unwrap_or(self.patch),
            native_grid: o.native_grid.unwrap_or(self.native_grid),
            pos_grid: o.pos_grid.or(self.pos_grid),
            registers: o.registers.unwrap_or(self.registers),
            mlp_ratio: o.mlp_ratio.unwrap_or(self.mlp_ratio),
            ffn: o.ffn.unwrap_or(self.ffn),
            layer_scale: o.layer_scale.unwrap_or(self.layer_scale),
            eps: o.eps.unwrap_or(self.eps),
            interpolation,
            ..self.clone()
        }
    }

    /// Patches along a side of an input of that side.
    ///
    /// # Errors
    /// `E0202` when the side is no multiple of the patch.
    pub fn grid(&self, resolution: i64) -> Result<i64> {
        if self.patch < 1 || resolution < self.patch || resolution % self.patch != 0 || resolution > MAX_SIDE {
            let near = (resolution / self.patch.max(1)).max(1) * self.patch;
            return Err(Error::value("encoder", format!("resolution {resolution} is no multiple of the patch {}", self.patch))
                .help(format!("`#{{resolution: {near}}}` is the next smaller one")));
        }
        Ok(resolution / self.patch)
    }

    /// Hidden width of a block's MLP.
    fn hidden(&self) -> i64 {
        let hidden = (self.embed_dim as f64 * self.mlp_ratio) as i64;
        match self.ffn {
            Ffn::Mlp(_) => hidden,
            Ffn::SwiGlu => ((hidden as f64 * 2.0 / 3.0) as i64 + 7) / 8 * 8,
        }
    }

    fn check(&self) -> Result<()> {
        within("encoder", &[("depth", self.depth), ("heads", self.heads)], DEEPEST)?;
        within("encoder", &[("native_grid", self.native_grid), ("pos_grid", self.pos_grid.unwrap_or(1)), ("patch", self.patch)], MAX_SIDE)?;
        within("encoder", &[("embed_dim", self.embed_dim), ("embed_dim * mlp_ratio", self.hidden())], MAX_SIDE * 16)?;
        if !(0..=MAX_SIDE).contains(&self.registers) || self.eps <= 0.0 {
            let message = format!("`registers` must be from 0 to {MAX_SIDE} and `eps` above 0, got {} and {}", self.registers, self.eps);
            return Err(Error::value("encoder", message));
        }
        if self.embed_dim % self.heads != 0 {
            return Err(Error::value("encoder", format!("{} heads do not divide the width {}", self.heads, self.embed_dim)));
        }
        let width = self.embed_dim as f64;
        let positions = (self.pos_grid.unwrap_or(self.native_grid) as f64).powi(2);
        room_for_weights("encoder", self.depth as f64 * width * (4.0 * width + 2.0 * self.hidden() as f64) + positions * width)
    }
}

/// No picture is larger.
const MAX_SIDE: i64 = 1 << 14;

/// Sizes that replace those of a named architecture; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VitOptions {
    /// See [`VitConfig::embed_dim`]; likewise below.
    pub embed_dim: Option<i64>,
    /// Number of blocks.
    pub depth: Option<i64>,
    /// Attention heads.
    pub heads: Option<i64>,
    /// Pixels along a side of a patch.
    pub patch: Option<i64>,
    /// Patches along a side in the published position table.
    pub native_grid: Option<i64>,
    /// Patches along a side in the network's own table.
    pub pos_grid: Option<i64>,
    /// Register tokens.
    pub registers: Option<i64>,
    /// Width of the MLP over D.
    pub mlp_ratio: Option<f64>,
    /// What a block does after attention.
    pub ffn: Option<Ffn>,
    /// Whether each branch is scaled.
    pub layer_scale: Option<bool>,
    /// Epsilon of all layer norms.
    pub eps: Option<f64>,
    /// See [`Interpolation::offset`].
    pub interpolate_offset: Option<f64>,
    /// See [`Interpolation::antialias`].
    pub interpolate_antialias: Option<bool>,
}

/// A block's MLP.
struct Feed {
    expand: Linear,
    contract: Linear,
    ffn: Ffn,
}

impl Feed {
    fn new(p: &Path, c: &VitConfig, init: LinearInit) -> Result<Self> {
        let (d, hidden) = (c.embed_dim, c.hidden());
        let (names, wide) = if c.ffn == Ffn::SwiGlu { (SWIGLU, 2 * hidden) } else { (c.names.mlp, hidden) };
        let linear = |name, inputs, outputs| Linear::new(&p.pp(name), inputs, outputs, true, init);
        Ok(Feed { expand: linear(names[0], d, wide)?, contract: linear(names[1], hidden, d)?, ffn: c.ffn })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.expand.forward(x)?;
        let h = match self.ffn {
            Ffn::Mlp(activation) => activation.forward(&h)?,
            Ffn::SwiGlu => {
                let half = h.size(-1)? / 2;
                h.narrow(-1, 0, half)?.silu()?.mul(&h.narrow(-1, half, half)?)?
            }
        };
        self.contract.forward(&h)
    }
}

/// Pre-LN block whose branches may be scaled.
struct Block {
    norms: [LayerNorm; 2],
    attention: Attention,
    feed: Feed,
    scales: Option<[Tensor; 2]>,
}

impl Block {
    fn new(p: &Path, c: &VitConfig, init: LinearInit) -> Result<Self> {
        let (n, d) = (c.names, c.embed_dim);
        let norm = |name| LayerNorm::new(&p.pp(name), d, c.eps, true);
        let scale = |name| p.param(name, &[d], Init::Ones);
        let norm1 = norm(n.norm1)?;
        let attention = Attention::of(Linear::named(p, n.qkv, d, 3 * d, init)?, Linear::new(&p.pp(n.out), d, d, true, init)?, c.heads);
        let scale1 = c.layer_scale.then(|| scale(SCALES[0])).transpose()?;
        let (norm2, feed) = (norm(n.norm2)?, Feed::new(p, c, init)?);
        let scale2 = c.layer_scale.then(|| scale(SCALES[1])).transpose()?;
        Ok(Block { norms: [norm1, norm2], attention, feed, scales: scale1.zip(scale2).map(|(a, b)| [a, b]) })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let scaled = |branch: Tensor, i: usize| match &self.scales {
            Some(s) => branch.mul(&s[i]),
            None => Ok(branch),
        };
        let x = x.add(&scaled(self.attention.forward(&self.norms[0].forward(x)?)?, 0)?)?;
        x.add(&scaled(self.feed.forward(&self.norms[1].forward(&x)?)?, 1)?)
    }
}

/// The network.
pub struct Vit {
    config: VitConfig,
    grid: i64,
    cls: Option<Tensor>,
    positions: Tensor,
    registers: Option<Tensor>,
    patch: Conv2d,
    pre_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

impl Vit {
    /// Registers all parameters, for inputs of that side. With `draw` they get first values, otherwise published ones are expected.
    ///
    /// # Errors
    /// `E0202` for sizes that make no network, or a position table on a grid that the model cannot interpolate.
    pub fn new(p: &Path, config: VitConfig, resolution: i64, draw: bool) -> Result<Self> {
        config.check()?;
        let grid = config.grid(resolution)?;
        let pos_grid = config.pos_grid.unwrap_or(grid);
        if pos_grid != grid && config.interpolation.is_none() {
            return Err(Error::value(
                "encoder",
                format!("a position table of {pos_grid}x{pos_grid} for a grid of {grid}x{grid}: this model does not interpolate"),
            )
            .help("leave `pos_grid` out: the published table is resampled on loading"));
        }
        let (c, n, d) = (&config, config.names, config.embed_dim);
        let (normal, init) = if draw { (Init::Normal(0.0, 0.02), LinearInit::Normal(0.02)) } else { (Init::Zeros, LinearInit::Zeros) };
        let patches = Conv2dOptions { init, bias: !c.pre_norm, ..Conv2dOptions::default().stride(c.patch) };
        let norm = |name| LayerNorm::new(&p.pp(name), d, c.eps, true);
        let token = [1, 1, d];
        let cls = c.cls.then(|| p.param(n.cls.0, &token[3 - n.cls.1..], normal)).transpose()?;
        let positions = Self::table(p, c, pos_grid, normal)?;
        let registers = (c.registers > 0).then(|| p.param(REGISTERS, &[1, c.registers, d], normal)).transpose()?;
        if c.mask_token {
            p.param(MASK, &[1, d], Init::Zeros)?;
        }
        Ok(Vit {
            grid,
            cls,
            positions,
            registers,
            patch: Conv2d::new(&p.pp(n.patch), 3, d, [c.patch, c.patch], patches)?,
            pre_norm: c.pre_norm.then(|| norm(n.pre_norm)).transpose()?,
            blocks: (0..c.depth).map(|i| Block::new(&p.pp(n.blocks).pp(i), c, init)).collect::<Result<_>>()?,
            norm: norm(n.norm)?,
            config,
        })
    }

    /// Registers the position table.
    fn table(p: &Path, c: &VitConfig, grid: i64, normal: Init) -> Result<Tensor> {
        let (name, rank) = c.names.pos;
        let (d, prefix) = (c.embed_dim, i64::from(c.cls));
        let shape = [1, prefix + grid * grid, d];
        if c.positions == Positions::Learned {
            return p.param(name, &shape[3 - rank..], normal);
        }
        let mut cells = sincos_2d(d, grid, grid)?;
        if c.positions == Positions::SinCosRowsFirst {
            cells = Tensor::cat(&[cells.narrow(1, d / 2, d / 2)?, cells.narrow(1, 0, d / 2)?], 1)?;
        }
        let zeros = Tensor::zeros(&[prefix, d], DType::Float, cells.device())?;
        p.fixed(name, &Tensor::cat(&[zeros, cells], 0)?.reshape(&shape[3 - rank..])?)
    }

    /// How published weights come in: see [`names::import`].
    pub fn importer(config: &VitConfig, resolution: i64) -> Result<impl Fn(&State) -> Result<State> + use<>> {
        let pos_grid = config.pos_grid.unwrap_or(config.grid(resolution)?);
        let config = config.clone();
        Ok(move |state: &State| names::import(state, &config, pos_grid))
    }

    /// Class token and registers, which come before the patches.
    fn prefix(&self) -> i64 {
        i64::from(self.config.cls) + self.config.registers
    }

    fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let (b, channels, h, w) = x.size4()?;
        let side = self.grid * self.config.patch;
        if (channels, h, w) != (3, side, side) {
            return Err(Error::value("encoder", format!("the network takes [B, 3, {side}, {side}], got {}", x.describe())));
        }
        let d = self.config.embed_dim;
        let mut tokens = patchify(&self.patch.forward(x)?)?;
        if let Some(cls) = &self.cls {
            tokens = Tensor::cat(&[cls.reshape(&[1, 1, d])?.to_dtype(tokens.dtype())?.expand(&[b, 1, d])?, tokens], 1)?;
        }
        let cls = i64::from(self.config.cls);
        let mut positions = self.positions.reshape(&[1, -1, d])?;
        if let Some(how) = self.config.interpolation {
            positions = interpolate_positions(&positions, self.grid, cls, how)?;
        }
        tokens = tokens.add(&positions)?;
        if let Some(registers) = &self.registers {
            let n = self.config.registers;
            let registers = registers.to_dtype(tokens.dtype())?.expand(&[b, n, d])?;
            tokens = Tensor::cat(&[tokens.narrow(1, 0, cls)?, registers, tokens.narrow(1, cls, self.grid * self.grid)?], 1)?;
        }
        self.pre_norm.as_ref().map_or(Ok(tokens.clone()), |norm| norm.forward(&tokens))
    }

    fn patches(&self, tokens: &Tensor) -> Result<Tensor> {
        tokens.narrow(1, self.prefix(), self.grid * self.grid)
    }
}

impl VisionModel for Vit {
    fn features(&self, input: &Tensor) -> Result<Tensor> {
        let tokens = self.hidden(input)?;
        self.patches(&if self.config.final_norm { self.norm.forward(&tokens)? } else { tokens })
    }

    fn dim(&self) -> i64 {
        self.config.embed_dim
    }

    fn grid(&self) -> i64 {
        self.grid
    }

    /// The class token after the last norm; without one, the mean of the patches.
    fn pooled(&self, input: &Tensor) -> Result<Tensor> {
        let tokens = self.norm.forward(&self.hidden(input)?)?;
        if self.config.cls { tokens.select(1, 0) } else { self.patches(&tokens)?.mean(&[1], false) }
    }

    fn hidden(&self, input: &Tensor) -> Result<Tensor> {
        self.blocks.iter().try_fold(self.embed(input)?, |x, block| block.forward(&x))
    }
}
