//! The archive of a TorchScript program: what lies in it, checked by name and size before any of it is used.
//!
//! libtorch itself finds records whatever the case of their names, and of two with one name the first; a reader of zip archives takes the
//! last. So an archive that two could read differently is refused, and libtorch is never given one: what is read here is handed to it.

use super::super::slice::{Slice, Window};
use super::super::{MAX_RATIO, open};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zip::CompressionMethod;

/// More entries than any program has.
const MAX_ENTRIES: usize = 1 << 20;
/// More bytes of code than any program has.
const MAX_CODE: u64 = 64 << 20;
/// What any archive may unpack to, and how many times its own size beyond that: weights hardly shrink.
const SMALL: u64 = 256 << 20;
const TIMES: u64 = 20;
/// The newest format that this libtorch knows.
const NEWEST: i64 = 10;

/// A program's archive, held open. Its code is in memory; its values are read from the same open file.
pub struct Archive {
    path: PathBuf,
    file: File,
    /// The format's version.
    pub version: i64,
    /// Files of code: the dotted name of their module, and their text.
    pub code: Vec<(String, String)>,
}

/// What an entry is, below the archive's one folder.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Code of the module of that dotted name.
    Code(String),
    Version,
    /// A pickle or a tensor, read when it is wanted.
    Value,
    /// What only debuggers and other programs read. It is not looked at.
    Unread,
}

fn kind(record: &str) -> Option<Kind> {
    let is_plain = |part: &str| {
        let chars = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !part.is_empty() && part.chars().all(chars) && !part.starts_with('.') && !part.ends_with('.') && !part.contains("..")
    };
    let is_module = |part: &str| is_plain(part) && !part.contains('.');
    match record {
        "data.pkl" | "constants.pkl" | "byteorder" => return Some(Kind::Value),
        "version" | ".data/version" => return Some(Kind::Version),
        ".data/serialization_id"
        | ".format_version"
        | ".storage_alignment"
        | "attributes.pkl"
        | "traced_inputs.pkl"
        | "bytecode.pkl"
        | "mobile_debug_handles.pkl" => return Some(Kind::Unread),
        _ => {}
    }
    let (folder, rest) = record.split_once('/')?;
    match folder {
        "data" | "constants" => is_plain(rest).then_some(Kind::Value),
        "traced_inputs" | "attributes" | "bytecode" => is_plain(rest).then_some(Kind::Unread),
        "extra" => rest.split('/').all(is_plain).then_some(Kind::Unread),
        "code" => {
            if let Some(module) = rest.strip_suffix(".py.debug_pkl") {
                return module.split('/').all(is_module).then_some(Kind::Unread);
            }
            let module = rest.strip_suffix(".py")?;
            module.split('/').all(is_module).then(|| Kind::Code(module.replace('/', ".")))
        }
        _ => None,
    }
}

impl Archive {
    /// Opens an archive, looks at all of its entries, and reads its code.
    ///
    /// # Errors
    /// `E0301` when the file cannot be read, `E0302` naming the entry that does not belong into a program.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open(path)?;
        let io = |e: std::io::Error| Error::io("read", path, e);
        let bad = |message: String| Error::data(path, message);
        let no_program = || {
            bad("not a TorchScript archive: it holds no program".into())
                .help("`torch.jit.trace(model, example).save(path)` or `torch.jit.script(model).save(path)` writes one")
        };
        let window = Window { start: 0, len: file.metadata().map_err(io)?.len() };
        let slice = Slice::new(&file, window).map_err(io)?;
        let mut zip = zip::ZipArchive::new(slice).map_err(|_| no_program())?;
        let damaged = |e: zip::result::ZipError| bad(format!("a damaged zip archive: {e}"));
        if zip.len() > MAX_ENTRIES {
            return Err(bad(format!("its {} entries are more than any program has", zip.len())));
        }
        let kinds = entries(path, &mut zip)?;
        if zip.has_duplicate_names() {
            return Err(bad(format!("{} stands in it twice", doubled(&file, window, zip.central_directory_start()))));
        }
        if zip.has_overlapping_entries().map_err(damaged)? {
            return Err(bad("entries of it share their bytes".into()));
        }
        let (mut version, mut code, mut total) = (None, Vec::new(), 0);
        for (i, kind) in kinds.into_iter().enumerate() {
            let most = if matches!(kind, Kind::Version) { 32 } else { MAX_CODE - total };
            if !matches!(kind, Kind::Code(_) | Kind::Version) {
                continue;
            }
            let entry = zip.by_index(i).map_err(damaged)?;
            let name = entry.name().map_err(damaged)?.into_owned();
            let mut text = String::new();
            let too_long = || bad(format!("`{name}` has more text than any program"));
            entry.take(most + 1).read_to_string(&mut text).map_err(|e| bad(format!("`{name}` is no text: {e}")))?;
            if text.len() as u64 > most {
                return Err(too_long());
            }
            if text.contains('\0') {
                return Err(bad(format!("`{name}` is no text: it has a zero byte")));
            }
            match kind {
                Kind::Code(module) => {
                    total += text.len() as u64;
                    code.push((module, text));
                }
                _ => {
                    let number: i64 = text.trim().parse().map_err(|_| bad(format!("`{name}` is no number")))?;
                    if version.replace(number).is_some_and(|other| other != number) {
                        return Err(bad("it names two versions of its format".into()));
                    }
                }
            }
        }
        if code.is_empty() {
            return Err(no_program());
        }
        let version: i64 = version.ok_or_else(|| bad("it does not say which format it has: `version` is missing".into()))?;
        if !(1..=NEWEST).contains(&version) {
            let message = format!("its format has the number {version}; this libtorch reads 1 to {NEWEST}");
            return Err(bad(message).help("export it with PyTorch 2.11 or an earlier one"));
        }
        Ok(Archive { path: path.to_owned(), file, version, code })
    }

    /// A second handle of the open file.
    pub fn handle(&self) -> Result<File> {
        self.file.try_clone().map_err(|e| Error::io("open", &self.path, e))
    }
}

/// What each entry is. All lie in one folder, under names that are all different, in whatever case.
fn entries(path: &Path, zip: &mut zip::ZipArchive<Slice>) -> Result<Vec<Kind>> {
    let bad = |message: String| Error::data(path, message);
    let damaged = |e: zip::result::ZipError| bad(format!("a damaged zip archive: {e}"));
    let (mut kinds, mut root, mut seen) = (Vec::new(), None, HashMap::new());
    let (mut packed, mut unpacked, mut largest) = (0u64, 0u64, (0u64, String::new()));
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(damaged)?;
        let raw = String::from_utf8(entry.name_raw().to_vec()).ok();
        let shown = raw.clone().unwrap_or_else(|| String::from_utf8_lossy(entry.name_raw()).into_owned());
        let shown = format!("the entry `{}`", shown.escape_debug());
        let Some(name) = raw.filter(|name| entry.name().is_ok_and(|n| n == *name) && !name.chars().any(char::is_control)) else {
            return Err(bad(format!("{shown} has no name in plain UTF-8")));
        };
        if let Some(other) = seen.insert(name.to_lowercase(), name.clone()) {
            return Err(bad(format!("{shown} is called like `{other}` but for the case of its letters")));
        }
        let (folder, record) = name.split_once('/').unwrap_or(("", &name));
        if folder.is_empty() || matches!(folder, "." | "..") || folder.contains(['\\', ':']) {
            return Err(bad(format!("{shown} does not lie in a folder of the archive's own")));
        }
        if *root.get_or_insert_with(|| folder.to_owned()) != folder {
            return Err(bad(format!("{shown} lies in another folder than the entries before it")));
        }
        if entry.encrypted() || !matches!(entry.compression(), CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(bad(format!("{shown} is encrypted or compressed by {}", entry.compression())));
        }
        // A folder by itself, as `zip -r` writes it.
        let is_folder = record.is_empty() || record.ends_with('/') && record.trim_end_matches('/').split('/').all(|p| !p.is_empty() && p != "..");
        let kind = if is_folder && entry.size() == 0 { Some(Kind::Unread) } else { kind(record) };
        kinds.push(kind.ok_or_else(|| bad(format!("{shown} does not belong into a TorchScript program")).help("export the program again"))?);
        packed = packed.saturating_add(entry.compressed_size());
        unpacked = unpacked.saturating_add(entry.size());
        if entry.size() > entry.compressed_size().saturating_mul(MAX_RATIO).max(4096) {
            return Err(bad(format!("{shown} claims to unpack to {} bytes from {}", entry.size(), entry.compressed_size())));
        }
        let gain = entry.size().saturating_sub(entry.compressed_size());
        if gain >= largest.0 {
            largest = (gain, shown);
        }
    }
    if unpacked > packed.saturating_mul(TIMES).saturating_add(SMALL) {
        let message = format!("it unpacks to {unpacked} bytes from {packed}, most of all {}: no weights shrink so much", largest.1);
        return Err(bad(message).help("export the program again"));
    }
    Ok(kinds)
}

/// The first name that stands twice in the list at the archive's end, for the message.
fn doubled(file: &File, window: Window, start: u64) -> String {
    const SIGNATURE: [u8; 4] = [b'P', b'K', 1, 2];
    let unknown = || "an entry".to_owned();
    let Ok(slice) = Slice::new(file, Window { start, len: window.len.saturating_sub(start) }) else { return unknown() };
    let mut list = Vec::new();
    if slice.take(MAX_CODE).read_to_end(&mut list).is_err() {
        return unknown();
    }
    let (mut at, mut seen) = (0, std::collections::HashSet::new());
    while let Some(header) = list.get(at..at + 46).filter(|h| h.starts_with(&SIGNATURE)) {
        let len = |i: usize| usize::from(u16::from_le_bytes([header[i], header[i + 1]]));
        let Some(name) = list.get(at + 46..at + 46 + len(28)) else { break };
        if !seen.insert(name) {
            return format!("the entry `{}`", String::from_utf8_lossy(name).escape_debug());
        }
        at += 46 + len(28) + len(30) + len(32);
    }
    unknown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_what_their_exact_names_say() {
        for (name, want) in [
            ("data.pkl", Kind::Value),
            ("constants.pkl", Kind::Value),
            ("data/0", Kind::Value),
            ("constants/12", Kind::Value),
            ("version", Kind::Version),
            (".data/version", Kind::Version),
            (".data/serialization_id", Kind::Unread),
            ("code/__torch__.py", Kind::Code("__torch__".into())),
            ("code/__torch__/torch/nn/modules/conv.py", Kind::Code("__torch__.torch.nn.modules.conv".into())),
            ("code/__torch__.py.debug_pkl", Kind::Unread),
            ("extra/a/b.json", Kind::Unread),
        ] {
            assert_eq!(kind(name), Some(want), "{name}");
        }
        for name in [
            "code/__torch__.PY",
            "code/__torch__.Py",
            "Code/__torch__.py",
            "code/../__torch__.py",
            "code//__torch__.py",
            "code/.py",
            "code/a.b.py",
            "code/__torch__.pyc",
            "data/",
            "data/../version",
            "data/a/b",
            "DATA.PKL",
            "model.json",
            "tensors/0",
            "",
            "x",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
    }
}
