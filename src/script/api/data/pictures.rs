//! `data::pictures`, sets of pictures that are measured.

use crate::api;
use crate::data::{Pick, Pictures, read_attribute_file};
use crate::script::api::data::attribute_maps;
use crate::script::api::data::origin::{origin_map, record_beside};
use crate::script_handle;
use crate::torch::Tensor;
use rhai::{Dynamic, Map};
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
    fn pictures[cx](path: String) -> Pictures {
        cx.readable_within(&path)?;
        Pictures::open(Path::new(&path))
    }

    /// Attributes of pictures from a file, in the order of `names` (their paths below a folder, as `.names` of a set gives them):
    /// `#{attributes, values}`, for `probe::linear(z, values, #{attributes})`. Known: `attributes.csv` (a header; the first column is path or file name),
    /// CelebA's `list_attr_celeba.txt`, DeepFashion's `list_attr_img.txt` and `list_category_img.txt` with the lists of names beside them, AwA2's
    /// `predicate-matrix-binary.txt` with `classes.txt` and `predicates.txt` beside it.
    ///
    /// # Shapes
    /// - `values`: i64 `[N, A]`, positions in each attribute's values
    /// # Errors
    /// `E0302` for another layout, pictures without a row (by name), or an unknown column, with the nearest name.
    /// # Example
    /// ```rhai
    /// let set = data::pictures("tests/data/avatars64");
    /// let found = data::attribute_file("tests/data/avatars64/attributes.csv", set.names, #{factors: ["hair", "beard"]});
    /// assert_eq(found.values.shape, [set.len, 2]);
    /// assert_eq(found.attributes[0].name, "hair");
    /// ```
    fn attribute_file[cx](path: String, names: Vec<String>;
        /// names of the columns to take; all unless given
        factors: Option<Vec<String>>,
    ) -> Map {
        cx.readable(&path)?;
        let table = read_attribute_file(Path::new(&path), &names, factors.as_deref())?;
        let shape = [names.len() as i64, table.attributes.len() as i64];
        let values = Tensor::from_slice(&table.rows.concat())?.reshape(&shape)?;
        Ok(Map::from_iter([("attributes".into(), attribute_maps(&table.attributes).into()), ("values".into(), Dynamic::from(values))]))
    }
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

    /// The paths of the pictures below their folder; empty for an `.npz` or shards.
    ///
    /// # Example
    /// ```rhai
    /// assert(data::pictures("tests/data/avatars64/bun").names[0].ends_with(".png"), "a file");
    /// ```
    fn names as "get$names"(set: Pictures) -> Vec<String> { Ok(set.names()) }

    /// A short text that changes when the pictures do: of archives and shards by the sums in them, of folders as far as names, sizes and times
    /// of files tell.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").fingerprint.len(), 16);
    /// ```
    fn fingerprint as "get$fingerprint"(set: Pictures) -> String { Ok(set.fingerprint()) }

    /// At most `most` of the pictures, as a set; how they were chosen is said where there are more.
    ///
    /// # Errors
    /// `E0302` when they are to be drawn evenly from a folder that holds parts of a data set (`train`, `val`) and no classes.
    /// # Example
    /// ```rhai
    /// let some = data::pictures("tests/data/avatars64").limit(8);
    /// assert_eq([some.len, some.names.filter(|n| n.starts_with("bun/")).len()], [8, 2]);
    /// assert_eq(data::pictures("tests/data/avatars64").limit(8, #{pick: "first"}).positions.to_array(), [0, 1, 2, 3, 4, 5, 6, 7]);
    /// ```
    fn limit(set: Pictures, most: usize;
        /// as many of each class, drawn at random, or the first in the order of the set
        pick: Pick = Pick::Even,
        /// of the draw
        seed: i64 = 0,
    ) -> Pictures { set.limit(most, pick, seed as u64) }

    /// The pictures at these positions, as a set: those of two sets that were chosen alike come in pairs.
    ///
    /// # Shapes
    /// - `index`: integers `[n]`, each below `len`
    /// # Errors
    /// `E0202` for a position beyond the set.
    /// # Example
    /// ```rhai
    /// let set = data::pictures("tests/data/avatars64/bun");
    /// assert_eq(set.at(torch::tensor([5, 2])).names, [set.names[5], set.names[2]]);
    /// ```
    fn at(set: Pictures, index: Tensor) -> Pictures { set.at(&index.to_vec_i64()?) }

    /// Where each picture lies in the whole set: other than `0, 1, ..` after `limit`.
    ///
    /// # Shapes
    /// - i64 `[N]`
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").positions.shape[0], data::pictures("tests/data/avatars64/bun").len);
    /// ```
    fn positions as "get$positions"(set: Pictures) -> Tensor { Tensor::from_slice(&set.positions()) }

    /// The class of each picture: of shards their labels, in a folder the position of a picture's first folder among the sorted names of them.
    /// `()` where all are of one class, and for an `.npz`.
    ///
    /// # Shapes
    /// - i64 `[N]`
    /// # Errors
    /// `E0302` for a folder that holds parts of a data set (`train`, `val`) and no classes.
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64").labels.max().item(), 3.0);
    /// assert_eq(data::pictures("tests/data/avatars64/bun").labels, ());
    /// ```
    fn labels as "get$labels"(set: Pictures) -> Dynamic {
        Ok(match set.labels()? {
            Some(labels) => Dynamic::from(Tensor::from_slice(&labels)?),
            None => Dynamic::UNIT,
        })
    }

    /// What they are and, where a script drew or cut them, what they were made from: `#{kind, path, about, id, settings, from}`.
    ///
    /// # Errors
    /// `E0302` when the record beside them is damaged.
    /// # Example
    /// ```rhai
    /// assert_eq(data::pictures("tests/data/avatars64/bun").origin.kind, "pictures");
    /// ```
    fn origin as "get$origin"[cx](set: Pictures) -> Map {
        if let Some(record) = record_beside(set.path()) {
            cx.readable(record)?;
        }
        set.origin().map(|o| origin_map(&o))
    }

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
