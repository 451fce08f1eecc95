//! `data::`, pictures to shards to batches; latent caches.

pub mod hdf5;
pub mod origin;
pub mod pictures;
pub mod samples;

use crate::data::{
    Attribute, DirectOptions, ImageSet, LatentOptions, LatentSet, LatentWriter, Loader, LoaderOptions, Pick, PixelRule, PreprocessOptions, Samples,
    Skipped, is_hdf5, preprocess, source_files,
};
use crate::error::{Error, Result};
use crate::script::lang::exception::into_script;
use crate::script::lang::value::from_json;
use crate::script::training::steps::batch_map;
use crate::script_handle;
use crate::torch::{DType, Device, Tensor};
use crate::{api, choices, entries, options};
use rhai::{Array, Dynamic, Map, Module, Position};
use std::any::TypeId;

script_handle!(ImageSet, "an image set");
script_handle!(LatentSet, "a latent set");
script_handle!(LatentWriter, "a latent writer");
script_handle!(Loader, "a loader");

/// `for batch in loader` runs over one epoch: the rest of the one that is under way, or the next.
pub fn configure(engine: &mut rhai::Engine) {
    let mut iteration = Module::new();
    iteration.set_iter_result(TypeId::of::<Loader>(), |x| {
        let loader = x.cast::<Loader>();
        loader.start_epoch();
        let mut failed = false;
        Box::new(std::iter::from_fn(move || {
            if failed {
                return None;
            }
            match loader.next_in_epoch() {
                Ok(batch) => batch.map(|b| Ok(Dynamic::from(batch_map(&b)))),
                Err(e) => {
                    failed = true;
                    Some(Err(into_script(e, None, Position::NONE)))
                }
            }
        }))
    });
    engine.register_global_module(iteration.into());
}

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
        /// threads that read
        workers,
        /// which of the processes that share the set this one is
        rank,
        /// how many processes share the set
        world,
    }
    PreprocessOptions {
        /// the side of the crops, in pixels
        resolution,
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
        /// the side of the crops, in pixels, of pictures that are not shards; 0: 256
        resolution,
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

fn skipped_map(s: &Skipped) -> Dynamic {
    Dynamic::from(Map::from_iter([("path".into(), s.path.clone().into()), ("reason".into(), s.reason.clone().into())]))
}

/// Asks for the files that a pattern such as `shards/{000..127}.tar` stands for.
fn ask_for_files(cx: &crate::script::bind::Cx, src: &str) -> Result<()> {
    let src = std::path::Path::new(src);
    source_files(src)?.iter().filter(|f| f.as_path() != src).try_for_each(|f| cx.readable(f))
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
    /// - writes `images` u8 `[N, 3, R, R]`, `labels` i64 `[N]`, `attributes` u8 `[N, A]`
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
    /// `E0301` when a file is missing, `E0302` when one is truncated or does not fit, or for pictures as `data::preprocess`; `E0202` for a `resolution` that
    /// is not that of the shards.
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
        /// whether other latents in the folder are removed and made anew, instead of an error
        force: bool = false,
    ) -> LatentWriter {
        cx.writable_within(&dir)?;
        let side = |n: i64| usize::try_from(n).map_err(|_| Error::value("latent_writer", format!("option `size` must not be negative, got {n}")));
        let shape = [channels, side(size[0])?, side(size[1])?];
        let attributes = read_attributes(&attributes)?;
        let (made_from, settings) = (origin::made_of("latent_writer", &made_from)?, origin::settings_of(&settings));
        let options = LatentOptions { name, vae, shape, shard_size, classes, attributes, total, made_from, settings, force };
        LatentWriter::open(&dir, options)
    }
}

api! {
    fn image_functions;
    methods ImageSet;

    /// How many pictures the set has.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).len, 40);
    /// ```
    fn len as "get$len"(set: ImageSet) -> i64 { Ok(int(set.len())) }

    /// The side of the pictures, in pixels.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).resolution, 16);
    /// ```
    fn resolution as "get$resolution"(set: ImageSet) -> i64 { Ok(int(set.resolution())) }

    /// The class names; a label is a position in this array.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).classes, ["bun", "sideComed", "spiky", "undercut"]);
    /// ```
    fn classes as "get$classes"(set: ImageSet) -> Array { Ok(strings(set.classes())) }

    /// The attributes, `[#{name, values}, ..]` in the order of the columns of a batch's `attributes`, whose entries are
    /// positions in `values`. Empty for a set without attributes.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let attributes = data::images(made.folder).attributes;
    /// assert_eq(attributes.len(), 11);
    /// assert_eq(attributes[1].name, "beard");
    /// ```
    fn attributes as "get$attributes"(set: ImageSet) -> Array { Ok(attribute_maps(set.attributes())) }

    /// Whether it is a folder of shards, just as it lies there: not of pictures as they are, and without mirror images.
    ///
    /// # Example
    /// ```rhai
    /// assert(!data::images("tests/data/avatars64", #{resolution: 16}).prepared, "pictures as they are");
    /// ```
    fn prepared as "get$prepared"(set: ImageSet) -> bool { Ok(set.is_prepared()) }

    /// The same pictures, and behind them all of them mirrored: picture `n + i` is picture `i` with left and right exchanged.
    ///
    /// # Errors
    /// None: any set has mirror images.
    /// # Example
    /// ```rhai
    /// let both = data::images("tests/data/avatars64/bun", #{resolution: 16}).with_flips();
    /// let n = both.len / 2;
    /// let pair = both.take(torch::tensor([3, n + 3]));
    /// assert_eq(pair.images[0].flip(2), pair.images[1]);
    /// ```
    fn with_flips(set: ImageSet) -> ImageSet { Ok(set.and_flips()) }

    /// Picture `i` (negative counts from the end) as a batch of one, and the same as `image`, `label` and `class`.
    ///
    /// # Shapes
    /// - `images`: u8 `[1, 3, R, R]`, `image`: u8 `[3, R, R]`
    /// # Errors
    /// `E0202` when there is no such picture.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let sample = data::images(made.folder).get(-1);
    /// assert_eq(sample.image.shape, [3, 16, 16]);
    /// assert_eq(sample.index.item(), 39.0);
    /// ```
    fn get(set: ImageSet, i: i64) -> Map { sample(&set, set.classes(), i) }

    /// A loader of batches `#{images, labels, attributes, index}` from background threads.
    ///
    /// The order depends on seed and epoch alone. A batch larger than the set is
    /// the whole set; with `drop_last` it is an error.
    ///
    /// # Shapes
    /// - `images`: u8 `[B, 3, R, R]`, `labels` and `index`: i64 `[B]`, `attributes`: u8 `[B, A]`
    /// # Errors
    /// `E0202` for a wrong option, or when `drop_last` would leave no batch.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 16, shuffle: true, seed: 7, drop_last: true});
    /// let n = 0;
    /// for batch in loader {
    ///     assert_eq(batch.images.shape, [16, 3, 16, 16]);
    ///     n += 1;
    /// }
    /// assert_eq(n, 2);
    /// ```
    fn loader(set: ImageSet; options: LoaderOptions) -> Loader { Loader::new(set, options) }

    /// Reads every shard and compares its SHA-256 with the recorded one.
    ///
    /// # Errors
    /// `E0302` naming the first shard that differs.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// data::images(made.folder).verify();
    /// ```
    fn verify(set: ImageSet) -> () { set.verify() }

    /// The set in words.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// print(data::images(made.folder));
    /// ```
    fn to_string(set: ImageSet) -> String { Ok(format!("{set:?}")) }
}

api! {
    fn latent_functions;
    methods LatentSet;

    /// How many latents the set has.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().len, 2);
    /// ```
    fn len as "get$len"(set: LatentSet) -> i64 { Ok(int(set.len())) }

    /// `[C, h, w]` of one latent.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().shape, [1, 2, 2]);
    /// ```
    fn shape as "get$shape"(set: LatentSet) -> Vec<i64> { Ok(set.latents().shape.iter().map(|n| int(*n)).collect()) }

    /// The name that the writer was given.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().name, "");
    /// ```
    fn name as "get$name"(set: LatentSet) -> String { Ok(set.latents().name.clone()) }

    /// The hash of the VAE's weights, as the writer was given it.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().vae, "");
    /// ```
    fn vae as "get$vae"(set: LatentSet) -> String { Ok(set.latents().vae.clone()) }

    /// The class names; empty when the writer was given none.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().classes, []);
    /// ```
    fn classes as "get$classes"(set: LatentSet) -> Array { Ok(strings(set.classes())) }

    /// The attributes, `[#{name, values}, ..]`, as those of an image set.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().attributes, []);
    /// ```
    fn attributes as "get$attributes"(set: LatentSet) -> Array { Ok(attribute_maps(set.attributes())) }

    /// Latent `i` (negative counts from the end) as a batch of one, and its `label` and `class`.
    ///
    /// # Shapes
    /// - `mean` and `std`: f32 `[1, C, h, w]`
    /// # Errors
    /// `E0202` when there is no such latent.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().get(0).mean.shape, [1, 1, 2, 2]);
    /// ```
    fn get(set: LatentSet, i: i64) -> Map { sample(&set, set.classes(), i) }

    /// A loader of batches `#{mean, std, labels, attributes, index}` from background threads; options as for images.
    ///
    /// # Shapes
    /// - `mean` and `std`: f32 `[B, C, h, w]`, `labels` and `index`: i64 `[B]`, `attributes`: u8 `[B, A]`
    /// # Errors
    /// `E0202` for a wrong option, or when `drop_last` would leave no batch.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().loader(#{batch: 2}).next().mean.shape, [2, 1, 2, 2]);
    /// ```
    fn loader(set: LatentSet; options: LoaderOptions) -> Loader { Loader::new(set, options) }

    /// The per-channel statistics of sampled latents: `#{bias, scale, std_of_mean, count}`.
    ///
    /// `(z - bias) * scale` has mean 0 and standard deviation 1 in each channel (METHOD: `latents_bias`, `latents_scale`);
    /// `std_of_mean` is the deviation of the posterior means alone.
    ///
    /// # Shapes
    /// - `bias`, `scale` and `std_of_mean`: f32 `[1, C, 1, 1]`
    /// # Errors
    /// `E0302` when a channel does not vary.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]) * 0.5, labels: torch::tensor([0, 0])});
    /// let stats = w.finish().stats();
    /// assert_eq(stats.bias.item(), 1.0);
    /// assert_eq(stats.scale.item(), 2.0);
    /// ```
    fn stats(set: LatentSet) -> Map {
        let (bias, scale) = set.stats()?;
        let stats = &set.latents().stats;
        let of_mean: Vec<f32> = stats.std_of_mean.iter().map(|s| *s as f32).collect();
        let of_mean = Tensor::from_vec(&of_mean, &[1, int(of_mean.len()), 1, 1])?;
        Ok(Map::from_iter([
            ("bias".into(), Dynamic::from(bias)),
            ("scale".into(), Dynamic::from(scale)),
            ("std_of_mean".into(), Dynamic::from(of_mean)),
            ("count".into(), int(stats.count).into()),
        ]))
    }

    /// The set in words.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// print(w.finish());
    /// ```
    fn to_string(set: LatentSet) -> String { Ok(format!("{set:?}")) }
}

api! {
    fn loader_functions;
    methods Loader;

    /// The next batch; after the last of an epoch comes the first of the next.
    ///
    /// # Errors
    /// `E0203` without memory for a batch.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 8});
    /// assert_eq(loader.next().labels.shape, [8]);
    /// ```
    fn next(loader: Loader) -> Map { loader.next().map(|batch| batch_map(&batch)) }

    /// The epoch of the next batch, from 0.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).loader(#{batch: 8}).epoch, 0);
    /// ```
    fn epoch as "get$epoch"(loader: Loader) -> i64 { Ok(i64::try_from(loader.epoch()).unwrap_or(i64::MAX)) }

    /// How many batches an epoch has.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).loader(#{batch: 16}).batches, 3);
    /// ```
    fn batches as "get$batches"(loader: Loader) -> i64 { Ok(int(loader.batches())) }

    /// The positions in the set of the next `n` samples, at most as many as the set has: what batches will hold as `index`. Nothing is read.
    ///
    /// # Shapes
    /// - i64 `[n]`
    /// # Errors
    /// `E0202` for a negative number.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 8, shuffle: true});
    /// assert_eq(loader.upcoming(8).to_array(), loader.next().index.to_array());
    /// ```
    fn upcoming(loader: Loader, n: usize) -> Tensor {
        let positions: Vec<i64> = loader.upcoming(n).into_iter().map(|p| p as i64).collect();
        Tensor::from_slice(&positions)
    }

    /// The position, to be stored and given to `set_state` of a loader with the same set and options.
    ///
    /// # Errors
    /// None: any loader has a position.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 16});
    /// loader.next();
    /// assert_eq(loader.state().batch_in_epoch, 1);
    /// ```
    fn state(loader: Loader) -> Dynamic {
        Ok(from_json(&serde_json::to_value(loader.state()).expect("plain numbers and flags")))
    }

    /// Goes to a position that `state` gave: the same batches follow.
    ///
    /// # Errors
    /// `E0601` when it belongs to another set or to other options.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// let loader = data::images(made.folder).loader(#{batch: 16, shuffle: true});
    /// let state = loader.state();
    /// let first = loader.next();
    /// loader.set_state(state);
    /// assert_eq(loader.next().index, first.index);
    /// ```
    fn set_state(loader: Loader, state: Map) -> () {
        let json = crate::script::lang::value::to_json(&Dynamic::from(state));
        let state = serde_json::from_value(json).map_err(|e| Error::value("set_state", format!("not the state of a loader: {e}")))?;
        loader.set_state(&state)
    }

    /// The loader in words.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// print(data::images(made.folder).loader(#{batch: 16}));
    /// ```
    fn to_string(loader: Loader) -> String { Ok(format!("{loader:?}")) }
}

api! {
    fn writer_functions;
    methods LatentWriter;

    /// Adds a batch of posteriors `#{mean, std, labels, index, attributes}`; a batch's `images` are ignored. Without `index`
    /// the latents are counted on.
    ///
    /// # Shapes
    /// - `mean` and `std`: `[B, C, h, w]`, `labels` and `index`: `[B]`, `attributes`: u8 `[B, A]`
    /// # Errors
    /// `E0202` for shapes that do not fit, values that are not finite or a finished folder; `E0301` when a shard cannot be
    /// written.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.len, 2);
    /// w.finish();
    /// ```
    fn push(writer: LatentWriter, batch: Map) -> () {
        // A batch of pictures may be handed on as it is: they are not kept.
        entries!(all "push", batch; mean: Tensor, std: Tensor, labels: Tensor, index: Option<Tensor>, attributes: Option<Tensor>, images: Option<Tensor>);
        drop(images);
        let index = match index {
            Some(index) => index,
            None => {
                let first = int(writer.len());
                Tensor::arange(first as f64, first.saturating_add(mean.size(0)?) as f64, 1.0, DType::Int64, Device::Cpu)?
            }
        };
        writer.push(&mean, &std, &labels, &index, attributes.as_ref())
    }

    /// How many latents there are, those of an interrupted run included: they need not be pushed again.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(data::latent_writer(io::temp_dir(), #{channels: 1, size: 2}).len, 0);
    /// ```
    fn len as "get$len"(writer: LatentWriter) -> i64 { Ok(int(writer.len())) }

    /// Whether the folder is finished already, so that nothing needs to be computed.
    ///
    /// # Example
    /// ```rhai
    /// assert(!data::latent_writer(io::temp_dir(), #{channels: 1, size: 2}).complete, "nothing was written");
    /// ```
    fn complete as "get$complete"(writer: LatentWriter) -> bool { Ok(writer.is_complete()) }

    /// Writes the last shard and `latents.json` with the statistics, and opens the set.
    ///
    /// # Errors
    /// `E0202` when nothing was pushed, `E0301` when a file cannot be written.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// assert_eq(w.finish().len, 2);
    /// ```
    fn finish(writer: LatentWriter) -> LatentSet { writer.finish() }
}
