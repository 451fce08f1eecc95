//! Parquet as Hugging Face's `datasets` writes it: a column of pictures (a struct with their bytes, or the bytes alone), one of labels, and the
//! names of the classes in the metadata (`ClassLabel`). Rows are read by their number: pages before them are passed over.

use super::MAX_BYTES;
use super::cursors::Cursors;
use super::handles;
use super::pread::{Reader, Shared};
use super::webdataset::names;
use crate::data::manifest::Skipped;
use crate::error::{Error, Result, did_you_mean};
use crate::files;
use crate::interrupt;
use bytes::Bytes;
use parquet::basic::{Compression, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Rows whose labels are read at a time.
const ROWS: usize = 1 << 14;

impl Length for Shared {
    fn len(&self) -> u64 {
        self.len()
    }
}

impl ChunkReader for Shared {
    type T = std::io::BufReader<Reader>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        // A page's header is read by this; the page itself by `get_bytes`.
        Ok(std::io::BufReader::with_capacity(512, self.from(start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.bytes(start, length as u64).map(Bytes::from).map_err(ParquetError::from)
    }
}

/// Which columns hold what.
#[derive(Debug, Clone)]
pub(in crate::data) struct Columns {
    pub(in crate::data) image: String,
    /// Empty: the rows have no labels.
    pub(in crate::data) label: String,
}

/// Where a row's picture is.
#[derive(Debug, Clone, Copy)]
pub(in crate::data) struct Row {
    table: usize,
    row: u64,
}

struct Table {
    path: PathBuf,
    name: String,
    file: SerializedFileReader<Shared>,
    /// The column of the pictures' bytes.
    column: usize,
    /// The first row of each row group, and the number of rows.
    starts: Vec<u64>,
}

type Idle = Cursors<ColumnReaderImpl<ByteArrayType>>;

/// The tables of a source, and the readers that stand in them.
pub(in crate::data) struct Tables(Vec<Table>, Idle);

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tables", self.0.len())
    }
}

/// What is known of rows before any picture is read.
pub(in crate::data) struct Rows {
    pub(in crate::data) tables: Tables,
    /// The name, the place and the label of each, in order.
    pub(in crate::data) rows: Vec<(String, Row, Option<Value>)>,
    /// The names of the classes, where the metadata has them.
    pub(in crate::data) classes: Option<Vec<String>>,
    pub(in crate::data) skipped: Vec<Skipped>,
    /// Of what the files say of themselves: their sizes and row groups.
    pub(in crate::data) identity: String,
}

impl Tables {
    /// Opens tables and reads the labels of all rows.
    ///
    /// # Errors
    /// `E0301` when one cannot be read; `E0302` when one is damaged, has no such columns (the message lists those that it has), columns of another kind or
    /// packed in a way that is not read here, or other classes than the first.
    pub(in crate::data) fn open(paths: &[PathBuf], columns: &Columns) -> Result<Rows> {
        handles::room_for(paths)?;
        let mut all =
            Rows { tables: Tables(Vec::new(), Cursors::new()), rows: Vec::new(), classes: None, skipped: Vec::new(), identity: String::new() };
        for (number, (path, name)) in paths.iter().zip(names(paths)).enumerate() {
            let table = guarded(path, || Table::open(path, name, columns))?;
            let classes = class_names(path, &table.file, &columns.label)?;
            if number > 0 && classes != all.classes {
                return Err(Error::data(path, format!("its classes are not those of `{}`", paths[0].display()))
                    .help("give files of one data set: the metadata of all must have the same ClassLabel names"));
            }
            all.classes = classes;
            let labels = guarded(path, || table.labels(path, &columns.label))?;
            for (row, label) in labels.into_iter().enumerate() {
                let name = format!("{}/{row}", table.name);
                match label {
                    Some(Ok(label)) => all.rows.push((name, Row { table: number, row: row as u64 }, Some(label))),
                    None => all.rows.push((name, Row { table: number, row: row as u64 }, None)),
                    Some(Err(reason)) => all.skipped.push(Skipped { path: name, reason }),
                }
            }
            let groups: Vec<String> =
                table.file.metadata().row_groups().iter().map(|g| format!("{}:{}", g.num_rows(), g.compressed_size())).collect();
            all.identity += &format!("{} {}\n", table.name, groups.join(" "));
            all.tables.0.push(table);
        }
        Ok(all)
    }

    /// The picture of a row.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    pub(in crate::data) fn read(&self, row: Row) -> std::result::Result<Vec<u8>, String> {
        let table = &self.0[row.table];
        // The crate's decoders may panic on damaged pages.
        catch_unwind(AssertUnwindSafe(|| table.read(row, &self.1)))
            .unwrap_or_else(|_| Err("the reader of parquet failed on its page: the file is damaged".into()))
    }

    pub(in crate::data) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|t| t.path.as_path())
    }
}

fn damaged(path: &Path, e: &ParquetError) -> Error {
    Error::data(path, format!("the parquet file is damaged or cut off: {e}")).help("fetch or make it again")
}

fn guarded<T>(path: &Path, f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Error::data(path, "the reader of parquet failed on it: the file is damaged").help("fetch or make it again")))
}

/// The names of the top columns.
fn top_columns(file: &SerializedFileReader<Shared>) -> Vec<String> {
    file.metadata().file_metadata().schema_descr().root_schema().get_fields().iter().map(|f| f.name().to_owned()).collect()
}

/// A column that was asked for and is not there.
fn no_column(path: &Path, file: &SerializedFileReader<Shared>, name: &str, option: &str) -> Error {
    let all = top_columns(file);
    let near = did_you_mean(name, all.iter().map(String::as_str));
    Error::data(path, format!("there is no column `{name}`{near}: its columns are {}", all.join(", "))).help(format!("name it: `{option} COLUMN`"))
}

/// The number of a leaf by its path.
fn leaf(file: &SerializedFileReader<Shared>, path: &[&str]) -> Option<usize> {
    file.metadata().file_metadata().schema_descr().columns().iter().position(|c| c.path().parts().iter().eq(path))
}

impl Table {
    fn open(path: &Path, name: String, columns: &Columns) -> Result<Table> {
        let shared = Shared::new(files::open_plain(path)?).map_err(|e| Error::io("read", path, e))?;
        let file = SerializedFileReader::new(shared).map_err(|e| damaged(path, &e))?;
        let image = columns.image.as_str();
        let Some(column) = leaf(&file, &[image, "bytes"]).or_else(|| leaf(&file, &[image])) else {
            if top_columns(&file).iter().any(|c| c == image) {
                return Err(Error::data(path, format!("column `{image}` is neither a struct with `bytes` nor bytes"))
                    .help("`datasets` writes the column so when its feature is `Image()`: ds.cast_column(\"image\", datasets.Image())"));
            }
            return Err(no_column(path, &file, image, "--image-column"));
        };
        let about = file.metadata().file_metadata().schema_descr().column(column);
        if about.physical_type() != Type::BYTE_ARRAY || about.max_rep_level() > 0 {
            let kind = if about.max_rep_level() > 0 { "a list".to_owned() } else { about.physical_type().to_string() };
            return Err(Error::data(path, format!("column `{image}` holds {kind}, not the bytes of one picture in a row"))
                .help(format!("name another one of {}: `--image-column COLUMN`", top_columns(&file).join(", "))));
        }
        let mut starts = vec![0];
        for group in file.metadata().row_groups() {
            let packed = [Some(column), leaf(&file, &[&columns.label])].into_iter().flatten().map(|c| group.column(c).compression());
            for method in packed {
                if !matches!(method, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_)) {
                    return Err(Error::data(path, format!("it is compressed by {method}, which is not read here"))
                        .help("write it again with snappy, gzip or zstd: pyarrow.parquet.write_table(table, file, compression=\"snappy\")"));
                }
            }
            let rows = u64::try_from(group.num_rows()).map_err(|_| Error::data(path, "a row group of less than 0 rows").help("make it again"))?;
            starts.push(starts.last().copied().unwrap_or(0) + rows);
        }
        Ok(Table { path: path.to_owned(), name, file, column, starts })
    }

    fn read(&self, row: Row, idle: &Idle) -> std::result::Result<Vec<u8>, String> {
        let words = |e: ParquetError| format!("its page is damaged: {e}");
        let Row { table, row } = row;
        let group = self.starts.partition_point(|s| *s <= row) - 1;
        let at = row - self.starts[group];
        let (stands, mut reader) = match idle.take(table, group, 0, at) {
            Some(found) => found,
            None => {
                let groups = self.file.get_row_group(group).map_err(words)?;
                let ColumnReader::ByteArrayColumnReader(reader) = groups.get_column_reader(self.column).map_err(words)? else {
                    return Err("its column is of another type".into());
                };
                (0, reader)
            }
        };
        let ahead = usize::try_from(at - stands).map_err(|e| e.to_string())?;
        let skipped = reader.skip_records(ahead).map_err(words)?;
        let (mut levels, mut values) = (Vec::new(), Vec::<ByteArray>::new());
        let (read, ..) = reader.read_records(1, Some(&mut levels), None, &mut values).map_err(words)?;
        if skipped != ahead || read != 1 {
            return Err("its row group ends before it: the file is damaged".into());
        }
        idle.put(table, group, at + 1, reader);
        let bytes =
            values.pop().ok_or("the row has no bytes; pictures that are only named must be embedded: ds.save_to_disk or push_to_hub do so")?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err("more than 1 GiB, which no picture needs".into());
        }
        Ok(bytes.data().to_vec())
    }

    /// The label of each row, or why it has none; all `None` without a column of labels.
    fn labels(&self, path: &Path, name: &str) -> Result<Vec<Option<std::result::Result<Value, String>>>> {
        let count = usize::try_from(self.starts.last().copied().unwrap_or(0)).unwrap_or(usize::MAX);
        if name.is_empty() {
            // A count in a footer is only a claim: each row group must have as many rows as its column has values.
            let claimed: i64 = self.file.metadata().row_groups().iter().map(|g| g.column(self.column).num_values()).sum();
            if claimed != count as i64 {
                return Err(Error::data(path, format!("{count} rows are said to have {claimed} pictures")).help("make the file again"));
            }
            crate::memory::room_for("images", count, 128)?;
            return Ok((0..count).map(|_| None).collect());
        }
        let column = leaf(&self.file, &[name]).ok_or_else(|| no_column(path, &self.file, name, "--label-column"))?;
        let mut all = Vec::new();
        for group in 0..self.file.num_row_groups() {
            interrupt::check()?;
            let rows = (self.starts[group + 1] - self.starts[group]) as usize;
            let bad = |e: ParquetError| damaged(path, &e);
            let reader = self.file.get_row_group(group).map_err(bad)?.get_column_reader(column).map_err(bad)?;
            let before = all.len();
            match reader {
                ColumnReader::Int64ColumnReader(r) => values(r, rows, |v| whole(*v), &mut all),
                ColumnReader::Int32ColumnReader(r) => values(r, rows, |v| whole(i64::from(*v)), &mut all),
                ColumnReader::ByteArrayColumnReader(r) => values(r, rows, text, &mut all),
                _ => {
                    let about = self.file.metadata().file_metadata().schema_descr().column(column);
                    return Err(Error::data(path, format!("column `{name}` holds {}, and labels are whole numbers or names", about.physical_type()))
                        .help(format!("name another one of {}: `--label-column COLUMN`", top_columns(&self.file).join(", "))));
                }
            }
            .map_err(bad)?;
            if all.len() - before != rows {
                return Err(
                    Error::data(path, format!("row group {group} has {} labels for {rows} rows", all.len() - before)).help("make the file again")
                );
            }
        }
        Ok(all.into_iter().map(Some).collect())
    }
}

type Label = std::result::Result<Value, String>;

fn whole(n: i64) -> Label {
    u64::try_from(n).map(Value::from).map_err(|_| format!("its label is {n}, and classes count from 0"))
}

fn text(bytes: &ByteArray) -> Label {
    std::str::from_utf8(bytes.data()).map(Value::from).map_err(|_| "its label is no text".into())
}

/// Reads a column of one row group.
fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    rows: usize,
    label: impl Fn(&T::T) -> Label,
    all: &mut Vec<Label>,
) -> parquet::errors::Result<()> {
    let mut left = rows;
    while left > 0 {
        let (mut levels, mut found) = (Vec::new(), Vec::new());
        let (read, some, _) = reader.read_records(left.min(ROWS), Some(&mut levels), None, &mut found)?;
        if read == 0 {
            break;
        }
        if some == read {
            all.extend(found.iter().map(&label));
        } else {
            let most = levels.iter().max().copied().unwrap_or(0);
            let mut found = found.iter();
            let one = |level: &i16| if *level == most && some > 0 { found.next() } else { None };
            all.extend(levels.iter().map(one).map(|v| v.map_or_else(|| Err("it has no label".into()), &label)));
        }
        left -= read;
    }
    Ok(())
}

/// The names of a column's classes, in the metadata that `datasets` writes.
fn class_names(path: &Path, file: &SerializedFileReader<Shared>, label: &str) -> Result<Option<Vec<String>>> {
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let Some(text) = pairs.into_iter().flatten().find(|p| p.key == "huggingface").and_then(|p| p.value.as_deref()) else { return Ok(None) };
    let whole: Value = serde_json::from_str(text)
        .map_err(|e| Error::data(path, format!("`huggingface` in its metadata is no JSON: {e}")).help("write it again with `datasets`"))?;
    let names = whole.pointer("/info/features").and_then(|f| f.get(label)).and_then(|f| f.get("names")).and_then(Value::as_array);
    Ok(names.map(|n| n.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect()))
}
