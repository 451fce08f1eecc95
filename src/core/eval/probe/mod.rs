//! What a set of latents shows of its pictures: linear probes of classes and attributes, principal components, the radial
//! spectrum, how evenly they are spread, and how many modes they have.

mod attributes;
mod density;
mod lbfgs;
mod linear;
mod mixture;
mod pca;
mod scores;
mod spectrum;
#[cfg(test)]
mod spread_tests;
mod tsne;

pub use attributes::{Factor, ProbeOptions, Probed, Summary, probe};
pub use density::{Uniformity, kernel_density, uniformity};
pub use linear::{Fitted, Standardise, fit_binary, fit_classes};
pub use mixture::{Mixture, mixture};
pub use pca::{Components, pca, pca_pictures};
pub use scores::{average_precision, f1};
pub use spectrum::radial_spectrum;
pub use tsne::tsne;
