//! `F::`, convolutions, resizing, pooling and patches, with PyTorch's options and defaults.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::value::{Dims, FromArg, Kw};
use crate::torch::Tensor;
use crate::torch::bridge::call1;
use rhai::Dynamic;

api! {
    namespace "F";

    /// 2-D convolution. Options: `stride` (1), `padding` (0, or `"same"`, `"valid"`), `dilation` (1), `groups` (1); each an int or `[y, x]`.
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
    fn conv2d(x: Tensor, weight: Tensor, bias: Option<Tensor>, opts: Kw) -> Tensor {
        let mut opts = opts;
        let stride = two(&mut opts, "stride", 1)?;
        let dilation = two(&mut opts, "dilation", 1)?;
        let groups = opts.get("groups", 1)?;
        let (x, padding) = padding(&x, &weight, stride, dilation, &mut opts)?;
        opts.done()?;
        x.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups)
    }

    /// Transposed 2-D convolution. Options: `stride` (1), `padding` (0), `output_padding` (0), `dilation` (1), `groups` (1).
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
    fn conv_transpose2d(x: Tensor, weight: Tensor, bias: Option<Tensor>, opts: Kw) -> Tensor {
        let mut opts = opts;
        let (stride, padding) = (two(&mut opts, "stride", 1)?, two(&mut opts, "padding", 0)?);
        let (output_padding, dilation) = (two(&mut opts, "output_padding", 0)?, two(&mut opts, "dilation", 1)?);
        let groups = opts.get("groups", 1)?;
        opts.done()?;
        x.conv_transpose2d(&weight, bias.as_ref(), stride, padding, output_padding, groups, dilation)
    }

    /// Resizes maps. Options: `size` (int or `[h, w]`) or `scale_factor` (number or `[y, x]`), `mode` (`nearest`, `nearest-exact`, `bilinear`,
    /// `bicubic`, `area`), `align_corners` (false), `antialias` (false).
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
    fn interpolate(x: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let mode: String = opts.get("mode", "nearest".to_owned())?;
        let (size, scale) = (opts.opt::<Dims>("size")?, opts.opt::<Numbers>("scale_factor")?);
        let (align_corners, antialias) = (opts.get("align_corners", false)?, opts.get("antialias", false)?);
        opts.done()?;
        let (size, scale) = target_size(&x, size, scale)?;
        resize(&x, size, scale, &mode, align_corners, antialias)
    }

    /// Pads the last dimensions, the last one first: `[left, right, top, bottom]`. Options: `mode` (`constant`, `reflect`, `replicate`,
    /// `circular`), `value` (0).
    ///
    /// # Shapes
    /// - `[.., H, W]` -> `[.., H + top + bottom, W + left + right]`
    /// # Errors
    /// `E0201` for another mode or more padding than the mode can do.
    /// # Example
    /// ```rhai
    /// assert_eq(F::pad(torch::ones([1, 1, 4, 4]), [0, 1, 0, 1]).shape, [1, 1, 5, 5]);
    /// ```
    fn pad(x: Tensor, pad: Vec<i64>, opts: Kw) -> Tensor {
        let mut opts = opts;
        let (mode, value): (String, Option<f64>) = (opts.get("mode", "constant".to_owned())?, opts.opt("value")?);
        opts.done()?;
        x.pad(&pad, &mode, value)
    }

    /// Mean over windows. Options: `stride` (the kernel), `padding` (0), `ceil_mode` (false), `count_include_pad` (true).
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::avg_pool2d(torch::ones([1, 3, 8, 8]), 2).shape, [1, 3, 4, 4]);
    /// ```
    fn avg_pool2d(x: Tensor, kernel_size: Dims, opts: Kw) -> Tensor {
        let mut opts = opts;
        let [kernel, stride, padding] = window("avg_pool2d", &kernel_size, &mut opts)?;
        let (ceil, count_pad) = (opts.get("ceil_mode", false)?, opts.get("count_include_pad", true)?);
        opts.done()?;
        call1("avg_pool2d", &[(&x).into(), kernel.into(), stride.into(), padding.into(), ceil.into(), count_pad.into()], &[])
    }

    /// Maximum over windows. Options: `stride` (the kernel), `padding` (0), `dilation` (1), `ceil_mode` (false).
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C, H', W']`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::max_pool2d(torch::ones([1, 3, 8, 8]), 3, #{stride: 2, padding: 1}).shape, [1, 3, 4, 4]);
    /// ```
    fn max_pool2d(x: Tensor, kernel_size: Dims, opts: Kw) -> Tensor {
        let mut opts = opts;
        let [kernel, stride, padding] = window("max_pool2d", &kernel_size, &mut opts)?;
        let (dilation, ceil) = (two(&mut opts, "dilation", 1)?, opts.get("ceil_mode", false)?);
        opts.done()?;
        call1("max_pool2d", &[(&x).into(), kernel.into(), stride.into(), padding.into(), dilation.into(), ceil.into()], &[])
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

    /// Sliding patches as columns. Options: `dilation` (1), `padding` (0), `stride` (1).
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> `[B, C * kh * kw, L]`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::unfold(torch::ones([1, 3, 8, 8]), 2, #{stride: 2}).shape, [1, 12, 16]);
    /// ```
    fn unfold(x: Tensor, kernel_size: Dims, opts: Kw) -> Tensor {
        let mut opts = opts;
        let kernel = two_of("unfold", "kernel_size", &kernel_size.0)?;
        let (dilation, padding, stride) = (two(&mut opts, "dilation", 1)?, two(&mut opts, "padding", 0)?, two(&mut opts, "stride", 1)?);
        opts.done()?;
        call1("im2col", &[(&x).into(), kernel.into(), dilation.into(), padding.into(), stride.into()], &[])
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

/// The same as an option.
pub(crate) fn two(opts: &mut Kw, name: &'static str, default: i64) -> Result<[i64; 2]> {
    let n = opts.get(name, Dims(vec![default]))?.0;
    two_of("options", name, &n)
}

/// Kernel, stride (the kernel unless given) and padding of a pooling function.
fn window(op: &str, kernel: &Dims, opts: &mut Kw) -> Result<[[i64; 2]; 3]> {
    let kernel = two_of(op, "kernel_size", &kernel.0)?;
    let stride = match opts.opt::<Dims>("stride")? {
        Some(s) => two_of(op, "stride", &s.0)?,
        None => kernel,
    };
    Ok([kernel, stride, two(opts, "padding", 0)?])
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
        call1(op, &[args, vec![sy.into(), sx.into()]].concat(), &[])
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

/// The option `padding` of a convolution: numbers, `valid`, or `same`, which for an odd total pads one more at the end as PyTorch does.
fn padding(x: &Tensor, weight: &Tensor, stride: [i64; 2], dilation: [i64; 2], opts: &mut Kw) -> Result<(Tensor, [i64; 2])> {
    let given: Option<Dynamic> = opts.opt("padding")?;
    let Some(given) = given else { return Ok((x.clone(), [0, 0])) };
    if let Some(n) = Dims::from_dynamic(&given) {
        return Ok((x.clone(), two_of("conv2d", "padding", &n.0)?));
    }
    match String::from_dynamic(&given).as_deref() {
        Some("valid") => Ok((x.clone(), [0, 0])),
        Some("same") if stride != [1, 1] => Err(Error::value("conv2d", "`padding: \"same\"` needs stride 1")),
        Some("same") => {
            let total = [dilation[0] * (weight.size(2)? - 1), dilation[1] * (weight.size(3)? - 1)];
            let (top, left) = (total[0] / 2, total[1] / 2);
            if total[0] % 2 == 0 && total[1] % 2 == 0 {
                return Ok((x.clone(), [top, left]));
            }
            Ok((x.pad(&[left, total[1] - left, top, total[0] - top], "constant", None)?, [0, 0]))
        }
        _ => Err(Error::value("conv2d", "`padding` must be an int, `[y, x]`, \"same\" or \"valid\"")),
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
