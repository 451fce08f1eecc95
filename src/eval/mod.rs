//! Measures of pictures and features, and the pictures and charts in which people look at them.

mod chart;
mod frechet;
mod picture;
mod quality;

pub use chart::{Chart, Series};
pub use frechet::{FeatureStats, feature_stats, frechet};
pub use picture::{GridOptions, Range, grid, pictures, save_png};
pub use quality::{psnr, ssim};
