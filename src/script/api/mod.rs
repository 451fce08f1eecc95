//! What scripts can call: one file or folder for each namespace. Thin: convert, call down, convert back.

pub mod data;
pub mod dist;
pub mod drawing;
pub mod eval;
pub mod f;
pub mod global;
pub mod io;
mod language;
pub mod models;
pub mod module;
pub mod nn;
pub mod optim;
pub mod probe;
pub mod progress;
pub mod report;
pub mod show;
pub mod tensor;
pub mod torch;
pub mod train;
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
        data::images::methods(),
        data::latents::methods(),
        data::loader::methods(),
        data::latents::writer_functions(),
        data::pictures::functions(),
        data::pictures::methods(),
        data::hdf5::functions(),
        data::origin::functions(),
        data::origin::image_methods(),
        data::origin::latent_methods(),
        data::samples::functions(),
        data::samples::image_functions(),
        data::samples::methods(),
        dist::functions(),
        drawing::methods(),
        eval::functions(),
        eval::features::functions(),
        eval::features::sums_functions(),
        f::activation::functions(),
        f::activation::methods(),
        f::functions(),
        f::loss::functions(),
        f::vision::functions(),
        global::functions(),
        io::functions(),
        io::writer_methods(),
        io::temp::functions(),
        models::functions(),
        models::sit::functions(),
        models::sit::module_functions(),
        models::sizes::functions(),
        models::vae::functions(),
        models::vae::namespace_functions(),
        models::vae::posterior_functions(),
        models::vision::functions(),
        models::vision::inception_functions(),
        models::vision::lpips_functions(),
        module::functions(),
        nn::functions(),
        nn::digest::functions(),
        optim::algorithms::functions(),
        optim::average::functions(),
        optim::average::methods(),
        optim::functions(),
        optim::optimizer::group_methods(),
        optim::optimizer::methods(),
        optim::scaler::methods(),
        probe::functions(),
        progress::functions(),
        progress::methods(),
        report::functions(),
        report::methods(),
        show::functions(),
        tensor::functions(),
        tensor::binary::functions(),
        tensor::convert::functions(),
        tensor::in_place::functions(),
        tensor::index::functions(),
        tensor::math::functions(),
        tensor::number::with_float(),
        tensor::number::with_int(),
        tensor::operators::functions(),
        tensor::reduce::functions(),
        tensor::shape::functions(),
        torch::draws::functions(),
        torch::grad::functions(),
        torch::jvp::functions(),
        torch::functions(),
        train::origin::checkpoint_functions(),
        train::checkpoint_methods(),
        train::functions(),
        train::origin::namespace_functions(),
        train::origin::run_functions(),
        train::run_methods(),
        viz::functions(),
    ];
    lists.into_iter().flatten().collect()
}
