//! Decoding and cropping against Pillow's own output (tests/golden/crop, made by Pillow 13.0.0 with libjpeg-turbo 3.2.0).

use lathe::data::{center_crop, read_picture};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

fn golden() -> PathBuf {
    let root = std::env::var_os("LATHE_GOLDEN").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from);
    root.join("crop")
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn decoded_pixels_and_crops_equal_pillows() {
    let dir = golden();
    let text = std::fs::read_to_string(dir.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (mut wrong, mut crops) = (Vec::new(), 0);
    for image in manifest["images"].as_array().unwrap() {
        let name = image["src"].as_str().unwrap();
        let picture = read_picture(dir.join(name)).unwrap();
        assert_eq!(serde_json::json!([picture.width, picture.height]), image["size"], "{name}");
        if sha256(&picture.rgb) != image["rgb_sha256"].as_str().unwrap() {
            wrong.push(format!("{name} decoded"));
        }
        for (resolution, expected) in image["crops"].as_object().unwrap() {
            crops += 1;
            let resolution: usize = resolution.parse().unwrap();
            let crop = center_crop(&picture, resolution).unwrap();
            let png = read_picture(dir.join(expected["png"].as_str().unwrap())).unwrap();
            if crop != png || sha256(&crop.rgb) != expected["sha256"].as_str().unwrap() {
                wrong.push(format!("{name} at {resolution}"));
            }
        }
    }
    assert!(crops >= 38, "only {crops} crops in the manifest");
    assert!(wrong.is_empty(), "differ from Pillow: {wrong:?}");
}
