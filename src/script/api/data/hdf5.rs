//! `data::`, REPA-E's HDF5 containers in and out.

use crate::api;
use crate::data::{ImageSet, LatentLabels, LatentOptions, LatentSet, export_images, export_latents, hdf5_key_list, import_latents};
use crate::error::{Error, Result};
use crate::script::bind::Cx;
use crate::script::lang::value::type_name;
use rhai::Dynamic;
use std::path::Path;

/// Asks for a container and for the list of its keys beside it, which is read where there is one.
pub(crate) fn ask_for_container(cx: &Cx, path: &str) -> Result<()> {
    cx.readable(path)?;
    let list = hdf5_key_list(path);
    if list.is_file() { cx.readable(list) } else { Ok(()) }
}

api! {
    namespace "data";

    /// Turns the latents of REPA-E's container (`00000/img-mean-std-00000000.npy`, mean and standard deviation) into a folder of latents with
    /// statistics. An interrupted import goes on. With `images` they get the labels of these, paired by their positions in
    /// the sorted lists; without, the container's own `dataset.json` counts. Needs a build with `--features hdf5`.
    ///
    /// # Shapes
    /// - reads f32 `[2C, h, w]`, writes `mean` and `std` f32 `[N, C, h, w]`, `labels` and `index` i64 `[N]`
    /// # Errors
    /// `E0301` when a file cannot be read or written, `E0302` when the container holds no latents, nothing says their classes, the pictures do not
    /// go with them, or this build reads no HDF5.
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir();
    /// let w = data::latent_writer(dir + "/a", #{channels: 2, size: 2, classes: ["0", "1"]});
    /// w.push(#{mean: torch::randn([2, 2, 2, 2]), std: torch::ones([2, 2, 2, 2]), labels: torch::tensor([0, 1])});
    /// try {
    ///     data::export_h5(w.finish(), dir + "/vae.h5");
    ///     assert_eq(data::import_latents(dir + "/vae.h5", dir + "/b", #{name: "vae"}).shape, [2, 2, 2]);
    /// } catch (e) {
    ///     assert(`${e.help}`.contains("--features hdf5"), "nothing else is wrong");
    /// }
    /// ```
    fn import as "import_latents"[cx](path: String, dst: String;
        /// the pictures that the latents were made from, for their labels: a container's path, or an image set
        images: Option<Dynamic>,
        /// latents in a shard; 0: about 256 MiB
        shard_size: usize = 0,
        /// what people call it
        name: String = String::new(),
        /// the hash of the VAE's weights
        vae: String = String::new(),
        /// whether other latents in the folder are removed, instead of an error
        force: bool = false,
    ) -> LatentSet {
        ask_for_container(cx, &path)?;
        cx.writable_within(&dst)?;
        let options = LatentOptions { name, vae, shard_size, force, ..LatentOptions::default() };
        let set = images.as_ref().and_then(|d| d.clone().try_cast::<ImageSet>());
        let container = images.as_ref().and_then(|d| d.clone().into_string().ok());
        let labels = match (&set, &container, &images) {
            (Some(set), ..) => LatentLabels::Images(set),
            (_, Some(container), _) => {
                ask_for_container(cx, container)?;
                LatentLabels::Container(Path::new(container))
            }
            (.., Some(other)) => {
                return Err(Error::value("import_latents", format!("option `images` must be a path or an image set, got {}", type_name(other))));
            }
            _ => LatentLabels::Own,
        };
        import_latents(Path::new(&path), Path::new(&dst), labels, options)
    }

    /// Writes an image set or a latent set as REPA-E's container: PNG files with `dataset.json`, or latents; beside `NAME.h5` the list of its keys,
    /// `NAME_h5.json`. The reference trains from `images.h5` and `VAE.h5` in one folder. Returns how many samples it has. Needs a build with
    /// `--features hdf5`.
    ///
    /// # Shapes
    /// - u8 `[N]` for each picture, f32 `[2C, h, w]` for each latent
    /// # Errors
    /// `E0202` for something else, `E0301` when a file cannot be written, `E0302` when this build has no HDF5.
    /// # Example
    /// ```rhai
    /// let made = data::preprocess("tests/data/avatars64", io::temp_dir(), #{resolution: 16, max_images: 40, quiet: true});
    /// try {
    ///     assert_eq(data::export_h5(data::images(made.folder), io::temp_dir() + "/images.h5"), 40);
    /// } catch (e) {
    ///     assert(`${e.help}`.contains("--features hdf5"), "nothing else is wrong");
    /// }
    /// ```
    fn export_h5[cx](set: Dynamic, path: String) -> i64 {
        cx.writable(&path)?;
        cx.writable(hdf5_key_list(&path))?;
        let count = if let Some(images) = set.clone().try_cast::<ImageSet>() {
            export_images(&images, Path::new(&path))?
        } else if let Some(latents) = set.clone().try_cast::<LatentSet>() {
            export_latents(&latents, Path::new(&path))?
        } else {
            return Err(Error::value("export_h5", format!("an image set or a latent set is needed, got {}", type_name(&set))));
        };
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}
