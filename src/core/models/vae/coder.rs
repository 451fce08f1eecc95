//! Encoder and decoder.

use super::VaeConfig;
use super::parts::{AttnBlock, Downsample, ResnetBlock, Upsample, conv3, norm};
use crate::error::Result;
use crate::nn::Path;
use crate::nn::layers::{Conv2d, GroupNorm};
use crate::torch::Tensor;

/// The blocks of one resolution. Its parameters are named `block.N`, `attn.N` and `downsample` or `upsample`.
struct Level<R> {
    blocks: Vec<ResnetBlock>,
    attns: Vec<AttnBlock>,
    resample: Option<R>,
}

impl<R> Level<R> {
    fn new(p: &Path, c: &VaeConfig, inputs: i64, outputs: i64, count: i64, attention: bool) -> Result<Self> {
        let block = |j| ResnetBlock::new(&p.pp("block").pp(j), if j == 0 { inputs } else { outputs }, outputs, c.dropout, c.norm_groups);
        let blocks = (0..count).map(block).collect::<Result<_>>()?;
        let attn = |j| AttnBlock::new(&p.pp("attn").pp(j), outputs, c.norm_groups);
        let attns = (0..if attention { count } else { 0 }).map(attn).collect::<Result<_>>()?;
        Ok(Level { blocks, attns, resample: None })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for (j, block) in self.blocks.iter().enumerate() {
            h = block.forward(&h)?;
            if let Some(attn) = self.attns.get(j) {
                h = attn.forward(&h)?;
            }
        }
        Ok(h)
    }
}

/// Two residual blocks around attention, at the lowest resolution.
struct Middle {
    block_1: ResnetBlock,
    attn_1: AttnBlock,
    block_2: ResnetBlock,
}

impl Middle {
    fn new(p: &Path, c: &VaeConfig, width: i64) -> Result<Self> {
        Ok(Middle {
            block_1: ResnetBlock::new(&p.pp("block_1"), width, width, c.dropout, c.norm_groups)?,
            attn_1: AttnBlock::new(&p.pp("attn_1"), width, c.norm_groups)?,
            block_2: ResnetBlock::new(&p.pp("block_2"), width, width, c.dropout, c.norm_groups)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.block_2.forward(&self.attn_1.forward(&self.block_1.forward(x)?)?)
    }
}

/// Widths of all levels, and whether each has attention: by the nominal resolution, whatever the input's size.
fn plan(c: &VaeConfig) -> Vec<(i64, bool)> {
    let level = |(i, m): (usize, &i64)| (c.ch * m, c.attn_resolutions.contains(&(c.resolution >> i)));
    c.ch_mult.iter().enumerate().map(level).collect()
}

/// Images `[B, C, H, W]` -> `[B, 2 * z_channels, h, w]`.
pub struct Encoder {
    conv_in: Conv2d,
    down: Vec<Level<Downsample>>,
    mid: Middle,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    pub fn new(p: &Path, c: &VaeConfig) -> Result<Self> {
        let conv_in = conv3(&p.pp("conv_in"), c.in_channels, c.ch)?;
        let (mut width, mut down, plan) = (c.ch, Vec::new(), plan(c));
        for (i, &(outputs, attention)) in plan.iter().enumerate() {
            let p = p.pp("down").pp(i);
            let mut level = Level::new(&p, c, width, outputs, c.num_res_blocks, attention)?;
            if i + 1 < plan.len() {
                level.resample = Some(Downsample::new(&p.pp("downsample"), outputs)?);
            }
            down.push(level);
            width = outputs;
        }
        Ok(Encoder {
            conv_in,
            down,
            mid: Middle::new(&p.pp("mid"), c, width)?,
            norm_out: norm(&p.pp("norm_out"), c.norm_groups, width)?,
            conv_out: conv3(&p.pp("conv_out"), width, 2 * c.z_channels)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.conv_in.forward(x)?;
        for level in &self.down {
            h = level.forward(&h)?;
            if let Some(down) = &level.resample {
                h = down.forward(&h)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward(&self.mid.forward(&h)?)?.silu()?)
    }
}

/// Latents `[B, z_channels, h, w]` -> images `[B, out_ch, H, W]`.
pub struct Decoder {
    conv_in: Conv2d,
    mid: Middle,
    up: Vec<Level<Upsample>>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    pub fn new(p: &Path, c: &VaeConfig) -> Result<Self> {
        let plan = plan(c);
        let lowest = plan.last().map_or(c.ch, |l| l.0);
        let conv_in = conv3(&p.pp("conv_in"), c.z_channels, lowest)?;
        let mid = Middle::new(&p.pp("mid"), c, lowest)?;
        let mut up = Vec::new();
        // `up.0` is the finest level although it runs last: each level's input comes from the next coarser one.
        for (i, &(outputs, attention)) in plan.iter().enumerate() {
            let p = p.pp("up").pp(i);
            let inputs = plan.get(i + 1).map_or(lowest, |l| l.0);
            let mut level = Level::new(&p, c, inputs, outputs, c.num_res_blocks + 1, attention)?;
            if i > 0 {
                level.resample = Some(Upsample::new(&p.pp("upsample"), outputs)?);
            }
            up.push(level);
        }
        let finest = plan.first().map_or(c.ch, |l| l.0);
        let norm_out = norm(&p.pp("norm_out"), c.norm_groups, finest)?;
        Ok(Decoder { conv_in, mid, up, norm_out, conv_out: conv3(&p.pp("conv_out"), finest, c.out_ch)? })
    }

    pub fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let mut h = self.mid.forward(&self.conv_in.forward(z)?)?;
        for level in self.up.iter().rev() {
            h = level.forward(&h)?;
            if let Some(up) = &level.resample {
                h = up.forward(&h)?;
            }
        }
        self.conv_out.forward(&self.norm_out.forward(&h)?.silu()?)
    }
}
