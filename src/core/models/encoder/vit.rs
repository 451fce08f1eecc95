//! The vision transformer behind DINO (1 to 3), Web-SSL, CLIP, SigLIP 2, Perception Encoder, I-JEPA, MAE and MoCo v3.
//!
//! Dosovitskiy et al., arXiv 2010.11929: patches through one convolution, a class token, positions, pre-LN blocks. The models' own
//! files say how theirs differs. Shapes: B batch, D width, H and W height and width of the input, a grid of `H / patch` rows and `W / patch` columns, P
//! prefix tokens (class token and registers).

use super::VisionModel;
use super::config::{Ffn, LastNorm, Positions, VitConfig};
use super::import;
use super::names::{MASK, SWIGLU};
use super::positions::interpolate_positions;
use super::rope::Turn;
use super::size::{Size, area};
use crate::error::{Error, Result};
use crate::nn::layers::{Attention, Conv2d, Conv2dOptions, LayerNorm, Linear, LinearInit, patchify, sincos_2d};
use crate::nn::{Init, Path, State};
use crate::torch::{DType, Tensor};

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
        let scale1 = c.layer_scale.then(|| scale(n.scales[0])).transpose()?;
        let (norm2, feed) = (norm(n.norm2)?, Feed::new(p, c, init)?);
        let scale2 = c.layer_scale.then(|| scale(n.scales[1])).transpose()?;
        Ok(Block { norms: [norm1, norm2], attention, feed, scales: scale1.zip(scale2).map(|(a, b)| [a, b]) })
    }

    /// `turn` is what rotary positions do to queries and keys.
    fn forward(&self, x: &Tensor, turn: Option<&Turn>) -> Result<Tensor> {
        let scaled = |branch: Tensor, i: usize| match &self.scales {
            Some(s) => branch.mul(&s[i]),
            None => Ok(branch),
        };
        let h = self.norms[0].forward(x)?;
        let h = match turn {
            Some(turn) => self.attention.forward_with(&h, |queries_or_keys| turn.apply(queries_or_keys))?,
            None => self.attention.forward(&h)?,
        };
        let x = x.add(&scaled(h, 0)?)?;
        x.add(&scaled(self.feed.forward(&self.norms[1].forward(&x)?)?, 1)?)
    }
}

/// The network.
pub struct Vit {
    config: VitConfig,
    grid: Size,
    /// Rows and columns of the position table.
    table: Size,
    cls: Option<Tensor>,
    positions: Option<Tensor>,
    registers: Option<Tensor>,
    patch: Conv2d,
    pre_norm: Option<LayerNorm>,
    blocks: Vec<Block>,
    norm: Option<LayerNorm>,
}

impl Vit {
    /// Registers all parameters, for inputs of that height and width. With `draw` they get first values, otherwise published ones are expected.
    ///
    /// # Errors
    /// `E0202` for sizes that make no network, or a position table on a grid that the model cannot interpolate.
    pub fn new(p: &Path, config: VitConfig, resolution: Size, draw: bool) -> Result<Self> {
        config.check()?;
        let grid = config.grid(resolution)?;
        let table = config.table_grid(grid)?;
        let (c, n, d) = (&config, config.names, config.embed_dim);
        let (normal, init) = if draw { (Init::Normal(0.0, 0.02), LinearInit::Normal(0.02)) } else { (Init::Zeros, LinearInit::Zeros) };
        let patches = Conv2dOptions { init, bias: !c.pre_norm, ..Conv2dOptions::default().stride(c.patch) };
        let norm = |name| LayerNorm::new(&p.pp(name), d, c.eps, true);
        let token = [1, 1, d];
        let cls = c.cls.then(|| p.param(n.cls.0, &token[3 - n.cls.1..], normal)).transpose()?;
        let positions = (c.positions != Positions::Absent).then(|| Self::table(p, c, table, normal)).transpose()?;
        let registers = (c.registers > 0).then(|| p.param(n.registers, &[1, c.registers, d], normal)).transpose()?;
        if c.mask_token {
            p.param(MASK, &[1, d], Init::Zeros)?;
        }
        Ok(Vit {
            grid,
            table,
            cls,
            positions,
            registers,
            patch: Conv2d::new(&p.pp(n.patch), 3, d, [c.patch, c.patch], patches)?,
            pre_norm: c.pre_norm.then(|| norm(n.pre_norm)).transpose()?,
            blocks: (0..c.depth).map(|i| Block::new(&p.pp(n.blocks).pp(i), c, init)).collect::<Result<_>>()?,
            norm: (c.last_norm != LastNorm::Absent).then(|| norm(n.norm)).transpose()?,
            config,
        })
    }

    /// Registers the position table.
    fn table(p: &Path, c: &VitConfig, grid: Size, normal: Init) -> Result<Tensor> {
        let (name, rank) = c.names.pos;
        let (d, prefix) = (c.embed_dim, i64::from(c.cls));
        let shape = [1, prefix + area(grid), d];
        if c.positions == Positions::Learned {
            return p.param(name, &shape[3 - rank..], normal);
        }
        let mut cells = sincos_2d(d, grid[0], grid[1])?;
        if c.positions == Positions::SinCosRowsFirst {
            cells = Tensor::cat(&[cells.narrow(1, d / 2, d / 2)?, cells.narrow(1, 0, d / 2)?], 1)?;
        }
        let zeros = Tensor::zeros(&[prefix, d], DType::Float, cells.device())?;
        p.fixed(name, &Tensor::cat(&[zeros, cells], 0)?.reshape(&shape[3 - rank..])?)
    }

    /// How published weights come in, see [`import::import`], and whether the shapes of the network's own leave open whether they are published ones.
    pub fn importer(config: &VitConfig, resolution: Size) -> Result<(impl Fn(&State) -> Result<State> + use<>, bool)> {
        let pos_grid = config.pos_grid.unwrap_or(config.grid(resolution)?);
        let (config, is_open) = (config.clone(), config.two_shapes(pos_grid));
        Ok((move |state: &State| import::import(state, &config, pos_grid), is_open))
    }

    fn embed(&self, x: &Tensor) -> Result<Tensor> {
        let (b, channels, h, w) = x.size4()?;
        let [height, width] = self.grid.map(|side| side * self.config.patch);
        if (channels, h, w) != (3, height, width) {
            return Err(Error::value("encoder", format!("the network takes [B, 3, {height}, {width}], got {}", x.describe())));
        }
        let d = self.config.embed_dim;
        let mut tokens = patchify(&self.patch.forward(x)?)?;
        if let Some(cls) = &self.cls {
            tokens = Tensor::cat(&[cls.reshape(&[1, 1, d])?.to_dtype(tokens.dtype())?.expand(&[b, 1, d])?, tokens], 1)?;
        }
        let cls = i64::from(self.config.cls);
        if let Some(positions) = &self.positions {
            let mut positions = positions.reshape(&[1, -1, d])?;
            if let Some(how) = self.config.interpolation {
                positions = interpolate_positions(&positions, self.table, self.grid, cls, how)?;
            }
            tokens = tokens.add(&positions)?;
        }
        if let Some(registers) = &self.registers {
            let n = self.config.registers;
            let registers = registers.to_dtype(tokens.dtype())?.expand(&[b, n, d])?;
            tokens = Tensor::cat(&[tokens.narrow(1, 0, cls)?, registers, tokens.narrow(1, cls, area(self.grid))?], 1)?;
        }
        self.pre_norm.as_ref().map_or(Ok(tokens.clone()), |norm| norm.forward(&tokens))
    }

    fn patches(&self, tokens: &Tensor) -> Result<Tensor> {
        tokens.narrow(1, self.config.prefix(), area(self.grid))
    }

    fn normed(&self, tokens: Tensor) -> Result<Tensor> {
        self.norm.as_ref().map_or(Ok(tokens.clone()), |norm| norm.forward(&tokens))
    }
}

impl VisionModel for Vit {
    fn features(&self, input: &Tensor) -> Result<Tensor> {
        let tokens = self.hidden(input)?;
        self.patches(&if self.config.last_norm == LastNorm::Passed { self.normed(tokens)? } else { tokens })
    }

    fn dim(&self) -> i64 {
        self.config.embed_dim
    }

    fn grid_size(&self) -> Size {
        self.grid
    }

    /// The class token after the last norm, where there is one; without a class token, the mean of the patches.
    fn pooled(&self, input: &Tensor) -> Result<Tensor> {
        let tokens = self.normed(self.hidden(input)?)?;
        if self.config.cls { tokens.select(1, 0) } else { self.patches(&tokens)?.mean(&[1], false) }
    }

    fn hidden(&self, input: &Tensor) -> Result<Tensor> {
        let x = self.embed(input)?;
        let c = &self.config;
        let turn = c.rope.map(|rope| rope.turn(self.grid, c.prefix(), c.embed_dim / c.heads, x.device())).transpose()?;
        self.blocks.iter().try_fold(x, |x, block| block.forward(&x, turn.as_ref()))
    }
}
