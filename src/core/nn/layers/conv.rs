//! The 2-D convolution.

use super::{LinearInit, forward_one};
use crate::error::{Error, Result};
use crate::nn::bounds::{WIDEST, within};
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// `nn.Conv2d`'s options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dOptions {
    /// Step, `[y, x]`.
    pub stride: [i64; 2],
    /// Zeros added on both sides, `[y, x]`.
    pub padding: [i64; 2],
    /// Distance between taps, `[y, x]`.
    pub dilation: [i64; 2],
    /// Number of separate channel groups.
    pub groups: i64,
    /// Whether there is a bias.
    pub bias: bool,
    /// First values; `Xavier` sees the kernel as a matrix `[out, in * kh * kw]`.
    pub init: LinearInit,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Conv2dOptions { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1, bias: true, init: LinearInit::Torch }
    }
}

impl Conv2dOptions {
    /// The same stride both ways.
    #[must_use]
    pub fn stride(self, n: i64) -> Self {
        Conv2dOptions { stride: [n, n], ..self }
    }

    /// The same padding on all sides.
    #[must_use]
    pub fn padding(self, n: i64) -> Self {
        Conv2dOptions { padding: [n, n], ..self }
    }
}

/// 2-D convolution: `[B, Cin, H, W]` -> `[B, Cout, H', W']`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    options: Conv2dOptions,
}
forward_one!(Conv2d, "conv2d");

impl Conv2d {
    /// Registers `weight` `[out, in / groups, kh, kw]` and, if wanted, `bias` `[out]`.
    ///
    /// # Errors
    /// `E0202` when `groups` does not divide the channels, `E0201` for sizes that libtorch refuses.
    pub fn new(p: &Path, inputs: i64, outputs: i64, kernel: [i64; 2], options: Conv2dOptions) -> Result<Self> {
        if options.groups < 1 || inputs % options.groups != 0 || outputs % options.groups != 0 {
            return Err(Error::value("conv2d", format!("{} groups do not divide {inputs} input and {outputs} output channels", options.groups)));
        }
        if kernel.iter().chain(&options.stride).chain(&options.dilation).any(|&n| n < 1) || options.padding.iter().any(|&n| n < 0) {
            return Err(Error::value(
                "conv2d",
                format!("kernel {kernel:?}, stride and dilation must be at least 1, padding at least 0: {options:?}"),
            ));
        }
        within("conv2d", &[("inputs", inputs), ("outputs", outputs), ("kernel_size", kernel[0]), ("kernel_size", kernel[1])], WIDEST)?;
        let per_group = inputs / options.groups;
        let (w, b) = options.init.rules(per_group * kernel[0] * kernel[1]);
        let weight = p.param("weight", &[outputs, per_group, kernel[0], kernel[1]], w)?;
        let bias = options.bias.then(|| p.param("bias", &[outputs], b)).transpose()?;
        Ok(Conv2d { weight, bias, options })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn module(inputs: i64, outputs: i64, kernel: [i64; 2], options: Conv2dOptions) -> Result<Module> {
        Module::build("conv2d", default_device(), move |p| Ok(Built::layer(Conv2d::new(p, inputs, outputs, kernel, options)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the channels of `x` do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        x.conv2d(&self.weight, self.bias.as_ref(), o.stride, o.padding, o.dilation, o.groups)
    }
}
