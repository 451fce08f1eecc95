//! Pictures that lie in archives and tables instead of a folder: tar (also gzipped), zip, WebDataset shards, parquet.
//!
//! Nothing is unpacked: where each picture's bytes lie is listed once, and any of them is read by its place, from any thread.

mod cursors;
mod gzip;
mod handles;
mod kind;
mod labels;
mod members;
mod paths;
mod pread;
mod table;
mod tar;
mod webdataset;
mod zip;

pub(super) use kind::{Kind, kind_of};
pub(super) use members::{Archive, Contents, Members, Place};
pub(super) use paths::{below, expand, is_archive, is_table};
pub(super) use table::{Columns, Row, Tables};
pub(super) use webdataset::{Shards, is_webdataset};

/// What helps where an archive is damaged.
const AGAIN: &str = "fetch or make the archive again";

/// No picture needs more bytes.
const MAX_BYTES: u64 = 1 << 30;
