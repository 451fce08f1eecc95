//! What is no checkpoint: every reader of weights says what a file is, and the remedy.

use super::Weights;
use crate::files;
use crate::torch::files::{read_npy, read_npz, read_pt, read_safetensors};
use std::path::Path;

fn fixture(name: &str) -> Vec<u8> {
    files::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pt").join(name)).unwrap()
}

/// All readers of weights say the same of the same bytes, whatever the file is called.
#[test]
fn no_checkpoint_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
    let cases: [(&[u8], &str, &str); 9] = [
        (lfs, "Git LFS", "git lfs pull"),
        (b"\n<!DOCTYPE html><html lang=\"en\">", "HTML page", "browser"),
        (b"<html>\n", "HTML page", "browser"),
        (b"", "empty (0 bytes)", "fetch"),
        (b"Entry not found", "`Entry not found`", "fetch"),
        (b"{\"error\":\"Repository not found\"}", "Repository not found", "weights"),
        (b"../../.git/annex/objects/Xk/MD5E-s1.pt", "git-annex", "git annex get"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip", "gunzip"),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "AccessDenied", "fetch"),
    ];
    for (bytes, is, help) in cases {
        for name in ["x.pt", "x.safetensors", "x.npz", "x.npy", "x.bin", "x"] {
            let path = dir.path().join(name);
            files::write(&path, bytes).unwrap();
            let mut errors = vec![Weights::open(&path).err().unwrap()];
            errors.extend(read_pt(&path).err());
            errors.extend(read_safetensors(&path).err());
            errors.extend(read_npz(&path).err());
            errors.extend(read_npy(&path).err());
            assert_eq!(errors.len(), 5);
            for e in errors {
                let text = format!("{e} {}", e.help_text().unwrap_or_default());
                assert!(text.contains(is) && text.contains(help) && text.contains(name), "{name} {bytes:?}: {text}");
            }
        }
    }
}

#[test]
fn npy_for_npz_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npz");
    files::write(&path, fixture("fortran.npy")).unwrap();
    let e = read_npz(&path).unwrap_err();
    assert!(e.to_string().contains("one NumPy array (.npy)") && e.help_text().unwrap().contains("FILE.npy"), "{e}");
    let path = dir.path().join("x.npy");
    files::write(&path, fixture("arrays.npz")).unwrap();
    let e = read_npy(&path).unwrap_err();
    assert!(e.to_string().contains("an .npz archive of the arrays") && e.to_string().contains("`arr_0`"), "{e}");
    assert!(read_pt(&path).err().unwrap().to_string().contains("an .npz archive"));
}

#[test]
fn truncated_downloads_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["state.pt", "state_legacy.pth", "arrays.npz"] {
        let whole = fixture(name);
        let path = dir.path().join(name);
        files::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
        let e = match Weights::open(&path) {
            Ok(w) => w.parts()[0].read().err().unwrap(),
            Err(e) => e,
        };
        assert!(e.to_string().contains("cut off") || e.to_string().contains("ends"), "{name}: {e}");
        assert!(e.help_text().unwrap_or_default().contains("fetch it again"), "{name}: {e} {:?}", e.help_text());
    }
}
