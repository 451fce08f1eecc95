//! Data: decoding, the centre crop, shards, loaders, latent caches.
//!
//! A data set folder holds `images-00000.safetensors` ... (`images` u8 `[N, 3, H, W]`, `labels` i64 `[N]`, `attributes`
//! u8 `[N, A]` where the source has them) and `dataset.json` ([`manifest::Dataset`]). A folder of latents holds
//! `latents-00000.safetensors` ... (`mean`, `std` f32 or bf16 `[N, C, h, w]`, `labels`, `index` i64 `[N]`, `attributes`, and `features.0` .. `[N, T, D]`
//! of vision models) and `latents.json` ([`manifest::Latents`]). Both appear whole: the JSON file is written last.

mod archive;
mod attribute_files;
mod batch;
mod choose;
mod classes;
pub mod crop;
pub mod decode;
mod direct;
mod draws;
mod embedded;
mod exchange;
mod files;
mod flip;
mod hdf5;
mod images;
mod latent_folder;
mod latent_layout;
mod latent_sums;
mod latent_writer;
mod latents;
mod listing;
mod loader;
pub mod manifest;
mod names;
mod open_source;
mod order;
mod packed;
mod pictures;
mod preprocess;
mod resize;
mod sample_record;
mod sample_writer;
mod shards;
mod shared;
mod size;
mod source;

pub use attribute_files::{AttributeTable, read_attribute_file};
pub use batch::{Batch, Samples};
pub use choose::Pick;
pub use crop::center_crop;
pub use decode::{Lost, MAX_PIXELS, Picture, PixelRule, decode_picture, read_picture};
pub use direct::DirectOptions;
pub use embedded::{read_npz_origin, write_npz_origin};
pub use exchange::{LatentLabels, export_images, export_latents, import_latents};
pub use hdf5::{Hdf5Value, hdf5_key_list, is_hdf5, load_hdf5};
pub use images::ImageSet;
pub use latent_layout::{Features, Precision, feature_name};
pub use latent_writer::{LatentOptions, LatentWriter};
pub use latents::LatentSet;
pub use loader::{Changed, Loader, LoaderOptions, LoaderState};
pub use manifest::{Attribute, Dataset, LatentStats, Latents, LostCounts, Rounding, ShardInfo, Skipped};
pub use open_source::source_files;
pub use order::epoch_order;
pub use pictures::Pictures;
pub use preprocess::{PreprocessOptions, PreprocessReport, preprocess};
pub use sample_record::{Archive, SampleRecord};
pub use sample_writer::{SampleOptions, SampleWriter};
pub use size::Size;
