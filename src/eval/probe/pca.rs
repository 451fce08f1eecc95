//! Principal components of latents, over all places of all pictures, and pictures of the first three.

use crate::error::{Error, Result};
use crate::torch::{DType, Tensor, no_grad};

/// Components of the channels of latents.
#[derive(Debug, Clone)]
pub struct Components {
    /// Projections `[B, K, H, W]` of the latents about their mean.
    pub projected: Tensor,
    /// Unit directions `[K, C]`; the largest element of each is positive, so that colours do not flip from run to run.
    pub directions: Tensor,
    /// The part of the variance along each: `[K]`.
    pub explained: Vec<f64>,
    /// The mean of each channel: `[C]`.
    pub mean: Tensor,
}

/// The first `k` principal components of latents `[B, C, H, W]` or tokens `[B, N, D]` (square grids), each place a sample of `C` values.
///
/// # Errors
/// `E0202` for another shape, more components than channels, values that are not finite, or latents that do not vary.
pub fn pca(z: &Tensor, k: i64) -> Result<Components> {
    no_grad(|| {
        let z = maps(z)?;
        let (b, c, h, w) = z.size4()?;
        if k < 1 || k > c || b * h * w < 2 {
            return Err(Error::value("pca", format!("{k} components of {c} channels at {} places", b * h * w)));
        }
        let x = z.to_dtype(DType::Double)?.permute(&[0, 2, 3, 1])?.reshape(&[-1, c])?;
        if !x.is_finite()? {
            return Err(Error::value("pca", "the latents hold NaN or infinite values"));
        }
        let mean = x.mean(&[0], false)?;
        let x = x.sub(&mean)?;
        let (values, vectors) = x.t()?.matmul(&x)?.div((b * h * w - 1) as f64)?.eigh()?;
        let total = values.clamp(Some(0.0), None)?.sum(&[], false)?.item()?;
        if total <= 0.0 {
            return Err(Error::value("pca", "the latents do not vary"));
        }
        let directions = vectors.t()?.flip(&[0])?.narrow(0, 0, k)?;
        let place = directions.abs()?.argmax(Some(1), true)?;
        let sign = directions.gather(1, &place)?;
        let sign = sign.div(&sign.abs()?)?;
        let directions = directions.mul(&sign)?;
        let explained = values.flip(&[0])?.narrow(0, 0, k)?.clamp(Some(0.0), None)?.div(total)?.to_vec_f64()?;
        let projected = x.matmul(&directions.t()?)?.reshape(&[b, h, w, k])?.permute(&[0, 3, 1, 2])?.contiguous()?;
        Ok(Components { projected, directions, explained, mean })
    })
}

/// Latents as maps.
fn maps(z: &Tensor) -> Result<Tensor> {
    let z = z.detach()?;
    match z.shape()[..] {
        [_, _, _, _] => Ok(z),
        [_, _, _] if z.is_float() => {
            let (b, n, d) = z.size3()?;
            let side = (n as f64).sqrt().round() as i64;
            if side * side != n {
                return Err(Error::value("pca", format!("{n} tokens are no square grid")).help("leave class tokens out, or give maps [B, C, H, W]"));
            }
            z.transpose(1, 2)?.reshape(&[b, d, side, side])
        }
        _ => Err(Error::value("pca", format!("latents are [B, C, H, W] or [B, N, D], got {}", z.describe()))),
    }
}

/// The first three components as colours: u8 `[B, 3, H, W]`, each stretched from its 1 % to its 99 % quantile over the batch; `scale` enlarges
/// each place to so many pixels. Latents of one or two channels give grey or two colours.
///
/// # Errors
/// As [`pca`]; `E0202` for a scale below 1.
pub fn pca_pictures(z: &Tensor, scale: i64) -> Result<Tensor> {
    if !(1..=256).contains(&scale) {
        return Err(Error::value("pca", format!("`scale` is {scale}; 1 to 256 pixels a place")));
    }
    no_grad(|| {
        let channels = maps(z)?.size(1)?;
        let p = pca(z, channels.min(3))?.projected;
        let planes: Vec<Tensor> = p.unbind(1)?.iter().map(stretched).collect::<Result<_>>()?;
        let (first, zero) = (planes[0].clone(), planes[0].mul(0.0)?.add(127.0)?);
        let three = match planes.len() {
            1 => vec![first.clone(), first.clone(), first],
            2 => vec![first, planes[1].clone(), zero],
            _ => planes,
        };
        let x = Tensor::stack(&three, 1)?.round()?.to_dtype(DType::Uint8)?;
        if scale == 1 { Ok(x) } else { x.repeat_interleave(scale, Some(2))?.repeat_interleave(scale, Some(3)) }
    })
}

/// From its 1 % to its 99 % quantile to 0 to 255.
fn stretched(x: &Tensor) -> Result<Tensor> {
    let (sorted, _) = x.flatten(0, -1)?.sort(0, false)?;
    let n = sorted.numel() as i64;
    let at = |q: f64| sorted.select(0, ((n - 1) as f64 * q).round() as i64)?.item();
    let (low, high) = (at(0.01)?, at(0.99)?);
    let width = if high > low { high - low } else { 1.0 };
    x.sub(low)?.mul(255.0 / width)?.clamp(Some(0.0), Some(255.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::Device;

    #[test]
    fn one_direction_explains_latents_along_it() {
        let t = Tensor::arange(0.0, 32.0, 1.0, DType::Double, Device::Cpu).unwrap().sin().unwrap().view(&[2, 1, 4, 4]).unwrap();
        let direction = Tensor::from_vec(&[-0.6, 0.0, 0.8], &[1, 3, 1, 1]).unwrap();
        let z = t.mul(&direction).unwrap().add(5.0).unwrap();
        let c = pca(&z, 2).unwrap();
        assert!((c.explained[0] - 1.0).abs() < 1e-12);
        let d = c.directions.select(0, 0).unwrap().to_vec_f64().unwrap();
        assert!(d.iter().zip([-0.6, 0.0, 0.8]).all(|(a, b)| (a - b).abs() < 1e-6), "{d:?}");
        let centred = t.sub(&t.mean(&[], false).unwrap()).unwrap().select(1, 0).unwrap();
        let off = c.projected.select(1, 0).unwrap().sub(&centred).unwrap().abs().unwrap().max().unwrap().item().unwrap();
        assert!(off < 1e-9, "{off}");
        let tokens = z.flatten(2, -1).unwrap().transpose(1, 2).unwrap();
        assert!(pca(&tokens, 1).unwrap().explained[0] > 0.999);
    }

    #[test]
    fn pictures_and_odd_input() {
        let z = Tensor::randn(&[2, 4, 6, 6], DType::Float, Device::Cpu).unwrap();
        assert_eq!(pca_pictures(&z, 4).unwrap().shape(), [2, 3, 24, 24]);
        assert_eq!(pca_pictures(&z.narrow(1, 0, 1).unwrap(), 1).unwrap().shape(), [2, 3, 6, 6]);
        assert!(pca(&z, 5).is_err() && pca(&z.mul(f64::NAN).unwrap(), 1).is_err() && pca(&z.mul(0.0).unwrap(), 1).is_err());
        assert!(pca(&Tensor::randn(&[2, 5, 4], DType::Float, Device::Cpu).unwrap(), 1).is_err(), "5 tokens are no square");
    }
}
