//! What a tensor comes to in parts: nested arrays, a list of slices. A tensor without elements may be any number of empty rows.

use super::Tensor;
use crate::error::{Error, Result};

/// More parts than any list of tensors needs.
const MOST_PARTS: i64 = 1 << 20;

impl Tensor {
    /// How many elements and arrays it comes to as nested arrays; `usize::MAX` where that fits no number.
    pub fn nested_len(&self) -> usize {
        let mut rows = 1_usize;
        self.shape().iter().fold(1_usize, |all, n| {
            rows = rows.saturating_mul(usize::try_from(*n).unwrap_or(0));
            all.saturating_add(rows)
        })
    }

    /// Fails when `op` would make more tensors of dimension `dim` than a list needs, `size` indices each.
    ///
    /// # Errors
    /// `E0202` with the number.
    pub(super) fn check_parts(&self, op: &str, dim: i64, size: i64) -> Result<()> {
        let shape = self.shape();
        let at = if dim < 0 { dim.checked_add(shape.len() as i64) } else { Some(dim) };
        // What is no dimension, or no size, the operator says itself.
        let Some(length) = at.and_then(|d| usize::try_from(d).ok()).and_then(|d| shape.get(d)) else { return Ok(()) };
        let parts = length / size.max(1);
        if parts <= MOST_PARTS {
            return Ok(());
        }
        let help = "take slices of it where they are used, such as `x[i]`";
        Err(Error::value(op, format!("{parts} parts of a tensor {} are too many", self.describe())).help(help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    fn zeros(shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, DType::Float, Device::Cpu).unwrap()
    }

    #[test]
    fn empty_rows_are_counted() {
        assert_eq!([zeros(&[]), zeros(&[3]), zeros(&[2, 3]), zeros(&[0, 5])].map(|t| t.nested_len()), [1, 4, 9, 1]);
        assert_eq!(zeros(&[1 << 30, 0]).nested_len(), (1 << 30) + 1);
        assert_eq!(zeros(&[1]).expand(&[1 << 62, 1 << 62, 0]).unwrap_or_else(|_| zeros(&[1 << 62, 0])).nested_len(), (1 << 62) + 1);
    }

    #[test]
    fn a_list_of_slices_has_a_bound() {
        let x = zeros(&[1 << 30, 0]);
        for e in [x.unbind(0), x.unbind(-2), x.split(1, 0), x.chunk(1 << 30, 0)] {
            let e = e.unwrap_err();
            assert!(e.code() == "E0202" && e.to_string().contains("1073741824 parts"), "{e}");
        }
        assert_eq!(x.split(1 << 28, 0).unwrap().len(), 4);
        assert_eq!(zeros(&[3, 2]).unbind(1).unwrap().len(), 2);
        assert_eq!(x.chunk(2, 0).unwrap().len(), 2);
    }
}
