//! Principal components of latents, over all places of all pictures, and pictures of the first three.

use crate::error::{Error, Result};
use crate::nn::bounds::square_side;
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

/// The first `k` principal components of latents `[B, C, H, W]` or tokens `[B, N, D]`, each place a sample of `C` values. `grid` is the rows and columns of
/// tokens, a square where it is not given.
///
/// # Errors
/// `E0202` for another shape, a grid that is not that of the tokens, more components than channels, values that are not finite, or latents that do not vary.
pub fn pca(z: &Tensor, k: i64, grid: Option<[i64; 2]>) -> Result<Components> {
    no_grad(|| {
        let z = maps(z, grid)?;
        let (b, c, h, w) = z.size4()?;
        let places = b.saturating_mul(h).saturating_mul(w);
        if k < 1 || k > c || places < 2 {
            return Err(Error::value("pca", format!("{k} components of {c} channels at {places} places")));
        }
        let x = z.to_dtype(DType::Double)?.permute(&[0, 2, 3, 1])?.reshape(&[-1, c])?;
        if !x.is_finite()? {
            return Err(Error::value("pca", "the latents hold NaN or infinite values"));
        }
        let mean = x.mean(&[0], false)?;
        let x = x.sub(&mean)?;
        let (values, vectors) = x.t()?.matmul(&x)?.div((places - 1) as f64)?.eigh()?;
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
fn maps(z: &Tensor, grid: Option<[i64; 2]>) -> Result<Tensor> {
    let z = z.detach()?;
    match (&z.shape()[..], grid) {
        ([_, _, h, w], Some(grid)) if grid != [*h, *w] => {
            Err(Error::value("pca", format!("latents of {h} x {w} places on a grid of {} x {}", grid[0], grid[1]))
                .help("`grid` is for tokens [B, N, D]"))
        }
        ([_, _, _, _], _) => Ok(z),
        ([_, _, _], Some([h, w])) if z.is_float() => {
            let (b, n, d) = z.size3()?;
            if h < 1 || w < 1 || h.checked_mul(w) != Some(n) {
                return Err(Error::value("pca", format!("{n} tokens are no grid of {h} x {w}")).help("leave class tokens out"));
            }
            z.transpose(1, 2)?.reshape(&[b, d, h, w])
        }
        ([_, _, _], None) if z.is_float() => {
            let (b, n, d) = z.size3()?;
            let Some(side) = square_side(n) else {
                let remedy = "leave class tokens out, say the grid (`#{grid: [rows, columns]}`), or give maps [B, C, H, W]";
                return Err(Error::value("pca", format!("{n} tokens are no square grid")).help(remedy));
            };
            z.transpose(1, 2)?.reshape(&[b, d, side, side])
        }
        _ => Err(Error::value("pca", format!("latents are [B, C, H, W] or [B, N, D], got {}", z.describe()))),
    }
}

/// The first three components as colours: u8 `[B, 3, H, W]`, each stretched from its 1 % to its 99 % quantile over the batch; `scale` enlarges
/// each place to so many pixels. Latents of one or two channels give grey or two colours. `grid` as for [`pca`].
///
/// # Errors
/// As [`pca`]; `E0202` for a scale below 1.
pub fn pca_pictures(z: &Tensor, scale: i64, grid: Option<[i64; 2]>) -> Result<Tensor> {
    if !(1..=256).contains(&scale) {
        return Err(Error::value("pca", format!("`scale` is {scale}; 1 to 256 pixels a place")));
    }
    no_grad(|| {
        let channels = maps(z, grid)?.size(1)?;
        let p = pca(z, channels.min(3), grid)?.projected;
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
        let c = pca(&z, 2, None).unwrap();
        assert!((c.explained[0] - 1.0).abs() < 1e-12);
        let d = c.directions.select(0, 0).unwrap().to_vec_f64().unwrap();
        assert!(d.iter().zip([-0.6, 0.0, 0.8]).all(|(a, b)| (a - b).abs() < 1e-6), "{d:?}");
        let centred = t.sub(&t.mean(&[], false).unwrap()).unwrap().select(1, 0).unwrap();
        let off = c.projected.select(1, 0).unwrap().sub(&centred).unwrap().abs().unwrap().max().unwrap().item().unwrap();
        assert!(off < 1e-9, "{off}");
        let tokens = z.flatten(2, -1).unwrap().transpose(1, 2).unwrap();
        assert!(pca(&tokens, 1, None).unwrap().explained[0] > 0.999);
    }

    #[test]
    fn pictures_and_odd_input() {
        let z = Tensor::randn(&[2, 4, 6, 6], DType::Float, Device::Cpu).unwrap();
        assert_eq!(pca_pictures(&z, 4, None).unwrap().shape(), [2, 3, 24, 24]);
        assert_eq!(pca_pictures(&z.narrow(1, 0, 1).unwrap(), 1, None).unwrap().shape(), [2, 3, 6, 6]);
        assert!(pca(&z, 5, None).is_err() && pca(&z.mul(f64::NAN).unwrap(), 1, None).is_err() && pca(&z.mul(0.0).unwrap(), 1, None).is_err());
        assert!(pca(&Tensor::randn(&[2, 5, 4], DType::Float, Device::Cpu).unwrap(), 1, None).is_err(), "5 tokens are no square");
    }

    #[test]
    fn tokens_of_a_grid_that_is_no_square_are_those_of_its_map() {
        let z = Tensor::randn(&[2, 4, 3, 5], DType::Float, Device::Cpu).unwrap();
        let tokens = z.flatten(2, -1).unwrap().transpose(1, 2).unwrap();
        let [of_map, of_tokens] = [pca(&z, 2, None).unwrap(), pca(&tokens, 2, Some([3, 5])).unwrap()];
        assert_eq!(of_tokens.projected.shape(), [2, 2, 3, 5]);
        let off = of_map.projected.sub(&of_tokens.projected).unwrap().abs().unwrap().max().unwrap().item().unwrap();
        assert!(off < 1e-12, "{off}");
        assert_eq!(pca_pictures(&tokens, 2, Some([3, 5])).unwrap().shape(), [2, 3, 6, 10]);
        let none = pca(&tokens, 2, None).unwrap_err();
        assert!(none.help_text().unwrap_or_default().contains("grid: [rows, columns]"), "{none:?}");
        for grid in [[5, 4], [-3, -5], [1 << 40, 1 << 40]] {
            assert!(pca(&tokens, 2, Some(grid)).is_err(), "{grid:?}");
        }
        assert!(pca(&z, 2, Some([5, 3])).is_err() && pca(&z, 2, Some([3, 5])).is_ok());
    }
}
