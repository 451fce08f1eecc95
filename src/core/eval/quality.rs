//! How near a reconstruction comes to its picture.

use super::picture::Range;
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor, no_grad};

/// Side and deviation of SSIM's Gaussian window: 3.5 deviations to each side.
const WINDOW: i64 = 11;
const SIGMA: f64 = 1.5;

/// Peak signal-to-noise ratio of each picture in dB, `10 log10(width^2 / mse)`: `[B]` f64; infinite for equal pictures.
///
/// # Shapes
/// - `a`, `b`: `[B, C, H, W]` or `[C, H, W]` (which counts as a batch of one), u8, or float with a given `range`
/// # Errors
/// `E0202` for shapes or dtypes that differ, or floats without a range.
pub fn psnr(a: &Tensor, b: &Tensor, range: Option<Range>) -> Result<Tensor> {
    no_grad(|| {
        let (a, b, width) = pair("psnr", a, b, range)?;
        let mse = a.sub(&b)?.square()?.mean(&[1, 2, 3], false)?;
        mse.reciprocal()?.mul(width * width)?.log10()?.mul(10.0)
    })
}

/// Structural similarity of each picture (Wang et al. 2004): `[B]` f64, 1 for equal pictures. A Gaussian window of 11 x 11 pixels, deviation 1.5,
/// K1 0.01, K2 0.03, population covariances, the mean over all places where the window fits and over channels; as scikit-image's
/// `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0, data_range=..)`.
///
/// # Shapes
/// - as [`psnr`]; `H` and `W` at least 11
/// # Errors
/// As [`psnr`]; `E0202` for smaller pictures.
pub fn ssim(a: &Tensor, b: &Tensor, range: Option<Range>) -> Result<Tensor> {
    no_grad(|| {
        let (a, b, width) = pair("ssim", a, b, range)?;
        let (n, c, h, w) = a.size4()?;
        if h < WINDOW || w < WINDOW {
            return Err(Error::value("ssim", format!("pictures of {h} x {w} are smaller than the window of {WINDOW} x {WINDOW}")));
        }
        let half = (WINDOW / 2) as f64;
        let at = Tensor::arange(-half, half + 1.0, 1.0, DType::Double, a.device())?;
        let kernel = at.square()?.mul(-0.5 / (SIGMA * SIGMA))?.exp()?;
        let kernel = kernel.div(&kernel.sum(&[], false)?)?;
        let blur = |x: &Tensor| {
            let x = x.reshape(&[n * c, 1, h, w])?;
            let x = x.conv2d(&kernel.view(&[1, 1, WINDOW, 1])?, None, [1, 1], [0, 0], [1, 1], 1)?;
            x.conv2d(&kernel.view(&[1, 1, 1, WINDOW])?, None, [1, 1], [0, 0], [1, 1], 1)
        };
        let (c1, c2) = ((0.01 * width).powi(2), (0.03 * width).powi(2));
        let (ma, mb) = (blur(&a)?, blur(&b)?);
        let (mab, maa, mbb) = (ma.mul(&mb)?, ma.square()?, mb.square()?);
        let vab = blur(&a.mul(&b)?)?.sub(&mab)?;
        let vaa = blur(&a.square()?)?.sub(&maa)?;
        let vbb = blur(&b.square()?)?.sub(&mbb)?;
        let above = mab.mul(2.0)?.add(c1)?.mul(&vab.mul(2.0)?.add(c2)?)?;
        let below = maa.add(&mbb)?.add(c1)?.mul(&vaa.add(&vbb)?.add(c2)?)?;
        above.div(&below)?.reshape(&[n, -1])?.mean(&[1], false)
    })
}

/// Both batches in f64, and the width of the range of their values.
fn pair(op: &str, a: &Tensor, b: &Tensor, range: Option<Range>) -> Result<(Tensor, Tensor, f64)> {
    if a.shape() != b.shape() || a.dtype() != b.dtype() {
        return Err(Error::value(op, format!("the pictures differ in shape or dtype: {} and {}", a.describe(), b.describe())));
    }
    let width = match (a.dtype(), range) {
        (DType::Uint8, None) => 255.0,
        (DType::Uint8, Some(_)) => return Err(Error::value(op, "`range` is for floats; u8 pictures have 0 to 255")),
        (_, Some(r)) if a.is_float() => r.width(),
        _ => {
            return Err(Error::value(op, format!("pictures must be u8, or float with a range, got {}", a.describe()))
                .help("state what black and white are: `#{range: [-1, 1]}` or `#{range: [0, 1]}`"));
        }
    };
    let batch = |x: &Tensor| {
        let x = match x.rank() {
            4 => x.clone(),
            3 => x.unsqueeze(0)?,
            _ => return Err(Error::value(op, format!("expected [B, C, H, W] or [C, H, W], got {}", x.describe()))),
        };
        x.detach()?.to_dtype(DType::Double)
    };
    Ok((batch(a)?, batch(&b.to_device(a.device())?)?, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pictures [3, 24, 20], the second with a little noise.
    fn pictures() -> (Tensor, Tensor) {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (c, i, j) in (0..3).flat_map(|c| (0..24).flat_map(move |i| (0..20).map(move |j| (c, i, j)))) {
            let v = (i * 7 + j * 13 + c * 29 + (i * j) % 11 * 5) % 256;
            x.push(v as u8);
            y.push((v + (i * 3 + j * 5) % 17 - 8).clamp(0, 255) as u8);
        }
        (Tensor::from_vec(&x, &[3, 24, 20]).unwrap(), Tensor::from_vec(&y, &[3, 24, 20]).unwrap())
    }

    /* scikit-image 0.25:
    c, i, j = np.meshgrid(np.arange(3), np.arange(24), np.arange(20), indexing="ij")
    x = ((i*7 + j*13 + c*29 + (i*j)%11*5) % 256).astype(np.uint8)
    y = np.clip(x.astype(int) + (i*3 + j*5)%17 - 8, 0, 255).astype(np.uint8)
    kw = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0)
    peak_signal_noise_ratio(x, y, data_range=255)                             # 34.413200278431894
    structural_similarity(x, y, data_range=255, **kw)                         # 0.9939810709737014
    structural_similarity(x/127.5-1, y/127.5-1, data_range=2, **kw)           # 0.9939502448228593
    The two SSIM differ because scikit-image filters u8 pictures and their products in another precision.
    */
    #[test]
    fn agree_with_scikit_image() {
        let (x, y) = pictures();
        assert!((psnr(&x, &y, None).unwrap().item().unwrap() - 34.413200278431894).abs() < 1e-9);
        let s = ssim(&x, &y, None).unwrap().item().unwrap();
        assert!((s - 0.9939810709737014).abs() < 1e-9, "{s}");
        let float = |t: &Tensor| t.to_dtype(DType::Double).unwrap().div(127.5).unwrap().sub(1.0).unwrap();
        let range = Some(Range::new(-1.0, 1.0).unwrap());
        let s = ssim(&float(&x), &float(&y), range).unwrap().item().unwrap();
        assert!((s - 0.9939502448228593).abs() < 1e-9, "{s}");
    }

    #[test]
    fn each_picture_counts_by_itself() {
        let (x, y) = pictures();
        let (a, b) = (Tensor::stack(&[&x, &x], 0).unwrap(), Tensor::stack(&[&y, &x], 0).unwrap());
        let p = psnr(&a, &b, None).unwrap().to_vec_f64().unwrap();
        assert!((p[0] - 34.4132).abs() < 1e-3 && p[1].is_infinite());
        assert_eq!(ssim(&a, &b, None).unwrap().to_vec_f64().unwrap()[1], 1.0);
    }

    #[test]
    fn wrong_input_is_refused() {
        let (x, y) = pictures();
        let f = x.to_dtype(DType::Float).unwrap();
        assert!(psnr(&f, &f, None).is_err() && psnr(&x, &f, None).is_err());
        assert!(psnr(&x, &y.narrow(1, 0, 20).unwrap(), None).is_err());
        let small = x.narrow(1, 0, 10).unwrap();
        assert!(ssim(&small, &small, None).is_err());
    }
}
