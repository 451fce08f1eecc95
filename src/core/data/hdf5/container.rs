//! The HDF5 library: the only file that names it.

use super::{Entry, Kind};
use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, Tensor};
use hdf5_metno as hdf5;
use hdf5_metno::types::{FloatSize, IntSize, TypeDescriptor, VarLenAscii, VarLenUnicode};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Groups nested deeper than this are refused: a group may contain itself.
const MAX_DEPTH: usize = 8;
/// More keys than any container of pictures has.
const MAX_ENTRIES: usize = 50_000_000;
/// No filter compresses better than deflate at its best.
const MAX_RATIO: u64 = 1100;
/// A picture or a latent needs less.
const MAX_BYTES: u64 = 1 << 30;

/// An open container with the list of its data sets.
#[derive(Debug)]
pub(crate) struct Container {
    path: PathBuf,
    file: hdf5::File,
    /// Bytes that lie in one piece are read here: past the library's lock, and as they are. The library cuts the NULs at the end of a string
    /// or takes them for its end, and a PNG file ends with bytes of any value.
    raw: std::fs::File,
    entries: BTreeMap<String, Entry>,
}

fn refused(path: &Path, e: &hdf5::Error) -> Error {
    let text = e.to_string();
    if text.contains("truncated") {
        return Error::data(path, format!("the file is truncated: {text}")).help("fetch this file again");
    }
    Error::data(path, format!("not an HDF5 file that can be read: {text}"))
}

/// The library's own lock is left out: a child process that is started meanwhile inherits it, and network file systems refuse it. Containers
/// appear by rename and are never written in place.
fn options() -> hdf5::FileBuilder {
    let mut options = hdf5::File::with_options();
    options.with_fapl(|access| access.file_locking(false));
    options
}

fn kind_of(dtype: &hdf5::Datatype) -> Kind {
    let Ok(descriptor) = dtype.to_descriptor() else {
        return Kind::Bytes;
    };
    match descriptor {
        TypeDescriptor::Boolean => Kind::Number(DType::Bool),
        TypeDescriptor::Unsigned(IntSize::U1) => Kind::Number(DType::Uint8),
        TypeDescriptor::Integer(IntSize::U1) => Kind::Number(DType::Int8),
        TypeDescriptor::Integer(IntSize::U2) => Kind::Number(DType::Int16),
        TypeDescriptor::Integer(IntSize::U4) | TypeDescriptor::Unsigned(IntSize::U2) => Kind::Number(DType::Int),
        TypeDescriptor::Integer(IntSize::U8) | TypeDescriptor::Unsigned(IntSize::U4) => Kind::Number(DType::Int64),
        TypeDescriptor::Float(FloatSize::U4) => Kind::Number(DType::Float),
        TypeDescriptor::Float(FloatSize::U8) => Kind::Number(DType::Double),
        TypeDescriptor::FixedAscii(_) | TypeDescriptor::FixedUnicode(_) => Kind::Bytes,
        TypeDescriptor::VarLenAscii | TypeDescriptor::VarLenUnicode => Kind::Text,
        other => Kind::Other(other.to_string()),
    }
}

fn entry(set: &hdf5::Dataset) -> hdf5::Result<Entry> {
    let (dtype, shape) = (set.dtype()?, set.get_shape()?);
    let count = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64)).unwrap_or(u64::MAX);
    let bytes = count.saturating_mul(dtype.size() as u64);
    Ok(Entry { bytes, shape, kind: kind_of(&dtype), offset: set.offset() })
}

impl Container {
    /// Opens a container and lists its data sets. Links into other files are not followed.
    ///
    /// # Errors
    /// `E0301` when it cannot be opened, `E0302` when it is truncated or not HDF5.
    pub(crate) fn open(path: &Path) -> Result<Container> {
        let raw = files::open(path)?;
        let file = options().open(files::through(&raw)).map_err(|e| refused(path, &e))?;
        let mut container = Container { path: path.to_owned(), file, raw, entries: BTreeMap::new() };
        let mut todo = vec![(String::new(), 0)];
        while let Some((group, depth)) = todo.pop() {
            container.list(&group, depth, &mut todo)?;
        }
        Ok(container)
    }

    fn list(&mut self, name: &str, depth: usize, todo: &mut Vec<(String, usize)>) -> Result<()> {
        let bad = |e: hdf5::Error| refused(&self.path, &e);
        if depth > MAX_DEPTH {
            return Err(Error::data(&self.path, format!("groups are nested more than {MAX_DEPTH} deep at `{name}`")));
        }
        let group = if name.is_empty() { self.file.group("/") } else { self.file.group(name) }.map_err(bad)?;
        for (link, info) in group.links(hdf5::IndexType::default(), hdf5::IterationOrder::default()).map_err(bad)? {
            crate::interrupt::check()?;
            if info.link_type != hdf5::LinkType::Hard {
                continue;
            }
            let key = if name.is_empty() { link.clone() } else { format!("{name}/{link}") };
            match group.loc_type_by_name(&link).map_err(bad)? {
                hdf5::LocationType::Group => todo.push((key, depth + 1)),
                hdf5::LocationType::Dataset => {
                    let set = group.dataset(&link).map_err(bad)?;
                    self.entries.insert(key, entry(&set).map_err(bad)?);
                }
                _ => {}
            }
            if self.entries.len() + todo.len() > MAX_ENTRIES {
                return Err(Error::data(&self.path, format!("more than {MAX_ENTRIES} keys")));
            }
        }
        Ok(())
    }

    /// The data sets by their keys, sorted.
    pub(crate) fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    fn entry(&self, name: &str) -> Result<&Entry> {
        let near = || crate::error::did_you_mean(name, self.entries.keys().take(10_000).map(String::as_str));
        self.entries.get(name).ok_or_else(|| Error::data(&self.path, format!("there is no data set `{name}` in it{}", near())))
    }

    fn bad(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::data(&self.path, format!("`{name}`: {what}"))
    }

    /// What the library says to a read; compression is not built into it.
    fn unread(&self, name: &str, set: &hdf5::Dataset, e: &hdf5::Error) -> Error {
        let lacks = if set.filters().is_empty() { "" } else { "it is compressed, which is not read here (`h5repack -f NONE IN OUT` unpacks it): " };
        self.bad(name, format!("{lacks}{e}"))
    }

    /// Opens a data set through the library once its claims are checked against what the file holds.
    fn set(&self, name: &str, entry: &Entry) -> Result<hdf5::Dataset> {
        let set = self.file.dataset(name).map_err(|e| self.bad(name, e))?;
        let plan = set.create_plist().map_err(|e| self.bad(name, e))?;
        if !plan.external().is_empty() || plan.layout() == hdf5::dataset::Layout::Virtual {
            return Err(self.bad(name, "its data lies in another file, which is not followed"));
        }
        let stored = set.storage_size();
        if entry.bytes > stored.saturating_mul(MAX_RATIO).saturating_add(1 << 12) {
            return Err(self.bad(name, format!("{:?} needs {} bytes, {stored} are stored", entry.shape, entry.bytes)));
        }
        Ok(set)
    }

    /// The bytes of a file that was put into a data set.
    ///
    /// # Errors
    /// `E0302` when there is none of that name, it holds something else or more than 1 GiB, or the container is damaged.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let entry = self.entry(name)?;
        if entry.bytes > MAX_BYTES {
            return Err(self.bad(name, format!("{} bytes, which no picture needs", entry.bytes)));
        }
        match (&entry.kind, entry.offset) {
            (Kind::Bytes | Kind::Number(DType::Uint8 | DType::Int8), Some(at)) => {
                let have = self.raw.metadata().map_err(|e| Error::io("read", &self.path, e))?.len();
                if at.checked_add(entry.bytes).is_none_or(|end| end > have) {
                    return Err(self.bad(name, "the file ends within its data"));
                }
                let mut data = vec![0; entry.bytes as usize];
                self.raw.read_exact_at(&mut data, at).map_err(|e| Error::io("read", &self.path, e))?;
                Ok(data)
            }
            (Kind::Number(DType::Uint8), None) => {
                let set = self.set(name, entry)?;
                set.read_raw::<u8>().map_err(|e| self.unread(name, &set, &e))
            }
            (Kind::Text, _) if entry.shape.is_empty() => {
                let set = self.set(name, entry)?;
                let text = set.read_scalar::<VarLenUnicode>().map(|s| s.as_bytes().to_vec());
                text.or_else(|_| set.read_scalar::<VarLenAscii>().map(|s| s.as_bytes().to_vec())).map_err(|e| self.bad(name, e))
            }
            (Kind::Bytes, None) => Err(self.bad(name, "its bytes do not lie in one piece").help("`h5repack -l CONTI IN OUT` puts them together")),
            (kind, _) => Err(self.bad(name, format!("{kind:?} {:?}, not the bytes of a file", entry.shape))),
        }
    }

    /// The numbers of a data set; those of 16 and 32 bits without a sign become i32 and i64.
    ///
    /// # Errors
    /// `E0302` when there is none of that name, it holds no numbers or the container is damaged.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor> {
        let entry = self.entry(name)?;
        let Kind::Number(dtype) = entry.kind else {
            return Err(self.bad(name, format!("{:?} {:?}, not a tensor", entry.kind, entry.shape)));
        };
        let set = self.set(name, entry)?;
        let shape: Vec<i64> = entry.shape.iter().map(|n| *n as i64).collect();
        macro_rules! read {
            ($t:ty) => {
                Tensor::from_vec(&set.read_raw::<$t>().map_err(|e| self.unread(name, &set, &e))?, &shape)
            };
        }
        match dtype {
            DType::Bool => read!(bool),
            DType::Uint8 => read!(u8),
            DType::Int8 => read!(i8),
            DType::Int16 => read!(i16),
            DType::Int => read!(i32),
            DType::Int64 => read!(i64),
            DType::Double => read!(f64),
            _ => read!(f32),
        }
    }
}

/// A container that is being written; it gets its name when it is finished.
pub(crate) struct Creator {
    path: PathBuf,
    temp: files::Temporary,
    file: hdf5::File,
}

impl Creator {
    /// Begins a container.
    ///
    /// # Errors
    /// `E0301` when the folder cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Creator> {
        let (_, temp) = files::temporary(path)?;
        let file = options().create(temp.path()).map_err(|e| Error::io("create", path, std::io::Error::other(e)))?;
        Ok(Creator { path: path.to_owned(), temp, file })
    }

    fn write<T: hdf5::H5Type>(&self, name: &str, data: &[T], shape: &[usize]) -> Result<()> {
        let set = self.file.new_dataset::<T>().shape(shape).create(name);
        set.and_then(|s| s.write_raw(data)).map_err(|e| Error::io("write", &self.path, std::io::Error::other(format!("`{name}`: {e}"))))
    }

    /// Adds the bytes of a file as u8 `[N]`.
    ///
    /// # Errors
    /// `E0301` when the disk is full or the name is taken.
    pub(crate) fn bytes(&self, name: &str, data: &[u8]) -> Result<()> {
        self.write(name, data, &[data.len()])
    }

    /// Adds an array.
    ///
    /// # Errors
    /// As [`Creator::bytes`].
    pub(crate) fn floats(&self, name: &str, data: &[f32], shape: &[usize]) -> Result<()> {
        self.write(name, data, shape)
    }

    /// Ends the container and gives it its name.
    ///
    /// # Errors
    /// `E0301` when the disk is full.
    pub(crate) fn finish(self) -> Result<()> {
        self.file.close().map_err(|e| Error::io("write", &self.path, std::io::Error::other(e)))?;
        files::open(self.temp.path())?.sync_all().map_err(|e| Error::io("write", &self.path, e))?;
        self.temp.persist()
    }
}
