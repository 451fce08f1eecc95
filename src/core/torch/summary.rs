//! How a tensor prints: what it is and how its values lie, never a wall of numbers (after `lovely-tensors`).

use super::{DType, Device, Tensor, device_name, dtype_name, no_grad};
use crate::error::Result;
use crate::progress::grouped;
use std::fmt;

/// Vectors up to this length print their values.
const SMALL: usize = 10;

/// `tensor[4, 4, 32, 32] f32 n=16 384 in [-3.852, 4.109] mean 0.01191 std 1.012`; small ones print their values.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match no_grad(|| self.summary()) {
            Ok(text) => f.write_str(&text),
            Err(e) => write!(f, "tensor{} ({e})", self.describe()),
        }
    }
}

impl Tensor {
    fn summary(&self) -> Result<String> {
        if !self.0.defined() {
            return Ok("tensor (undefined)".into());
        }
        let mut out = format!("tensor{:?} {}", self.shape(), dtype_name(self.dtype()));
        if self.device() != Device::Cpu {
            out += &format!(" {}", device_name(self.device()));
        }
        if self.requires_grad() {
            out += " grad";
        }
        let n = self.numel();
        if n == 0 {
            return Ok(out + " empty");
        }
        if matches!(self.dtype(), DType::ComplexFloat | DType::ComplexDouble) {
            return Ok(format!("{out} n={}", grouped(n as u64, ' ')));
        }
        if self.rank() <= 1 && n <= SMALL {
            let values = self.texts(significant)?;
            return Ok(if self.rank() == 0 { format!("{out} {}", values.join("")) } else { format!("{out} [{}]", values.join(", ")) });
        }
        out += &format!(" n={}", grouped(n as u64, ' '));
        let x = self.detach()?;
        if x.dtype() == DType::Bool {
            let on = x.to_dtype(DType::Int64)?.sum(&[], false)?.item()?;
            return Ok(format!("{out} true {}", grouped(on as u64, ' ')));
        }
        // f32 is enough for four digits, and half precision would overflow in the sums.
        let x = if x.dtype() == DType::Double { x } else { x.to_dtype(DType::Float)? };
        let (nan, inf) = (count(&x.isnan()?)?, count(&x.isinf()?)?);
        let good = if nan + inf > 0 { x.masked_select(&x.isfinite()?)? } else { x };
        if good.numel() > 0 {
            let (lo, hi) = (good.min()?.item()?, good.max()?.item()?);
            if lo == hi {
                out += &format!(" all {}", significant(lo));
            } else {
                let (mean, std) = (good.mean(&[], false)?.item()?, good.std(&[], 1, false)?.item()?);
                out += &format!(" in [{}, {}] mean {} std {}", significant(lo), significant(hi), significant(mean), significant(std));
            }
        }
        if nan > 0 {
            out += &format!(" NaN! {}", grouped(nan as u64, ' '));
        }
        if inf > 0 {
            out += &format!(" inf! {}", grouped(inf as u64, ' '));
        }
        Ok(out)
    }

    /// Its elements as texts: ints with all of their digits, floats as `float` writes them.
    pub fn texts(&self, float: impl Fn(f64) -> String) -> Result<Vec<String>> {
        Ok(match self.dtype() {
            DType::Bool => self.to_vec_i64()?.into_iter().map(|v| (v != 0).to_string()).collect(),
            _ if self.is_integral() => self.to_vec_i64()?.iter().map(i64::to_string).collect(),
            _ => self.to_vec_f64()?.into_iter().map(float).collect(),
        })
    }
}

fn count(mask: &Tensor) -> Result<usize> {
    Ok(mask.to_dtype(DType::Int64)?.sum(&[], false)?.item()? as usize)
}

/// How many digits are shown.
const DIGITS: i32 = 4;

fn significant(v: f64) -> String {
    rounded(v, DIGITS)
}

/// `v` with that many significant digits and no trailing zeros; exponents only for very large and very small values.
fn rounded(v: f64, digits: i32) -> String {
    if v.is_nan() {
        return "NaN".into();
    }
    if v == 0.0 || v.is_infinite() {
        return format!("{}", if v == 0.0 { 0.0 } else { v });
    }
    let exponent = v.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        let text = format!("{v:.*e}", (digits - 1) as usize);
        let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        return format!("{mantissa}e{power}");
    }
    let text = format!("{v:.*}", (digits - 1 - exponent).max(0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(v: &[f64]) -> Tensor {
        Tensor::from_slice(v).unwrap()
    }

    #[test]
    fn small_tensors_print_their_values() {
        assert_eq!(vector(&[1.0, -2.5, 1.0 / 3.0]).to_string(), "tensor[3] f64 [1, -2.5, 0.3333]");
        assert_eq!(vector(&[1e-9]).view(&[]).unwrap().to_string(), "tensor[] f64 1e-9");
        assert_eq!(Tensor::from_slice(&[7i64, 1_000_000]).unwrap().to_string(), "tensor[2] i64 [7, 1000000]");
        assert_eq!(vector(&[f64::NAN, f64::INFINITY]).to_string(), "tensor[2] f64 [NaN, inf]");
        assert_eq!(Tensor::zeros(&[0, 3], DType::Float, Device::Cpu).unwrap().to_string(), "tensor[0, 3] f32 empty");
    }

    #[test]
    fn large_tensors_print_range_mean_and_deviation() {
        let x = Tensor::arange(0.0, 2000.0, 1.0, DType::Float, Device::Cpu).unwrap().view(&[2, 1000]).unwrap();
        assert_eq!(x.to_string(), "tensor[2, 1000] f32 n=2 000 in [0, 1999] mean 999.5 std 577.5");
        let x = x.requires_grad_(true).unwrap();
        assert!(x.to_string().starts_with("tensor[2, 1000] f32 grad n=2 000"), "{x}");
        let zeros = Tensor::zeros(&[4, 4], DType::BFloat16, Device::Cpu).unwrap();
        assert_eq!(zeros.to_string(), "tensor[4, 4] bf16 n=16 all 0");
        assert_eq!(zeros.eq(0i64).unwrap().to_string(), "tensor[4, 4] bool n=16 true 16");
    }

    #[test]
    fn values_that_are_not_finite_are_counted_and_left_out() {
        let x = vector(&[1.0, 3.0, f64::NAN, f64::INFINITY]).view(&[2, 2]).unwrap();
        assert_eq!(x.to_string(), "tensor[2, 2] f64 n=4 in [1, 3] mean 2 std 1.414 NaN! 1 inf! 1");
    }
}
