//! What scripts can call: one file for each namespace. Thin: convert, call down, convert back.

pub mod data;
pub mod data_hdf5;
pub mod data_pictures;
pub mod data_samples;
pub mod eval;
pub mod eval_features;
pub mod f;
pub mod f_loss;
pub mod f_vision;
pub mod global;
pub mod io;
mod io_convert;
mod io_pt;
pub mod io_temp;
mod language;
pub mod models;
pub mod models_sit;
pub mod models_vae;
pub mod models_vision;
pub mod module;
mod module_parts;
pub mod nn;
pub mod nn_digest;
pub mod optim;
pub mod probe;
pub mod progress;
pub mod report;
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
pub mod torch_draws;
pub mod torch_grad;
pub mod torch_ns;
pub mod train;
mod train_steps;
pub mod viz;

#[cfg(test)]
mod tests;

pub use language::configure;

use super::ApiFn;

/// Every function that scripts can call, in the order of the files.
pub fn all() -> Vec<ApiFn> {
    #[rustfmt::skip]
    let lists = [
        data::functions(),
        data::image_functions(),
        data::latent_functions(),
        data::loader_functions(),
        data::writer_functions(),
        data_pictures::functions(),
        data_pictures::methods(),
        data_hdf5::functions(),
        data_samples::functions(),
        data_samples::image_functions(),
        data_samples::methods(),
        eval::functions(),
        eval_features::functions(),
        eval_features::sums_functions(),
        f::functions(),
        f_loss::functions(),
        f_vision::functions(),
        global::functions(),
        io::functions(),
        io::writer_methods(),
        io_temp::functions(),
        models::functions(),
        models_sit::functions(),
        models_vae::functions(),
        models_vae::namespace_functions(),
        models_vae::posterior_functions(),
        models_vision::functions(),
        module::functions(),
        nn::functions(),
        nn_digest::functions(),
        optim::adamw_methods(),
        optim::ema_methods(),
        optim::functions(),
        optim::scaler_methods(),
        probe::functions(),
        progress::functions(),
        progress::methods(),
        report::functions(),
        report::methods(),
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
        torch_draws::functions(),
        torch_grad::functions(),
        torch_ns::functions(),
        train::checkpoint_methods(),
        train::functions(),
        train::run_methods(),
        viz::functions(),
        viz::global_functions(),
    ];
    lists.into_iter().flatten().collect()
}
