//! Element types as files hold them, and what they become here: tensors lack a few, which are converted.

use crate::error::{Error, Result};
use crate::torch::bridge::{Value, call1};
use crate::torch::{DType, Tensor};

/// How the elements of a tensor lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stored {
    /// As they are used.
    Plain(DType),
    /// Eight bits with a sign, which become f32.
    Float8(DType),
    /// `float8_e8m0fnu`: a power of two, which becomes f32. 255 is NaN.
    Exponent,
    /// Unsigned integers, which become the signed ones of twice the width; those of 64 bits keep theirs.
    Unsigned(DType),
}

impl Stored {
    /// The type of a storage class (`Float`) or of a dtype's name (`torch.float32`) in a PyTorch file; `None` for one that cannot be read.
    pub(super) fn of_torch(name: &str) -> Option<Stored> {
        Some(match name.strip_prefix("torch.").unwrap_or(name) {
            "Float" | "float32" => Stored::Plain(DType::Float),
            "Double" | "float64" => Stored::Plain(DType::Double),
            "Half" | "float16" => Stored::Plain(DType::Half),
            "BFloat16" | "bfloat16" => Stored::Plain(DType::BFloat16),
            "Long" | "int64" => Stored::Plain(DType::Int64),
            "Int" | "int32" => Stored::Plain(DType::Int),
            "Short" | "int16" => Stored::Plain(DType::Int16),
            "Char" | "int8" => Stored::Plain(DType::Int8),
            "Byte" | "uint8" | "Untyped" => Stored::Plain(DType::Uint8),
            "Bool" | "bool" => Stored::Plain(DType::Bool),
            "ComplexFloat" | "complex64" => Stored::Plain(DType::ComplexFloat),
            "ComplexDouble" | "complex128" => Stored::Plain(DType::ComplexDouble),
            "float8_e4m3fn" => Stored::Float8(DType::Float8e4m3fn),
            "float8_e5m2" => Stored::Float8(DType::Float8e5m2),
            "float8_e4m3fnuz" => Stored::Float8(DType::Float8e4m3fnuz),
            "float8_e5m2fnuz" => Stored::Float8(DType::Float8e5m2fnuz),
            "float8_e8m0fnu" => Stored::Exponent,
            "uint16" => Stored::Unsigned(DType::Int16),
            "uint32" => Stored::Unsigned(DType::Int),
            "uint64" => Stored::Unsigned(DType::Int64),
            _ => return None,
        })
    }

    /// The type by which the bytes are read.
    pub(super) fn raw(self) -> DType {
        match self {
            Stored::Plain(dtype) | Stored::Float8(dtype) | Stored::Unsigned(dtype) => dtype,
            Stored::Exponent => DType::Uint8,
        }
    }

    /// The type of the finished tensor.
    pub(super) fn dtype(self) -> DType {
        match self {
            Stored::Plain(dtype) => dtype,
            Stored::Float8(_) | Stored::Exponent => DType::Float,
            Stored::Unsigned(DType::Int16) => DType::Int,
            Stored::Unsigned(_) => DType::Int64,
        }
    }

    /// A tensor that was read as [`Stored::raw`], in its own type.
    ///
    /// # Errors
    /// `E0202` for unsigned numbers of 64 bits that do not fit a signed one.
    pub(super) fn finish(self, t: Tensor) -> Result<Tensor> {
        match self {
            Stored::Plain(_) => Ok(t),
            Stored::Float8(_) => t.to_dtype(DType::Float),
            Stored::Exponent => {
                // A table, since 2^-127 is subnormal and the processor may be told to flush those to 0.
                let power = |e: u32| if e == 255 { f32::NAN } else { f32::from_bits(if e == 0 { 1 << 22 } else { e << 23 }) };
                let powers = Tensor::from_slice(&(0..256).map(power).collect::<Vec<f32>>())?;
                call1("take", &[powers.into(), t.to_dtype(DType::Int64)?.into()], &[])
            }
            Stored::Unsigned(DType::Int64) => {
                if t.numel() > 0 && t.min()?.item()? < 0.0 {
                    return Err(Error::value("load", "it holds unsigned numbers of 64 bits over 2^63, which no tensor here does"));
                }
                Ok(t)
            }
            // The sign bit is a digit: what the wider number has above it is cut off.
            Stored::Unsigned(dtype) => {
                let mask = if dtype == DType::Int16 { 0xffff } else { 0xffff_ffff_i64 };
                call1("bitwise_and.Scalar", &[Value::from(&t.to_dtype(self.dtype())?), Value::from(mask)], &[])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stored: Stored, bytes: &[u8]) -> Vec<f64> {
        let n = (bytes.len() / stored.raw().elt_size_in_bytes()) as i64;
        let t = stored.finish(Tensor::from_bytes(bytes, &[n], stored.raw()).unwrap()).unwrap();
        assert_eq!(t.dtype(), stored.dtype());
        t.to_vec_f64().unwrap()
    }

    /// Values by the definitions of the formats (Micikevicius et al. 2022, arXiv 2209.05433; the fnuz forms have another bias and one NaN).
    #[test]
    fn every_eight_bit_float_has_its_value() {
        let float = |byte: u8, exponent_bits: u32, bias: i32| {
            let mantissa_bits = 7 - exponent_bits;
            let e = i32::from(byte >> mantissa_bits) & ((1 << exponent_bits) - 1);
            let m = f64::from(byte & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
            let size = if e == 0 { m * 2f64.powi(1 - bias) } else { (1.0 + m) * 2f64.powi(e - bias) };
            if byte & 0x80 == 0 { size } else { -size }
        };
        for (name, bits, bias, special) in [
            ("float8_e4m3fn", 4, 7, &(|b: u8| b & 0x7f == 0x7f) as &dyn Fn(u8) -> bool),
            ("float8_e5m2", 5, 15, &|b| b & 0x7f >= 0x7c),
            ("float8_e4m3fnuz", 4, 8, &|b| b == 0x80),
            ("float8_e5m2fnuz", 5, 16, &|b| b == 0x80),
        ] {
            let got = read(Stored::of_torch(name).unwrap(), &(0..=255).collect::<Vec<u8>>());
            for (byte, value) in (0..=255u8).zip(got) {
                match special(byte) {
                    true => assert!(!value.is_finite(), "{name} {byte:#x}: {value}"),
                    false => assert_eq!(value, float(byte, bits, bias), "{name} {byte:#x}"),
                }
            }
        }
        let powers = read(Stored::Exponent, &[0, 126, 127, 130, 255]);
        assert_eq!(powers[..4], [2f64.powi(-127), 0.5, 1.0, 8.0]);
        assert!(powers[4].is_nan());
    }

    #[test]
    fn unsigned_integers_keep_their_values() {
        assert_eq!(read(Stored::of_torch("uint16").unwrap(), &[0xff, 0xff, 1, 0]), [65535.0, 1.0]);
        assert_eq!(read(Stored::of_torch("uint32").unwrap(), &[0xff, 0xff, 0xff, 0xff]), [4_294_967_295.0]);
        assert_eq!(read(Stored::of_torch("uint64").unwrap(), &[5, 0, 0, 0, 0, 0, 0, 0]), [5.0]);
        let over = Tensor::from_bytes(&[0xff; 8], &[1], DType::Int64).unwrap();
        assert!(Stored::Unsigned(DType::Int64).finish(over).is_err());
    }
}
