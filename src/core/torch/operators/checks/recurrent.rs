//! Recurrent networks: kernels take the weights of all layers as they are.

use super::{Bound, refuse};
use crate::error::Result;
use crate::torch::Tensor;
use crate::torch::bridge;

/// Operators with layers of states.
pub(super) const NAMES: &[&str] = &["lstm", "gru", "rnn_tanh", "rnn_relu"];
/// One step of them.
pub(super) const CELLS: &[&str] = &["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"];

/// How many matrices lie above each other in a weight.
fn gates(op: &str) -> i64 {
    match op {
        "lstm" | "lstm_cell" => 4,
        "gru" | "gru_cell" => 3,
        _ => 1,
    }
}

fn is(b: &Bound, what: &str, t: &Tensor, shape: &[i64], like: &Tensor) -> Result<()> {
    // Autocast converts what one step takes.
    let converts = b.op().ends_with("_cell") && bridge::autocast_is_on() && t.is_float();
    if t.shape() != shape || (t.dtype() != like.dtype() && !converts) || t.device() != like.device() || t.numel() == 0 {
        return Err(refuse(b, format!("{what} must be {shape:?}, not empty, in the dtype and on the device of the input, got {}", t.describe())));
    }
    Ok(())
}

/// States and weights of every layer fit each other.
pub(super) fn layers(b: &Bound) -> Result<()> {
    if b.overload() == "data" {
        return Err(refuse(b, "packed sequences are not taken: give the padded one"));
    }
    let Some(input) = b.tensor("input") else { return Ok(()) };
    let states = b.tensors("hx");
    let wanted = if b.op() == "lstm" { 2 } else { 1 };
    if input.rank() != 3 || !input.is_float() || input.numel() == 0 || states.len() != wanted || states[0].rank() != 3 {
        return Err(refuse(b, format!("an input of [L, B, C] floats and {wanted} states [layers, B, H] are needed")));
    }
    let directions = if b.flag("bidirectional") { 2 } else { 1 };
    let batch = input.size(if b.flag("batch_first") { 0 } else { 1 })?;
    let (count, hidden) = (b.int("num_layers").unwrap_or(0), states[0].size(2)?);
    if !(1..=1024).contains(&count) {
        return Err(refuse(b, format!("`num_layers` must be between 1 and 1024, got {count}")));
    }
    states.iter().try_for_each(|t| is(b, "`hx`", t, &[count * directions, batch, hidden], input))?;
    let each = if b.flag("has_biases") { 4 } else { 2 };
    let params = b.tensors("params");
    if params.len() as i64 != count * directions * each {
        return Err(refuse(b, format!("`params` must be {} tensors, got {}", count * directions * each, params.len())));
    }
    let rows = gates(b.op()).saturating_mul(hidden);
    for (i, layer) in params.chunks(each as usize).enumerate() {
        let width = if (i as i64) < directions { input.size(2)? } else { hidden.saturating_mul(directions) };
        let shapes = [vec![rows, width], vec![rows, hidden], vec![rows], vec![rows]];
        for (j, (t, shape)) in layer.iter().zip(&shapes).enumerate() {
            is(b, &format!("`params[{}]`", i * each as usize + j), t, shape, input)?;
        }
    }
    Ok(())
}

/// The same for one step.
pub(super) fn cell(b: &Bound) -> Result<()> {
    let Some(input) = b.tensor("input") else { return Ok(()) };
    let states = b.tensors("hx");
    let wanted = if b.op() == "lstm_cell" { 2 } else { 1 };
    if input.rank() != 2 || !input.is_float() || input.numel() == 0 || states.len() != wanted || states[0].rank() != 2 {
        return Err(refuse(b, format!("an input of [B, C] floats and {wanted} states [B, H] are needed")));
    }
    let (batch, width, hidden) = (input.size(0)?, input.size(1)?, states[0].size(1)?);
    states.iter().try_for_each(|t| is(b, "`hx`", t, &[batch, hidden], input))?;
    let rows = gates(b.op()).saturating_mul(hidden);
    for (name, shape) in [("w_ih", vec![rows, width]), ("w_hh", vec![rows, hidden]), ("b_ih", vec![rows]), ("b_hh", vec![rows])] {
        if let Some(t) = b.tensor(name) {
            is(b, &format!("`{name}`"), t, &shape, input)?;
        }
    }
    Ok(())
}
