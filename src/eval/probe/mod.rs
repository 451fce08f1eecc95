//! What a set of latents shows of its pictures: linear probes of classes and attributes, principal components, the radial spectrum.

mod attributes;
mod lbfgs;
mod linear;
mod pca;
mod scores;
mod spectrum;

pub use attributes::{Factor, ProbeOptions, Probed, Summary, probe};
pub use linear::{Fitted, Standardise, fit_binary, fit_classes};
pub use pca::{Components, pca, pca_pictures};
pub use scores::{average_precision, f1};
pub use spectrum::radial_spectrum;
