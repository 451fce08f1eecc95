//! What a file is that is not what it should be: a pointer of Git LFS, a page, another format, a download that did not finish.

use crate::error::Error;
use crate::files;
use std::io::Read;
use std::path::Path;

/// Bytes at the front by which a file is told.
const HEAD: u64 = 1024;
/// Characters of a text that a message shows.
const SHOWN: usize = 60;

/// What was found: it follows "it is ", and what to do about it.
struct Found {
    is: String,
    help: String,
}

fn found(is: impl Into<String>, help: impl Into<String>) -> Option<Found> {
    Some(Found { is: is.into(), help: help.into() })
}

/// The error for a file that is something else than `wanted` ("an .npz archive"): what it is, and the remedy. `None` where nothing is known of
/// it, or it cannot be read.
pub fn instead_of(path: &Path, wanted: &str) -> Option<Error> {
    let mut head = Vec::new();
    files::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let size = files::size(path).ok()?;
    let what = of_nothing(&head).or_else(|| of_text(&head, size)).or_else(|| of_format(path, &head))?;
    // It is what is wanted, and damaged further on.
    if what.is.starts_with(wanted) {
        return None;
    }
    Some(Error::data(path, format!("not {wanted}: it is {}", what.is)).help(what.help))
}

/// Whether a file is a zip archive of NumPy arrays, whatever it is called. A file that cannot be read is none.
pub fn is_zip_of_arrays(path: &Path) -> bool {
    let archive = files::open(path).ok().and_then(|f| zip::ZipArchive::new(std::io::BufReader::new(f)).ok());
    archive.is_some_and(|zip| zip.file_names().any(|n| n.is_ok_and(|n| n.ends_with(".npy"))))
}

/// The error for one file of a torch.distributed checkpoint, which is a folder.
pub(super) fn piece_of_distributed(path: &Path) -> Option<Error> {
    let name = path.file_name()?.to_string_lossy();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_piece = name.ends_with(".distcp") || name == ".metadata";
    is_piece.then(|| Error::data(path, "one file of a torch.distributed checkpoint").help(format!("name the whole folder: `{}`", folder.display())))
}

const AGAIN: &str = "the download failed: fetch the file again";

fn of_nothing(head: &[u8]) -> Option<Found> {
    if head.is_empty() {
        return found("empty (0 bytes)", AGAIN);
    }
    // A download that reserved its space and never filled it.
    (head.len() as u64 == HEAD && head.iter().all(|b| *b == 0)).then(|| found("zeros where its beginning should be", AGAIN)).flatten()
}

/// Pointers, pages and messages.
fn of_text(head: &[u8], size: u64) -> Option<Found> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The end of what was read may cut a character in two.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("version https://git-lfs.github.com/spec/") || text.starts_with("version https://hawser.github.com/spec/") {
        let size = text.lines().find_map(|l| l.strip_prefix("size ")).map_or(String::new(), |n| format!(" (the file itself has {} bytes)", n.trim()));
        return found(format!("a pointer of Git LFS{size}"), "`git lfs pull` in its repository fetches the file");
    }
    if text.lines().next().is_some_and(|l| l.contains("/annex/objects/")) {
        return found("a pointer of git-annex", "`git annex get FILE` in its repository fetches the file");
    }
    let lower = text.get(..text.len().min(200)).unwrap_or(text).to_lowercase();
    let lower = lower.trim_start_matches(|c: char| c != '<');
    if text.starts_with('<') && ["<!doctype html", "<html", "<head", "<!--", "<body"].iter().any(|t| lower.starts_with(t)) {
        return found(
            "an HTML page",
            "the address leads to a page, not to the file, or asks for a login: open it in a browser, and fetch the file itself",
        );
    }
    if lower.starts_with("<?xml") && text.starts_with('<') {
        return found(format!("an XML message: {}", shown(text)), AGAIN);
    }
    let printable = !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_whitespace());
    if !printable || is_text_pickle(text) {
        return None;
    }
    if text.starts_with(['{', '[']) {
        return found(format!("JSON: {}", shown(text)), "a description or a message of the server, not the weights: name the file of the weights");
    }
    (size <= HEAD || text.is_ascii()).then(|| found(format!("text: {}", shown(text)), AGAIN)).flatten()
}

/// Pickles of protocol 0 are text.
fn is_text_pickle(text: &str) -> bool {
    ["(dp", "(lp", "(ip", "ccopy_reg\n", "ccollections\n", "L1"].iter().any(|p| text.starts_with(p))
}

fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(SHOWN).collect();
    if short.len() < line.len() { format!("`{short}..`") } else { format!("`{short}`") }
}

/// Other formats by their first bytes.
fn of_format(path: &Path, head: &[u8]) -> Option<Found> {
    let unpack = "unpack it, and name the file in it";
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return of_zip(path);
    }
    if head.starts_with(b"\x93NUMPY") {
        return found("one NumPy array (.npy)", "name it FILE.npy, or save it under a name in an .npz: `np.savez(\"FILE.npz\", NAME=x)`");
    }
    if head.len() > 9 && head[8] == b'{' && head[5..8] == [0, 0, 0] {
        return found("a safetensors file", "name it FILE.safetensors");
    }
    if matches!(head, [0x80, 2..=5, ..]) || std::str::from_utf8(head).is_ok_and(is_text_pickle) {
        return found("a pickle, as PyTorch writes checkpoints", "name it FILE.pt; other objects: save them with torch.save, safetensors or numpy");
    }
    if head.get(257..262) == Some(b"ustar") {
        return found("a tar archive", "`tar xf FILE` unpacks it; name the file in it");
    }
    let known: [(&[u8], &str, &str); 14] = [
        (b"\x1f\x8b", "compressed by gzip", "`gunzip FILE` unpacks it (`tar xzf FILE` where it is a .tar.gz)"),
        (b"\xfd7zXZ\0", "compressed by xz", unpack),
        (b"BZh", "compressed by bzip2", unpack),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd", unpack),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", unpack),
        (b"Rar!", "a RAR archive", unpack),
        (b"GGUF", "a GGUF file", "quantised weights of llama.cpp's kind are not read: take the .safetensors or .pt of the model"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "weights in HDF5 (Keras) are not read: save them as .safetensors or .npz"),
        (b"\x89PNG", "a PNG picture", "name a file of weights"),
        (b"\xff\xd8\xff", "a JPEG picture", "name a file of weights"),
        (b"%PDF", "a PDF", "name a file of weights"),
        (b"\x7fELF", "a program", "name a file of weights"),
        (b"ARROW1", "an Arrow file", "name a file of weights"),
        (b"PAR1", "a Parquet file", "name a file of weights"),
    ];
    known.iter().find(|(magic, ..)| head.starts_with(magic)).and_then(|(_, is, help)| found(*is, *help))
}

/// A zip archive by what is in it; one without its directory, which comes last, was cut off.
fn of_zip(path: &Path) -> Option<Found> {
    let Ok(zip) = zip::ZipArchive::new(std::io::BufReader::new(files::open(path).ok()?)) else {
        return found("cut off: the directory at the end of the archive is missing", super::CUT_OFF);
    };
    let names: Vec<String> = zip.file_names().filter_map(|n| n.ok().map(std::borrow::Cow::into_owned)).filter(|n| !n.ends_with('/')).collect();
    if names.iter().any(|n| n == "data.pkl" || n.ends_with("/data.pkl") && n.matches('/').count() == 1) {
        return found("a PyTorch file", "name it FILE.pt");
    }
    if names.iter().any(|n| n.ends_with(".npy")) {
        let arrays: Vec<String> = names.iter().filter_map(|n| n.strip_suffix(".npy")).take(6).map(|n| format!("`{n}`")).collect();
        return found(format!("an .npz archive of the arrays {}", arrays.join(", ")), "name it FILE.npz");
    }
    let listed: Vec<String> = names.iter().take(4).map(|n| format!("`{n}`")).collect();
    let more = if names.len() > 4 { format!(" and {} more", names.len() - 4) } else { String::new() };
    found(format!("a zip archive of {}{more}", listed.join(", ")), "unpack it, and name the file in it")
}
