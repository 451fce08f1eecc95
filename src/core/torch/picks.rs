//! Several indices at once, as in PyTorch's `x[0, 1:3, None, ..., mask]`: for reading and writing.

use super::{Operand, Tensor, refused};
use crate::error::{Error, Result};

/// One index of several.
pub enum Pick {
    /// One entry of a dimension, which is dropped; negative counts from the end.
    At(i64),
    /// `start..stop` of a dimension by `step`.
    Slice(Option<i64>, Option<i64>, i64),
    /// All dimensions that the others leave.
    Rest,
    /// A new dimension of size 1.
    New,
    /// Entries named by an i64 tensor, or chosen by a bool mask over its dimensions.
    Places(Tensor),
}

/// A part of a tensor: a view, and which entries of its dimensions.
struct Part {
    view: Tensor,
    places: Vec<Option<tch::Tensor>>,
}

impl Tensor {
    /// The part that the indices name: a view, but for tensors among them, which copy.
    ///
    /// # Errors
    /// `E0201` for more indices than dimensions, one out of range, a step below 1, a mask of another shape.
    pub fn pick(&self, picks: &[Pick]) -> Result<Tensor> {
        let part = self.part(picks)?;
        if part.places.is_empty() {
            return Ok(part.view);
        }
        part.view.0.f_index(&part.places).map(Tensor).map_err(|e| refused("index", &[self], e))
    }

    /// Overwrites the part that the indices name, in place; `value` broadcasts to it.
    ///
    /// # Errors
    /// As for [`Tensor::pick`], and `E0201` when the shapes do not broadcast, or for a leaf that records gradients.
    pub fn put<'a>(&self, picks: &[Pick], value: impl Into<Operand<'a>>) -> Result<()> {
        let part = self.part(picks)?;
        let value = value.into();
        if part.places.is_empty() {
            return match value {
                // The engine writes `x[0]` back after `x[0].add_(1)`: nothing is left to do then.
                Operand::Tensor(v) if v.is_same(&part.view) => Ok(()),
                Operand::Tensor(v) => part.view.copy_(&v.without_leading(part.view.rank())?).map(drop),
                Operand::Int(v) => part.view.fill_(v).map(drop),
                Operand::Float(v) => part.view.fill_(v).map(drop),
            };
        }
        let value = match value {
            Operand::Tensor(v) => v.to_device(self.device())?.to_dtype(self.dtype())?,
            Operand::Float(v) => Tensor::full(&[], v, self.dtype(), self.device())?,
            Operand::Int(v) => Tensor::full(&[], v, self.dtype(), self.device())?,
        };
        let mut view = part.view.0;
        // PyTorch takes sizes of 1 in front away that the part does not have.
        let named = part.places.iter().flatten();
        let rank = view.dim() - named.clone().count() + named.map(tch::Tensor::dim).max().unwrap_or(0);
        let value = value.without_leading(rank)?;
        view.f_index_put_(&part.places, &value.0, false).map(drop).map_err(|e| refused("index_put_", &[self, &value], e))
    }

    fn without_leading(&self, rank: usize) -> Result<Tensor> {
        let shape = self.shape();
        let extra = shape.len().saturating_sub(rank);
        if extra == 0 || shape[..extra].iter().any(|n| *n != 1) { Ok(Tensor(self.0.shallow_clone())) } else { self.reshape(&shape[extra..]) }
    }

    fn part(&self, picks: &[Pick]) -> Result<Part> {
        let taken: usize = picks.iter().map(Pick::dimensions).sum();
        if taken > self.rank() {
            let (dims, s) = (self.rank(), if self.rank() == 1 { "" } else { "s" });
            return Err(Error::torch("index", format!("too many indices: {taken} for a tensor of {dims} dimension{s} (got {})", self.describe())));
        }
        if picks.iter().filter(|p| matches!(p, Pick::Rest)).count() > 1 {
            return Err(Error::torch("index", "`..` can stand once among the indices"));
        }
        let mut part = Part { view: Tensor(self.0.shallow_clone()), places: Vec::new() };
        let mut dim = 0;
        for pick in picks {
            dim = part.narrow(pick, dim, self.rank() - taken)?;
        }
        Ok(part)
    }
}

impl Pick {
    /// How many dimensions of the tensor it takes.
    fn dimensions(&self) -> usize {
        match self {
            Pick::At(_) | Pick::Slice(..) => 1,
            Pick::Rest | Pick::New => 0,
            Pick::Places(t) if is_mask(t) => t.rank(),
            Pick::Places(_) => 1,
        }
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.0.kind(), tch::Kind::Bool | tch::Kind::Uint8)
}

impl Part {
    /// Applies an index to dimension `dim`; the dimension of the next.
    fn narrow(&mut self, pick: &Pick, dim: usize, rest: usize) -> Result<usize> {
        let at = dim as i64;
        Ok(match pick {
            Pick::At(i) => {
                let size = self.view.size(at)?;
                if *i < -size || *i >= size {
                    let text = format!("index {i} is out of bounds for dimension {dim} with size {size} (got {})", self.view.describe());
                    return Err(Error::torch("index", text));
                }
                self.view = self.view.select(at, *i)?;
                dim
            }
            Pick::Slice(_, _, step) if *step < 1 => {
                return Err(Error::torch("index", format!("the step of a slice must be at least 1, got {step}"))
                    .help(format!("`x.flip({dim})` turns a dimension around")));
            }
            Pick::Slice(start, stop, step) => {
                self.view = self.view.slice(at, *start, *stop, *step)?;
                dim + 1
            }
            Pick::Rest => dim + rest,
            Pick::New => {
                self.view = self.view.unsqueeze(at)?;
                dim + 1
            }
            Pick::Places(t) if is_mask(t) && t.rank() == 0 => {
                self.view = self.view.unsqueeze(at)?;
                let places: &[i64] = if t.item()? == 0.0 { &[] } else { &[0] };
                self.place(dim, &Tensor::from_slice(places)?.0)?
            }
            Pick::Places(t) if is_mask(t) => {
                let (mask, shape) = (t.shape(), self.view.shape());
                if shape.get(dim..dim + mask.len()) != Some(&mask[..]) {
                    let text = format!("a mask of shape {mask:?} at dimension {dim} does not fit a tensor of shape {shape:?}");
                    return Err(Error::torch("index", text));
                }
                let places = t.0.f_nonzero().map_err(|e| refused("nonzero", &[t], e))?;
                for i in 0..mask.len() {
                    let column = places.f_select(1, i as i64).map_err(|e| refused("select", &[], e))?;
                    self.place(dim + i, &column)?;
                }
                dim + mask.len()
            }
            Pick::Places(t) if t.is_float() => {
                let text = format!("a tensor as index must be of dtype int64 or bool, got {}", t.describe());
                return Err(Error::torch("index", text).help("`i.to(\"i64\")`, or a mask such as `x.gt(0)`"));
            }
            Pick::Places(t) => self.place(dim, &t.0)?,
        })
    }

    fn place(&mut self, dim: usize, places: &tch::Tensor) -> Result<usize> {
        self.places.resize_with(dim, || None);
        let long = places.f_to_kind(tch::Kind::Int64).and_then(|t| t.f_to_device(self.view.0.device()));
        self.places.push(Some(long.map_err(|e| refused("to", &[], e))?));
        Ok(dim + 1)
    }
}
