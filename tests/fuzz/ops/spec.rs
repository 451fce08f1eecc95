//! Arguments as descriptions: they can be made again, changed a little, and shown.

use lathe::error::Result;
use lathe::torch::bridge::{Value, call1};
use lathe::torch::{DType, Device, Tensor};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// The values of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// N(0, 1), or small integers from 0.
    Plain,
    /// Integers from 0 below `n`.
    Below(i64),
    /// NaN, infinities, the largest and the least.
    Odd,
    /// Every element this number.
    All(f64),
    /// Every element this integer.
    Int(i64),
}

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Row by row.
    Plain,
    /// Its dimensions the other way round.
    Transposed,
    /// One row, seen many times: stride 0.
    Expanded,
    /// A part of a larger one.
    Sliced,
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    None,
    Tensor {
        shape: Vec<i64>,
        dtype: DType,
        fill: Fill,
        layout: Layout,
        grad: bool,
        seed: u64,
    },
    /// The tensor that was made so many tensors ago.
    Again(usize),
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(&'static str),
    List(Vec<Spec>),
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::None => write!(f, "()"),
            Spec::Tensor { shape, dtype, fill, layout, grad, .. } => {
                write!(f, "tensor{shape:?} {}", lathe::torch::dtype_name(*dtype))?;
                if *fill != Fill::Plain {
                    write!(f, " {fill:?}")?;
                }
                if *layout != Layout::Plain {
                    write!(f, " {layout:?}")?;
                }
                if *grad { write!(f, " grad") } else { Ok(()) }
            }
            Spec::Again(n) => write!(f, "the tensor {n} before"),
            Spec::Int(i) => write!(f, "{i}"),
            Spec::Float(x) => write!(f, "{x:?}"),
            Spec::Bool(b) => write!(f, "{b}"),
            Spec::Str(s) => write!(f, "{s:?}"),
            Spec::List(items) => {
                write!(f, "[")?;
                for (i, x) in items.iter().enumerate() {
                    write!(f, "{}{x}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, "]")
            }
        }
    }
}

/// The values of a call, and every tensor among them.
pub struct Made {
    pub values: Vec<Value>,
    pub tensors: Vec<Tensor>,
}

/// Makes the arguments.
pub fn make(specs: &[Spec]) -> Result<Made> {
    let mut made = Made { values: Vec::new(), tensors: Vec::new() };
    for spec in specs {
        let value = one(spec, &mut made.tensors)?;
        made.values.push(value);
    }
    Ok(made)
}

fn one(spec: &Spec, tensors: &mut Vec<Tensor>) -> Result<Value> {
    Ok(match spec {
        Spec::None => Value::None,
        Spec::Tensor { shape, dtype, fill, layout, grad, seed } => {
            let t = tensor(shape, *dtype, *fill, *layout, *seed)?;
            let t = if *grad && (t.is_float() || is_complex(*dtype)) { t.requires_grad_(true)? } else { t };
            tensors.push(t.clone());
            Value::Tensor(t)
        }
        Spec::Again(n) => match tensors.len().checked_sub(1 + n).and_then(|i| tensors.get(i)) {
            Some(t) => Value::Tensor(t.clone()),
            None => Value::None,
        },
        Spec::Int(i) => Value::Int(*i),
        Spec::Float(x) => Value::Float(*x),
        Spec::Bool(b) => Value::Bool(*b),
        Spec::Str(s) => Value::Str((*s).to_owned()),
        Spec::List(items) => Value::List(items.iter().map(|s| one(s, tensors)).collect::<Result<_>>()?),
    })
}

pub fn is_complex(dtype: DType) -> bool {
    matches!(dtype, DType::ComplexFloat | DType::ComplexDouble)
}

pub fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::Half | DType::BFloat16 | DType::Float | DType::Double)
}

/// More elements than the fuzz makes.
pub const MOST: i64 = 1 << 16;

fn tensor(shape: &[i64], dtype: DType, fill: Fill, layout: Layout, seed: u64) -> Result<Tensor> {
    let full: Vec<i64> = match layout {
        Layout::Plain => shape.to_vec(),
        Layout::Transposed => shape.iter().rev().copied().collect(),
        Layout::Expanded => shape.iter().enumerate().map(|(i, n)| if i == 0 { 1 } else { *n }).collect(),
        Layout::Sliced => shape.iter().enumerate().map(|(i, n)| if i + 1 == shape.len() { n + 3 } else { *n }).collect(),
    };
    let count = full.iter().product::<i64>().clamp(0, MOST);
    let base = plain(&full, count, dtype, fill, seed)?;
    match layout {
        Layout::Plain => Ok(base),
        Layout::Transposed => base.permute(&(0..full.len() as i64).rev().collect::<Vec<_>>()),
        Layout::Expanded => base.expand(shape),
        Layout::Sliced => match shape.last() {
            Some(n) => base.narrow(-1, 2, *n),
            None => Ok(base),
        },
    }
}

fn plain(shape: &[i64], count: i64, dtype: DType, fill: Fill, seed: u64) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = count as usize;
    if is_complex(dtype) {
        let part = if dtype == DType::ComplexFloat { DType::Float } else { DType::Double };
        let (re, im) = (plain(shape, count, part, fill, seed)?, plain(shape, count, part, fill, seed ^ 1)?);
        return call1("complex", &[re.into(), im.into()], &[]);
    }
    let t = if is_float(dtype) {
        let mut value = || -> f32 {
            match fill {
                Fill::Plain => rng.random_range(-1.7..1.7),
                Fill::Below(n) => rng.random_range(0..n.max(1)) as f32,
                Fill::All(x) => x as f32,
                Fill::Int(i) => i as f32,
                Fill::Odd => [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, 0.0, -1.0][(rng.next_u32() % 8) as usize],
            }
        };
        Tensor::from_slice(&(0..n).map(|_| value()).collect::<Vec<f32>>())?
    } else {
        let (low, high) = match dtype {
            DType::Int => (i32::MIN.into(), i32::MAX.into()),
            DType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DType::Uint8 => (0, 255),
            DType::Bool => (0, 1),
            _ => (i64::MIN, i64::MAX),
        };
        let mut value = || -> i64 {
            let v = match fill {
                Fill::Plain => rng.random_range(0..4),
                Fill::Below(n) => rng.random_range(0..n.max(1)),
                Fill::All(x) => x as i64,
                Fill::Int(i) => i,
                Fill::Odd => [low, high, -1, 0, 1, low + 1, high / 2, 1000][(rng.next_u32() % 8) as usize],
            };
            v.clamp(low, high)
        };
        Tensor::from_slice(&(0..n).map(|_| value()).collect::<Vec<i64>>())?
    };
    t.to_dtype(dtype)?.to_device(Device::Cpu)?.reshape(shape)
}
