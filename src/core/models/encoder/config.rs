//! The sizes and habits of a vision transformer: what the lines of models differ in, as data.

use super::names::{Names, TIMM};
use super::positions::Interpolation;
use super::rope::Rope;
use super::size::{Size, area, text};
use crate::error::{Error, Result};
use crate::nn::bounds::{DEEPEST, room_for_weights, within};
use crate::nn::layers::Activation;

/// What a block does after attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ffn {
    /// Two maps with an activation between them.
    Mlp(Activation),
    /// `w3(silu(a) * b)` with `a, b` the halves of `w12(x)`; two thirds of the MLP's width, rounded up to a multiple of 8 (DINOv2 giant, DINOv3).
    SwiGlu,
}

/// The position table, by its first values in a network without published weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// There is none (DINOv3).
    Absent,
    /// N(0, 0.02).
    Learned,
    /// The sine-cosine table: columns in the first half of the channels, rows in the second.
    SinCos,
    /// The same with rows first.
    SinCosRowsFirst,
}

/// The norm after the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastNorm {
    /// The tokens pass it.
    Passed,
    /// There is one, and the tokens are those before it: the published features are (MAE, CLIP, Perception Encoder).
    Skipped,
    /// There is none (the spatially tuned Perception Encoder).
    Absent,
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
    /// Rows and columns of the published position table.
    pub native_grid: Size,
    /// Whether a user said `native_grid`: a published square may have as many rows as a table that was resampled to another shape.
    pub native_said: bool,
    /// Rows and columns of the network's own table, to which the published one is resampled on loading; the input's grid where not given.
    /// Where both differ the forward pass interpolates, if the model's own code does.
    pub pos_grid: Option<Size>,
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
    /// The norm after the blocks, and on which side of it the tokens are taken.
    pub last_norm: LastNorm,
    /// The position table.
    pub positions: Positions,
    /// Rotation of queries and keys by the places of their patches.
    pub rope: Option<Rope>,
    /// Whether keys have a bias; published weights may leave one out that is zero (DINOv3).
    pub key_bias: bool,
    /// The model's own interpolation of positions in the forward pass.
    pub interpolation: Option<Interpolation>,
    /// How the published table comes to another grid on loading: so, or as timm does, which REPA applies.
    pub resampling: Option<Interpolation>,
    /// Parameter names.
    pub names: &'static Names,
    /// Other names under which the weights are published, besides those of Hugging Face.
    pub also: &'static [&'static Names],
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
            native_grid: [native_grid; 2],
            native_said: false,
            pos_grid: None,
            registers: 0,
            mlp_ratio: 4.0,
            ffn: Ffn::Mlp(Activation::Gelu),
            layer_scale: false,
            eps: 1e-6,
            cls: true,
            mask_token: false,
            pre_norm: false,
            last_norm: LastNorm::Passed,
            positions: Positions::Learned,
            rope: None,
            key_bias: true,
            interpolation: None,
            resampling: None,
            names: &TIMM,
            also: &[],
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
                bilinear: own.is_some_and(|i| i.bilinear),
            }),
        };
        VitConfig {
            embed_dim: o.embed_dim.unwrap_or(self.embed_dim),
            depth: o.depth.unwrap_or(self.depth),
            heads: o.heads.unwrap_or(self.heads),
            patch: o.patch.unwrap_or(self.patch),
            native_grid: o.native_grid.unwrap_or(self.native_grid),
            native_said: o.native_grid.is_some() || self.native_said,
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

    /// Rows and columns of patches of an input of that height and width.
    ///
    /// # Errors
    /// `E0202` when a side is no multiple of the patch.
    pub fn grid(&self, resolution: Size) -> Result<Size> {
        let patch = self.patch;
        if patch < 1 || resolution.iter().any(|side| *side < patch || side % patch != 0 || *side > MAX_SIDE) {
            let near = text(resolution.map(|side| (side / patch.max(1)).max(1).saturating_mul(patch)));
            return Err(Error::value("encoder", format!("resolution {} is no multiple of the patch {patch}", text(resolution)))
                .help(format!("`#{{resolution: {near}}}` is the next smaller one")));
        }
        Ok(resolution.map(|side| side / patch))
    }

    /// Hidden width of a block's MLP.
    pub(super) fn hidden(&self) -> i64 {
        let hidden = (self.embed_dim as f64 * self.mlp_ratio) as i64;
        match self.ffn {
            Ffn::Mlp(_) => hidden,
            Ffn::SwiGlu => ((hidden as f64 * 2.0 / 3.0) as i64 + 7) / 8 * 8,
        }
    }

    /// Class token and registers, which come before the patches.
    pub(super) fn prefix(&self) -> i64 {
        i64::from(self.cls) + self.registers
    }

    /// The position table's grid for an input of that grid.
    ///
    /// # Errors
    /// `E0202` for a table on a grid that the model cannot interpolate.
    pub(super) fn table_grid(&self, grid: Size) -> Result<Size> {
        let table = self.pos_grid.unwrap_or(grid);
        if table == grid {
            return Ok(table);
        }
        if self.positions == Positions::Absent {
            return Err(Error::value("encoder", "`pos_grid` is for models with a position table: this one has none").help("leave `pos_grid` out"));
        }
        if self.interpolation.is_none() {
            let ([a, b], [rows, columns]) = (table, grid);
            return Err(Error::value(
                "encoder",
                format!("a position table of {a}x{b} for a grid of {rows}x{columns}: this model does not interpolate"),
            )
            .help("leave `pos_grid` out: the published table is resampled on loading"));
        }
        Ok(table)
    }

    /// Whether a table of the network's own grid has as many rows as the published one, and another shape.
    pub(super) fn two_shapes(&self, pos_grid: Size) -> bool {
        self.positions != Positions::Absent && pos_grid != self.native_grid && area(pos_grid) == area(self.native_grid)
    }

    /// Whether the sizes make a network.
    ///
    /// # Errors
    /// `E0202` with the size that does not; `E0203` for weights that do not fit into memory.
    pub(super) fn check(&self) -> Result<()> {
        within("encoder", &[("depth", self.depth), ("heads", self.heads)], DEEPEST)?;
        let ([rows, columns], [own_rows, own_columns]) = (self.native_grid, self.pos_grid.unwrap_or([1, 1]));
        let grids = [("native_grid", rows), ("native_grid", columns), ("pos_grid", own_rows), ("pos_grid", own_columns), ("patch", self.patch)];
        within("encoder", &grids, MAX_SIDE)?;
        within("encoder", &[("embed_dim", self.embed_dim), ("embed_dim * mlp_ratio", self.hidden())], MAX_SIDE * 16)?;
        if !(0..=MAX_SIDE).contains(&self.registers) || self.eps <= 0.0 {
            let message = format!("`registers` must be from 0 to {MAX_SIDE} and `eps` above 0, got {} and {}", self.registers, self.eps);
            return Err(Error::value("encoder", message));
        }
        if self.embed_dim % self.heads != 0 {
            return Err(Error::value("encoder", format!("{} heads do not divide the width {}", self.heads, self.embed_dim)));
        }
        let head = self.embed_dim / self.heads;
        if self.rope.is_some() && head % 4 != 0 {
            return Err(Error::value("encoder", format!("rotary positions need heads whose width 4 divides; {} heads have {head}", self.heads)));
        }
        let width = self.embed_dim as f64;
        let positions = area(self.pos_grid.unwrap_or(self.native_grid)) as f64;
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
    /// Rows and columns of the published position table.
    pub native_grid: Option<Size>,
    /// Rows and columns of the network's own table.
    pub pos_grid: Option<Size>,
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
