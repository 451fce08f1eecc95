//! Sizes of SiT.

use crate::error::{Error, Result, did_you_mean};
use crate::nn::bounds::{DEEPEST, WIDEST, room_for_weights, within};

/// The architecture. Published sizes come from [`SitConfig::named`]; every field may be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct SitConfig {
    /// Number of blocks.
    pub depth: i64,
    /// Width.
    pub hidden: i64,
    /// Attention heads.
    pub heads: i64,
    /// Latent pixels along one side of a token.
    pub patch: i64,
    /// Latent pixels in height and width.
    pub input_size: [i64; 2],
    /// Latent channels.
    pub in_channels: i64,
    /// Classes without the null class, whose label is `num_classes`.
    pub num_classes: i64,
    /// Widths of the alignment targets, one projector each; none switches alignment off.
    pub z_dims: Vec<i64>,
    /// The block, counted from 1, whose output is aligned.
    pub encoder_depth: i64,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Probability that a label becomes the null class in training.
    pub class_dropout: f64,
    /// Hidden width of the projectors.
    pub projector_dim: i64,
    /// Width of the blocks' MLP over `hidden`.
    pub mlp_ratio: f64,
    /// Weight of a new batch in the running statistics of the latents.
    pub bn_momentum: f64,
}

/// Name, depth, width, heads.
pub(super) const SIZES: [(&str, i64, i64, i64); 4] = [("S", 12, 384, 6), ("B", 12, 768, 12), ("L", 24, 1024, 16), ("XL", 28, 1152, 16)];

impl Default for SitConfig {
    /// SiT-B/2.
    fn default() -> Self {
        SitConfig::sized(12, 768, 12)
    }
}

impl SitConfig {
    /// The default depth at which REPA aligns: a third of the blocks, at most 8 (4 for B, 8 for L and XL).
    pub fn default_encoder_depth(depth: i64) -> i64 {
        (depth / 3).clamp(1, 8)
    }

    /// `SiT-S/2`, `SiT-B/1`, ...: sizes S, B, L, XL with patches 1, 2, 4, 8, for 32x32 latents of 4 channels, 1000 classes and one
    /// target of width 768. SiT-S, which does not run as REPA published it (its last layer is built for width 768), has its own
    /// width throughout here.
    ///
    /// # Errors
    /// `E0202` for another name.
    pub fn named(name: &str) -> Result<Self> {
        let known: Vec<String> = SIZES.iter().flat_map(|s| ["1", "2", "4", "8"].map(|p| format!("SiT-{}/{p}", s.0))).collect();
        let unknown = || {
            let near = did_you_mean(name, known.iter().map(String::as_str));
            Error::value("sit", format!("unknown architecture `{name}`{near}"))
                .help("`SiT-S`, `-B`, `-L` or `-XL` with `/1`, `/2`, `/4` or `/8`, or a map such as `#{depth: 4, hidden: 128, heads: 4, patch: 1}`")
        };
        if !known.iter().any(|k| k == name) {
            return Err(unknown());
        }
        let (size, patch) = name.strip_prefix("SiT-").and_then(|n| n.split_once('/')).ok_or_else(unknown)?;
        let &(_, depth, hidden, heads) = SIZES.iter().find(|s| s.0 == size).ok_or_else(unknown)?;
        Ok(SitConfig { patch: patch.parse().map_err(|_| unknown())?, ..Self::sized(depth, hidden, heads) })
    }

    /// Those sizes with patch 2 and the defaults of [`SitConfig::named`].
    pub fn sized(depth: i64, hidden: i64, heads: i64) -> Self {
        SitConfig {
            depth,
            hidden,
            heads,
            patch: 2,
            input_size: [32, 32],
            in_channels: 4,
            num_classes: 1000,
            z_dims: vec![768],
            encoder_depth: Self::default_encoder_depth(depth),
            qk_norm: false,
            class_dropout: 0.1,
            projector_dim: 2048,
            mlp_ratio: 4.0,
            bn_momentum: 0.1,
        }
    }

    /// Rows and columns of tokens.
    pub fn grid(&self) -> [i64; 2] {
        self.input_size.map(|side| side / self.patch)
    }

    pub(super) fn check(&self) -> Result<()> {
        let fail = |message: String| Err(Error::value("sit", message));
        within("sit", &[("depth", self.depth), ("heads", self.heads)], DEEPEST)?;
        let hidden = (self.hidden as f64 * self.mlp_ratio) as i64;
        let widths = [
            ("hidden", self.hidden),
            ("hidden * mlp_ratio", hidden.max(1)),
            ("patch", self.patch),
            ("input_size", self.input_size[0]),
            ("input_size", self.input_size[1]),
            ("in_channels", self.in_channels),
            ("projector_dim", self.projector_dim),
        ];
        within("sit", &widths, WIDEST)?;
        within("sit", &[("num_classes", self.num_classes)], i64::from(i32::MAX))?;
        if !self.z_dims.is_empty() {
            within("sit", &[("length of z_dims", self.z_dims.len() as i64)], DEEPEST)?;
        }
        self.z_dims.iter().try_for_each(|n| within("sit", &[("z_dims", *n)], WIDEST))?;
        if self.hidden % self.heads != 0 || self.hidden % 4 != 0 {
            return fail(format!("the width {} must be a multiple of the {} heads, and of 4 for the positions", self.hidden, self.heads));
        }
        if let Some(side) = self.input_size.iter().find(|side| *side % self.patch != 0) {
            return fail(format!("patch {} does not divide input_size {side}", self.patch));
        }
        if !(1..=self.depth).contains(&self.encoder_depth) {
            return fail(format!("encoder_depth {} is not between 1 and the depth {}", self.encoder_depth, self.depth));
        }
        if !(0.0..=1.0).contains(&self.class_dropout) || !(0.0..=1.0).contains(&self.bn_momentum) {
            return fail("class_dropout and bn_momentum must be between 0 and 1".into());
        }
        if (self.hidden as f64 * self.mlp_ratio) < 1.0 {
            return fail(format!("mlp_ratio {} of width {} leaves no hidden unit", self.mlp_ratio, self.hidden));
        }
        // Attention has four maps of the width, its modulation six, the feed-forward layers two to the hidden width.
        let width = self.hidden as f64;
        let blocks = self.depth as f64 * width * (10.0 * width + 2.0 * hidden as f64);
        let tables = width * (self.num_classes as f64 + self.grid().map(|n| n as f64).iter().product::<f64>());
        room_for_weights("sit", blocks + tables)
    }
}
