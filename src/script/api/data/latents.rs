//! `data::latents` and `data::latent_writer`, latents of pictures.

use super::{attribute_maps, int, sample, strings};
use crate::data::{LatentSet, LatentWriter, Loader, LoaderOptions, Samples as _};
use crate::script_handle;
use crate::torch::{DType, Device, Tensor};
use crate::{api, entries};
use rhai::{Array, Dynamic, Map};

script_handle!(LatentSet, "a latent set");
script_handle!(LatentWriter, "a latent writer");

api! {
    fn methods;
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
