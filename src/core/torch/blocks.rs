//! What the blocks of today's transformers are made of, beside maps and attention.

use super::{DType, Tensor};
use crate::error::{Error, Result};

impl Tensor {
    /// `self / sqrt(mean(self^2) + eps) * weight` over the last dimension (arXiv 1910.07467), with the mean in f32 at least. The result is cast
    /// back before it is multiplied by the weight, as LightningDiT and RAE do; with `in_float` afterwards, as JiT does.
    ///
    /// # Errors
    /// `E0201` for a weight of another size.
    pub fn rms_norm(&self, weight: Option<&Tensor>, eps: f64, in_float: bool) -> Result<Tensor> {
        let own = self.dtype();
        let wide = if own == DType::Double { self.clone() } else { self.to_dtype(DType::Float)? };
        let scale = wide.square()?.mean(&[-1], true)?.add(eps)?.rsqrt()?;
        let normal = wide.mul(&scale)?;
        match weight {
            None => normal.to_dtype(own),
            Some(w) if in_float => normal.mul(&w.to_dtype(wide.dtype())?)?.to_dtype(own),
            Some(w) => normal.to_dtype(own)?.mul(w),
        }
    }

    /// Rotary position embedding (arXiv 2104.09864): `self * cos + rotated * sin`, where each pair `(a, b)` of the last dimension is rotated to
    /// `(-b, a)`: neighbours with `interleaved`, else one of each half. `self` `[.., N, D]`, tables `[N, D]` or anything that broadcasts.
    ///
    /// # Errors
    /// `E0202` for an odd size, and for tables that do not cover the tokens.
    pub fn rope(&self, cos: &Tensor, sin: &Tensor, interleaved: bool) -> Result<Tensor> {
        const OP: &str = "rope";
        let shape = self.shape();
        let (Some(&size), Some(&tokens)) = (shape.last(), shape.len().checked_sub(2).and_then(|i| shape.get(i))) else {
            return Err(Error::value(OP, format!("[.., tokens, size] is needed, got {}", self.describe())));
        };
        if size % 2 != 0 {
            return Err(Error::value(OP, format!("pairs are rotated, but the last size is {size}")));
        }
        for table in [cos, sin] {
            let of = table.shape();
            let fits = of.len() >= 2 && of[of.len() - 1] == size && [1, tokens].contains(&of[of.len() - 2]);
            if !fits {
                let message = format!("a table of {of:?} does not cover {tokens} tokens of {size}: {}", self.describe());
                return Err(Error::value(OP, message).help("make the table for the grid of these latents"));
            }
        }
        let rotated = if interleaved {
            let pairs = self.view(&[&shape[..shape.len() - 1], &[size / 2, 2]].concat())?;
            Tensor::stack(&[pairs.select(-1, 1)?.neg()?, pairs.select(-1, 0)?], -1)?.flatten(-2, -1)?
        } else {
            let halves = self.chunk(2, -1)?;
            Tensor::cat(&[halves[1].neg()?, halves[0].clone()], -1)?
        };
        self.mul(cos)?.add(&rotated.mul(sin)?)
    }

    /// Stochastic depth (arXiv 1603.09382), timm's `DropPath`: rows of the batch are zero with probability `p`, the others divided by `1 - p`.
    /// Unchanged outside training.
    ///
    /// # Errors
    /// `E0202` for a probability outside of [0, 1].
    pub fn drop_path(&self, p: f64, training: bool) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::value("drop_path", format!("a probability is needed, got {p}")));
        }
        if !training || p == 0.0 {
            return Ok(self.clone());
        }
        let mut rows = vec![1; self.shape().len()];
        if let (Some(first), Some(n)) = (rows.first_mut(), self.shape().first()) {
            *first = *n;
        }
        let kept = Tensor::rand(&rows, DType::Float, self.device())?.ge(p)?.to_dtype(self.dtype())?;
        if p == 1.0 { self.mul(&kept) } else { self.mul(&kept.div(1.0 - p)?) }
    }
}
