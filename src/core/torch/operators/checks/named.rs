//! Parameters that mean the same wherever they stand.

use super::{Bound, refuse};
use crate::error::{Error, Result};
use crate::torch::bridge::Value;
use crate::torch::operators::{Count, Kind, Param, Schema};
use crate::torch::{DType, dtype_name, parse_dtype};

/// Windows, steps and borders, of which kernels compute addresses.
const WINDOWS: &[&str] = &["kernel_size", "stride", "dilation", "padding", "output_padding", "kernel_sizes", "output_size", "pool_size"];
/// Larger than any picture.
pub(in crate::torch) const WIDEST: i64 = 1 << 24;
/// More parts than anything is split into: each is a tensor.
const MOST_PARTS: i64 = 1 << 16;
/// How many parts there are.
const PARTS: &[&str] = &["sections", "chunks", "num_chunks", "groups"];
/// What makes gradients of another layout.
const SPARSE: &[&str] = &["sparse", "sparse_grad"];
/// Numbers that stand for words, with the largest.
const CHOICES: &[(&str, i64)] = &[("reduction", 2), ("interpolation_mode", 2), ("padding_mode", 2), ("ceil_mode", 1)];

/// Whether an overload has such a parameter.
pub(in super::super) fn concerns(s: &Schema) -> bool {
    let named = |name: &str| [WINDOWS, PARTS, SPARSE].concat().contains(&name) || CHOICES.iter().any(|(c, _)| *c == name);
    s.params.iter().any(|p| named(&p.name) || is_fixed(p))
}

/// Whether a parameter is a list of so many ints: kernels read all of them.
fn is_fixed(p: &Param) -> bool {
    p.kind == Kind::Int && matches!(p.count, Count::Sized(n) if n > 1)
}

/// Windows, steps or borders from their least number to one that no picture needs: kernels compute addresses with them.
///
/// # Errors
/// `E0202` naming the option.
pub(in crate::torch) fn windows(op: &str, name: &str, values: &[i64], least: i64) -> Result<()> {
    match values.iter().find(|n| !(least..=WIDEST).contains(*n)) {
        Some(n) => Err(Error::value(op, format!("`{name}` must be between {least} and {WIDEST}, got {n}"))),
        None => Ok(()),
    }
}

/// All of them are within what kernels expect.
pub(super) fn in_range(b: &Bound) -> Result<()> {
    for p in b.params().iter().filter(|p| is_fixed(p)) {
        let (Count::Sized(n), Some(Value::List(items) | Value::Tuple(items))) = (p.count, b.get(&p.name)) else { continue };
        // An empty one stands for the default, as the stride of a pool does for its window.
        if items.len() as i64 != n && !(items.is_empty() && p.name == "stride") {
            return Err(refuse(b, format!("`{}` must be {n} ints, got {}", p.name, items.len())));
        }
    }
    // `as_strided` has strides of elements, which libtorch holds to the memory there is.
    let is_view = b.params().iter().any(|p| p.name == "size");
    for &name in WINDOWS {
        if (name == "stride" && is_view) || (name == "output_size" && b.op() == "repeat_interleave") {
            continue;
        }
        let least = match name {
            "kernel_size" | "stride" | "dilation" | "kernel_sizes" | "pool_size" => 1,
            "output_size" | "output_padding" => 0,
            _ => -WIDEST,
        };
        windows(b.op(), name, &b.ints(name), least)?;
    }
    for &name in PARTS {
        if let Some(n) = b.int(name)
            && !(1..=MOST_PARTS).contains(&n)
        {
            return Err(refuse(b, format!("`{name}` must be between 1 and {MOST_PARTS}, got {n}")));
        }
    }
    for &name in SPARSE {
        if b.flag(name) {
            return Err(refuse(b, format!("`{name}` is not supported: gradients are plain tensors")));
        }
    }
    for &(name, most) in CHOICES {
        if let Some(n) = b.int(name)
            && !(0..=most).contains(&n)
        {
            return Err(refuse(b, format!("`{name}` must be from 0 to {most}, got {n}")));
        }
    }
    Ok(())
}

/// A scale that was given must be that of the sizes: kernels take as many neighbours as it says.
pub(super) fn scales(b: &Bound) -> Result<()> {
    let Some(input) = b.tensor("self").or_else(|| b.tensor("input")) else { return Ok(()) };
    let sizes = b.ints("output_size");
    let names: &[&str] = if sizes.len() == 1 { &["scales"] } else { &["scales_d", "scales_h", "scales_w"] };
    let names = &names[names.len().saturating_sub(sizes.len())..];
    if input.rank() < sizes.len() {
        return Ok(());
    }
    for (i, (name, out)) in names.iter().zip(&sizes).enumerate() {
        let Some(scale) = b.number(name) else { continue };
        let n = input.size(i as i64 - sizes.len() as i64)?;
        if !(scale > 0.0 && scale.is_finite() && (n as f64 * scale).floor() == *out as f64) {
            return Err(refuse(b, format!("`{name}` of {scale} does not make {out} of {n}; leave it out")));
        }
    }
    Ok(())
}

/// All lists are as long as the first.
pub(super) fn lists(b: &Bound) -> Result<()> {
    let mut lengths = b.given().filter_map(|(_, v)| if let Value::List(items) | Value::Tuple(items) = v { Some(items.len()) } else { None });
    let n = lengths.next().unwrap_or(0);
    for (name, value) in b.given() {
        let (Value::List(items) | Value::Tuple(items)) = value else { continue };
        if items.len() != n {
            return Err(refuse(b, format!("`{name}` has {} elements, the first list {n}", items.len())));
        }
    }
    Ok(())
}

/// No element is seen in two places.
pub(super) fn apart(b: &Bound) -> Result<()> {
    for (name, t) in b.all_tensors() {
        if t.strides().iter().zip(t.shape()).any(|(stride, n)| *stride == 0 && n > 1) {
            return Err(refuse(b, format!("`{name}` was expanded; `.contiguous()` gives each element its place")));
        }
    }
    Ok(())
}

/// Noise has a place for each element.
pub(super) fn noise(b: &Bound) -> Result<()> {
    let (Some(x), Some(noise)) = (b.tensor("self"), b.tensor("noise")) else { return Ok(()) };
    if x.shape() != noise.shape() || x.dtype() != noise.dtype() || !noise.as_tch().is_contiguous() {
        return Err(refuse(b, format!("`noise` must be contiguous and like {}, got {}", x.describe(), noise.describe())));
    }
    Ok(())
}

/// Windows that slide along one dimension: the backward pass computes addresses with size and step.
pub(super) fn steps(b: &Bound) -> Result<()> {
    for name in ["size", "step"] {
        windows(b.op(), name, &b.int(name).into_iter().collect::<Vec<_>>(), i64::from(name == "step"))?;
    }
    Ok(())
}

/// A target has a value for each of the input's.
pub(super) fn target_like_input(b: &Bound) -> Result<()> {
    let (Some(x), Some(target)) = (b.tensor("self"), b.tensor("target")) else { return Ok(()) };
    if x.shape() != target.shape() {
        return Err(refuse(b, format!("`target` must have the shape of {}, got {}", x.describe(), target.describe())));
    }
    Ok(())
}

/// There is something to compute with.
pub(super) fn not_empty(b: &Bound) -> Result<()> {
    match b.all_tensors().iter().find(|(_, t)| t.numel() == 0) {
        Some((name, t)) => Err(refuse(b, format!("`{name}` is empty: {}", t.describe()))),
        None => Ok(()),
    }
}

/// Pools that remember where the largest element was.
pub(super) const MAXIMA: &[&str] =
    &["max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_pool3d", "max_pool3d_with_indices"];

/// A dilated window that begins in the border may step over the whole input, and then remembers a place outside.
pub(super) fn windows_hold_something(b: &Bound) -> Result<()> {
    let Some(input) = b.tensor("self") else { return Ok(()) };
    let (kernel, padding, dilation) = (b.ints("kernel_size"), b.ints("padding"), b.ints("dilation"));
    let dims = kernel.len() as i64;
    for (i, ((k, p), d)) in kernel.iter().zip(&padding).zip(&dilation).enumerate() {
        let at = i as i64 - dims;
        if *d <= 1 || *p <= 0 || (input.rank() as i64) < dims {
            continue;
        }
        let n = input.size(at)?;
        if n < *d || p.saturating_add(d - 1) / d >= *k {
            return Err(refuse(b, format!("a window of {k} with dilation {d} and padding {p} may miss all {n} elements of dimension {at}")));
        }
    }
    Ok(())
}

/// Integers are not seen as floats in place: what writes floats could then change indices that a backward pass relies on.
pub(super) fn same_kind(b: &Bound) -> Result<()> {
    let (Some(t), Some(dtype)) = (b.tensor("self"), b.text("dtype").and_then(|d| parse_dtype(d).ok())) else { return Ok(()) };
    let is_number = |d: DType| matches!(d, DType::Int64 | DType::Int | DType::Int16 | DType::Int8 | DType::Uint8 | DType::Bool);
    if is_number(t.dtype()) == is_number(dtype) {
        return Ok(());
    }
    Err(refuse(b, format!("{} is not seen as {} in place", t.describe(), dtype_name(dtype))).help("`torch::op(\"view_copy.dtype\", ..)` copies"))
}
