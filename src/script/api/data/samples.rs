//! `data::sample_writer`, generated pictures to PNG files and `.npz`.

use super::{int, positions};
use crate::api;
use crate::data::{ImageSet, Pick, SampleOptions, SampleWriter, Samples as _};
use crate::script::api::data::origin::{made_of, settings_of};
use crate::script_handle;
use crate::torch::Tensor;
use rhai::Map;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// The writer as scripts hold it.
#[derive(Clone)]
pub struct Samples(Rc<RefCell<SampleWriter>>);
script_handle!(Samples, "a sample writer");

api! {
    namespace "data";

    /// Opens a folder for generated pictures: each becomes a PNG file, and all together `DIR.npz` (`arr_0`, uint8 `[N, R, R, 3]`). A folder
    /// that an earlier run with the same settings and weights left goes on at its `position`, also with a larger `total`: then only the new
    /// pictures are drawn. `DIR/settings.json` says how they were drawn and with what.
    ///
    /// # Errors
    /// `E0302` when the folder holds other pictures, or `DIR.npz` does, naming what differs.
    /// # Example
    /// ```rhai
    /// let w = data::sample_writer("target/examples/samples", #{total: 2, settings: #{seed: 0}});
    /// if w.position == 0 { w.push(torch::zeros([2, 3, 8, 8], #{dtype: "u8"})); }
    /// assert_eq(w.finish(), "target/examples/samples.npz");
    /// ```
    fn sample_writer[cx](dir: String;
        /// how many pictures there will be
        total: usize[1..=1_000_000_000],
        /// whether each becomes a PNG file
        png: bool = true,
        /// what the pictures depend on
        settings: Map = Map::new(),
        /// what they are drawn with, by role: origins such as `checkpoint.origin("ema")`
        made_from: Map = Map::new(),
        /// whether other pictures in the folder are removed and drawn anew, instead of an error
        force: bool = false,
    ) -> Samples {
        // The .npz lies beside the folder.
        cx.writable_within(&dir)?;
        cx.writable(format!("{}.npz", dir.trim_end_matches('/')))?;
        let options = SampleOptions { total, png, settings: settings_of("sample_writer", &settings)?, made_from: made_of("sample_writer", &made_from)?, force };
        SampleWriter::open(Path::new(&dir), options).map(|w| Samples(Rc::new(RefCell::new(w))))
    }
}

api! {
    fn methods;
    methods Samples;

    /// How many pictures are on disk.
    ///
    /// # Example
    /// ```rhai
    /// let w = data::sample_writer("target/examples/none", #{total: 1});
    /// assert(w.position <= 1);
    /// ```
    fn position as "get$position"(writer: Samples) -> i64 { Ok(int(writer.0.borrow().position())) }

    /// Writes a batch of pictures.
    ///
    /// # Shapes
    /// - `images`: u8 `[B, 3, R, R]`
    /// # Errors
    /// `E0202` for other tensors, or more pictures than were announced.
    /// # Example
    /// ```rhai
    /// let w = data::sample_writer("target/examples/pushed", #{total: 1, png: false});
    /// if w.position == 0 { w.push(torch::zeros([1, 3, 8, 8], #{dtype: "u8"})); }
    /// assert_eq(w.position, 1);
    /// ```
    fn push(writer: Samples, images: Tensor) -> () { writer.0.borrow_mut().push(&images) }

    /// Joins all batches in the `.npz`, whose path it returns.
    ///
    /// # Errors
    /// `E0202` when pictures are missing.
    /// # Example
    /// ```rhai
    /// let w = data::sample_writer("target/examples/finished", #{total: 1, png: false});
    /// if w.position == 0 { w.push(torch::zeros([1, 3, 8, 8], #{dtype: "u8"})); }
    /// assert_eq(io::load(w.finish()).arr_0.shape, [1, 8, 8, 3]);
    /// ```
    fn finish(writer: Samples) -> String { writer.0.borrow_mut().finish().map(|p| p.display().to_string()) }
}

api! {
    fn image_functions;
    methods ImageSet;

    /// The positions of at most `most` pictures, in order, for `take`.
    ///
    /// # Shapes
    /// - i64 `[most]`, or of the whole set where it is smaller
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", "target/examples/even-images", #{resolution: 16, max_images: 40, quiet: true});
    /// let set = data::images(made.folder);
    /// assert_eq(set.take(set.choose(4)).labels.to_array(), [0, 1, 2, 3]);
    /// assert_eq(set.choose(4, #{pick: "first"}).to_array(), [0, 1, 2, 3]);
    /// ```
    fn choose(set: ImageSet, most: usize;
        /// as many of each class, drawn at random, or the first
        pick: Pick = Pick::Even,
        /// of the draw
        seed: i64 = 0,
    ) -> Tensor {
        let chosen: Vec<i64> = set.choose(most, pick, seed as u64)?.into_iter().map(|i| i as i64).collect();
        Tensor::from_slice(&chosen)
    }

    /// The samples at these positions as one batch: `images`, `labels`, `index`, and `attributes` where the set has them. With the
    /// `index` of a batch of latents, the pictures that they were made from.
    ///
    /// # Shapes
    /// - `index`: integers `[B]`, each below `len` -> images u8 `[B, 3, R, R]`
    /// # Errors
    /// `E0202` for a position beyond the set.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", "target/examples/even-images", #{resolution: 16, max_images: 40, quiet: true});
    /// let batch = data::images(made.folder).take(torch::tensor([3, 0, 3]));
    /// assert_eq(batch.images.shape, [3, 3, 16, 16]);
    /// assert_eq(batch.index.to_array(), [3, 0, 3]);
    /// ```
    fn take(set: ImageSet, index: Tensor) -> Map {
        set.take(&positions(&index, set.len())?).map(|batch| crate::script::training::steps::batch_map(&batch))
    }
}
