//! The blocks that encoder and decoder share.

use crate::error::Result;
use crate::nn::Path;
use crate::nn::layers::{Conv2d, Conv2dOptions, Dropout, GroupNorm, LinearInit};
use crate::torch::Tensor;

/// The same values `[B, C, H, W]` with the channels of one pixel side by side in memory.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.permute(&[0, 2, 3, 1])?.contiguous()?.permute(&[0, 3, 1, 2])
}

/// A 3x3 convolution that keeps the size.
pub fn conv3(p: &Path, inputs: i64, outputs: i64) -> Result<Conv2d> {
    Conv2d::new(p, inputs, outputs, [3, 3], Conv2dOptions::default().padding(1))
}

/// The group norm of all blocks: eps 1e-6.
pub fn norm(p: &Path, groups: i64, channels: i64) -> Result<GroupNorm> {
    GroupNorm::new(p, groups, channels, 1e-6, true)
}

/// `x + conv2(dropout(swish(norm2(conv1(swish(norm1(x)))))))`: `[B, Cin, H, W]` -> `[B, Cout, H, W]`.
pub struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    dropout: Dropout,
    conv2: Conv2d,
    nin_shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    pub fn new(p: &Path, inputs: i64, outputs: i64, dropout: f64, groups: i64) -> Result<Self> {
        Ok(ResnetBlock {
            norm1: norm(&p.pp("norm1"), groups, inputs)?,
            conv1: conv3(&p.pp("conv1"), inputs, outputs)?,
            norm2: norm(&p.pp("norm2"), groups, outputs)?,
            dropout: Dropout::new(p, dropout)?,
            conv2: conv3(&p.pp("conv2"), outputs, outputs)?,
            nin_shortcut: (inputs != outputs)
                .then(|| Conv2d::new(&p.pp("nin_shortcut"), inputs, outputs, [1, 1], Conv2dOptions::default()))
                .transpose()?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.conv1.forward(&self.norm1.forward(x)?.silu()?)?;
        let h = self.conv2.forward(&self.dropout.forward(&self.norm2.forward(&h)?.silu()?)?)?;
        match &self.nin_shortcut {
            Some(conv) => conv.forward(x)?.add(&h),
            None => x.add(&h),
        }
    }
}

/// A 1x1 convolution, run as a linear map on tokens `[B, N, C]`.
struct Pointwise {
    weight: Tensor,
    bias: Tensor,
}

impl Pointwise {
    fn new(p: &Path, channels: i64) -> Result<Self> {
        let (w, b) = LinearInit::Torch.rules(channels);
        Ok(Pointwise { weight: p.param("weight", &[channels, channels, 1, 1], w)?, bias: p.param("bias", &[channels], b)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.linear(&self.weight.flatten(1, 3)?, Some(&self.bias))
    }
}

/// Single-head self-attention over all pixels: `[B, C, H, W]` -> `[B, C, H, W]`.
pub struct AttnBlock {
    norm: GroupNorm,
    q: Pointwise,
    k: Pointwise,
    v: Pointwise,
    proj_out: Pointwise,
}

impl AttnBlock {
    pub fn new(p: &Path, channels: i64, groups: i64) -> Result<Self> {
        Ok(AttnBlock {
            norm: norm(&p.pp("norm"), groups, channels)?,
            q: Pointwise::new(&p.pp("q"), channels)?,
            k: Pointwise::new(&p.pp("k"), channels)?,
            v: Pointwise::new(&p.pp("v"), channels)?,
            proj_out: Pointwise::new(&p.pp("proj_out"), channels)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (b, c, h, w) = x.size4()?;
        let tokens = self.norm.forward(x)?.flatten(2, 3)?.transpose(1, 2)?.contiguous()?;
        let head = |map: &Pointwise| map.forward(&tokens)?.unsqueeze(1);
        let out = Tensor::attention(&head(&self.q)?, &head(&self.k)?, &head(&self.v)?, None, false, None)?.squeeze(Some(1))?;
        x.add(&self.proj_out.forward(&out)?.transpose(1, 2)?.reshape(&[b, c, h, w])?)
    }
}

/// Half the size: one row and column of zeros at the right and bottom, then a strided 3x3 convolution.
pub struct Downsample(Conv2d);

impl Downsample {
    pub fn new(p: &Path, channels: i64) -> Result<Self> {
        Ok(Downsample(Conv2d::new(&p.pp("conv"), channels, channels, [3, 3], Conv2dOptions::default().stride(2))?))
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(&x.pad(&[0, 1, 0, 1], "constant", Some(0.0))?)
    }
}

/// Twice the size: nearest neighbours, then a 3x3 convolution.
pub struct Upsample(Conv2d);

impl Upsample {
    pub fn new(p: &Path, channels: i64) -> Result<Self> {
        Ok(Upsample(conv3(&p.pp("conv"), channels, channels)?))
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.size4()?;
        self.0.forward(&x.upsample_nearest2d([2 * h, 2 * w])?)
    }
}
