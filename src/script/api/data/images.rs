//! `data::images`, sets of pictures.

use super::{attribute_maps, int, sample, strings};
use crate::api;
use crate::data::{ImageSet, Loader, LoaderOptions, Samples as _};
use crate::error::Error;
use crate::script_handle;
use rhai::{Array, Map};

script_handle!(ImageSet, "an image set");

api! {
    fn methods;
    methods ImageSet;

    /// How many pictures the set has.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).len, 40);
    /// ```
    fn len as "get$len"(set: ImageSet) -> i64 { Ok(int(set.len())) }

    /// The side of square pictures, in pixels.
    ///
    /// # Errors
    /// `E0202` for pictures that are no squares: `size` has both sides.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// assert_eq(data::images(made.folder).resolution, 16);
    /// ```
    fn resolution as "get$resolution"(set: ImageSet) -> i64 {
        set.size().side().map(int).ok_or_else(|| {
            Error::value("resolution", format!("these pictures are {}, no squares", set.size())).help("`size` has both sides, [height, width]")
        })
    }

    /// `[height, width]` of the pictures, in pixels.
    ///
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, width: 24, max_images: 4, quiet: true});
    /// assert_eq(data::images(made.folder).size, [16, 24]);
    /// ```
    fn size as "get$size"(set: ImageSet) -> Array { Ok(vec![int(set.size().height).into(), int(set.size().width).into()]) }

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

    /// Every picture so many times: with `n` pictures picture `k * n + i` is crop `k` of picture `i`. Crop 0 is the middle, as without; the others are cut out
    /// anywhere, of a picture that just covers 1 to 1.25 times the size (`random_crop_arr` of openai/guided-diffusion), by their number alone.
    ///
    /// # Errors
    /// `E0202` for 0 or more than 1000, and for shards, whose pictures are cropped already.
    /// # Example
    /// ```rhai
    /// let plain = data::images("tests/data/avatars64/bun", #{resolution: 16});
    /// let more = plain.with_crops(3);
    /// assert_eq(more.len, 3 * plain.len);
    /// let n = plain.len;
    /// let same = more.take(torch::tensor([4, n + 4, 2 * n + 4])).images;
    /// assert_eq(same[0], plain.take(torch::tensor([4])).images[0]);
    /// assert(same[1] != same[2]);
    /// ```
    fn with_crops(set: ImageSet, crops: usize) -> ImageSet { set.and_crops(crops) }

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
