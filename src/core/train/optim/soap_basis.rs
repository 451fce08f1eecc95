//! The eigenbases of SOAP: how a tensor's dimensions are taken, projected, and how a basis follows its statistics.

use crate::error::Result;
use crate::torch::bridge::{call, call1};
use crate::torch::{DType, Tensor};

/// Where the kernel of a convolution has its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// `[out, in, y, x]`.
    ChannelsFirst,
    /// `[out, y, x, in]`.
    ChannelsLast,
}

/// How a parameter of one shape is preconditioned.
pub(super) struct Layout {
    /// Its dimensions, merged where that is asked for.
    shape: Vec<i64>,
    /// Whether each has a preconditioner.
    is_preconditioned: Vec<bool>,
    original: Vec<i64>,
    merges: bool,
    /// Channels come last, and are put before the sides of a kernel while dimensions are merged.
    turns: bool,
}

/// `[out, y, x, in]` -> `[out, in, y, x]`, and back.
const TO_FIRST: [i64; 4] = [0, 3, 1, 2];
const TO_LAST: [i64; 4] = [0, 2, 3, 1];

impl Layout {
    /// Of a parameter of the shape `original`: dimensions up to `largest` have a preconditioner, those of vectors only where `vectors`. `merge` takes
    /// neighbouring dimensions together.
    pub fn new(original: &[i64], largest: i64, vectors: bool, merge: Option<DataFormat>) -> Layout {
        let merges = merge.is_some();
        let turns = merge == Some(DataFormat::ChannelsLast) && original.len() == 4;
        let turned = || TO_FIRST.iter().filter_map(|&d| original.get(d as usize).copied()).collect::<Vec<i64>>();
        let shape = match (merges, turns) {
            (true, true) => merged(&turned(), largest),
            (true, false) => merged(original, largest),
            _ => original.to_vec(),
        };
        let is_preconditioned = shape.iter().map(|&n| n <= largest && (original.len() != 1 || vectors)).collect();
        Layout { shape, is_preconditioned, original: original.to_vec(), merges, turns }
    }

    /// The dimensions that have a preconditioner.
    pub fn preconditioned(&self) -> impl Iterator<Item = i64> {
        (0..).zip(&self.is_preconditioned).filter(|(_, is)| **is).map(|(i, _)| i)
    }

    /// The size of a dimension.
    pub fn size(&self, dim: i64) -> i64 {
        usize::try_from(dim).ok().and_then(|d| self.shape.get(d).copied()).unwrap_or(1)
    }

    /// A tensor of the parameter's shape with its dimensions merged.
    pub fn merged(&self, x: &Tensor) -> Result<Tensor> {
        if !self.merges {
            return Ok(x.clone());
        }
        let x = if self.turns { x.permute(&TO_FIRST)? } else { x.clone() };
        x.reshape(&self.shape)
    }

    /// And back.
    pub fn split(&self, x: &Tensor) -> Result<Tensor> {
        if !self.merges {
            return Ok(x.clone());
        }
        if !self.turns {
            return x.reshape(&self.original);
        }
        let first: Vec<i64> = TO_FIRST.iter().filter_map(|&d| self.original.get(d as usize).copied()).collect();
        x.reshape(&first)?.permute(&TO_LAST)
    }

    /// Into the eigenbases.
    pub fn project(&self, x: &Tensor, bases: &[Tensor]) -> Result<Tensor> {
        self.through(x, bases, 0)
    }

    /// Out of them.
    pub fn project_back(&self, x: &Tensor, bases: &[Tensor]) -> Result<Tensor> {
        self.through(x, bases, 1)
    }

    /// Every dimension in turn goes through its basis, whose `side` it is summed with, and to the end.
    fn through(&self, x: &Tensor, bases: &[Tensor], side: i64) -> Result<Tensor> {
        let mut x = self.merged(x)?;
        let mut bases = bases.iter();
        let last = self.shape.len() as i64;
        for is in &self.is_preconditioned {
            x = match if *is { bases.next() } else { None } {
                Some(basis) => call1("tensordot", &[x.into(), basis.into(), [0].into(), [side].into()], &[])?,
                None => {
                    let order: Vec<i64> = (1..last).chain([0]).collect();
                    x.permute(&order)?
                }
            };
        }
        self.split(&x)
    }
}

/// Neighbouring dimensions together, as long as they fit.
fn merged(shape: &[i64], largest: i64) -> Vec<i64> {
    let (mut out, mut now) = (Vec::new(), 1);
    for &n in shape {
        if now * n <= largest {
            now *= n;
        } else if now > 1 {
            out.push(now);
            now = n;
        } else {
            out.push(n);
            now = 1;
        }
    }
    if now > 1 || out.is_empty() {
        out.push(now);
    }
    out
}

/// The products of the slices of `x` along `dim`: `[n, n]`.
pub(super) fn outer(x: &Tensor, dim: i64) -> Result<Tensor> {
    let others: Vec<i64> = (0..x.rank() as i64).filter(|d| *d != dim).collect();
    call1("tensordot", &[x.into(), x.into(), others[..].into(), others[..].into()], &[])
}

/// Eigenvectors of a symmetric matrix as columns, the largest eigenvalue first.
pub(super) fn eigenbasis(m: &Tensor) -> Result<Tensor> {
    let vectors = |m: &Tensor| -> Result<Tensor> {
        let some = m.add(&Tensor::eye(m.size(0)?, m.dtype(), m.device())?.mul(1e-30)?)?;
        call("linalg_eigh", &[some.into()], &[])?.remove(1).into_tensor()
    };
    // LAPACK may not converge in f32.
    let found = vectors(m).or_else(|_| vectors(&m.to_dtype(DType::Double)?))?;
    found.to_dtype(m.dtype())?.flip(&[1])
}

/// One round of power iteration from a basis: in which order its columns are by their eigenvalues, and the new basis.
pub(super) fn refined(m: &Tensor, basis: &Tensor) -> Result<(Tensor, Tensor)> {
    let values = call1("diag", &[basis.transpose(0, 1)?.matmul(m)?.matmul(basis)?.into()], &[])?;
    let order = call1("argsort", &[values.into(), (-1i64).into(), true.into()], &[])?;
    let power = m.matmul(&basis.index_select(1, &order)?)?;
    Ok((order, call("linalg_qr", &[power.into()], &[])?.remove(0).into_tensor()?))
}
