//! `F::`, convolutions, resizing, pooling and patches, with PyTorch's options and defaults.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::value::{Dims, FromArg};
use crate::torch::Tensor;
use crate::torch::operators::call_own1;
use rhai::Dynamic;

api! {
    namespace "F";

    /// 2-D convolution.
    ///
    /// # Shapes
    /// - `x`: `[B, Cin, H, W]`, `weight`: `[Cout, Cin / groups, kh, kw]`, `bias`: `[Cout]` -> `[B, Cout, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let y = F::conv2d(torch::ones([1, 3, 8, 8]), torch::ones([5, 3, 3, 3]), #{padding: 1, stride: 2});
    /// assert_eq(y.shape, [1, 5, 4, 4]);
    /// ```
    fn conv2d(x: Tensor, weight: Tensor, bias: Option<Tensor>;
        /// steps between windows
        stride: [i64; 2] = [1, 1],
        /// zeros on each side, or what is to be kept: `"same"` the size, `"valid"` nothing
        padding: Padding = Padding::Zeros([0, 0]),
        /// steps between the elements of the kernel
        dilation: [i64; 2] = [1, 1],
        /// groups of channels that do not mix
        groups: i64 = 1,
    ) -> Tensor {
        let (x, padding) = padding.around(&x, &weight, stride, dilation)?;
        x.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups)
    }

    /// Transposed 2-D convolution.
    ///
    /// # Shapes
    /// - `x`: `[B, Cin, H, W]`, `weight`: `[Cin, Cout / groups, kh, kw]` -> `[B, Cout, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let y = F::conv_transpose2d(torch::ones([1, 3, 4, 4]), torch::ones([3, 5, 2, 2]), #{stride: 2});
    /// assert_eq(y.shape, [1, 5, 8, 8]);
    /// ```
    fn conv_transpose2d(x: Tensor, weight: Tensor, bias: Option<Tensor>;
        /// steps between windows
        stride: [i64; 2] = [1, 1],
        /// rows and columns taken away on each side
        padding: [i64; 2] = [0, 0],
        /// rows and columns added at the end
        output_padding: [i64; 2] = [0, 0],
        /// steps between the elements of the kernel
        dilation: [i64; 2] = [1, 1],
        /// groups of channels that do not mix
        groups: i64 = 1,
    ) -> Tensor {
        x.conv_transpose2d(&weight, bias.as_ref(), stride, padding, output_padding, groups, dilation)
    }

    /// Resizes maps to a `size` or by a `scale_factor`.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0202` for an unknown mode, for both or none of `size` and `scale_factor`, or another rank.
    /// # Example
    /// ```rhai
    /// let x = torch::rand([1, 3, 8, 8]);
    /// assert_eq(F::interpolate(x, #{scale_factor: 2}).shape, [1, 3, 16, 16]);
    /// assert_eq(F::interpolate(x, #{size: [4, 6], mode: "bicubic", antialias: true}).shape, [1, 3, 4, 6]);
    /// ```
    fn interpolate(x: Tensor;
        /// how values between are found
        mode: String["nearest", "nearest-exact", "bilinear", "bicubic", "area"] = "nearest".into(),
        /// the size to resize to, an int or [h, w]
        size: Option<Dims>,
        /// the factor to resize by, a number or [y, x], in place of a size
        scale_factor: Option<Numbers>,
        /// whether the corners keep their values
        align_corners: bool = false,
        /// whether more pixels count where a map shrinks
        antialias: bool = false,
    ) -> Tensor {
        let (size, scale_factor) = target_size(&x, size, scale_factor)?;
        resize(&x, size, scale_factor, &mode, align_corners, antialias)
    }

    /// Pads the last dimensions, the last one first: `[left, right, top, bottom]`.
    ///
    /// # Shapes
    /// - `[.., H, W]` -> `[.., H + top + bottom, W + left + right]`
    /// # Errors
    /// `E0201` for another mode or more padding than the mode can do.
    /// # Example
    /// ```rhai
    /// assert_eq(F::pad(torch::ones([1, 1, 4, 4]), [0, 1, 0, 1]).shape, [1, 1, 5, 5]);
    /// ```
    fn pad(x: Tensor, pad: Vec<i64>;
        /// what lies beyond the border
        mode: String["constant", "reflect", "replicate", "circular"] = "constant".into(),
        /// what constant padding holds
        value: Option<f64>,
    ) -> Tensor {
        x.pad(&pad, &mode, value)
    }

    /// Mean over windows.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::avg_pool2d(torch::ones([1, 3, 8, 8]), 2).shape, [1, 3, 4, 4]);
    /// ```
    fn avg_pool2d(x: Tensor, kernel_size: Dims;
        /// steps between windows; the kernel unless given
        stride: Option<[i64; 2]>,
        /// zeros on each side
        padding: [i64; 2] = [0, 0],
        /// whether a window that is not whole counts
        ceil_mode: bool = false,
        /// whether the padding counts in the mean
        count_include_pad: bool = true,
    ) -> Tensor {
        let kernel = two_of("avg_pool2d", "kernel_size", &kernel_size.0)?;
        let stride = stride.unwrap_or(kernel);
        call_own1("avg_pool2d", &[(&x).into(), kernel.into(), stride.into(), padding.into(), ceil_mode.into(), count_include_pad.into()], &[])
    }

    /// Maximum over windows.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::max_pool2d(torch::ones([1, 3, 8, 8]), 3, #{stride: 2, padding: 1}).shape, [1, 3, 4, 4]);
    /// ```
    fn max_pool2d(x: Tensor, kernel_size: Dims;
        /// steps between windows; the kernel unless given
        stride: Option<[i64; 2]>,
        /// zeros on each side
        padding: [i64; 2] = [0, 0],
        /// steps between the elements of the kernel
        dilation: [i64; 2] = [1, 1],
        /// whether a window that is not whole counts
        ceil_mode: bool = false,
    ) -> Tensor {
        let kernel = two_of("max_pool2d", "kernel_size", &kernel_size.0)?;
        let stride = stride.unwrap_or(kernel);
        call_own1("max_pool2d", &[(&x).into(), kernel.into(), stride.into(), padding.into(), dilation.into(), ceil_mode.into()], &[])
    }

    /// Mean over windows that divide the map into `size` cells.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, h, w]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(F::adaptive_avg_pool2d(torch::ones([1, 3, 9, 9]), [2, 4]).shape, [1, 3, 2, 4]);
    /// ```
    fn adaptive_avg_pool2d(x: Tensor, size: Dims) -> Tensor { x.adaptive_avg_pool2d(two_of("adaptive_avg_pool2d", "size", &size.0)?) }

    /// Sliding patches as columns.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C * kh * kw, L]`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::unfold(torch::ones([1, 3, 8, 8]), 2, #{stride: 2}).shape, [1, 12, 16]);
    /// ```
    fn unfold(x: Tensor, kernel_size: Dims;
        /// steps between the elements of the kernel
        dilation: [i64; 2] = [1, 1],
        /// zeros on each side
        padding: [i64; 2] = [0, 0],
        /// steps between windows
        stride: [i64; 2] = [1, 1],
    ) -> Tensor {
        let kernel = two_of("unfold", "kernel_size", &kernel_size.0)?;
        call_own1("im2col", &[(&x).into(), kernel.into(), dilation.into(), padding.into(), stride.into()], &[])
    }

    /// Moves channels into space.
    ///
    /// # Shapes
    /// - `[B, C * r * r, H, W]` -> `[B, C, H * r, W * r]`
    /// # Errors
    /// `E0201` when the channels are no multiple of `r * r`.
    /// # Example
    /// ```rhai
    /// assert_eq(F::pixel_shuffle(torch::ones([1, 12, 4, 4]), 2).shape, [1, 3, 8, 8]);
    /// ```
    fn pixel_shuffle(x: Tensor, upscale_factor: i64) -> Tensor { x.pixel_shuffle(upscale_factor) }

    /// Moves space into channels.
    ///
    /// # Shapes
    /// - `[B, C, H * r, W * r]` -> `[B, C * r * r, H, W]`
    /// # Errors
    /// `E0201` when the sizes are no multiples of `r`.
    /// # Example
    /// ```rhai
    /// assert_eq(F::pixel_unshuffle(torch::ones([1, 3, 8, 8]), 2).shape, [1, 12, 4, 4]);
    /// ```
    fn pixel_unshuffle(x: Tensor, downscale_factor: i64) -> Tensor { x.pixel_unshuffle(downscale_factor) }
}

/// One number or several.
struct Numbers(Vec<f64>);

impl FromArg for Numbers {
    const NAME: &'static str = "a number or an array of numbers";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        f64::from_dynamic(d).map(|n| Numbers(vec![n])).or_else(|| Vec::from_dynamic(d).map(Numbers))
    }
}

/// An int for both directions, or `[y, x]`.
pub(crate) fn two_of(op: &str, name: &str, n: &[i64]) -> Result<[i64; 2]> {
    match *n {
        [a] => Ok([a, a]),
        [a, b] => Ok([a, b]),
        _ => Err(Error::value(op, format!("`{name}` must be an int or `[y, x]`, got {n:?}"))),
    }
}

/// As `Tensor::interpolate`; a scale factor, where that was given, enters the sampling positions, as in PyTorch.
fn resize(x: &Tensor, size: [i64; 2], scale: Option<[f64; 2]>, mode: &str, align_corners: bool, antialias: bool) -> Result<Tensor> {
    if size.iter().any(|&n| n < 1) {
        return Err(Error::value("interpolate", format!("the target size {size:?} must be at least 1 x 1")));
    }
    let Some([sy, sx]) = scale else { return x.interpolate(size, mode, align_corners, antialias) };
    let scaled = |op, smooth: bool| {
        let mut args = vec![x.into(), size.into()];
        if smooth {
            args.push(align_corners.into());
        }
        call_own1(op, &[args, vec![sy.into(), sx.into()]].concat(), &[])
    };
    match (mode, antialias) {
        ("nearest", false) if !align_corners => scaled("upsample_nearest2d", false),
        ("nearest-exact", false) if !align_corners => scaled("_upsample_nearest_exact2d", false),
        ("bilinear", false) => scaled("upsample_bilinear2d", true),
        ("bilinear", true) => scaled("_upsample_bilinear2d_aa", true),
        ("bicubic", false) => scaled("upsample_bicubic2d", true),
        ("bicubic", true) => scaled("_upsample_bicubic2d_aa", true),
        // `area`, and the error for the rest.
        _ => x.interpolate(size, mode, align_corners, antialias),
    }
}

/// The option `padding` of a convolution.
enum Padding {
    /// So many zeros.
    Zeros([i64; 2]),
    /// As many as keep the size, at stride 1.
    Same,
    /// None.
    Valid,
}

impl FromArg for Padding {
    const NAME: &'static str = "an int, [y, x], \"same\" or \"valid\"";
    const CHOICES: &'static [&'static str] = &["same", "valid"];
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(n) = <[i64; 2]>::from_dynamic(d) {
            return Some(Padding::Zeros(n));
        }
        match String::from_dynamic(d)?.as_str() {
            "same" => Some(Padding::Same),
            "valid" => Some(Padding::Valid),
            _ => None,
        }
    }
    fn text(&self) -> Option<String> {
        if let Padding::Zeros(n) = self { n.text() } else { None }
    }
}

impl Padding {
    /// The padded input, and what padding is left to the convolution. `same` pads one more at the end of an odd total, as PyTorch does.
    fn around(&self, x: &Tensor, weight: &Tensor, stride: [i64; 2], dilation: [i64; 2]) -> Result<(Tensor, [i64; 2])> {
        match self {
            Padding::Zeros(n) => Ok((x.clone(), *n)),
            Padding::Valid => Ok((x.clone(), [0, 0])),
            Padding::Same if stride != [1, 1] => Err(Error::value("conv2d", "`padding: \"same\"` needs stride 1")),
            Padding::Same => {
                let total = |side: usize| {
                    let reach = dilation[side].checked_mul((weight.size(2 + side as i64)? - 1).max(0)).filter(|n| *n >= 0);
                    reach.ok_or_else(|| Error::value("conv2d", format!("`dilation` {} of a window of {:?}", dilation[side], weight.shape())))
                };
                let total = [total(0)?, total(1)?];
                let (top, left) = (total[0] / 2, total[1] / 2);
                if total[0] % 2 == 0 && total[1] % 2 == 0 {
                    return Ok((x.clone(), [top, left]));
                }
                Ok((x.pad(&[left, total[1] - left, top, total[0] - top], "constant", None)?, [0, 0]))
            }
        }
    }
}

/// The size to resize to, and the scale where that was given: it then enters the sampling positions.
fn target_size(x: &Tensor, size: Option<Dims>, scale: Option<Numbers>) -> Result<([i64; 2], Option<[f64; 2]>)> {
    let (_, _, h, w) = x.size4()?;
    match (size, scale) {
        (Some(s), None) => Ok((two_of("interpolate", "size", &s.0)?, None)),
        (None, Some(s)) => {
            let s = match s.0[..] {
                [s] => [s, s],
                [y, x] => [y, x],
                _ => return Err(Error::value("interpolate", "`scale_factor` must be a number or `[y, x]`")),
            };
            Ok(([(h as f64 * s[0]).floor() as i64, (w as f64 * s[1]).floor() as i64], Some(s)))
        }
        _ => Err(Error::value("interpolate", "one of `size` and `scale_factor` is needed")),
    }
}
