//! `data::latents` and `data::latent_writer`, latents of pictures.

use super::{attribute_maps, int, positions, sample, strings};
use crate::data::{Features, LatentSet, LatentWriter, Loader, LoaderOptions, Rounding, Samples as _};
use crate::error::{Error, Result};
use crate::script::lang::value::from_json;
use crate::script::training::steps::batch_map;
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

    /// What moments and features are kept as on the disk: `"f32"` or `"bf16"`. Batches have f32 either way.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2, dtype: "bf16"});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0])});
    /// let set = w.finish();
    /// assert_eq(set.dtype, "bf16");
    /// assert_eq(set.get(0).mean.dtype, "f32");
    /// ```
    fn dtype as "get$dtype"(set: LatentSet) -> String { Ok(set.latents().dtype.name().to_owned()) }

    /// How far the means are from what was computed, where they are kept as bf16: `#{max, relative}`, the largest distance, and the root of the mean squared
    /// distance over that of the latents' deviation; `()` where nothing is rounded.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2, dtype: "bf16"});
    /// w.push(#{mean: torch::randn([9, 1, 2, 2]), std: torch::ones([9, 1, 2, 2]), labels: torch::zeros([9]).to_dtype("i64")});
    /// let rounding = w.finish().rounding;
    /// assert(rounding.relative > 0.0 && rounding.relative < 0.01);
    /// ```
    fn rounding as "get$rounding"(set: LatentSet) -> Dynamic {
        let map = |r: &Rounding| Map::from_iter([("max".into(), r.max.into()), ("relative".into(), r.relative.into())]);
        Ok(set.latents().rounding.as_ref().map_or(Dynamic::UNIT, |r| Dynamic::from(map(r))))
    }

    /// The vision models whose features are kept beside the latents: `[#{name, model, tokens, dim}, ..]`, `model` the hash of the weights, and `options`, what
    /// the model was told beside them, where that is known; `grid`, `[rows, columns]`, where the tokens are no square. Batches have those of model i as `features.i`.
    ///
    /// # Shapes
    /// - `batch["features.0"]`: f32 `[B, T, D]`
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2, features: [#{name: "eye", model: "", tokens: 4, dim: 3}]});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0]), features: [torch::ones([2, 4, 3])]});
    /// let set = w.finish();
    /// assert_eq(set.features[0].name, "eye");
    /// assert_eq(set.loader(#{batch: 2}).next()["features.0"].shape, [2, 4, 3]);
    /// ```
    fn features as "get$features"(set: LatentSet) -> Array {
        let one = |f: &Features| {
            let sizes = [("tokens".into(), int(f.tokens).into()), ("dim".into(), int(f.dim).into())];
            let names = [("name".into(), f.name.clone().into()), ("model".into(), f.model.clone().into())];
            let options = f.options.clone().map(|o| ("options".into(), from_json(&serde_json::Value::Object(o))));
            let grid = f.grid.map(|g| ("grid".into(), g.map(|n| Dynamic::from(int(n))).to_vec().into()));
            Dynamic::from(names.into_iter().chain(sizes).chain(grid).chain(options).collect::<Map>())
        };
        Ok(set.features().iter().map(one).collect())
    }

    /// The same latents without the features that are kept beside them: batches are read faster without what nobody looks at.
    ///
    /// # Errors
    /// None: latents without features stay as they are.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2, features: [#{name: "eye", model: "", tokens: 4, dim: 3}]});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 0]), features: [torch::ones([2, 4, 3])]});
    /// assert(!("features.0" in w.finish().without_features().loader(#{batch: 2}).next()));
    /// ```
    fn without_features(set: LatentSet) -> LatentSet { Ok(set.without_features()) }

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

    /// The latents at these positions as one batch, as a loader gives them. With the `index` of a batch of pictures, in a set that holds one latent of each in
    /// their order, those of these pictures.
    ///
    /// # Shapes
    /// - `index`: integers `[B]`, each below `len` -> `mean` and `std`: f32 `[B, C, h, w]`
    /// # Errors
    /// `E0202` for a position beyond the set.
    /// # Example
    /// ```rhai
    /// let w = data::latent_writer(io::temp_dir(), #{channels: 1, size: 2});
    /// w.push(#{mean: torch::ones([2, 1, 2, 2]), std: torch::ones([2, 1, 2, 2]), labels: torch::tensor([0, 3])});
    /// let batch = w.finish().take(torch::tensor([1, 0, 1]));
    /// assert_eq(batch.mean.shape, [3, 1, 2, 2]);
    /// assert_eq([batch.labels.to_array(), batch.index.to_array()], [[3, 0, 3], [1, 0, 1]]);
    /// ```
    fn take(set: LatentSet, index: Tensor) -> Map { set.gather(&positions(&index, set.len())?).map(|batch| batch_map(&batch)) }

    /// A loader of batches `#{mean, std, labels, attributes, index}`, and `features.0` .. where they are kept, from background threads; options as for images.
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

    /// Adds a batch of posteriors `#{mean, std, labels, index, attributes, features}`; a batch's `images` are ignored. Without `index`
    /// the latents are counted on.
    ///
    /// # Shapes
    /// - `mean` and `std`: `[B, C, h, w]`, `labels` and `index`: `[B]`, `attributes`: u8 `[B, A]`, `features`: an array with `[B, T, D]` of each vision model
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
        entries!(all "push", batch; mean: Tensor, std: Tensor, labels: Tensor, index: Option<Tensor>, attributes: Option<Tensor>, features: Option<Array>, images: Option<Tensor>);
        drop(images);
        let of = |d: Dynamic| d.try_cast::<Tensor>().ok_or_else(|| Error::value("push", "`features` must be an array of tensors"));
        let features = features.unwrap_or_default().into_iter().map(of).collect::<Result<Vec<_>>>()?;
        let index = match index {
            Some(index) => index,
            None => {
                let first = int(writer.len());
                Tensor::arange(first as f64, first.saturating_add(mean.size(0)?) as f64, 1.0, DType::Int64, Device::Cpu)?
            }
        };
        writer.push(&mean, &std, &labels, &index, attributes.as_ref(), &features)
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
