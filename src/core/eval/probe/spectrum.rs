//! The radial power spectrum of latents: how much of their variance is at which spatial frequency.

use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, bridge, no_grad};

/// Power at each radius, averaged over directions, channels and pictures: entry `r` is the mean of `|F|^2 / (H W)` over frequencies whose
/// distance from zero rounds to `r` cycles a picture, up to the smaller side's Nyquist frequency. Entry 0 is the mean's.
///
/// # Shapes
/// - `z`: `[B, C, H, W]` -> `min(H, W) / 2 + 1` numbers
/// # Errors
/// `E0202` for another shape, or values that are not finite.
pub fn radial_spectrum(z: &Tensor) -> Result<Vec<f64>> {
    if z.rank() != 4 || !z.is_float() {
        return Err(Error::value("spectrum", format!("latents are float [B, C, H, W], got {}", z.describe())));
    }
    no_grad(|| {
        let x = z.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Double)?;
        if !x.is_finite()? {
            return Err(Error::value("spectrum", "the latents hold NaN or infinite values"));
        }
        let (_, _, h, w) = x.size4()?;
        let f = bridge::call1("fft_fft2", &[(&x).into()], &[])?;
        let power = bridge::call1("abs", &[(&f).into()], &[])?.square()?.div((h * w) as f64)?.mean(&[0, 1], false)?.to_vec_f64()?;
        let last = (h.min(w) / 2) as usize;
        let (mut sums, mut counts) = (vec![0.0; last + 1], vec![0u64; last + 1]);
        let signed = |i: i64, n: i64| if i <= n / 2 { i } else { i - n };
        for (i, p) in power.iter().enumerate() {
            let (y, x) = (signed(i as i64 / w, h) as f64, signed(i as i64 % w, w) as f64);
            let r = (y * y + x * x).sqrt().round() as usize;
            if r <= last {
                sums[r] += p;
                counts[r] += 1;
            }
        }
        Ok(sums.iter().zip(counts).map(|(s, n)| s / n.max(1) as f64).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_has_its_frequency_and_noise_has_all() {
        let wave: Vec<f64> = (0..16).flat_map(|_| (0..16).map(|x| (2.0 * std::f64::consts::PI * 3.0 * f64::from(x) / 16.0).sin() + 2.0)).collect();
        let s = radial_spectrum(&Tensor::from_vec(&wave, &[1, 1, 16, 16]).unwrap()).unwrap();
        assert_eq!(s.len(), 9);
        // The mean 2: 2^2 * 256; the wave's power 1/2 * 256 lies in two of the frequencies of radius 3.
        assert!((s[0] - 1024.0).abs() < 1e-9 && s[3] > 1.0, "{s:?}");
        assert!(s.iter().enumerate().all(|(r, p)| r == 0 || r == 3 || *p < 1e-9), "{s:?}");
        crate::torch::bridge::manual_seed(3).unwrap();
        let noise = Tensor::randn(&[64, 4, 16, 16], DType::Double, Device::Cpu).unwrap();
        // The variance is 1 at each frequency; 256 samples of few frequencies have a standard error of about 1/16.
        assert!(radial_spectrum(&noise).unwrap().iter().all(|p| (p - 1.0).abs() < 0.25));
        assert!(radial_spectrum(&noise.mul(f64::NAN).unwrap()).is_err() && radial_spectrum(&noise.flatten(0, 1).unwrap()).is_err());
    }
}
