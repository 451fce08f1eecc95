//! `io::`, tensors and plain values in files.

pub mod convert;
pub mod pt;
pub mod temp;

use crate::api;
use crate::data::is_hdf5;
use crate::error::{Error, Result, did_you_mean};
use crate::fetch::is_reference;
use crate::files;
use crate::memory;
use crate::nn::Weights;
use crate::script::api::io::convert::{flatten, from_pt, hdf5, json_of, load_image, to_map};
use crate::script::api::io::pt::item_of;
use crate::script::lang::value::{from_json, type_name};
use crate::torch::files::{self as formats, Named, PtValue, safetensors_info, state_dict};
use crate::torch::{Tensor, parse_dtype};
use rhai::{Array, Dynamic, Map};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const READ: &[&str] = &[
    "safetensors",
    "pt",
    "pth",
    "ckpt",
    "bin",
    "npy",
    "npz",
    "png",
    "jpg",
    "jpeg",
    "bmp",
    "gif",
    "tif",
    "tiff",
    "webp",
    "json",
    "txt",
    "h5",
    "hdf5",
];
const WRITTEN: &[&str] = &["safetensors", "pt", "pth", "ckpt", "bin", "npy", "npz", "json", "txt"];

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn unknown(op: &str, path: &Path, known: &[&str]) -> Error {
    let ext = extension(path);
    let near = did_you_mean(&ext, known.iter().copied());
    Error::value(op, format!("`{}`: files of type `.{ext}` are not known{near}", path.display())).help(format!("one of .{}", known.join(" .")))
}

/// A text file, of which values are made that take several times its length.
fn text(path: &Path) -> Result<String> {
    memory::room_for("load", usize::try_from(files::size(path)?).unwrap_or(usize::MAX), 4).map_err(|e| e.context(path.display().to_string()))?;
    files::read_text(path)
}

/// A `.npz` archive that is written row by row.
#[derive(Clone)]
pub struct NpzWriter(Rc<RefCell<Option<formats::NpzWriter>>>, PathBuf);
crate::script_handle!(NpzWriter, "an npz writer");

impl NpzWriter {
    fn with<T>(&self, f: impl FnOnce(&mut formats::NpzWriter) -> Result<T>) -> Result<T> {
        f(self.0.borrow_mut().as_mut().ok_or_else(|| Error::value("npz", format!("`{}` is finished already", self.1.display())))?)
    }
}

/// The part of a checkpoint that a script asked for.
fn checkpoint(root: &PtValue, key: Option<&str>, weights: bool) -> Result<Dynamic> {
    if weights || key.is_some() {
        // A key that holds no weights is given as it is.
        return match (state_dict(root, key)?, key.and_then(|k| root.get(k))) {
            (Some(state), _) => Ok(to_map(state).into()),
            (None, Some(part)) => from_pt(&part),
            (None, None) => Err(Error::data(root.path(), "no weights were found in it").help("without `weights` it gives all that the file holds")),
        };
    }
    from_pt(root)
}

/// The tensors of a folder or of sharded weights.
fn folder(path: &Path, key: Option<&str>) -> Result<Dynamic> {
    let weights = Weights::open(path)?;
    let wanted = |name: &str| key.is_none_or(|k| name == k);
    let parts: Vec<_> = weights.parts().iter().filter(|p| wanted(&p.name)).collect();
    match parts.as_slice() {
        [] => {
            let names: Vec<&str> = weights.parts().iter().map(|p| p.name.as_str()).collect();
            let near = did_you_mean(key.unwrap_or_default(), names.iter().copied());
            Err(Error::data(path, format!("has no part `{}`{near}", key.unwrap_or_default())).help(format!("it has: {}", names.join(", "))))
        }
        [one] if one.name.is_empty() || key.is_some() => Ok(to_map(one.read()?).into()),
        many => many.iter().map(|p| Ok((p.name.as_str().into(), to_map(p.read()?).into()))).collect::<Result<Map>>().map(Dynamic::from),
    }
}

fn named(op: &str, value: &Dynamic) -> Result<Named> {
    let Some(map) = value.read_lock::<Map>() else {
        return Err(Error::value(op, format!("a map of names to tensors is needed, got {}", type_name(value))));
    };
    let mut out = Named::new();
    flatten(op, "", &map, &mut out, 0)?;
    Ok(out)
}

fn save_npz(path: &Path, tensors: &Named) -> Result<()> {
    let mut w = formats::NpzWriter::create(path)?;
    tensors.iter().try_for_each(|(name, t)| w.add(name, t))?;
    w.finish()
}

api! {
    namespace "io";

    /// What a file holds, by its name: tensors of `.safetensors` and `.npz` as a map, `.npy` as a tensor, a picture as u8 `[3, H, W]`, `.json` as a
    /// value, `.txt` as a string. PyTorch files (`.pt .pth .ckpt .bin`) are read as data and nothing in them is run: nested maps and arrays, objects
    /// as maps of their attributes. For these, option `key` takes a part (`"ema"`), `weights: true` finds the state dict. A folder of diffusers or the
    /// `.index.json` of sharded weights gives all tensors as one map, a folder of several networks a map of such maps. HDF5 (`.h5`, in a build with
    /// `--features hdf5`) gives a map of tensors, pictures and JSON by their keys, or the one called `key`. `hf://owner/repo/file` is a file of the hub.
    ///
    /// # Shapes
    /// - as in the file
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged, `E0202` for an unknown type.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/w.safetensors";
    /// io::save(path, #{ weight: torch::ones([2, 3]) });
    /// assert_eq(io::load(path).weight.shape, [2, 3]);
    /// ```
    fn load[cx](path: String;
        /// the part of a checkpoint (`"ema"`), or the key of an HDF5 file
        key: Option<String>,
        /// whether the state dict is found among what a PyTorch file holds
        weights: bool = false,
    ) -> Dynamic {
        let path = if is_reference(&path) { cx.weights(&path)?.display().to_string() } else { path };
        cx.readable(&path)?;
        let at = Path::new(&path);
        let ext = extension(at);
        if at.is_dir() || path.ends_with(".index.json") {
            return folder(at, key.as_deref());
        }
        let is_pt = matches!(ext.as_str(), "pt" | "pth" | "ckpt" | "bin");
        if is_hdf5(at) && !weights {
            return hdf5(at, key.as_deref());
        }
        if (key.is_some() || weights) && !is_pt {
            return Err(Error::value("load", "options `key` and `weights` are for PyTorch files, `key` for HDF5 as well"));
        }
        match ext.as_str() {
            "safetensors" => Ok(to_map(formats::read_safetensors(at)?.0).into()),
            "npz" => Ok(to_map(formats::read_npz(at)?).into()),
            "npy" => Ok(Dynamic::from(formats::read_npy(at)?)),
            "json" => {
                let value: serde_json::Value = serde_json::from_str(&text(at)?).map_err(|e| Error::data(at, e.to_string()))?;
                Ok(from_json(&value))
            }
            "txt" => Ok(text(at)?.into()),
            _ if is_pt => checkpoint(&formats::read_pt(at)?, key.as_deref(), weights),
            e if READ.contains(&e) => Ok(Dynamic::from(load_image(at)?)),
            _ => Err(unknown("load", at, READ)),
        }
    }

    /// Writes a file, by its name: a map of tensors to `.safetensors` or `.npz` (nested maps get names with dots), a tensor to `.npy`, a value to
    /// `.json`, a string to `.txt`; tensors, numbers, strings, arrays and maps of them to `.pt`, `.pth`, `.ckpt` or `.bin`, which PyTorch reads with
    /// `torch.load(path, weights_only=True)`. It appears whole or not at all. Option `metadata`: a map of strings, for `.safetensors`.
    ///
    /// # Shapes
    /// - any
    /// # Errors
    /// `E0301` when it cannot be written, `E0202` when the value does not go with the type of file.
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir();
    /// io::save(dir + "/x.npy", torch::arange(3));
    /// assert_eq(io::load(dir + "/x.npy").to_array(), [0, 1, 2]);
    /// io::save(dir + "/summary.json", #{ loss: 0.5, steps: [1, 2] });
    /// assert_eq(io::load(dir + "/summary.json").loss, 0.5);
    /// io::save(dir + "/run.pt", #{ ema: #{ weight: torch::ones([2]) }, steps: 7 });
    /// assert_eq(io::load(dir + "/run.pt").steps, 7);
    /// ```
    fn save[cx](path: String, value: Dynamic;
        /// texts that a .safetensors file carries
        metadata: Option<Map>,
    ) -> () {
        cx.writable(&path)?;
        let at = Path::new(&path);
        if metadata.is_some() && extension(at) != "safetensors" {
            return Err(Error::value("save", "option `metadata` is for .safetensors files"));
        }
        match extension(at).as_str() {
            "safetensors" => {
                let info: HashMap<String, String> = metadata.unwrap_or_default().into_iter().map(|(k, v)| (k.into(), v.to_string())).collect();
                formats::write_safetensors(at, &named("save", &value)?, &info)
            }
            "npz" => save_npz(at, &named("save", &value)?),
            "npy" => match value.read_lock::<Tensor>() {
                Some(t) => formats::write_npy(at, &t),
                None => Err(Error::value("save", format!(".npy files hold a tensor, got {}", type_name(&value)))),
            },
            "json" => {
                let mut json = serde_json::to_string_pretty(&json_of(&value, 0)?).map_err(|e| Error::value("save", e.to_string()))?;
                json.push('\n');
                files::write(at, json.as_bytes())
            }
            "txt" => {
                let text = value.clone().into_string().map_err(|kind| Error::value("save", format!(".txt files hold a string, got {kind}")))?;
                files::write(at, text.as_bytes())
            }
            "pt" | "pth" | "ckpt" | "bin" => formats::write_pt(at, &item_of(&value, 0)?),
            _ => Err(unknown("save", at, WRITTEN)),
        }
    }

    /// The arrays of a `.npz` file as a map.
    ///
    /// # Shapes
    /// - as in the file
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/stats.npz";
    /// io::save_npz(path, #{ mu: torch::zeros([4]) });
    /// assert_eq(io::npz(path).mu.shape, [4]);
    /// ```
    fn npz[cx](path: String) -> Map {
        cx.readable(&path)?;
        Ok(to_map(formats::read_npz(Path::new(&path))?))
    }

    /// Writes a map of tensors as a `.npz` file.
    ///
    /// # Shapes
    /// - any
    /// # Errors
    /// `E0301` when it cannot be written, `E0202` for bf16, which numpy lacks.
    /// # Example
    /// ```rhai
    /// io::save_npz(io::temp_dir() + "/x.npz", #{ arr_0: torch::zeros([2, 4, 4, 3], #{ dtype: "u8" }) });
    /// ```
    fn write_npz as "save_npz"[cx](path: String, arrays: Map) -> () {
        cx.writable(&path)?;
        save_npz(Path::new(&path), &named("save_npz", &arrays.into())?)
    }

    /// A `.npz` file to be written row by row, for arrays that do not fit into memory. It gets its name at `finish()`.
    ///
    /// # Shapes
    /// - any
    /// # Errors
    /// `E0301` when the folder cannot be written.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/samples.npz";
    /// let w = io::npz_writer(path);
    /// w.begin("arr_0", [4, 8, 8, 3], "u8");
    /// for i in 0..2 { w.push(torch::zeros([2, 8, 8, 3], #{ dtype: "u8" })); }
    /// w.finish();
    /// assert_eq(io::npz(path).arr_0.shape, [4, 8, 8, 3]);
    /// ```
    fn npz_writer[cx](path: String) -> NpzWriter {
        cx.writable(&path)?;
        let path = PathBuf::from(path);
        Ok(NpzWriter(Rc::new(RefCell::new(Some(formats::NpzWriter::create(&path)?))), path))
    }

    /// What a `.safetensors` file says of itself, without reading its data: `metadata`, and `tensors` with `dtype` and `shape` by name.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/w.safetensors";
    /// io::save(path, #{ w: torch::ones([2]) }, #{ metadata: #{ made_by: "me" } });
    /// assert_eq(io::info(path).metadata.made_by, "me");
    /// assert_eq(io::info(path).tensors.w.shape, [2]);
    /// ```
    fn info[cx](path: String) -> Map {
        cx.readable(&path)?;
        let info = safetensors_info(Path::new(&path))?;
        let mut tensors = Map::new();
        for (name, dtype, shape) in info.tensors {
            let mut entry = Map::new();
            entry.insert("dtype".into(), dtype.to_lowercase().into());
            entry.insert("shape".into(), shape.into_iter().map(|n| Dynamic::from(n as i64)).collect::<Array>().into());
            tensors.insert(name.into(), entry.into());
        }
        let metadata: Map = info.metadata.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Ok([("tensors".into(), tensors.into()), ("metadata".into(), metadata.into())].into_iter().collect())
    }

    /// Whether there is a file or folder of that name.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(io::exists(io::temp_dir()) && !io::exists("/no/such/file"));
    /// ```
    fn exists[cx](path: String) -> bool {
        cx.readable(&path)?;
        Ok(Path::new(&path).exists())
    }

    /// Makes a folder and those above it; one that is there already stays as it is.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir() + "/a/b";
    /// io::make_dir(dir);
    /// assert(io::exists(dir));
    /// ```
    fn make_dir[cx](path: String) -> () {
        cx.writable(&path)?;
        files::create_dir(Path::new(&path))
    }
}

api! {
    fn writer_methods;
    methods NpzWriter;

    /// Begins an array of that shape and dtype, whose rows `push` adds.
    ///
    /// # Shapes
    /// - `[rows, ..]`
    /// # Errors
    /// `E0202` when the array before lacks rows or numpy has no such dtype.
    /// # Example
    /// ```rhai
    /// let w = io::npz_writer(io::temp_dir() + "/x.npz");
    /// w.begin("labels", [0], "i64");
    /// w.finish();
    /// ```
    fn begin(writer: NpzWriter, name: String, shape: Vec<i64>, dtype: String) -> () {
        let dtype = parse_dtype(&dtype)?;
        writer.with(|w| w.begin(&name, dtype, &shape))
    }

    /// Adds rows to the array that was begun.
    ///
    /// # Shapes
    /// - `[n, ..]`
    /// # Errors
    /// `E0202` when they do not fit it.
    /// # Example
    /// ```rhai
    /// let w = io::npz_writer(io::temp_dir() + "/x.npz");
    /// w.begin("labels", [3], "i64");
    /// w.push(torch::arange(3));
    /// w.finish();
    /// ```
    fn push(writer: NpzWriter, rows: Tensor) -> () { writer.with(|w| w.push(&rows)) }

    /// Adds a whole tensor.
    ///
    /// # Shapes
    /// - any
    /// # Errors
    /// `E0202` for bf16, which numpy lacks.
    /// # Example
    /// ```rhai
    /// let w = io::npz_writer(io::temp_dir() + "/x.npz");
    /// w.add("mu", torch::zeros([4]));
    /// w.finish();
    /// ```
    fn add(writer: NpzWriter, name: String, tensor: Tensor) -> () { writer.with(|w| w.add(&name, &tensor)) }

    /// Ends the archive and gives it its name.
    ///
    /// # Errors
    /// `E0202` when the last array lacks rows.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/x.npz";
    /// io::npz_writer(path).finish();
    /// assert(io::exists(path));
    /// ```
    fn finish(writer: NpzWriter) -> () {
        let taken = writer.0.borrow_mut().take();
        taken.ok_or_else(|| Error::value("npz", "it is finished already"))?.finish()
    }
}
