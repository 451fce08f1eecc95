//! Writing `.pt` files: the zip format of `torch.save`, with nothing in it that `torch.load(weights_only=True)` refuses.

use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, Tensor, dtype_name};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;

/// What a `.pt` file can be made of.
pub enum PtItem {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An int.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<PtItem>),
    /// A dict, in this order.
    Dict(Vec<(String, PtItem)>),
    /// A tensor; a handle to one that came before is written as a reference to it.
    Tensor(Tensor),
}

/// `torch.load` reads deeper ones, but its own recursion has an end.
const MAX_DEPTH: usize = 200;
/// torch.save begins each record's data at a multiple of this, so that it can be mapped.
const ALIGNMENT: u16 = 64;
/// A record from this size on needs the zip format's 64-bit fields.
const LARGE: u64 = u32::MAX as u64;

/// Writes a checkpoint that PyTorch reads; the file appears whole or not at all. A state dict is a [`PtItem::Dict`] of tensors.
///
/// # Errors
/// `E0301` when it cannot be written, `E0202` for a tensor type that PyTorch's files lack, or values nested too deeply.
pub fn write_pt(path: &Path, item: &PtItem) -> Result<()> {
    let mut pickle = Pickle::default();
    pickle.bytes.extend(b"\x80\x02");
    pickle.item(item, 0)?;
    pickle.bytes.push(b'.');
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let root: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let root = if root.is_empty() { "archive".to_owned() } else { root };
    files::write_atomic(path, |out| {
        let io = |e: std::io::Error| Error::io("write", path, e);
        let mut zip = zip::ZipWriter::new(out);
        let mut add = |record: &str, data: &[u8]| {
            let options = SimpleFileOptions::default()
                .compression_method(zip::CompressionMethod::Stored)
                .with_alignment(ALIGNMENT)
                .large_file(data.len() as u64 >= LARGE);
            zip.start_file(format!("{root}/{record}"), options).map_err(|e| io(e.into()))?;
            zip.write_all(data).map_err(io)
        };
        add("data.pkl", &pickle.bytes)?;
        add("byteorder", b"little")?;
        for (key, tensor) in pickle.storages.iter().enumerate() {
            add(&format!("data/{key}"), &tensor.to_bytes()?)?;
        }
        add("version", b"3\n")?;
        zip.finish().map_err(|e| io(e.into())).map(|_| ())
    })
}

#[derive(Default)]
struct Pickle {
    bytes: Vec<u8>,
    storages: Vec<Tensor>,
    /// By [`Tensor::id`]: the place in the memo.
    known: HashMap<(usize, Vec<i64>, Vec<i64>), u32>,
}

impl Pickle {
    fn item(&mut self, item: &PtItem, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::value("save", "the values are nested too deeply"));
        }
        match item {
            PtItem::None => self.bytes.push(b'N'),
            PtItem::Bool(b) => self.bytes.push(if *b { 0x88 } else { 0x89 }),
            PtItem::Int(i) => self.int(*i),
            PtItem::Float(f) => {
                self.bytes.push(b'G');
                self.bytes.extend(f.to_be_bytes());
            }
            PtItem::Str(s) => self.string(s)?,
            PtItem::List(items) => {
                self.bytes.extend(b"](");
                items.iter().try_for_each(|i| self.item(i, depth + 1))?;
                self.bytes.push(b'e');
            }
            PtItem::Dict(entries) => {
                self.bytes.extend(b"}(");
                for (key, value) in entries {
                    self.string(key)?;
                    self.item(value, depth + 1)?;
                }
                self.bytes.push(b'u');
            }
            PtItem::Tensor(t) => self.tensor(t)?,
        }
        Ok(())
    }

    fn int(&mut self, i: i64) {
        match i32::try_from(i) {
            Ok(i) => {
                self.bytes.push(b'J');
                self.bytes.extend(i.to_le_bytes());
            }
            Err(_) => {
                self.bytes.extend(b"\x8a\x08");
                self.bytes.extend(i.to_le_bytes());
            }
        }
    }

    fn string(&mut self, s: &str) -> Result<()> {
        let len = u32::try_from(s.len()).map_err(|_| Error::value("save", "a string is longer than 4 GB"))?;
        self.bytes.push(b'X');
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(s.as_bytes());
        Ok(())
    }

    fn sizes(&mut self, sizes: &[i64]) {
        self.bytes.push(b'(');
        sizes.iter().for_each(|n| self.int(*n));
        self.bytes.push(b't');
    }

    /// `torch._utils._rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict())`, contiguous whatever it was in memory.
    fn tensor(&mut self, t: &Tensor) -> Result<()> {
        let id = t.id();
        if let Some(place) = self.known.get(&id).filter(|_| t.numel() > 0) {
            self.bytes.push(b'j');
            self.bytes.extend(place.to_le_bytes());
            return Ok(());
        }
        let class = storage_class(t.dtype())
            .ok_or_else(|| Error::value("save", format!("PyTorch files have no storage of dtype {}", dtype_name(t.dtype()))))?;
        let shape = t.shape();
        let numel = i64::try_from(t.numel()).map_err(|_| Error::value("save", "a tensor is too large"))?;
        self.bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        self.string("storage")?;
        self.bytes.extend(format!("ctorch\n{class}\n").as_bytes());
        self.string(&self.storages.len().to_string())?;
        self.string("cpu")?;
        self.int(numel);
        self.bytes.extend(b"tQ");
        self.int(0);
        self.sizes(&shape);
        let mut stride = vec![1i64; shape.len()];
        for i in (1..shape.len()).rev() {
            stride[i - 1] =
                stride[i].checked_mul(shape[i].max(1)).ok_or_else(|| Error::value("save", format!("no file holds the sizes {shape:?}")))?;
        }
        self.sizes(&stride);
        self.bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        let place = u32::try_from(self.known.len()).map_err(|_| Error::value("save", "too many tensors"))?;
        self.bytes.push(b'r');
        self.bytes.extend(place.to_le_bytes());
        self.known.insert(id, place);
        self.storages.push(t.clone());
        Ok(())
    }
}

fn storage_class(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Float => "FloatStorage",
        DType::Double => "DoubleStorage",
        DType::Half => "HalfStorage",
        DType::BFloat16 => "BFloat16Storage",
        DType::Int64 => "LongStorage",
        DType::Int => "IntStorage",
        DType::Int16 => "ShortStorage",
        DType::Int8 => "CharStorage",
        DType::Uint8 => "ByteStorage",
        DType::Bool => "BoolStorage",
        DType::ComplexFloat => "ComplexFloatStorage",
        DType::ComplexDouble => "ComplexDoubleStorage",
        _ => return None,
    })
}
