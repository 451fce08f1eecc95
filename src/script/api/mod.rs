//! What scripts can call: one file for each namespace. Thin: convert, call down, convert back.

pub mod f;
pub mod f_loss;
pub mod f_vision;
pub mod global;
pub mod io_temp;
pub mod models;
pub mod models_sit;
pub mod models_vae;
pub mod models_vision;
pub mod tensor;
pub mod tensor_binary;
pub mod tensor_convert;
pub mod tensor_float;
pub mod tensor_in_place;
pub mod tensor_index;
pub mod tensor_int;
pub mod tensor_math;
pub mod tensor_operators;
pub mod tensor_reduce;
pub mod tensor_shape;
pub mod train;
mod train_steps;

#[cfg(test)]
mod tests;

use super::ApiFn;
use super::bind::into_script;
use crate::torch::Tensor;
use rhai::{Dynamic, Module, Position, Token};
use std::any::TypeId;

/// Every function that scripts can call, in the order of the files.
pub fn all() -> Vec<ApiFn> {
    #[rustfmt::skip]
    let lists = [
        f::functions(),
        f_loss::functions(),
        f_vision::functions(),
        global::functions(),
        io_temp::functions(),
        models::functions(),
        models_sit::functions(),
        models_vae::functions(),
        models_vae::namespace_functions(),
        models_vae::posterior_functions(),
        models_vision::functions(),
        tensor::functions(),
        tensor_binary::functions(),
        tensor_convert::functions(),
        tensor_float::functions(),
        tensor_in_place::functions(),
        tensor_index::functions(),
        tensor_int::functions(),
        tensor_math::functions(),
        tensor_operators::functions(),
        tensor_reduce::functions(),
        tensor_shape::functions(),
        train::checkpoint_methods(),
        train::functions(),
        train::run_methods(),
    ];
    lists.into_iter().flatten().collect()
}

/// What the language itself needs to know of our types: the operator `@`, `for` over a tensor.
pub fn configure(engine: &mut rhai::Engine) {
    // As tight as `*`, like Python's.
    engine.register_custom_operator("@", 180).expect("`@` is a reserved symbol without a meaning of its own");
    // rhai keeps `var` for itself without a use for it; a tensor's variance is `x.var()`.
    #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
    engine.on_parse_token(|token, _, _| match token {
        Token::Reserved(word) if *word == "var" => Token::Identifier(word),
        other => other,
    });
    let mut iteration = Module::new();
    iteration.set_iter_result(TypeId::of::<Tensor>(), |x| match x.cast::<Tensor>().unbind(0) {
        Ok(rows) => Box::new(rows.into_iter().map(|row| Ok(Dynamic::from(row)))),
        Err(e) => Box::new(std::iter::once(Err(into_script(e, None, Position::NONE)))),
    });
    engine.register_global_module(iteration.into());
}
