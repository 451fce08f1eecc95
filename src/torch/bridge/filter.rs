//! Which operators scripts may call.
//!
//! A fuzz of every operator with wrong arguments found some that end the process instead of failing; all are internals,
//! which PyTorch marks by a leading underscore or by `_backward`, or belong to namespaces that only compiled code calls.

use super::call::{call, nearest};
use super::value::Value;
use crate::error::{Error, Result};
use crate::torch::Tensor;

/// Internals that check their input and are of use in recipes; `_foreach_*` besides.
const ALLOWED: &[&str] = &[
    "_fused_adam",
    "_fused_adam_",
    "_fused_adamw",
    "_fused_adamw_",
    "_fused_sgd",
    "_fused_sgd_",
    "_fused_sdp_choice",
    "_scaled_dot_product_attention_math",
    "_softmax",
    "_log_softmax",
    "_weight_norm",
    "_unsafe_view",
    "_to_copy",
];

/// Public names that read files, leave tensors without memory, or crash on bad input.
const DENIED: &[&str] = &[
    "from_file",
    "align_tensors",
    "quantized_lstm_cell",
    "set_",
    "set",
    "set_data",
    "resize_",
    "resize",
    "resize_as_",
    "resize_as",
    "resize_as_sparse_",
    "resize_as_sparse",
    "sparse_resize_",
    "sparse_resize",
    "sparse_resize_and_clear_",
    "sparse_resize_and_clear",
    "record_stream",
    "data_ptr",
];

/// Namespaces whose operators are called by compiled graphs and process groups only.
const DENIED_SPACES: &[&str] =
    &["c10d", "inductor", "mkl", "mkldnn", "mkldnn_prepacked", "onednn", "prepacked", "prim", "prims", "profiler", "static_runtime", "symm_mem"];

/// Whether scripts may call the operator of that name.
pub fn allowed(name: &str) -> bool {
    let (space, rest) = name.split_once("::").unwrap_or(("aten", name));
    let base = rest.split('.').next().unwrap_or(rest);
    if space.starts_with('_') || DENIED_SPACES.contains(&space) || DENIED.contains(&base) {
        return false;
    }
    ALLOWED.contains(&base) || base.starts_with("_foreach_") || !(base.starts_with('_') || base.ends_with("_backward"))
}

/// [`call`] for scripts: refuses operators that a wrong argument could turn into a crash.
///
/// # Errors
/// `E0202` for a refused name; otherwise as [`call`].
pub fn script_call(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<Vec<Value>> {
    if !allowed(name) {
        return Err(Error::value("op", format!("`{name}` is not for scripts: it does not check what it is given{}", nearest(name)))
            .help("internals (`_..`, `.._backward`), resizing and file access are closed; `torch::op_schema(name)` shows the others"));
    }
    if name.trim_start_matches("aten::").starts_with("_fused_") {
        check_fused(name, args, kw)?;
    }
    call(name, args, kw)
}

/// The fused optimizers walk all lists in step without comparing their tensors.
fn check_fused(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<()> {
    let mut first: Option<Vec<&Tensor>> = None;
    for v in args.iter().chain(kw.iter().map(|(_, v)| v)) {
        let (Value::List(items) | Value::Tuple(items)) = v else { continue };
        let list: Vec<&Tensor> = items.iter().filter_map(|x| if let Value::Tensor(t) = x { Some(t) } else { None }).collect();
        let Some(wanted) = &first else {
            if let Some(t) = list.iter().find(|t| !t.is_float() || !t.is_dense()) {
                return Err(Error::value(name, format!("a contiguous float tensor is needed, got {}", t.describe())));
            }
            first = Some(list);
            continue;
        };
        if list.is_empty() {
            continue;
        }
        if list.len() != wanted.len() {
            return Err(Error::value(name, format!("the lists have {} and {} tensors", wanted.len(), list.len())));
        }
        // The step counters are scalars; every other list mirrors the parameters.
        let steps = list.iter().all(|t| t.rank() == 0) && list.iter().all(|t| t.dtype() == crate::torch::DType::Float);
        for (a, b) in wanted.iter().zip(&list) {
            let alike = a.shape() == b.shape() && a.device() == b.device() && a.dtype() == b.dtype() && b.is_dense();
            if !alike && !steps {
                return Err(Error::value(name, format!("{} does not go with {}", b.describe(), a.describe())));
            }
        }
    }
    Ok(())
}
