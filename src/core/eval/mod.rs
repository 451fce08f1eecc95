//! Measures of pictures and features, and the pictures and charts in which people look at them.

mod cached;
mod chart;
mod correlation;
mod frechet;
mod manifold;
mod moments;
mod picture;
pub mod probe;
mod quality;
pub mod report;
mod score;

pub use cached::{UNNAMED, has_stats, read_stats, write_stats};
pub use chart::{Chart, INK, MESH, PAPER, Series, curve_style};
pub use correlation::{Correlation, correlation};
pub use frechet::{FeatureStats, feature_stats, frechet, frechet_of};
pub use manifold::{Distances, manifold_radii, precision_recall};
pub use moments::Moments;
pub use picture::{GridOptions, Range, grid, pictures, png, save_png};
pub use quality::{psnr, ssim};
pub use score::{SPLIT, inception_score};
