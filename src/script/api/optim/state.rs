//! The state of optimizers and scalers as a map of tensors.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::script::lang::value::{FromArg, type_name};
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

/// As scripts get it.
pub(super) fn to_map(state: State) -> Map {
    state.into_iter().map(|(k, t)| (k.into(), Dynamic::from(t))).collect()
}

/// As scripts give it.
pub(super) fn from_map(op: &str, map: &Map) -> Result<State> {
    let tensor = |(k, v): (&rhai::Identifier, &Dynamic)| match Tensor::from_dynamic(v) {
        Some(t) => Ok((k.to_string(), t)),
        None => Err(Error::value(op, format!("`{k}` must be a tensor, got {}", type_name(v)))),
    };
    map.iter().map(tensor).collect()
}
