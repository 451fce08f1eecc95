//! The tensor in scripts: other dtypes and devices, copies, and the way to numbers, arrays and text.

use crate::api;
use crate::error::{Error, Result, did_you_mean};
use crate::memory;
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::{DType, Device, Number, Tensor, parse_device, parse_dtype};
use rhai::{Array, Dynamic};

/// Above this many elements `to_array` refuses: 16 bytes and an allocation each would not be what anyone wants.
const LARGEST_ARRAY: usize = 1 << 24;

api! {
    methods Tensor;

    /// The only element as a number (or a bool).
    ///
    /// # Shapes
    /// - any shape with one element
    /// # Errors
    /// `E0202` when there is more than one element.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.5]).item(), 1.5);
    /// assert_eq(torch::tensor([3]).item(), 3);
    /// ```
    fn item(x: Tensor) -> Dynamic {
        let v = x.item()?;
        Ok(scalar(&x, v))
    }

    /// All elements as nested arrays; a number for a tensor without dimensions.
    ///
    /// # Shapes
    /// - `[a, .., z]` -> arrays nested as deep
    /// # Errors
    /// `E0202` above 16 million elements, or for as many empty rows; `E0203` without memory for them.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([[1, 2], [3, 4]]).to_array(), [[1, 2], [3, 4]]);
    /// assert_eq(torch::tensor([1.0, 2.0]).sum().to_array(), 3.0);
    /// ```
    fn to_array(x: Tensor) -> Dynamic {
        // Rows are arrays of their own, also empty ones.
        if x.numel() > LARGEST_ARRAY || x.nested_len() > 2 * LARGEST_ARRAY {
            let help = "slice it first, or write it to a file with `io::save`";
            return Err(Error::value("to_array", format!("a tensor {} is too large for an array", x.describe())).help(help));
        }
        memory::room_for("to_array", x.nested_len(), size_of::<Dynamic>() + size_of::<Array>())?;
        let values = if x.is_float() { Values::Float(x.to_vec_f64()?) } else { Values::Int(x.to_vec_i64()?) };
        Ok(nested(&x, &values, &x.shape(), &mut 0))
    }

    /// The summary that printing shows: shape, dtype, device, count, range, mean, deviation, NaN and infinity counts; the values of small ones.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.0, 2.5]).to_string(), "tensor[2] f32 [1, 2.5]");
    /// ```
    fn to_text as "to_string"(x: Tensor) -> String { Ok(x.to_string()) }

    /// The same summary, inside arrays and maps.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.0, 2.5]).to_debug(), "tensor[2] f32 [1, 2.5]");
    /// ```
    fn to_debug(x: Tensor) -> String { Ok(x.to_string()) }

    /// Converted to a dtype, moved to a device, or to the dtype and device of another tensor.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` for an unknown name, `E0204` for a device that is not there.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2]);
    /// assert_eq(x.to("bf16").dtype, "bf16");
    /// assert_eq(x.to("cpu").device, "cpu");
    /// assert_eq(x.to(torch::zeros([1], #{dtype: "f64"})).dtype, "f64");
    /// ```
    fn to(x: Tensor, target: Dynamic) -> Tensor { to(&x, &target) }

    /// Converted to a dtype: `f32`, `f16`, `bf16`, `f64`, `i64`, `u8`, `bool`, ...; itself where it has that dtype.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` for an unknown dtype.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).to_dtype("i64").dtype, "i64");
    /// ```
    fn to_dtype(x: Tensor, dtype: String) -> Tensor { x.to_dtype(parse_dtype(&dtype)?) }

    /// On a device: `cpu`, `cuda`, `cuda:1`; itself where it is there.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0101` for another text, `E0204` for a device that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).to_device("cpu").device, "cpu");
    /// ```
    fn to_device(x: Tensor, device: String) -> Tensor { x.to_device(parse_device(&device)?) }

    /// Converted to f32.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).float().dtype, "f32");
    /// ```
    fn float(x: Tensor) -> Tensor { x.to_dtype(DType::Float) }

    /// Converted to f64.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).double().dtype, "f64");
    /// ```
    fn double(x: Tensor) -> Tensor { x.to_dtype(DType::Double) }

    /// Converted to f16.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).half().dtype, "f16");
    /// ```
    fn half(x: Tensor) -> Tensor { x.to_dtype(DType::Half) }

    /// Converted to bf16.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).bf16().dtype, "bf16");
    /// ```
    fn bf16(x: Tensor) -> Tensor { x.to_dtype(DType::BFloat16) }

    /// Converted to bf16.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).bfloat16().dtype, "bf16");
    /// ```
    fn bfloat16(x: Tensor) -> Tensor { x.to_dtype(DType::BFloat16) }

    /// Converted to i64, cut towards zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).long().dtype, "i64");
    /// ```
    fn long(x: Tensor) -> Tensor { x.to_dtype(DType::Int64) }

    /// Converted to i32, cut towards zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).int().dtype, "i32");
    /// ```
    fn int(x: Tensor) -> Tensor { x.to_dtype(DType::Int) }

    /// Converted to u8, cut towards zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).byte().dtype, "u8");
    /// ```
    fn byte(x: Tensor) -> Tensor { x.to_dtype(DType::Uint8) }

    /// Converted to bool: true where it is not zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).bool().dtype, "bool");
    /// ```
    fn as_bool as "bool"(x: Tensor) -> Tensor { x.to_dtype(DType::Bool) }

    /// On the CPU.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).cpu().device, "cpu");
    /// ```
    fn cpu(x: Tensor) -> Tensor { x.to_device(Device::Cpu) }

    /// On the first CUDA device.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0204` when there is none.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2]);
    /// if torch::cuda_is_available() { x = x.cuda(); }
    /// assert_eq(x.device, if torch::cuda_is_available() { "cuda:0" } else { "cpu" });
    /// ```
    fn cuda(x: Tensor) -> Tensor { x.to_device(parse_device("cuda")?) }

    /// The same data without history: gradients stop here.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([2]).requires_grad_(true);
    /// assert(!(w * 2).detach().requires_grad);
    /// ```
    fn detach(x: Tensor) -> Tensor { x.detach() }

    /// A copy with storage of its own; gradients flow through it. (`let y = x` shares the storage.)
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2]);
    /// let y = x.clone();
    /// y.add_(1);
    /// assert_eq(x.sum().item(), 0.0);
    /// ```
    fn clone(x: Tensor) -> Tensor { x.copy() }

    /// A row-major copy, or itself where it is one already.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).t().contiguous().shape, [3, 2]);
    /// ```
    fn contiguous(x: Tensor) -> Tensor { x.contiguous() }

    /// A new tensor of the same shape, dtype and device, filled with zeros.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).zeros_like().shape, [2, 3]);
    /// ```
    fn zeros_like(x: Tensor) -> Tensor { x.zeros_like() }

    /// A new tensor of the same shape, dtype and device, filled with ones.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).ones_like().shape, [2, 3]);
    /// ```
    fn ones_like(x: Tensor) -> Tensor { x.ones_like() }

    /// A new tensor of the same shape, dtype and device, not filled.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).empty_like().shape, [2, 3]);
    /// ```
    fn empty_like(x: Tensor) -> Tensor { x.empty_like() }

    /// A new tensor of the same shape, dtype and device, drawn from N(0, 1).
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).randn_like().shape, [2, 3]);
    /// ```
    fn randn_like(x: Tensor) -> Tensor { x.randn_like() }

    /// A new tensor of the same shape, dtype and device, drawn from U(0, 1).
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).rand_like().shape, [2, 3]);
    /// ```
    fn rand_like(x: Tensor) -> Tensor { x.rand_like() }

    /// A new tensor of the same shape, dtype and device, every element `value`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).full_like(3).to_array(), [3.0, 3.0]);
    /// ```
    fn full_like(x: Tensor, value: Number) -> Tensor { x.empty_like()?.fill_(value) }
}

/// One element as the script value of its dtype.
fn scalar(x: &Tensor, v: f64) -> Dynamic {
    match x.dtype() {
        DType::Bool => (v != 0.0).into(),
        _ if x.is_float() => v.into(),
        // i64 values above 2^53 lose digits in f64, so they are read again.
        _ => x.to_vec_i64().map_or(Dynamic::from(v as i64), |i| i[0].into()),
    }
}

enum Values {
    Float(Vec<f64>),
    Int(Vec<i64>),
}

/// The values from `at` on as arrays nested like `shape`.
fn nested(x: &Tensor, values: &Values, shape: &[i64], at: &mut usize) -> Dynamic {
    let Some((&n, rest)) = shape.split_first() else {
        *at += 1;
        return match values {
            Values::Float(v) => v[*at - 1].into(),
            Values::Int(v) if x.dtype() == DType::Bool => (v[*at - 1] != 0).into(),
            Values::Int(v) => v[*at - 1].into(),
        };
    };
    (0..n).map(|_| nested(x, values, rest, at)).collect::<Array>().into()
}

fn to(x: &Tensor, target: &Dynamic) -> Result<Tensor> {
    if let Some(like) = Tensor::from_dynamic(target) {
        return x.to_device(like.device())?.to_dtype(like.dtype());
    }
    let Some(name) = String::from_dynamic(target) else {
        return Err(Error::value("to", format!("a dtype, a device or a tensor is needed, got {}", type_name(target))));
    };
    if let Ok(dtype) = parse_dtype(&name) {
        return x.to_dtype(dtype);
    }
    if name == "cpu" || name.starts_with("cuda") {
        return x.to_device(parse_device(&name)?);
    }
    let near = did_you_mean(&name, ["f32", "f16", "bf16", "f64", "i64", "i32", "u8", "bool", "cpu", "cuda"]);
    Err(Error::value("to", format!("`{name}` is neither a dtype nor a device{near}")).help("x.to(\"bf16\"), x.to(\"cuda:0\") or x.to(other)"))
}
