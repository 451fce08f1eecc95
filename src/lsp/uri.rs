//! `file:` URIs and paths.

use std::path::{Path, PathBuf};

/// The path of a URI. One that is no file's stands for itself.
pub fn path(uri: &str) -> PathBuf {
    let Some(rest) = uri.strip_prefix("file://") else { return PathBuf::from(uri) };
    // Behind `file://` may stand a host.
    let rest = &rest[rest.find('/').unwrap_or(0)..];
    let bytes = rest.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        let code = rest.get(i + 1..i + 3).filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(*byte));
        i += if code.is_some() { 3 } else { 1 };
    }
    let path = PathBuf::from(String::from_utf8_lossy(&out).into_owned());
    // A file may be open under another name than imports find it by.
    path.canonicalize().unwrap_or(path)
}

/// The URI of a path.
pub fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    if !path.is_absolute() {
        return text.into_owned();
    }
    let mut out = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_from_their_uris() {
        for p in ["/tmp/a b/ü%41#.rhai", "/x", "untitled:Untitled-1"] {
            assert_eq!(path(&uri(Path::new(p))), Path::new(p));
        }
        assert_eq!(path("file:///c%3A/x%zz"), Path::new("/c:/x%zz"));
    }
}
