//! Odd and broken pictures (tests/data/odd, from Pillow's own test suite; expected.py made expected.json with Pillow 13.0.0).

use crate::support::{root, sha256};
use lathe::data::{PreprocessOptions, decode_picture, preprocess, read_picture};
use std::path::PathBuf;

/// What Pillow reads and we refuse, with the reason that is given.
const REFUSED: [(&str, &str); 6] = [
    ("child_ifd.tiff", "a TIFF compressed with JPEG, which is not read here"),
    ("compression.tif", "compression method Huffman is unsupported"),
    ("multipage_single_frame_loop.tiff", "cycle in the list of IFDs"),
    ("no_palette.gif", "no color table"),
    ("separate_planar_extra_samples.tiff", "in separate planes, which is not read here"),
    ("tiff_wrong_bits_per_sample_2.tiff", "inconsistent sizes"),
];

fn folder() -> PathBuf {
    root().join("tests/data/odd")
}

fn expected() -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(&std::fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

#[test]
fn each_is_read_as_pillow_reads_it_or_refused_with_a_reason() {
    let mut wrong = Vec::new();
    for (name, want) in expected() {
        let refused = REFUSED.iter().find(|(n, _)| *n == name);
        match (read_picture(folder().join(&name)), want.get("sha256"), refused) {
            (Ok(p), Some(hash), None) if hash == &sha256(&p.rgb) => {}
            (Err(e), _, Some((_, reason))) if e.to_string().contains(reason) && e.to_string().contains(&name) => {}
            (Err(e), None, None) if e.to_string().contains(&name) => {}
            (got, ..) => wrong.push(format!("{name}: {:?}, expected {want}", got.map(|p| (p.width, p.height)).map_err(|e| e.to_string()))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn preprocess_names_every_broken_one_and_keeps_the_others() {
    let dst = tempfile::tempdir().unwrap();
    let report = preprocess(folder(), dst.path(), &PreprocessOptions { resolution: 32, quiet: true, ..Default::default() }).unwrap();
    let expected = expected();
    let mut bad: Vec<&str> = expected.iter().filter(|(_, v)| v.get("error").is_some()).map(|(k, _)| k.as_str()).collect();
    bad.extend(REFUSED.map(|(n, _)| n));
    bad.sort_unstable();
    let mut skipped: Vec<&str> = report.dataset.skipped.iter().map(|s| s.path.as_str()).collect();
    skipped.sort_unstable();
    assert_eq!(skipped, bad);
    assert_eq!(report.dataset.count, expected.len() - bad.len());
}

#[test]
fn damaged_bytes_never_panic() {
    // A fixed stream of damage: bytes changed anywhere, headers preferred, and cut ends.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for name in expected().keys() {
        let whole = std::fs::read(folder().join(name)).unwrap();
        for _ in 0..40 {
            let mut bytes = whole.clone();
            for _ in 0..=random() % 5 {
                let end = if random() % 2 == 0 { bytes.len() } else { bytes.len().min(200) };
                let at = random() % end;
                bytes[at] = [0, 255, bytes[at] ^ (1 << (random() % 8)), random() as u8][random() % 4];
            }
            if random() % 4 == 0 {
                bytes.truncate(1 + random() % bytes.len());
            }
            if let Ok(p) = decode_picture(&bytes) {
                assert_eq!(p.rgb.len(), p.width * p.height * 3, "{name}");
            }
        }
    }
}
