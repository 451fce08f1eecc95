//! `torch::`, making tensors, joining them, and the state of libtorch.

pub mod draws;
pub mod grad;
pub mod jvp;

use crate::error::{Error, Result};
use crate::script::lang::value::{Dims, FromArg, TensorOrNumber, type_name};
use crate::torch::bridge::{self, Value, call1};
use crate::torch::draws::{Law, Wanted, draw};
use crate::torch::operators::{self, call_own1};
use crate::torch::{self, DType, Device, Number, Tensor, default_device, device_name, dtype_name, parse_device, parse_dtype};
use crate::{api, options};
use rhai::{Array, Dynamic, FnPtr};

/// A shape: an array of ints, or one int for a vector.
struct Shape(Vec<i64>);

impl FromArg for Shape {
    const NAME: &'static str = "an array of ints";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        Dims::from_dynamic(d).map(|d| Shape(d.0))
    }
}

/// What every function that makes a tensor takes.
#[derive(Default)]
struct Creation {
    dtype: Option<DType>,
    device: Option<String>,
    requires_grad: bool,
}

/// The same for one that takes the shape and the device of another tensor.
#[derive(Default)]
struct Likeness {
    dtype: Option<DType>,
    requires_grad: bool,
}

options! {
    Creation {
        /// element type: f32 for fractions, i64 for ints, bool for bools unless given
        dtype,
        /// where it lies; the default device unless given
        device,
        /// whether gradients are recorded for it
        requires_grad,
    }
    Likeness {
        /// element type; that of the other tensor unless given
        dtype,
        /// whether gradients are recorded for it
        requires_grad,
    }
}

impl FromArg for DType {
    const NAME: &'static str = "the name of a dtype";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        parse_dtype(&String::from_dynamic(d)?).ok()
    }
    fn explain(d: &Dynamic) -> Option<Error> {
        parse_dtype(&String::from_dynamic(d)?).err()
    }
}

impl Creation {
    fn device(&self) -> Result<Device> {
        self.device.as_deref().map_or(Ok(default_device()), parse_device)
    }

    /// The same for one that draws.
    fn draw(&self, (law, bounds): (Law, (i64, i64)), shape: &[i64], op: &str, args: &[Value], default: DType) -> Result<Tensor> {
        let (dtype, device) = (self.dtype.unwrap_or(default), self.device()?);
        let wanted = Wanted { law, shape, dtype, device, bounds, like: None };
        self.finish(draw(wanted, || call1(op, args, &[("dtype", dtype.into()), ("device", device.into())]))?)
    }

    /// Calls an operator that makes a tensor.
    fn call(&self, op: &str, args: &[Value], default: DType) -> Result<Tensor> {
        let (dtype, device) = (self.dtype.unwrap_or(default), self.device()?);
        self.finish(call_own1(op, args, &[("dtype", dtype.into()), ("device", device.into())])?)
    }

    fn finish(&self, t: Tensor) -> Result<Tensor> {
        if self.requires_grad { t.requires_grad_(true) } else { Ok(t) }
    }
}

/// Deeper than any tensor.
const MAX_RANK: usize = 64;

/// The numbers of nested arrays, row by row.
struct Leaves {
    shape: Vec<i64>,
    values: Vec<Number>,
    /// Whether all were bools, and whether any was a float.
    bools: bool,
    float: bool,
}

impl Leaves {
    fn read(d: &Dynamic) -> Result<Leaves> {
        let mut leaves = Leaves { shape: Vec::new(), values: Vec::new(), bools: true, float: false };
        // The shape is that of the first elements; the others must agree.
        let mut at = d.clone();
        while at.is_array() {
            let first = at.read_lock::<Array>().map(|a| (a.len() as i64, a.first().cloned()));
            let Some((len, first)) = first else { break };
            leaves.shape.push(len);
            if leaves.shape.len() > MAX_RANK {
                return Err(Error::value("tensor", "the arrays are nested too deeply"));
            }
            let Some(first) = first else { break };
            at = first;
        }
        leaves.walk(d, 0)?;
        Ok(leaves)
    }

    fn walk(&mut self, d: &Dynamic, depth: usize) -> Result<()> {
        if let Some(a) = d.read_lock::<Array>() {
            if self.shape.get(depth) != Some(&(a.len() as i64)) {
                let want = self.shape.get(depth).map_or("a number".to_owned(), |n| format!("{n} elements"));
                return Err(Error::value("tensor", format!("the arrays are ragged: {} where {want} should be", a.len())));
            }
            return a.iter().try_for_each(|x| self.walk(x, depth + 1));
        }
        if depth != self.shape.len() {
            return Err(Error::value("tensor", "the arrays are ragged: a number where an array should be"));
        }
        let scalar = d.read_lock::<Tensor>().filter(|t| t.rank() == 0).map(|t| t.clone());
        self.bools &= d.is_bool() || scalar.as_ref().is_some_and(|t| t.dtype() == DType::Bool);
        let value = match (d.as_bool(), Number::from_dynamic(d), scalar) {
            (Ok(b), ..) => Number::Int(i64::from(b)),
            (_, Some(n), _) => n,
            (_, _, Some(t)) if t.is_integral() => Number::Int(t.to_vec_i64()?.first().copied().unwrap_or(0)),
            (_, _, Some(t)) => Number::Float(t.item()?),
            (Err(_), None, None) => return Err(Error::value("tensor", format!("an element is no number but {}", type_name(d)))),
        };
        self.float |= matches!(value, Number::Float(_));
        self.values.push(value);
        Ok(())
    }

    /// Fails for an int that the dtype has no place for. One below 0 counts from the largest down in `u8`, as in PyTorch.
    fn fits(&self, dtype: DType) -> Result<()> {
        let (least, most) = match dtype {
            DType::Uint8 => (-255, 255),
            DType::Int8 => (-128, 127),
            DType::Int16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            DType::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => return Ok(()),
        };
        let outside = |n: &&Number| matches!(n, Number::Int(i) if !(least..=most).contains(i));
        match self.values.iter().find(outside) {
            Some(Number::Int(i)) => {
                let message = format!("{i} is none of the numbers of {}, which go to {most}", dtype_name(dtype));
                Err(Error::value("tensor", message).help("leave `dtype` out for i64"))
            }
            _ => Ok(()),
        }
    }

    fn into_tensor(self) -> Result<Tensor> {
        if self.values.is_empty() {
            return Tensor::zeros(&self.shape, DType::Float, Device::Cpu);
        }
        if self.float {
            let values: Vec<f64> = self.values.iter().map(|n| if let Number::Float(f) = n { *f } else { as_float(*n) }).collect();
            return Tensor::from_vec(&values, &self.shape);
        }
        let values: Vec<i64> = self.values.iter().map(|n| if let Number::Int(i) = n { *i } else { 0 }).collect();
        Tensor::from_vec(&values, &self.shape)
    }
}

fn as_float(n: Number) -> f64 {
    match n {
        Number::Int(i) => i as f64,
        Number::Float(f) => f,
    }
}

fn filled(options: &Creation, op: &str, shape: &Shape) -> Result<Tensor> {
    options.call(op, &[shape.0.as_slice().into()], DType::Float)
}

fn drawn(options: &Creation, law: Law, shape: &Shape) -> Result<Tensor> {
    options.draw((law, (0, 0)), &shape.0, law.name(), &[shape.0.as_slice().into()], DType::Float)
}

fn like(x: &Tensor, options: &Likeness, op: &str, law: Option<Law>) -> Result<Tensor> {
    let dtype = options.dtype;
    let fresh = || call1(op, &[x.into()], &[("dtype", dtype.into())]);
    let t = match law {
        Some(law) => {
            draw(Wanted { law, shape: &x.shape(), dtype: dtype.unwrap_or(x.dtype()), device: x.device(), bounds: (0, 0), like: Some(x) }, fresh)?
        }
        None => fresh()?,
    };
    if options.requires_grad { t.requires_grad_(true) } else { Ok(t) }
}

/// What `--mixed-precision` may say.
fn autocast_dtype(name: &str) -> Result<DType> {
    match name {
        "no" | "none" | "off" | "fp32" => Ok(DType::Float),
        other => parse_dtype(other),
    }
}

api! {
    namespace "torch";

    /// A tensor from a number or nested arrays: ints give i64, floats f32, bools bool.
    ///
    /// # Shapes
    /// - arrays nested `n` deep -> `n` dimensions
    /// # Errors
    /// `E0202` when the arrays are ragged, an element is no number, or an int is not one of those of `dtype`.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]], #{ requires_grad: true });
    /// assert_eq(x.shape, [2, 2]);
    /// assert_eq(torch::tensor([1, 2]).dtype, "i64");
    /// ```
    fn tensor(data: Dynamic; options: Creation) -> Tensor {
        if let Some(t) = data.read_lock::<Tensor>() {
            let copy = t.detach()?.copy()?.to_dtype(options.dtype.unwrap_or(t.dtype()))?.to_device(options.device()?)?;
            return options.finish(copy);
        }
        let leaves = Leaves::read(&data)?;
        let natural = match (leaves.values.is_empty() || leaves.float, leaves.bools) {
            (true, _) => DType::Float,
            (false, true) => DType::Bool,
            (false, false) => DType::Int64,
        };
        let dtype = options.dtype.unwrap_or(natural);
        leaves.fits(dtype)?;
        options.finish(leaves.into_tensor()?.to_dtype(dtype)?.to_device(options.device()?)?)
    }

    /// A tensor of zeros.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3], #{ dtype: "bf16" }).dtype, "bf16");
    /// ```
    fn zeros(shape: Shape; options: Creation) -> Tensor { filled(&options, "zeros", &shape) }

    /// A tensor of ones.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([3]).to_array(), [1.0, 1.0, 1.0]);
    /// ```
    fn ones(shape: Shape; options: Creation) -> Tensor { filled(&options, "ones", &shape) }

    /// A tensor whose values are whatever lay in memory, to be overwritten.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::empty([2, 2]).fill_(3).sum().item(), 12.0);
    /// ```
    fn empty(shape: Shape; options: Creation) -> Tensor { filled(&options, "empty", &shape) }

    /// Every element `value`: a float gives f32, an int i64, a bool bool.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::full([2], 0.5).to_array(), [0.5, 0.5]);
    /// assert_eq(torch::full([2], 7).dtype, "i64");
    /// ```
    fn full(shape: Shape, value: Dynamic; options: Creation) -> Tensor {
        let (value, natural) = match (value.as_bool(), Number::from_dynamic(&value)) {
            (Ok(b), _) => (Value::Bool(b), DType::Bool),
            (_, Some(n @ Number::Int(_))) => (n.into(), DType::Int64),
            (_, Some(n)) => (n.into(), DType::Float),
            (Err(_), None) => return Err(Error::value("full", format!("argument `value` must be a number, got {}", type_name(&value)))),
        };
        options.call("full", &[shape.0.as_slice().into(), value], natural)
    }

    /// Drawn from N(0, 1).
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0201` for a dtype that is not float, `E0203` without memory.
    /// # Example
    /// ```rhai
    /// torch::manual_seed(0);
    /// let a = torch::randn([4]);
    /// torch::manual_seed(0);
    /// assert_eq(a, torch::randn([4]));
    /// ```
    fn randn(shape: Shape; options: Creation) -> Tensor { drawn(&options, Law::Normal, &shape) }

    /// Drawn evenly from 0 (included) to 1.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0201` for a dtype that is not float, `E0203` without memory.
    /// # Example
    /// ```rhai
    /// let u = torch::rand([100]);
    /// assert(u.min().item() >= 0.0 && u.max().item() < 1.0);
    /// ```
    fn rand(shape: Shape; options: Creation) -> Tensor { drawn(&options, Law::Uniform, &shape) }

    /// Ints drawn evenly from `low` (included) to `high`.
    ///
    /// # Shapes
    /// - `shape`
    /// # Errors
    /// `E0201` when `high` is not above `low`.
    /// # Example
    /// ```rhai
    /// let y = torch::randint(0, 10, [64]);
    /// assert(y.min().item() >= 0 && y.max().item() <= 9);
    /// ```
    fn randint(low: i64, high: i64, shape: Shape; options: Creation) -> Tensor {
        let args = [low.into(), high.into(), shape.0.as_slice().into()];
        options.draw((Law::Int, (low, high)), &shape.0, "randint.low", &args, DType::Int64)
    }

    /// The ints `0..n` in random order.
    ///
    /// # Shapes
    /// - `[n]`
    /// # Errors
    /// `E0201` for a negative `n`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::randperm(5).sort().values.to_array(), [0, 1, 2, 3, 4]);
    /// ```
    fn randperm(n: i64; options: Creation) -> Tensor {
        options.draw((Law::Permutation, (0, n)), &[n], "randperm", &[n.into()], DType::Int64)
    }

    /// `0, 1, ..` below `end`, or `start, start + step, ..` below `end`: i64 for ints, f32 otherwise.
    ///
    /// # Shapes
    /// - `[ceil((end - start) / step)]`
    /// # Errors
    /// `E0201` when `step` is 0 or leads away from `end`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::arange(3).to_array(), [0, 1, 2]);
    /// assert_eq(torch::arange(1.0, 2.0, 0.5).to_array(), [1.0, 1.5]);
    /// ```
    fn arange(start: Number, end: Option<Number>, step: Option<Number>; options: Creation) -> Tensor {
        let (start, end) = match end {
            Some(end) => (start, end),
            None => (Number::Int(0), start),
        };
        let step = step.unwrap_or(Number::Int(1));
        let ints = [start, end, step].iter().all(|n| matches!(n, Number::Int(_)));
        options.call("arange", &[start.into(), end.into(), step.into()], if ints { DType::Int64 } else { DType::Float })
    }

    /// `steps` values from `start` to `end`, both included.
    ///
    /// # Shapes
    /// - `[steps]`
    /// # Errors
    /// `E0201` for negative `steps`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::linspace(0, 1, 3).to_array(), [0.0, 0.5, 1.0]);
    /// ```
    fn linspace(start: Number, end: Number, steps: i64; options: Creation) -> Tensor {
        options.call("linspace", &[start.into(), end.into(), steps.into()], DType::Float)
    }

    /// The unit matrix.
    ///
    /// # Shapes
    /// - `[n, n]`
    /// # Errors
    /// `E0201` for a negative `n`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::eye(2).to_array(), [[1.0, 0.0], [0.0, 1.0]]);
    /// ```
    fn eye(n: i64; options: Creation) -> Tensor { options.call("eye", &[n.into()], DType::Float) }

    /// Zeros in the shape, dtype and device of `x`.
    ///
    /// # Shapes
    /// - `[..]` -> `[..]`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros_like(torch::ones([2])).to_array(), [0.0, 0.0]);
    /// ```
    fn zeros_like(x: Tensor; options: Likeness) -> Tensor { like(&x, &options, "zeros_like", None) }

    /// Ones in the shape, dtype and device of `x`.
    ///
    /// # Shapes
    /// - `[..]` -> `[..]`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones_like(torch::zeros([2])).to_array(), [1.0, 1.0]);
    /// ```
    fn ones_like(x: Tensor; options: Likeness) -> Tensor { like(&x, &options, "ones_like", None) }

    /// Drawn from N(0, 1) in the shape, dtype and device of `x`.
    ///
    /// # Shapes
    /// - `[..]` -> `[..]`
    /// # Errors
    /// `E0201` for a dtype that is not float.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::randn_like(torch::zeros([2, 3])).shape, [2, 3]);
    /// ```
    fn randn_like(x: Tensor; options: Likeness) -> Tensor { like(&x, &options, "randn_like", Some(Law::Normal)) }

    /// Drawn evenly from 0 to 1 in the shape, dtype and device of `x`.
    ///
    /// # Shapes
    /// - `[..]` -> `[..]`
    /// # Errors
    /// `E0201` for a dtype that is not float.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::rand_like(torch::zeros([2, 3])).shape, [2, 3]);
    /// ```
    fn rand_like(x: Tensor; options: Likeness) -> Tensor { like(&x, &options, "rand_like", Some(Law::Uniform)) }

    /// Joins tensors along a dimension that they have.
    ///
    /// # Shapes
    /// - `n` times `[.., a_i, ..]` -> `[.., sum a_i, ..]`
    /// # Errors
    /// `E0201` when other sizes differ.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::cat([torch::zeros([2, 3]), torch::ones([1, 3])]).shape, [3, 3]);
    /// ```
    fn cat(tensors: Vec<Tensor>, dim: Option<i64>) -> Tensor { Tensor::cat(&tensors, dim.unwrap_or(0)) }

    /// Joins tensors of one shape along a new dimension.
    ///
    /// # Shapes
    /// - `n` times `[a, b]`, `dim` 0 -> `[n, a, b]`
    /// # Errors
    /// `E0201` when the shapes differ.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::stack([torch::zeros([3]), torch::ones([3])], 1).shape, [3, 2]);
    /// ```
    fn stack(tensors: Vec<Tensor>, dim: Option<i64>) -> Tensor { Tensor::stack(&tensors, dim.unwrap_or(0)) }

    /// Elements of `a` where the condition holds, of `b` elsewhere; either may be a number.
    ///
    /// # Shapes
    /// - all three broadcast
    /// # Errors
    /// `E0201` when the shapes do not fit or the condition is no bool tensor.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([-1.0, 2.0]);
    /// assert_eq(torch::where(x.gt(0), x, 0.0).to_array(), [0.0, 2.0]);
    /// ```
    fn where_ as "where"(condition: Tensor, a: TensorOrNumber, b: TensorOrNumber) -> Tensor {
        let beside = match (&a, &b) {
            (TensorOrNumber::Tensor(t), _) | (_, TensorOrNumber::Tensor(t)) => t.clone(),
            _ => Tensor::zeros(&[], DType::Float, condition.device())?,
        };
        let (a, b) = (a.beside(&beside)?, b.beside(&beside)?);
        a.where_(&condition, &b)
    }

    /// Sums of products by Einstein's notation.
    ///
    /// # Shapes
    /// - as the equation says: `"bij,bjk->bik"`
    /// # Errors
    /// `E0201` when the equation does not fit the tensors.
    /// # Example
    /// ```rhai
    /// let a = torch::ones([2, 3]);
    /// assert_eq(torch::einsum("ij,kj->ik", [a, a]).to_array(), [[3.0, 3.0], [3.0, 3.0]]);
    /// ```
    fn einsum(equation: String, tensors: Vec<Tensor>) -> Tensor { Tensor::einsum(&equation, &tensors.iter().collect::<Vec<_>>()) }

    /// Whether all elements agree: `|a - b| <= atol + rtol * |b|`.
    ///
    /// # Shapes
    /// - both broadcast
    /// # Errors
    /// `E0201` when the shapes or dtypes do not fit.
    /// # Example
    /// ```rhai
    /// assert(torch::allclose(torch::ones([2]), torch::ones([2]) + 1e-7));
    /// assert(!torch::allclose(torch::ones([2]), torch::zeros([2]), #{ atol: 0.5 }));
    /// ```
    fn allclose(a: Tensor, b: Tensor;
        /// tolerance, relative to `b`
        rtol: f64 = 1e-5,
        /// tolerance that is always allowed
        atol: f64 = 1e-8,
        /// whether NaN equals NaN
        equal_nan: bool = false,
    ) -> bool {
        let args = [(&a).into(), (&b).into(), Value::Float(rtol), atol.into(), equal_nan.into()];
        Ok(matches!(bridge::call("allclose", &args, &[])?.first(), Some(Value::Bool(true))))
    }

    /// Seeds the random generators of the CPU and of every GPU.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// torch::manual_seed(42);
    /// ```
    fn manual_seed(seed: i64) -> () { bridge::manual_seed(seed) }

    /// Runs a function and puts the random generators back, so that what it draws changes nothing that comes after it.
    ///
    /// # Errors
    /// Whatever the function throws; the generators are put back then as well.
    /// # Example
    /// ```rhai
    /// let probe = torch::fork_rng(|| torch::rand([2]));
    /// assert_eq(probe.shape, [2]);
    /// ```
    fn fork_rng[cx](f: FnPtr) -> Dynamic { crate::train::rng::apart(|| cx.call(&f, vec![])) }

    /// Runs a function without recording gradients and gives its result.
    ///
    /// # Errors
    /// Whatever the function throws; recording is on again then.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([2]).requires_grad_();
    /// assert(!torch::no_grad(|| w * 2).requires_grad);
    /// assert((w * 2).requires_grad);
    /// ```
    fn no_grad[cx](f: FnPtr) -> Dynamic { torch::no_grad(|| cx.call(&f, vec![])) }

    /// Runs a function in mixed precision and gives its result: matrix products and convolutions in `dtype`, sensitive operations in f32.
    /// `"no"` or `"f32"` runs it in full precision.
    ///
    /// # Errors
    /// `E0202` for a dtype other than `bf16`, `f16`, `f32`, and for `f16` on the CPU; whatever the function throws.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2, 2]);
    /// assert_eq(torch::autocast("bf16", || x @ x).dtype, "bf16");
    /// assert_eq((x @ x).dtype, "f32");
    /// ```
    fn autocast[cx](dtype: String, f: FnPtr;
        /// where it runs; the default device unless given
        device: Option<String>,
    ) -> Dynamic {
        let device = device.map_or(Ok(default_device()), |d| parse_device(&d))?;
        bridge::autocast(device, autocast_dtype(&dtype)?, || cx.call(&f, vec![]))?
    }

    /// The device on which new tensors and models are made.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([1]).device, torch::device());
    /// ```
    fn device() -> String { Ok(device_name(default_device())) }

    /// Sets the device on which new tensors and models are made: `cpu`, `cuda` or `cuda:N`.
    ///
    /// # Errors
    /// `E0204` when it is not there: never a silent run on the CPU.
    /// # Example
    /// ```rhai
    /// torch::set_device("cpu");
    /// ```
    fn set_device(name: String) -> () {
        torch::set_default_device(parse_device(&name)?);
        Ok(())
    }

    /// Whether a CUDA device can be used.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// if torch::cuda_is_available() { print(torch::zeros([1], #{ device: "cuda" })); }
    /// ```
    fn cuda_is_available() -> bool { Ok(torch::cuda_is_available()) }

    /// Lets matrix products and convolutions of f32 on a GPU round their inputs to TF32, 10 bits of mantissa, or forbids it. libtorch begins
    /// with convolutions allowed and matrix products not; both are set here.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    /// # Example
    /// ```rhai
    /// torch::allow_tf32(false);
    /// ```
    fn allow_tf32(on: bool) -> () { bridge::allow_tf32(on) }

    /// Sets how many threads one operator may use on the CPU.
    ///
    /// # Errors
    /// `E0202` below 1.
    /// # Example
    /// ```rhai
    /// torch::set_num_threads(torch::num_threads());
    /// ```
    fn set_num_threads(n: i64) -> () {
        let count = usize::try_from(n).ok().filter(|n| (1..=1024).contains(n));
        torch::set_num_threads(count.ok_or_else(|| Error::value("set_num_threads", format!("from 1 to 1024 threads, got {n}")))?);
        Ok(())
    }

    /// How many threads one operator may use on the CPU.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(torch::num_threads() >= 1);
    /// ```
    fn num_threads() -> i64 { Ok(torch::num_threads() as i64) }

    /// Waits until a device (by default the default one) has done all its work: for measuring time.
    ///
    /// # Errors
    /// `E0204` when it is not there.
    /// # Example
    /// ```rhai
    /// torch::synchronize();
    /// ```
    fn synchronize(device: Option<String>) -> () {
        torch::synchronize(device.map_or(Ok(default_device()), |d| parse_device(&d))?);
        Ok(())
    }

    /// Calls any operator of libtorch by name. `args` in the order of its schema, `options` by name; dtypes, devices and memory formats
    /// are strings. One result comes as itself, several as an array. Gradients, `no_grad` and `autocast` apply. With `out` the result is copied
    /// into that tensor, which is never resized. Operators that do not check what they are given are closed: docs/guide/operators.md.
    ///
    /// # Errors
    /// `E0202` for an unknown name, one that is closed to scripts, arguments that no overload takes or that would end the process; `E0201` when
    /// the operator refuses.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([1, 3, 4, 4]);
    /// assert_eq(torch::op("upsample_bicubic2d", [x, [8, 8], false]).shape, [1, 3, 8, 8]);
    /// assert_eq(torch::op("softmax.int", [torch::zeros([2]), 0], #{ dtype: "f64" }).to_array(), [0.5, 0.5]);
    /// ```
    fn op[cx](name: String, args: Option<Array>, options: Option<rhai::Map>) -> Dynamic {
        let args = args.unwrap_or_default().iter().map(|d| to_value(d, 0)).collect::<Result<Vec<_>>>().map_err(|e| e.context(name.clone()))?;
        let options = options.unwrap_or_default();
        let kw = options.iter().map(|(k, d)| Ok((k.as_str(), to_value(d, 0)?))).collect::<Result<Vec<_>>>().map_err(|e| e.context(name.clone()))?;
        let call = if cx.has_unsafe_ops() { bridge::call } else { operators::script_call };
        let mut results = call(&name, &args, &kw)?;
        Ok(match results.len() {
            0 => Dynamic::UNIT,
            1 => from_value(results.remove(0)),
            _ => from_value(Value::List(results)),
        })
    }

    /// The schemas of an operator's overloads: what `torch::op` takes and returns.
    ///
    /// # Errors
    /// `E0202` for an unknown name, with the nearest one.
    /// # Example
    /// ```rhai
    /// print(torch::op_schema("upsample_bicubic2d")[0]);
    /// ```
    fn op_schema(name: String) -> Vec<String> {
        let list = bridge::schemas(&name);
        if list.is_empty() {
            // The call says what the nearest name is.
            operators::script_call(&name, &[], &[])?;
        }
        Ok(list)
    }

    /// What is known of the libtorch in use: `version`, `library`, `cpu` (its kernels), `features`, `cuda`, `threads`.
    ///
    /// # Errors
    /// `E0201` when it fails to say.
    /// # Example
    /// ```rhai
    /// assert(torch::info().version.starts_with("2.11"));
    /// ```
    fn info() -> rhai::Map {
        let info = bridge::build_info()?;
        let mut map = rhai::Map::new();
        map.insert("version".into(), info.version.unwrap_or(info.compiled).into());
        map.insert("library".into(), bridge::library()?.display().to_string().into());
        map.insert("cpu".into(), info.cpu.into());
        map.insert("features".into(), info.features.into_iter().map(Dynamic::from).collect::<Array>().into());
        map.insert("cuda".into(), torch::cuda_is_available().into());
        map.insert("threads".into(), (torch::num_threads() as i64).into());
        map.insert("default_device".into(), device_name(default_device()).into());
        map.insert("default_dtype".into(), dtype_name(DType::Float).into());
        Ok(map)
    }
}

/// More nesting than any operator takes.
const MAX_LIST_DEPTH: usize = 8;

fn to_value(d: &Dynamic, depth: usize) -> Result<Value> {
    if d.is_unit() {
        return Ok(Value::None);
    }
    if let Some(t) = d.read_lock::<Tensor>() {
        return Ok(Value::Tensor(t.clone()));
    }
    if let Some(a) = d.read_lock::<Array>() {
        if depth >= MAX_LIST_DEPTH {
            return Err(Error::value("op", "arrays are nested too deeply"));
        }
        return Ok(Value::List(a.iter().map(|x| to_value(x, depth + 1)).collect::<Result<_>>()?));
    }
    let plain = d.as_bool().map(Value::Bool).or_else(|_| d.as_int().map(Value::Int)).or_else(|_| d.as_float().map(Value::Float));
    plain
        .ok()
        .or_else(|| String::from_dynamic(d).map(Value::Str))
        .ok_or_else(|| Error::value("op", format!("{} cannot be an argument", type_name(d))))
}

fn from_value(v: Value) -> Dynamic {
    match v {
        Value::None => Dynamic::UNIT,
        Value::Tensor(t) => Dynamic::from(t),
        Value::Int(i) => i.into(),
        Value::Float(f) => f.into(),
        Value::Bool(b) => b.into(),
        Value::Str(s) | Value::Opaque(s) => s.into(),
        Value::List(l) | Value::Tuple(l) => l.into_iter().map(from_value).collect::<Array>().into(),
        Value::Dict(d) => d.into_iter().map(|(k, v)| Dynamic::from(vec![from_value(k), from_value(v)])).collect::<Array>().into(),
    }
}
