//! `data::`, pictures to shards to batches; latent caches.

pub mod hdf5;
pub mod images;
pub mod latents;
pub mod loader;
pub mod origin;
pub mod pictures;
pub mod samples;

use crate::data::{
    Attribute, DirectOptions, Features, ImageSet, LatentOptions, LatentSet, LatentWriter, LoaderOptions, Pick, PixelRule, Precision,
    PreprocessOptions, Samples, Skipped, is_hdf5, preprocess, source_files,
};
use crate::error::{Error, Result};
use crate::script::training::steps::batch_map;
use crate::torch::Tensor;
use crate::{api, choices, options};
use rhai::{Array, Dynamic, Map};

/// A sample as a batch of one, and the same without the batch dimension under singular names.
fn sample(samples: &impl Samples, classes: &[String], i: i64) -> Result<Map> {
    let len = samples.len() as i64;
    let at = if i < 0 { i + len } else { i };
    if !(0..len).contains(&at) {
        return Err(Error::value("get", format!("there is no sample {i} in a set of {len}")));
    }
    let batch = samples.gather(&[at as usize])?;
    let label = batch.get("labels")?.item()? as i64;
    let image = batch.tensors().get("images").map(|x| x.select(0, 0)).transpose()?;
    let mut map = batch_map(&batch);
    if let Some(image) = image {
        map.insert("image".into(), Dynamic::from(image));
    }
    map.insert("label".into(), label.into());
    if let Some(class) = usize::try_from(label).ok().and_then(|l| classes.get(l)) {
        map.insert("class".into(), class.clone().into());
    }
    Ok(map)
}

options! {
    LoaderOptions {
        /// samples in a batch
        batch,
        /// whether each epoch has another order
        shuffle,
        /// of the order
        seed,
        /// whether a last batch that is not whole is left out
        drop_last,
        /// whether half of the pictures are mirrored, others in each epoch; a batch then has `flipped` u8 `[B]`
        flip,
        /// whether another part is cut out of every picture in each epoch (ADM's random crop): for pictures that are cropped when they are drawn
        random_crop,
        /// threads that read
        workers,
        /// which of the processes that share the set this one is
        rank,
        /// how many processes share the set
        world,
    }
    PreprocessOptions {
        /// the side of the crops, in pixels; their height where `width` is another
        resolution,
        /// the width of the crops; 0: squares
        width,
        /// threads; 0: all cores
        workers,
        /// most pictures; all unless given
        max_images,
        /// which of them where there are more: as many of each class, drawn at random, or the first in the order of their paths
        pick,
        /// of that draw
        seed,
        /// 16-bit grey: clipped at 255 as Pillow does, or scaled to 0..255
        pixels,
        /// whether the mirror image of every picture is written as well, behind all of them
        flip,
        /// source pictures in a shard; 0: about 256 MiB
        shard_size,
        /// names of the columns to take; all unless given
        attributes,
        /// of parquet, the column of the pictures: a struct with `bytes`, or bytes
        image_column,
        /// of parquet, the column of the labels; "" for none
        label_column,
        /// whether a broken picture is an error
        strict,
        /// whether no progress is shown
        quiet,
    }
    DirectOptions {
        /// the side of the crops, in pixels, of pictures that are not shards, or their height where `width` is another; 0: 256
        resolution,
        /// the width of the crops; 0: squares
        width,
        /// of parquet, the column of the pictures: a struct with `bytes`, or bytes
        image_column,
        /// of parquet, the column of the labels; "" for none
        label_column,
        /// 16-bit grey: clipped at 255 as Pillow does, or scaled to 0..255
        pixels,
        /// whether a broken picture is an error, instead of the next one taking its place
        strict,
    }
}

choices! {
    Pick { Even = "even", First = "first" }
    PixelRule { Pillow = "pillow", Scale = "scale" }
}

fn strings(list: &[String]) -> Array {
    list.iter().map(|s| s.clone().into()).collect()
}

/// `[#{name, values}, ..]` in the order of the columns.
pub(crate) fn attribute_maps(attributes: &[Attribute]) -> Array {
    let one = |a: &Attribute| Map::from_iter([("name".into(), a.name.clone().into()), ("values".into(), strings(&a.values).into())]);
    attributes.iter().map(|a| Dynamic::from(one(a))).collect()
}

fn read_attributes(list: &[Dynamic]) -> Result<Vec<Attribute>> {
    let wrong = || Error::value("latent_writer", "option `attributes` must be what `.attributes` of a set gives: [#{name, values}, ..]");
    list.iter().map(|d| serde_json::from_value(crate::script::lang::value::to_json(d)).map_err(|_| wrong())).collect()
}

fn read_features(list: &[Dynamic]) -> Result<Vec<Features>> {
    let wrong =
        || Error::value("latent_writer", "option `features` must be [#{name, model, tokens, dim}, ..], with `grid: [rows, columns]` of `tokens`");
    let one = |d: &Dynamic| serde_json::from_value::<Features>(crate::script::lang::value::to_json(d)).ok();
    // So large that no shard could hold one.
    let fits = |f: &Features| {
        let is_grid = f.grid.is_none_or(|[rows, columns]| rows.checked_mul(columns) == Some(f.tokens));
        (1..=1 << 20).contains(&f.tokens) && (1..=1 << 20).contains(&f.dim) && is_grid
    };
    list.iter().map(|d| one(d).filter(fits).ok_or_else(wrong)).collect()
}

fn skipped_map(s: &Skipped) -> Dynamic {
    Dynamic::from(Map::from_iter([("path".into(), s.path.clone().into()), ("reason".into(), s.reason.clone().into())]))
}

/// Asks for the files that a pattern such as `shards/{000..127}.tar` stands for.
fn ask_for_files(cx: &crate::script::bind::Cx, src: &str) -> Result<()> {
    let src = std::path::Path::new(src);
    source_files(src)?.iter().filter(|f| f.as_path() != src).try_for_each(|f| cx.readable(f))
}

/// The positions in a set of `len` that a tensor holds.
fn positions(index: &Tensor, len: usize) -> Result<Vec<usize>> {
    let at = |i: i64| usize::try_from(i).ok().filter(|i| *i < len).ok_or_else(|| Error::value("take", format!("position {i} of a set of {len}")));
    index.to_vec_i64()?.into_iter().map(at).collect()
}

fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

api! {
    namespace "data";

    /// Turns pictures into a data set folder of centre crops. `src` is a folder tree, a `.tar`, `.tar.gz` or `.zip` of one, shards of WebDataset
    /// (`"shards/{000..127}.tar"`, or their folder), parquet as Hugging Face writes it (a file, `"data/train-*.parquet"`, or the folder), or REPA-E's
    /// container `images.h5` (in a build with `--features hdf5`). docs/guide/data.md has the order and the classes of each.
    ///
    /// Of a tree classes are the sorted names of the folders in `src`, those without pictures too; hidden and system files (`.ipynb_checkpoints`, `__MACOSX`) are
    /// left out, links that lead nowhere skipped, and a folder of `train` and `val` is refused. `dataset.json` there, `{"labels": [[path, class], ..]}`,
    /// overrides the folders; `attributes.csv` there (a header; first column the picture's path or file name) gives each picture
    /// its attributes. The crop is ADM's (openai/guided-diffusion), byte for byte as with Pillow. Broken pictures are named,
    /// counted and skipped, and pictures that lose something as Pillow's convert("RGB") has it (`clipped` 16-bit grey, `alpha`) counted. A run that was interrupted or killed continues when it is started again.
    /// Returns `#{folder, count, classes, class_counts, labelling, skipped, clipped, alpha, resumed, seconds, rate}`.
    ///
    /// # Shapes
    /// - writes `images` u8 `[N, 3, H, W]`, `labels` i64 `[N]`, `attributes` u8 `[N, A]`
    /// # Errors
    /// `E0301` for a missing folder or a full disk, `E0302` for a source without pictures, an archive or table that is damaged (the message names file and
    /// member), a parquet file without such columns, or a destination that was made with other options, `E0901` when interrupted.
    /// # Example
    /// ```rhai
    /// let report = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 32, max_images: 64, quiet: true});
    /// assert_eq(report.count, 64);
    /// assert_eq(data::images(report.folder).resolution, 32);
    /// ```
    fn preprocess[cx](src: String, dst: String; options: PreprocessOptions) -> Map {
        cx.readable_within(&src)?;
        ask_for_files(cx, &src)?;
        if is_hdf5(&src) {
            crate::script::api::data::hdf5::ask_for_container(cx, &src)?;
        }
        cx.writable_within(&dst)?;
        let report = preprocess(&src, &dst, &options)?;
        let d = &report.dataset;
        let counts: Array = d.class_counts.iter().map(|n| int(*n).into()).collect();
        Ok(Map::from_iter([
            ("folder".into(), report.folder.to_string_lossy().into_owned().into()),
            ("count".into(), int(d.count).into()),
            ("classes".into(), strings(&d.classes).into()),
            ("class_counts".into(), counts.into()),
            ("labelling".into(), report.labelling.clone().into()),
            ("skipped".into(), d.skipped.iter().map(skipped_map).collect::<Array>().into()),
            ("clipped".into(), int(d.lost.clipped).into()),
            ("alpha".into(), int(d.lost.alpha).into()),
            ("resumed".into(), int(report.resumed).into()),
            ("seconds".into(), report.seconds.into()),
            ("rate".into(), report.rate.into()),
        ]))
    }

    /// Opens a data set folder that `data::preprocess` made; the shards are memory-mapped. Or pictures as they are, in anything that `data::preprocess` takes:
    /// each is then decoded and cropped whenever it is drawn, in a loader by its threads, and one that cannot be read is named and the next one takes its
    /// place.
    ///
    /// # Errors
    /// `E0301` when a file is missing, `E0302` when one is truncated or does not fit, or for pictures as `data::preprocess`; `E0202` for a `resolution` or
    /// `width` that is not that of the shards.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let set = data::images(made.folder);
    /// assert_eq(set.len, 40);
    /// assert_eq(data::images("tests/data/avatars64", #{resolution: 16}).take(torch::tensor([0])).images.shape, [1, 3, 16, 16]);
    /// ```
    fn images[cx](dir: String; options: DirectOptions) -> ImageSet {
        cx.readable_within(&dir)?;
        ask_for_files(cx, &dir)?;
        if is_hdf5(&dir) {
            crate::script::api::data::hdf5::ask_for_container(cx, &dir)?;
        }
        ImageSet::open_any(&dir, &options)
    }

    /// Opens a folder of cached latents; the shards are memory-mapped.
    ///
    /// # Errors
    /// `E0301` when a file is missing, `E0302` when one is truncated or does not fit.
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir();
    /// let w = data::latent_writer(dir, #{channels: 4, size: 2, name: "example"});
    /// w.push(#{mean: torch::zeros([3, 4, 2, 2]), std: torch::ones([3, 4, 2, 2]), labels: torch::tensor([0, 1, 0])});
    /// w.finish();
    /// assert_eq(data::latents(dir).len, 3);
    /// ```
    fn latents[cx](dir: String) -> LatentSet {
        cx.readable_within(&dir)?;
        LatentSet::open(&dir)
    }

    /// Begins a folder of latents, or continues one that was interrupted: then `.len` says how many are there already. `latents.json` keeps what they
    /// were made from, so that other latents are never continued or taken for these.
    ///
    /// # Errors
    /// `E0202` for a wrong option, `E0302` when the folder holds other latents, naming what differs.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 2, size: [2, 2], vae: "none"});
    /// w.push(#{mean: torch::randn([5, 2, 2, 2]), std: torch::ones([5, 2, 2, 2]), labels: torch::tensor([0, 0, 1, 1, 2])});
    /// assert_eq(w.finish().len, 5);
    /// ```
    fn latent_writer[cx](dir: String;
        /// channels of one latent
        channels: usize,
        /// height and width of one latent
        size: [i64; 2],
        /// what people call it
        name: String = String::new(),
        /// the hash of the VAE's weights
        vae: String = String::new(),
        /// latents in a shard; 0: about 256 MiB
        shard_size: usize = 0,
        /// the class names, as the image set gives them
        classes: Vec<String> = Vec::new(),
        /// the attributes, as the image set gives them
        attributes: Array = Array::new(),
        /// how many there will be; 0: not known
        total: usize = 0,
        /// what they are made from, by role: `#{images: images, vae: checkpoint.origin("vae")}`
        made_from: Map = Map::new(),
        /// the settings that decide about them
        settings: Map = Map::new(),
        /// what moments and features are kept as, f32 or bf16 (half the disk); batches have f32
        dtype: String = "f32".to_owned(),
        /// the vision models whose features come with them, `[#{name, model: hash, tokens, dim}, ..]`, each with what else it was told in `options`,
        /// and `grid`, rows and columns of tokens that are no square
        features: Array = Array::new(),
        /// whether other latents in the folder are removed and made anew, instead of an error
        force: bool = false,
    ) -> LatentWriter {
        cx.writable_within(&dir)?;
        let side = |n: i64| usize::try_from(n).map_err(|_| Error::value("latent_writer", format!("option `size` must not be negative, got {n}")));
        let shape = [channels, side(size[0])?, side(size[1])?];
        let attributes = read_attributes(&attributes)?;
        let (made_from, settings) = (origin::made_of("latent_writer", &made_from)?, origin::settings_of("latent_writer", &settings)?);
        let (dtype, features) = (Precision::of(&dtype)?, read_features(&features)?);
        let options = LatentOptions { name, vae, shape, shard_size, classes, attributes, total, made_from, settings, dtype, features, force };
        LatentWriter::open(&dir, options)
    }
}
