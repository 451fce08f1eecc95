//! A checkpoint of `torch.distributed.checkpoint`: a folder with `.metadata`, which says of each tensor which piece lies where, and `.distcp` files,
//! in which the pieces stand one behind the other, each as `torch.save` writes it.
//!
//! Source: torch 2.11, `torch/distributed/checkpoint/metadata.py` and `filesystem.py`. The pickles are read as data; nothing in them is run.

use super::pt::{PtValue, PtView, read_pickle, read_within};
use super::stored::Stored;
use super::{CUT_OFF, Taken, byte_len};
use crate::error::{Error, Result};
use crate::progress::grouped;
use crate::torch::{Device, Tensor};
use indexmap::IndexMap;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

const METADATA: &str = ".metadata";
/// Pieces of one tensor: there is one for each process that wrote.
const MAX_PIECES: usize = 1 << 20;

/// What the folder holds, listed and not yet read.
#[derive(Clone)]
pub struct Distributed {
    folder: PathBuf,
    tensors: IndexMap<String, Whole>,
}

/// A tensor, put together from its pieces.
#[derive(Clone)]
struct Whole {
    /// Where it lies in the state dict: the keys that lead to it, with its own name last.
    place: Vec<String>,
    shape: Vec<i64>,
    dtype: String,
    pieces: Vec<Piece>,
}

#[derive(Clone)]
struct Piece {
    file: PathBuf,
    start: u64,
    len: u64,
    offsets: Vec<i64>,
    sizes: Vec<i64>,
}

impl Distributed {
    /// Whether a folder is such a checkpoint, or what is left of one.
    pub fn is_here(folder: &Path) -> bool {
        folder.join(METADATA).is_file() || folder.join("__0_0.distcp").is_file()
    }

    /// Lists the tensors of a folder.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when `.metadata` is missing, damaged, or names pieces that do not make whole tensors.
    pub fn open(folder: &Path) -> Result<Distributed> {
        let path = folder.join(METADATA);
        if !path.is_file() {
            return Err(Error::data(folder, "a torch.distributed checkpoint without its `.metadata`: it was not finished, or not copied whole")
                .help("copy the whole folder, with the file whose name begins with a dot"));
        }
        let root = read_pickle(&path)?;
        let bad = |message: String| Error::data(&path, message);
        let needed =
            |key: &str| root.get(key).ok_or_else(|| bad(format!("not the description of a torch.distributed checkpoint: it has no `{key}`")));
        let pieces = stored_pieces(folder, &path, &needed("storage_data")?)?;
        let places: HashMap<String, Vec<String>> = root.get("planner_data").map(|p| places(&p)).unwrap_or_default();
        let mut tensors = IndexMap::new();
        for (name, entry) in needed("state_dict_metadata")?.entries() {
            // What is no tensor (steps, settings) has no size.
            let (Some(name), Some(size), Some(chunks)) = (name.as_str(), entry.get("size"), entry.get("chunks")) else { continue };
            let whole = whole(name, &entry, &size, &chunks, &pieces, places.get(name)).map_err(|e| bad(format!("`{name}`: {e}")))?;
            tensors.insert(name.to_owned(), whole);
        }
        Ok(Distributed { folder: folder.to_owned(), tensors })
    }

    /// The dicts of tensors in it, by the dotted place of each, with the tensors' own names and sizes: as a checkpoint of one file would hold them.
    pub fn parts(&self) -> IndexMap<String, Vec<(String, Vec<i64>)>> {
        let mut out: IndexMap<String, Vec<(String, Vec<i64>)>> = IndexMap::new();
        for whole in self.tensors.values() {
            let (name, above) = whole.place.split_last().map_or(("", &[][..]), |(n, a)| (n.as_str(), a));
            out.entry(above.join(".")).or_default().push((name.to_owned(), whole.shape.clone()));
        }
        out
    }

    /// Reads the tensors of the part at that place whose names are `wanted`, on the CPU.
    ///
    /// # Errors
    /// `E0301` when a file cannot be read, `E0302` when it is damaged or a piece is not what `.metadata` says.
    pub fn read(&self, part: &str, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
        let mut out = Taken::default();
        for whole in self.tensors.values() {
            let Some((name, above)) = whole.place.split_last() else { continue };
            if above.join(".") != part || !wanted(name) {
                continue;
            }
            match Stored::of_torch(&whole.dtype) {
                None => out.unread.push((name.clone(), whole.dtype.clone())),
                Some(stored) => drop(out.tensors.insert(name.clone(), self.whole(name, whole, stored)?)),
            }
        }
        Ok(out)
    }

    fn file_of<'a>(&self, name: &str, piece: &'a Piece) -> Result<&'a Path> {
        if piece.file.is_file() {
            return Ok(&piece.file);
        }
        let file = piece.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Err(Error::data(&self.folder, format!("`{file}` is missing, which holds a piece of `{name}`"))
            .help("copy the files of all processes into the folder"))
    }

    fn whole(&self, name: &str, whole: &Whole, stored: Stored) -> Result<Tensor> {
        crate::interrupt::check()?;
        let bad = |file: &Path, message: String| Error::data(file, format!("`{name}`: {message}"));
        let read = |piece: &Piece| -> Result<Tensor> {
            match read_within(self.file_of(name, piece)?, piece.start, piece.len)?.view()? {
                PtView::Tensor(t) if t.shape() == piece.sizes => Ok(t),
                PtView::Tensor(t) => Err(bad(&piece.file, format!("its piece is {}, not {:?}", t.describe(), piece.sizes))),
                _ => Err(bad(&piece.file, "its piece is no tensor".into())),
            }
        };
        if let [piece] = whole.pieces.as_slice()
            && piece.sizes == whole.shape
        {
            return read(piece);
        }
        // Before memory is taken for what a few bytes name.
        for piece in &whole.pieces {
            let there = self.file_of(name, piece)?.metadata().map_err(|e| Error::io("read", &piece.file, e))?.len();
            let bytes = byte_len(&piece.sizes, stored.raw());
            if piece.start.checked_add(piece.len).is_none_or(|end| end > there) || bytes.is_none_or(|n| n as u64 > piece.len) {
                return Err(bad(&piece.file, format!("was cut off: the piece of {:?} is not in its {} bytes", piece.sizes, grouped(there, ' ')))
                    .help(CUT_OFF));
            }
        }
        let out = Tensor::zeros(&whole.shape, stored.dtype(), Device::Cpu)?;
        for piece in &whole.pieces {
            let mut at = out.clone();
            for (dim, (offset, size)) in piece.offsets.iter().zip(&piece.sizes).enumerate() {
                at = at.narrow(dim as i64, *offset, *size)?;
            }
            at.copy_(&read(piece)?)?;
        }
        Ok(out)
    }
}

/// Tensor and offsets of each piece, with its file, where it begins there and its length.
type Pieces = HashMap<(String, Vec<i64>), (PathBuf, u64, u64)>;

/// Where each piece lies, by the tensor's name and the piece's offsets.
fn stored_pieces(folder: &Path, path: &Path, data: &PtValue) -> Result<Pieces> {
    let bad = |message: String| Error::data(path, message);
    let mut out = HashMap::new();
    for (index, info) in data.entries() {
        let Some(name) = index.get("fqn").and_then(|n| n.as_str().map(str::to_owned)) else { continue };
        // Values that are no tensors have no offset.
        let Some(offset) = index.get("offset").and_then(|o| sizes(&o)) else { continue };
        let file =
            info.get("relative_path").and_then(|p| p.as_str().map(str::to_owned)).ok_or_else(|| bad(format!("no file is named for `{name}`")))?;
        // Pieces lie beside `.metadata`; anything else would read files that nobody named.
        if !matches!(Path::new(&file).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            return Err(bad(format!("`{file}` is no name of a file in the folder")));
        }
        if info.get("transform_descriptors").is_some_and(|t| !t.entries().is_empty() || items(&t).is_some_and(|i| !i.is_empty())) {
            return Err(bad(format!("the pieces of `{name}` are transformed (compressed by an extension), which is not read")));
        }
        let (Some(start), Some(len)) = (info.get("offset").and_then(|n| whole_number(&n)), info.get("length").and_then(|n| whole_number(&n))) else {
            return Err(bad(format!("no place is named for `{name}`")));
        };
        out.insert((name, offset), (folder.join(file), start, len));
    }
    Ok(out)
}

/// The keys that lead to each tensor, by its flat name.
fn places(planner: &PtValue) -> HashMap<String, Vec<String>> {
    let place = |(name, path): (PtValue, PtValue)| {
        let keys = items(&path)?.iter().map(key).collect::<Option<Vec<_>>>().filter(|k| !k.is_empty())?;
        Some((name.as_str()?.to_owned(), keys))
    };
    planner.entries().into_iter().filter_map(place).collect()
}

fn whole(name: &str, entry: &PtValue, size: &PtValue, chunks: &PtValue, known: &Pieces, place: Option<&Vec<String>>) -> Result<Whole, String> {
    let shape = sizes(size).ok_or("its size is malformed")?;
    // `TensorProperties` keeps its state as a tuple, the dtype first.
    let properties = entry.get("properties").ok_or("it has no dtype")?;
    let dtype = properties.state().and_then(|s| items(&s)?.first().and_then(class)).or_else(|| properties.get("dtype").and_then(|d| class(&d)));
    let dtype = dtype.ok_or("it has no dtype")?;
    let chunks = items(chunks).filter(|c| c.len() <= MAX_PIECES).ok_or("its list of pieces is malformed")?;
    let mut pieces = Vec::with_capacity(chunks.len());
    let mut elements = 0usize;
    for chunk in chunks {
        let part = |key: &str| chunk.get(key).and_then(|v| sizes(&v)).filter(|s| s.len() == shape.len());
        let (offsets, sizes) = part("offsets").zip(part("sizes")).ok_or("a piece is malformed")?;
        let inside = offsets.iter().zip(&sizes).zip(&shape).all(|((o, s), n)| o.checked_add(*s).is_some_and(|end| end <= *n));
        let bytes = byte_len(&sizes, crate::torch::DType::Uint8).filter(|_| inside).ok_or("a piece lies outside of it")?;
        elements = elements.checked_add(bytes).ok_or("its pieces are too large")?;
        if bytes == 0 {
            continue;
        }
        let (file, start, len) = known.get(&(name.to_owned(), offsets.clone())).ok_or("no file is named for a piece of it")?.clone();
        pieces.push(Piece { file, start, len, offsets, sizes });
    }
    if Some(elements) != byte_len(&shape, crate::torch::DType::Uint8) {
        return Err(format!("its pieces have {elements} elements, which is not its size {shape:?}"));
    }
    // As many elements as it has, and none twice: then the pieces cover it.
    if overlap(&mut pieces) {
        return Err("two of its pieces lie over each other".into());
    }
    Ok(Whole { place: place.cloned().unwrap_or_else(|| vec![name.to_owned()]), shape, dtype, pieces })
}

/// Whether two pieces hold the same element; they are in order of their first offset then.
fn overlap(pieces: &mut [Piece]) -> bool {
    pieces.sort_by(|a, b| a.offsets.cmp(&b.offsets));
    let end = |p: &Piece, dim: usize| p.offsets[dim] + p.sizes[dim];
    let meet = |a: &Piece, b: &Piece| (0..a.offsets.len()).all(|d| a.offsets[d] < end(b, d) && b.offsets[d] < end(a, d));
    // Those whose rows may reach into those of the next.
    let mut open: Vec<&Piece> = Vec::new();
    for piece in pieces.iter() {
        open.retain(|p| !p.offsets.is_empty() && end(p, 0) > piece.offsets[0]);
        if open.iter().any(|p| meet(p, piece)) {
            return true;
        }
        open.push(piece);
    }
    false
}

fn items(value: &PtValue) -> Option<Vec<PtValue>> {
    match value.view().ok()? {
        PtView::List(l) => Some(l),
        _ => None,
    }
}

fn sizes(value: &PtValue) -> Option<Vec<i64>> {
    items(value)?.iter().map(|v| if let Ok(PtView::Int(i)) = v.view() { Some(i).filter(|i| *i >= 0) } else { None }).collect()
}

fn whole_number(value: &PtValue) -> Option<u64> {
    if let Ok(PtView::Int(i)) = value.view() { u64::try_from(i).ok() } else { None }
}

fn key(value: &PtValue) -> Option<String> {
    match value.view().ok()? {
        PtView::Str(s) => Some(s.to_string()),
        PtView::Int(i) => Some(i.to_string()),
        _ => None,
    }
}

fn class(value: &PtValue) -> Option<String> {
    if let Ok(PtView::Class(c)) = value.view() { Some(c.to_string()) } else { None }
}
