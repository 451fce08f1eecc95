//! The only place that names `tch`: the tensor, its dtype and device, and the C++ bridge.
//!
//! Every operation is fallible and returns our [`Error`], so no script input can panic.

mod blocks;
pub mod bridge;
mod checkpoint;
mod device;
pub mod draws;
mod dtype;
mod elementwise;
pub mod files;
mod grad;
mod in_place;
mod indexing;
mod nested;
pub mod operators;
mod ops;
mod picks;
mod rows;
mod script;
pub mod share;
mod summary;
mod tensor;

pub use checkpoint::checkpoint;
pub use device::{
    Device, ThreadCap, cuda_device_count, cuda_is_available, default_device, device_name, num_threads, parse_device, set_default_device,
    set_num_threads, synchronize,
};
pub use dtype::{DType, dtype_name, parse_dtype};
pub use grad::no_grad;
pub use picks::Pick;
pub use script::TorchScript;
pub use tensor::{Number, Operand, Tensor};

use crate::error::{Error, ErrorKind};
use crate::memory;

/// Turns a libtorch error into ours: without the C++ trace, with the operator and the shapes of its inputs.
pub(crate) fn refused(op: &str, inputs: &[&Tensor], e: tch::TchError) -> Error {
    let text = match &e {
        tch::TchError::Torch(m) | tch::TchError::Kind(m) | tch::TchError::Shape(m) | tch::TchError::Convert(m) => m.clone(),
        other => other.to_string(),
    };
    from_message(op, inputs, &text)
}

/// The same for a bare message, as the bridge hands it over.
pub(crate) fn from_message(op: &str, inputs: &[&Tensor], text: &str) -> Error {
    let text = text.split("\nException raised from").next().unwrap_or(text).trim();
    let mut message = text.replace('\n', " ");
    if !inputs.is_empty() {
        let shapes: Vec<String> = inputs.iter().map(|t| t.describe()).collect();
        message = format!("{message} (got {})", shapes.join(", "));
    }
    let op = op.to_owned();
    if text.contains(memory::OVER) || text.contains("out of memory") || text.contains("can't allocate memory") || text.contains("not enough memory") {
        return out_of_memory(&op, &message);
    }
    Error::new(ErrorKind::Torch { op, message })
}

/// Not enough memory for an operator's result.
pub(crate) fn out_of_memory(op: &str, message: &str) -> Error {
    let message = message.split("\nException raised from").next().unwrap_or(message).trim().replace('\n', " ");
    let help = if message.contains(memory::OVER) { memory::HELP } else { "lower the batch size or the resolution" };
    Error::new(ErrorKind::OutOfMemory { op: op.to_owned(), message }).help(help)
}
