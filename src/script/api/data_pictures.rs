//! `data::pictures`, sets of pictures that are measured.

use crate::api;
use crate::data::Pictures;
use crate::script_handle;
use crate::torch::Tensor;
use std::path::Path;

script_handle!(Pictures, "a set of pictures");

api! {
    namespace "data";

    /// Opens pictures to be measured: a folder (with its sub-folders, in the order of their paths), an `.npz` with `arr_0` uint8 `[N, H, W, 3]` as
    /// samplers write, or a data set folder of `data::preprocess`. Nothing but what is read at a time is held in memory.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` for a folder without pictures, or an `.npz` without such an array.
    /// # Example
    /// ```rhai
    /// let set = data::pictures("tests/data/avatars64/bun");
    /// assert_eq(set.size, [64, 64]);
    /// assert_eq(set.read(2, 3).shape, [3, 3, 64, 64]);
    /// ```
    fn pictures(path: String) -> Pictures { Pictures::open(Path::new(&path)) }
}

api! {
    fn methods;
    methods Pictures;

    /// How many pictures there are.
    ///
    /// # Example
    /// ```rhai
    /// assert(data::pictures("tests/data/avatars64/bun").len > 100, "many");
    /// ```
    fn len as "get$len"(set: Pictures) -> i64 { Ok(set.len()) }

    /// Height and width in pixels, the same for all.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").size, [64, 64]);
    /// ```
    fn size as "get$size"(set: Pictures) -> Vec<i64> { Ok(set.size().to_vec()) }

    /// A short text that changes when the pictures do, as far as names, sizes and times of files tell.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").fingerprint.len(), 16);
    /// ```
    fn fingerprint as "get$fingerprint"(set: Pictures) -> String { Ok(set.fingerprint().to_owned()) }

    /// Pictures `start` to `start + n`.
    ///
    /// # Shapes
    /// - u8 `[n, 3, H, W]`
    /// # Errors
    /// `E0202` for pictures that are not there, `E0302` for one that is damaged or of another size than the first.
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").read(0, 1).dtype, "u8");
    /// ```
    fn read(set: Pictures, start: i64, n: i64) -> Tensor { set.read(start, n) }

    /// The set in words.
    ///
    /// # Example
    /// ```rhai
    /// print(data::pictures("tests/data/avatars64/bun"));
    /// ```
    fn to_string(set: Pictures) -> String { Ok(format!("{set:?}")) }
}
