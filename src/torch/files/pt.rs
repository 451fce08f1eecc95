//! `.pt`, `.pth` and `.ckpt` files: both the zip format and the one before it (PyTorch < 1.6).

use super::pickle::{self, Id, Input, Node, Objects, Storage, Strided};
use super::{byte_len, open, read_tensor};
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A Python object of a checkpoint. Cheap to clone; tensors are read from the file when they are asked for, and those that
/// share a storage in the file share it here.
#[derive(Clone)]
pub struct PtValue {
    file: Rc<PtFile>,
    id: Id,
}

/// What a [`PtValue`] is. Instances of classes are data: their class is a name, nothing is run.
pub enum PtView {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A larger one, little-endian.
    Long(Vec<u8>),
    /// A float.
    Float(f64),
    /// A string.
    Str(Rc<str>),
    /// `bytes`, or a Python 2 string that is no text.
    Bytes(Rc<[u8]>),
    /// A list, tuple or set.
    List(Vec<PtValue>),
    /// A dict, in the order of its keys.
    Dict(Vec<(PtValue, PtValue)>),
    /// A tensor on the CPU.
    Tensor(Tensor),
    /// A class, function or dtype: its dotted name.
    Class(Rc<str>),
    /// An instance of a class: its name, its attributes and items.
    Object(Rc<str>, Vec<(PtValue, PtValue)>),
}

/// Where a storage's bytes lie.
#[derive(Clone, Copy)]
struct Extent {
    offset: u64,
    len: u64,
}

struct PtFile {
    path: PathBuf,
    file: File,
    objects: Objects,
    extents: HashMap<String, Extent>,
    /// Storages that were read, by key: tensors that share one in the file share it in memory.
    loaded: RefCell<HashMap<String, Tensor>>,
}

const LEGACY_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;

/// Reads a PyTorch checkpoint without running any of its code.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is not a checkpoint, is damaged, or is a TorchScript archive.
pub fn read_pt(path: &Path) -> Result<PtValue> {
    let mut file = open(path)?;
    let mut head = [0u8; 4];
    let got = read_start(&mut file, &mut head).map_err(|e| Error::io("read", path, e))?;
    let (file, id) = match &head[..got] {
        [b'P', b'K', 3 | 5, _] => read_zip(path, file, false)?,
        [0x80, 2..=5, ..] => read_legacy(path, file)?,
        _ => return Err(Error::data(path, "not a PyTorch file: it is neither a zip archive nor a pickle")),
    };
    Ok(PtValue { file: Rc::new(file), id })
}

/// The root object of a TorchScript archive, as data: its code is not looked at.
///
/// # Errors
/// As [`read_pt`].
pub(super) fn read_program(path: &Path) -> Result<PtValue> {
    let (file, id) = read_zip(path, open(path)?, true)?;
    Ok(PtValue { file: Rc::new(file), id })
}

fn read_start(file: &mut File, head: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < head.len() {
        match file.read(&mut head[got..])? {
            0 => break,
            n => got += n,
        }
    }
    file.seek(SeekFrom::Start(0))?;
    Ok(got)
}

fn read_zip(path: &Path, file: File, program: bool) -> Result<(PtFile, Id)> {
    let bad = |message: String| Error::data(path, message);
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let reader = BufReader::new(file.try_clone().map_err(|e| Error::io("open", path, e))?);
    let mut zip = zip::ZipArchive::new(reader).map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
    let names = zip.file_names().map(|n| n.map(std::borrow::Cow::into_owned)).collect::<Result<Vec<String>, _>>();
    let names = names.map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
    let pickle = names.iter().find(|n| *n == "data.pkl" || n.ends_with("/data.pkl") && n.matches('/').count() == 1);
    let Some(name) = pickle else { return Err(bad("a zip archive without a `data.pkl`: not a PyTorch checkpoint".into())) };
    let prefix = name.trim_end_matches("data.pkl").to_owned();
    if !program && names.iter().any(|n| *n == format!("{prefix}constants.pkl") || n.starts_with(&format!("{prefix}code/"))) {
        return Err(bad("a TorchScript archive: it holds a program, not only weights".into())
            .help("`models::encoder(\"torchscript:PATH\")` runs one; `torch.save(model.state_dict(), ..)` writes weights"));
    }
    // The pickle is stored as it is by torch.save; decompressing one could fill the memory from a small file.
    let mut extents = HashMap::new();
    let mut main = None;
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
        let Some(name) = names.get(i) else { continue };
        let Some(record) = name.strip_prefix(&prefix) else { continue };
        let (wanted, key) = match record.strip_prefix("data/") {
            Some(key) => (true, key.to_owned()),
            None => (matches!(record, "data.pkl" | "byteorder"), record.to_owned()),
        };
        if !wanted || entry.is_dir() {
            continue;
        }
        if entry.compression() != zip::CompressionMethod::Stored || entry.encrypted() {
            return Err(bad(format!("record `{record}` is compressed or encrypted, which torch.save does not do")));
        }
        let offset = entry.data_start().ok_or_else(|| bad(format!("record `{record}` has no data")))?;
        let extent = Extent { offset, len: entry.size() };
        if offset.checked_add(extent.len).is_none_or(|end| end > len) {
            return Err(bad(format!("record `{record}` lies outside the file: it was cut off")));
        }
        match record {
            "data.pkl" => main = Some(extent),
            "byteorder" => {
                let mut order = [0u8; 3];
                let n = extent.len.min(3) as usize;
                std::os::unix::fs::FileExt::read_exact_at(&file, &mut order[..n], offset).map_err(|e| Error::io("read", path, e))?;
                if &order == b"big" {
                    return Err(bad("it was written on a big-endian machine".into()));
                }
            }
            _ => drop(extents.insert(key, extent)),
        }
    }
    let main = main.ok_or_else(|| bad("a zip archive without a `data.pkl`".into()))?;
    let mut reader = BufReader::new(file.try_clone().map_err(|e| Error::io("open", path, e))?);
    reader.seek(SeekFrom::Start(main.offset)).map_err(|e| Error::io("read", path, e))?;
    let mut objects = Objects::default();
    let id = pickle::read(&mut Input::new(reader, main.len), &mut objects).map_err(bad)?;
    Ok((PtFile { path: path.to_owned(), file, objects, extents, loaded: RefCell::default() }, id))
}

/// Five pickles (magic number, protocol, system, the object, the storages' keys), then each storage behind its length.
fn read_legacy(path: &Path, file: File) -> Result<(PtFile, Id)> {
    let bad = |message: String| Error::data(path, message);
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut input = Input::new(BufReader::new(file.try_clone().map_err(|e| Error::io("open", path, e))?), len);
    let mut objects = Objects::default();
    let magic = pickle::read(&mut input, &mut objects).map_err(|e| bad(format!("not a PyTorch file: {e}")))?;
    if !matches!(objects.get(magic), Node::Long(b) if **b == LEGACY_MAGIC) {
        return Err(bad("a pickle, but not one of PyTorch".into()).help("save tensors with torch.save, safetensors or numpy"));
    }
    let protocol = pickle::read(&mut input, &mut objects).map_err(bad)?;
    if !matches!(objects.get(protocol), Node::Int(LEGACY_PROTOCOL)) {
        return Err(bad("a PyTorch file of an unknown protocol".into()));
    }
    let system = pickle::read(&mut input, &mut objects).map_err(bad)?;
    if let Node::Dict(d) = objects.get(system) {
        let little = d.iter().find(|(k, _)| matches!(objects.get(*k), Node::Str(s) if &**s == "little_endian"));
        if little.is_some_and(|(_, v)| matches!(objects.get(*v), Node::Bool(false))) {
            return Err(bad("it was written on a big-endian machine".into()));
        }
    }
    let id = pickle::read(&mut input, &mut objects).map_err(bad)?;
    let keys = pickle::read(&mut input, &mut objects).map_err(bad)?;
    let Node::List(keys) = objects.get(keys) else { return Err(bad("the list of its storages is missing".into())) };

    let sizes = objects.storages().map_err(bad)?;
    let mut extents = HashMap::new();
    let mut at = input.position();
    for key in keys {
        let Node::Str(key) = objects.get(*key) else { return Err(bad("a storage without a key".into())) };
        let Some(storage) = sizes.get(&**key) else { return Err(bad(format!("storage `{key}` belongs to no tensor: its size is unknown"))) };
        let mut count = [0u8; 8];
        if at.checked_add(8).is_none_or(|end| end > len) {
            return Err(bad(format!("the file ends before storage `{key}`: it was cut off")));
        }
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut count, at).map_err(|e| Error::io("read", path, e))?;
        let width = dtype_of(&storage.class).map_or(1, DType::elt_size_in_bytes) as u64;
        let bytes = u64::from_le_bytes(count).checked_mul(width).filter(|b| at.checked_add(8 + b).is_some_and(|end| end <= len));
        let bytes = bytes.ok_or_else(|| bad(format!("the file ends within storage `{key}`: it was cut off")))?;
        extents.insert(key.to_string(), Extent { offset: at + 8, len: bytes });
        at += 8 + bytes;
    }
    Ok((PtFile { path: path.to_owned(), file, objects, extents, loaded: RefCell::default() }, id))
}

/// The dtype of a storage class (`Float`) or of a dtype's name (`torch.float32`); `None` for those that tensors here lack.
fn dtype_of(name: &str) -> Option<DType> {
    Some(match name.strip_prefix("torch.").unwrap_or(name) {
        "Float" | "float32" => DType::Float,
        "Double" | "float64" => DType::Double,
        "Half" | "float16" => DType::Half,
        "BFloat16" | "bfloat16" => DType::BFloat16,
        "Long" | "int64" => DType::Int64,
        "Int" | "int32" => DType::Int,
        "Short" | "int16" => DType::Int16,
        "Char" | "int8" => DType::Int8,
        "Byte" | "uint8" | "Untyped" => DType::Uint8,
        "Bool" | "bool" => DType::Bool,
        "ComplexFloat" | "complex64" => DType::ComplexFloat,
        "ComplexDouble" | "complex128" => DType::ComplexDouble,
        _ => return None,
    })
}

impl PtFile {
    fn bad(&self, message: impl Into<String>) -> Error {
        Error::data(&self.path, message)
    }

    /// The elements of a whole storage, `[numel]`.
    fn storage(&self, storage: &Storage, dtype: DType) -> Result<Tensor> {
        let name = format!("{}/{}", storage.key, super::super::dtype_name(dtype));
        if let Some(t) = self.loaded.borrow().get(&name) {
            return Ok(t.clone());
        }
        let extent = self.extents.get(&storage.key).ok_or_else(|| self.bad(format!("storage `{}` is missing from the file", storage.key)))?;
        // The record may be longer (padding); it may not be shorter than what the pickle says.
        let width = dtype.elt_size_in_bytes() as u64;
        let claimed = if storage.class == "Untyped" { storage.numel / width } else { storage.numel };
        let have = extent.len / width;
        let numel = if storage.start > 0 { have } else { claimed };
        if numel > have {
            return Err(self.bad(format!("storage `{}` has {have} elements, not {numel}: it was cut off", storage.key)));
        }
        let numel = i64::try_from(numel).map_err(|_| self.bad("a storage is too large"))?;
        let t = read_tensor(&self.file, &self.path, extent.offset, &[numel], dtype)?;
        self.loaded.borrow_mut().insert(name, t.clone());
        Ok(t)
    }

    fn tensor(&self, s: &Strided) -> Result<Tensor> {
        let name = s.dtype.as_deref().unwrap_or(&s.storage.class);
        let dtype = dtype_of(name).ok_or_else(|| self.bad(format!("tensors of type `{name}` are not supported")))?;
        let geometry = || self.bad(format!("a tensor of shape {:?} with strides {:?} at {} is impossible", s.shape, s.stride, s.offset));
        let offset = i64::try_from(s.storage.start).ok().and_then(|start| start.checked_add(s.offset)).filter(|o| *o >= 0).ok_or_else(geometry)?;
        if s.shape.len() != s.stride.len() || s.shape.iter().chain(&s.stride).any(|n| *n < 0) {
            return Err(geometry());
        }
        let bytes = byte_len(&s.shape, dtype).ok_or_else(geometry)?;
        if bytes == 0 {
            return Tensor::zeros(&s.shape, dtype, Device::Cpu);
        }
        let reach = s.shape.iter().zip(&s.stride).try_fold(offset, |at, (n, step)| at.checked_add((n - 1).checked_mul(*step)?));
        let storage = self.storage(&s.storage, dtype)?;
        let numel = storage.numel();
        if reach.and_then(|r| usize::try_from(r).ok()).is_none_or(|last| last >= numel) {
            return Err(self.bad(format!("a tensor of shape {:?} reaches beyond its storage of {numel} elements", s.shape)));
        }
        // A stride of 0 repeats elements without limit; some repetition is legitimate (a saved `expand`).
        const MAX_EXPANDED: usize = 1 << 30;
        if bytes > MAX_EXPANDED && bytes / 64 > numel * dtype.elt_size_in_bytes() {
            return Err(self.bad(format!("a tensor of shape {:?} is stored as {numel} elements", s.shape)));
        }
        let as_list = |x: &[i64]| crate::torch::bridge::Value::from(x);
        crate::torch::bridge::call1("as_strided", &[storage.into(), as_list(&s.shape), as_list(&s.stride), offset.into()], &[])
            .map_err(|e| e.context(self.path.display().to_string()))
    }
}

impl PtValue {
    fn at(&self, id: Id) -> PtValue {
        PtValue { file: self.file.clone(), id }
    }

    /// What tells this object from the others of its file.
    pub(super) fn identity(&self) -> Id {
        self.id
    }

    pub(super) fn node(&self) -> &Node {
        self.file.objects.get(self.id)
    }

    pub(super) fn is_tensor(&self) -> bool {
        matches!(self.node(), Node::Tensor(_))
    }

    /// Its form; a tensor is read from the file.
    ///
    /// # Errors
    /// `E0302` when a tensor's data is missing or does not fit its description.
    pub fn view(&self) -> Result<PtView> {
        Ok(match self.node() {
            Node::None => PtView::None,
            Node::Bool(b) => PtView::Bool(*b),
            Node::Int(i) => PtView::Int(*i),
            Node::Long(b) => PtView::Long(b.to_vec()),
            Node::Float(f) => PtView::Float(*f),
            Node::Str(s) => PtView::Str(s.clone()),
            Node::Bytes(b) => PtView::Bytes(b.clone()),
            Node::Tuple(t) => PtView::List(t.iter().map(|id| self.at(*id)).collect()),
            Node::List(l) => PtView::List(l.iter().map(|id| self.at(*id)).collect()),
            Node::Dict(_) => PtView::Dict(self.entries()),
            Node::Class(c) => PtView::Class(c.clone()),
            Node::Storage(s) => PtView::Class(format!("torch.{}Storage", s.class).into()),
            Node::Tensor(t) => PtView::Tensor(self.file.tensor(t)?),
            Node::Object(o) => PtView::Object(o.class.clone(), self.entries()),
        })
    }

    /// The entries of a dict, or the attributes and items of an object; of anything else none.
    pub fn entries(&self) -> Vec<(PtValue, PtValue)> {
        let of = |pairs: &[(Id, Id)]| pairs.iter().map(|(k, v)| (self.at(*k), self.at(*v))).collect::<Vec<_>>();
        match self.node() {
            Node::Dict(d) => of(d),
            Node::Object(o) => {
                let mut all = of(&o.items);
                if let Some(Node::Dict(d)) = o.state.map(|s| self.file.objects.get(s)) {
                    all.extend(of(d));
                }
                all
            }
            _ => Vec::new(),
        }
    }

    /// The string in it.
    pub fn as_str(&self) -> Option<&str> {
        if let Node::Str(s) = self.node() { Some(s) } else { None }
    }

    /// The value of a key of a dict, or an attribute of an object.
    pub fn get(&self, key: &str) -> Option<PtValue> {
        let id = |pairs: &[(Id, Id)]| pairs.iter().rev().find(|(k, _)| matches!(self.file.objects.get(*k), Node::Str(s) if &**s == key)).map(|p| p.1);
        match self.node() {
            Node::Dict(d) => id(d),
            Node::Object(o) => id(&o.items).or_else(|| match self.file.objects.get(o.state?) {
                Node::Dict(d) => id(d),
                _ => None,
            }),
            _ => None,
        }
        .map(|id| self.at(id))
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}
