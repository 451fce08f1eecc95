//! `.pt`, `.pth` and `.ckpt` files: both the zip format and the one before it (PyTorch < 1.6).

use super::foreign::piece_of_distributed;
use super::pickle::{self, Id, Input, Node, Objects, Storage, Strided};
use super::slice::{Slice, Window};
use super::stored::Stored;
use super::{CUT_OFF, FillError, MAX_RATIO, byte_len, fill_tensor, instead_of, open, read_growing, read_tensor};
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
    /// Its number in the archive, where it is compressed there.
    packed: Option<usize>,
}

/// An archive whose compressed records are read when they are asked for. All files that others made with `zip` are so.
type Archive = RefCell<zip::ZipArchive<Slice>>;

struct PtFile {
    path: PathBuf,
    file: File,
    objects: Objects,
    extents: HashMap<String, Extent>,
    /// For the compressed records.
    archive: Option<Archive>,
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
    if let Some(e) = piece_of_distributed(path) {
        return Err(e);
    }
    let mut head = [0u8; 4];
    let got = read_start(&mut file, &mut head).map_err(|e| Error::io("read", path, e))?;
    let (file, id) = match &head[..got] {
        [b'P', b'K', 3 | 5, _] => {
            let window = Window { start: 0, len: length(path, &file)? };
            read_zip(path, file, window, Holds::Checkpoint)?
        }
        // Protocols 0 and 1 have no mark of their own: the magic number comes first, in digits.
        [0x80, 2..=5, ..] | [b'L', b'1', b'1', b'9'] => read_legacy(path, file)?,
        _ => {
            let other = || Error::data(path, "not a PyTorch file: it is neither a zip archive nor a pickle");
            return Err(instead_of(path, "a PyTorch file").unwrap_or_else(other));
        }
    };
    Ok(PtValue { file: Rc::new(file), id })
}

/// The object of an archive that lies within a file, as a distributed checkpoint holds each of its pieces.
///
/// # Errors
/// As [`read_pt`].
pub(super) fn read_within(path: &Path, start: u64, len: u64) -> Result<PtValue> {
    let file = open(path)?;
    if start.checked_add(len).is_none_or(|end| length(path, &file).is_ok_and(|have| end > have)) {
        return Err(Error::data(path, format!("was cut off: the piece of {len} bytes at {start} is not there")).help(CUT_OFF));
    }
    let (file, id) = read_zip(path, file, Window { start, len }, Holds::Checkpoint)?;
    Ok(PtValue { file: Rc::new(file), id })
}

/// The object of a bare pickle, which refers to no storages.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is no pickle.
pub(super) fn read_pickle(path: &Path) -> Result<PtValue> {
    let file = open(path)?;
    let len = length(path, &file)?;
    let mut objects = Objects::default();
    let reader = BufReader::new(file.try_clone().map_err(|e| Error::io("open", path, e))?);
    let id = pickle::read(&mut Input::new(reader, len), &mut objects).map_err(|e| Error::data(path, format!("a damaged pickle: {e}")))?;
    let file = PtFile { path: path.to_owned(), file, objects, extents: HashMap::new(), archive: None, loaded: RefCell::default() };
    Ok(PtValue { file: Rc::new(file), id })
}

/// What is wrong with a file; one that ends within its pickle was cut off.
fn damaged(path: &Path, message: String) -> Error {
    let cut = message.contains("ends too early");
    let e = Error::data(path, message);
    if cut { e.help(CUT_OFF) } else { e }
}

fn length(path: &Path, file: &File) -> Result<u64> {
    file.metadata().map(|m| m.len()).map_err(|e| Error::io("read", path, e))
}

/// The root object of a TorchScript archive, as data: its code is not looked at.
///
/// # Errors
/// As [`read_pt`].
pub(super) fn read_program(path: &Path) -> Result<PtValue> {
    read_program_part(path, open(path)?, "data")
}

/// One of the objects of a TorchScript archive that is open: `data`, its module, or `constants`, what its code refers to.
///
/// # Errors
/// As [`read_pt`].
pub(super) fn read_program_part(path: &Path, file: File, part: &'static str) -> Result<PtValue> {
    let window = Window { start: 0, len: length(path, &file)? };
    let (file, id) = read_zip(path, file, window, Holds::Program(part))?;
    Ok(PtValue { file: Rc::new(file), id })
}

/// What an archive is read as.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Checkpoint,
    /// A program, of which one pickle is read, with the storages in the folder of its name.
    Program(&'static str),
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

fn read_zip(path: &Path, file: File, window: Window, holds: Holds) -> Result<(PtFile, Id)> {
    let bad = |message: String| damaged(path, message);
    let other = || instead_of(path, "a PyTorch file");
    let slice = Slice::new(&file, window).map_err(|e| Error::io("read", path, e))?;
    let mut zip = zip::ZipArchive::new(slice).map_err(|e| other().unwrap_or_else(|| bad(format!("a damaged zip archive: {e}"))))?;
    let names = zip.file_names().map(|n| n.map(std::borrow::Cow::into_owned)).collect::<Result<Vec<String>, _>>();
    let names = names.map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
    let part = if let Holds::Program(part) = holds { part } else { "data" };
    let (folder, main_name) = (format!("{part}/"), format!("{part}.pkl"));
    let is_root = |root: &&str| root.is_empty() || root.ends_with('/') && root.matches('/').count() == 1;
    let Some(prefix) = names.iter().find_map(|n| n.strip_suffix(&*main_name).filter(is_root)).map(str::to_owned) else {
        return Err(other().unwrap_or_else(|| bad(format!("a zip archive without a `{main_name}`: not a PyTorch checkpoint"))));
    };
    if holds == Holds::Checkpoint && names.iter().any(|n| *n == format!("{prefix}constants.pkl") || n.starts_with(&format!("{prefix}code/"))) {
        return Err(bad("a TorchScript archive: it holds a program, not only weights".into())
            .help("`models::encoder(\"torchscript:PATH\")` runs one; `torch.save(model.state_dict(), ..)` writes weights"));
    }
    let mut extents = HashMap::new();
    let (mut main, mut any_packed) = (None, false);
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
        let Some(name) = names.get(i) else { continue };
        let Some(record) = name.strip_prefix(&prefix) else { continue };
        let (wanted, key) = match record.strip_prefix(&*folder) {
            Some(key) => (true, key.to_owned()),
            None => (record == main_name || record == "byteorder", record.to_owned()),
        };
        if !wanted || entry.is_dir() {
            continue;
        }
        let packed = match entry.compression() {
            zip::CompressionMethod::Stored => None,
            zip::CompressionMethod::Deflated => Some(i),
            other => return Err(bad(format!("record `{record}` is compressed by {other}")).help("unpack it, and pack it with `zip -0 -r`")),
        };
        if entry.encrypted() {
            return Err(bad(format!("record `{record}` is encrypted")));
        }
        let offset = entry.data_start().ok_or_else(|| bad(format!("record `{record}` has no data")))?;
        let len = entry.size();
        let stored = if packed.is_some() { entry.compressed_size() } else { len };
        if offset.checked_add(stored).is_none_or(|end| end > window.len) {
            return Err(bad(format!("record `{record}` lies outside the file: it was cut off")).help(CUT_OFF));
        }
        if packed.is_some() && len > stored.saturating_mul(MAX_RATIO) {
            return Err(bad(format!("record `{record}` claims more data than it can hold")));
        }
        any_packed |= packed.is_some();
        let extent = Extent { offset: window.start + offset, len, packed };
        match record {
            _ if record == main_name => main = Some(extent),
            "byteorder" => {
                drop(entry);
                let order = record_bytes(path, &file, &mut zip, extent, 3)?;
                if order == b"big" {
                    return Err(bad("it was written on a big-endian machine".into()));
                }
            }
            _ => drop(extents.insert(key, extent)),
        }
    }
    let main = main.ok_or_else(|| bad(format!("a zip archive without a `{main_name}`")))?;
    let mut objects = Objects::default();
    let id = match main.packed {
        // Decompressing one could fill the memory from a small file.
        Some(_) if main.len > MAX_PACKED_PICKLE => {
            return Err(bad(format!("its compressed `{main_name}` has {} bytes, more than any checkpoint", main.len)));
        }
        Some(i) => {
            let entry = zip.by_index(i).map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
            let mut reader = BufReader::new(entry);
            let id = pickle::read(&mut Input::new(&mut reader, main.len), &mut objects);
            // At its end the record compares its checksum.
            std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| bad(format!("a damaged zip archive: {e}")))?;
            id
        }
        None => {
            let mut reader = BufReader::new(file.try_clone().map_err(|e| Error::io("open", path, e))?);
            reader.seek(SeekFrom::Start(main.offset)).map_err(|e| Error::io("read", path, e))?;
            pickle::read(&mut Input::new(reader, main.len), &mut objects)
        }
    };
    let id = id.map_err(bad)?;
    let archive = any_packed.then(|| RefCell::new(zip));
    Ok((PtFile { path: path.to_owned(), file, objects, extents, archive, loaded: RefCell::default() }, id))
}

/// More than the pickle of any checkpoint takes.
const MAX_PACKED_PICKLE: u64 = 256 << 20;

/// The first bytes of a record, at most `most`.
fn record_bytes(path: &Path, file: &File, zip: &mut zip::ZipArchive<Slice>, extent: Extent, most: u64) -> Result<Vec<u8>> {
    let io = |e| Error::io("read", path, e);
    let mut out = Vec::new();
    match extent.packed {
        Some(i) => {
            let entry = zip.by_index(i).map_err(|e| Error::data(path, format!("a damaged zip archive: {e}")))?;
            entry.take(most).read_to_end(&mut out).map_err(io)?;
        }
        None => {
            out.resize(extent.len.min(most) as usize, 0);
            std::os::unix::fs::FileExt::read_exact_at(file, &mut out, extent.offset).map_err(io)?;
        }
    }
    Ok(out)
}

/// Five pickles (magic number, protocol, system, the object, the storages' keys), then each storage behind its length.
fn read_legacy(path: &Path, file: File) -> Result<(PtFile, Id)> {
    let bad = |message: String| damaged(path, message);
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
            return Err(bad(format!("the file ends before storage `{key}`: it was cut off")).help(CUT_OFF));
        }
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut count, at).map_err(|e| Error::io("read", path, e))?;
        let width = Stored::of_torch(&storage.class).map_or(1, |s| s.raw().elt_size_in_bytes()) as u64;
        let bytes =
            u64::from_le_bytes(count).checked_mul(width).filter(|b| b.checked_add(8).and_then(|n| at.checked_add(n)).is_some_and(|end| end <= len));
        let bytes = bytes.ok_or_else(|| bad(format!("the file ends within storage `{key}`: it was cut off")).help(CUT_OFF))?;
        extents.insert(key.to_string(), Extent { offset: at + 8, len: bytes, packed: None });
        at += 8 + bytes;
    }
    Ok((PtFile { path: path.to_owned(), file, objects, extents, archive: None, loaded: RefCell::default() }, id))
}

impl PtFile {
    fn bad(&self, message: impl Into<String>) -> Error {
        Error::data(&self.path, message)
    }

    /// The elements of a whole storage, `[numel]`.
    fn storage(&self, storage: &Storage, dtype: DType) -> Result<Tensor> {
        let name = format!("{}/{dtype:?}", storage.key);
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
            return Err(self.bad(format!("storage `{}` has {have} elements, not {numel}: it was cut off", storage.key)).help(CUT_OFF));
        }
        let numel = i64::try_from(numel).map_err(|_| self.bad("a storage is too large"))?;
        let t = match extent.packed {
            Some(i) => self.unpacked(i, numel, dtype)?,
            None => read_tensor(&self.file, &self.path, extent.offset, &[numel], dtype)?,
        };
        self.loaded.borrow_mut().insert(name, t.clone());
        Ok(t)
    }

    /// The elements of a compressed record.
    fn unpacked(&self, index: usize, numel: i64, dtype: DType) -> Result<Tensor> {
        let damaged = |e: zip::result::ZipError| self.bad(format!("a damaged zip archive: {e}"));
        let archive = self.archive.as_ref().ok_or_else(|| self.bad("a compressed record without an archive"))?;
        let mut archive = archive.try_borrow_mut().map_err(|_| self.bad("the archive is being read"))?;
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let len = byte_len(&[numel], dtype).ok_or_else(|| self.bad("a storage is too large"))?;
        let data = read_growing(&mut entry, len).map_err(|e| FillError::Io(e).into_error(&self.path))?;
        // At its end the entry compares its checksum.
        let _rest = std::io::copy(&mut entry, &mut std::io::sink()).map_err(|e| FillError::Io(e).into_error(&self.path))?;
        let fill = |buffer: &mut [u8]| {
            buffer.copy_from_slice(&data);
            Ok(())
        };
        fill_tensor(&[numel], dtype, len, fill).map_err(|e| e.into_error(&self.path))
    }

    fn tensor(&self, s: &Strided) -> Result<Tensor> {
        let name = s.type_name();
        let stored = Stored::of_torch(name).ok_or_else(|| self.bad(format!("tensors of type `{name}` are not supported")))?;
        let dtype = stored.raw();
        let geometry = || self.bad(format!("a tensor of shape {:?} with strides {:?} at {} is impossible", s.shape, s.stride, s.offset));
        let offset = i64::try_from(s.storage.start).ok().and_then(|start| start.checked_add(s.offset)).filter(|o| *o >= 0).ok_or_else(geometry)?;
        if s.shape.len() != s.stride.len() || s.shape.iter().chain(&s.stride).any(|n| *n < 0) {
            return Err(geometry());
        }
        let bytes = byte_len(&s.shape, dtype).ok_or_else(geometry)?;
        if bytes == 0 {
            return Tensor::zeros(&s.shape, stored.dtype(), Device::Cpu);
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
            .and_then(|t| stored.finish(t))
            .map_err(|e| e.context(self.path.display().to_string()))
    }
}

impl PtValue {
    /// Another object of the same pickle.
    pub(super) fn at(&self, id: Id) -> PtValue {
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

    /// What the state of an object was restored from, where that is no dict.
    pub(super) fn state(&self) -> Option<PtValue> {
        if let Node::Object(o) = self.node() { o.state.map(|id| self.at(id)) } else { None }
    }

    /// The file it came from.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}
