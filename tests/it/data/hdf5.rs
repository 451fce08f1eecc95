//! REPA-E's HDF5 containers in and out; tests/data/hdf5/make.py wrote the files with h5py. Without the feature: the error says what to build.

use crate::support::root;
use lathe::data::{LatentLabels, LatentOptions, PreprocessOptions, export_images, import_latents, is_hdf5, load_hdf5, preprocess};
use lathe::error::Error;
use std::path::PathBuf;

pub fn file(name: &str) -> PathBuf {
    root().join("tests/data/hdf5").join(name)
}

pub fn quiet() -> PreprocessOptions {
    PreprocessOptions { resolution: 16, quiet: true, ..Default::default() }
}

pub fn options() -> LatentOptions {
    LatentOptions { name: "fixture".into(), shard_size: 4, ..LatentOptions::default() }
}

fn text(e: &Error) -> String {
    format!("{e} {}", e.help_text().unwrap_or_default())
}

#[test]
fn containers_are_known_by_their_names() {
    assert!(is_hdf5("a/images.h5") && is_hdf5("X.HDF5") && !is_hdf5("images.zip") && !is_hdf5("h5"));
}

#[cfg(not(feature = "hdf5"))]
#[test]
fn a_build_without_hdf5_says_what_to_build() {
    let dir = tempfile::tempdir().unwrap();
    let set = preprocess(file("../avatars64"), dir.path().join("set"), &PreprocessOptions { max_images: Some(4), ..quiet() }).unwrap();
    let set = lathe::data::ImageSet::open(set.folder).unwrap();
    let errors = [
        preprocess(file("images.h5"), dir.path().join("out"), &quiet()).unwrap_err(),
        load_hdf5(file("images.h5"), None).unwrap_err(),
        import_latents(&file("latents.h5"), &dir.path().join("out"), LatentLabels::Own, options()).unwrap_err(),
        export_images(&set, &dir.path().join("images.h5")).unwrap_err(),
    ];
    for e in errors {
        let text = text(&e);
        assert!(text.contains("this build reads no HDF5") && text.contains("`cargo build --release --features hdf5` (needs cmake)"), "{text}");
        assert_eq!(e.code(), "E0302");
    }
    assert!(!dir.path().join("images.h5").exists() && !dir.path().join("out").exists());
}

#[cfg(feature = "hdf5")]
mod with_the_library {
    use super::*;
    use lathe::data::{Hdf5Value, ImageSet, LatentSet, Samples, export_latents};
    use std::path::Path;

    const N: usize = 6;
    const LABELS: [i64; N] = [2, 0, 1, 2, 0, 1];

    /// The formula of make.py, planes.
    fn picture(i: usize) -> Vec<i64> {
        let value = |c, y: usize, x: usize| match c {
            0 => x * 16 + i,
            1 => y * 16 + 3 * i,
            _ => x * y + 7 * i,
        };
        (0..3).flat_map(|c| (0..16).flat_map(move |y| (0..16).map(move |x| (value(c, y, x) % 256) as i64))).collect()
    }

    /// Mean and standard deviation `[2, 3, 3]` of make.py.
    fn latent(i: usize) -> (Vec<f32>, Vec<f32>) {
        let v: Vec<f32> = (0..36).map(|k| k as f32 / 8.0 + i as f32).collect();
        (v[..18].iter().map(|m| m - 3.0).collect(), v[18..].to_vec())
    }

    fn copy(dir: &Path, names: &[&str]) {
        for n in names {
            std::fs::copy(file(n), dir.join(n)).unwrap();
        }
    }

    fn check_images(folder: &Path) -> ImageSet {
        let set = ImageSet::open(folder).unwrap();
        assert_eq!((set.len(), set.classes()), (N, ["0", "1", "2"].map(String::from).as_slice()));
        let batch = set.gather(&(0..N).collect::<Vec<_>>()).unwrap();
        assert_eq!(batch.get("labels").unwrap().to_vec_i64().unwrap(), LABELS);
        // Pictures of the right size pass the crop unchanged.
        assert_eq!(batch.get("images").unwrap().to_vec_i64().unwrap(), (0..N).flat_map(picture).collect::<Vec<_>>());
        set
    }

    fn check_latents(set: &LatentSet) {
        assert_eq!((set.len(), set.latents().shape), (N, [2, 3, 3]));
        let batch = set.gather(&(0..N).collect::<Vec<_>>()).unwrap();
        assert_eq!(batch.get("mean").unwrap().to_vec_f32().unwrap(), (0..N).flat_map(|i| latent(i).0).collect::<Vec<_>>());
        assert_eq!(batch.get("std").unwrap().to_vec_f32().unwrap(), (0..N).flat_map(|i| latent(i).1).collect::<Vec<_>>());
        assert_eq!(batch.get("labels").unwrap().to_vec_i64().unwrap(), LABELS);
        assert_eq!(batch.get("index").unwrap().to_vec_i64().unwrap(), [0, 1, 2, 3, 4, 5]);
        // Channel 0: the mean over samples and pixels of (k / 8 + i - 3), k < 9, i < 6.
        let want = 4.0 / 8.0 + 2.5 - 3.0;
        assert!((set.latents().stats.mean[0] - want).abs() < 1e-12);
    }

    #[test]
    fn pictures_come_in_and_go_out() {
        let dir = tempfile::tempdir().unwrap();
        let report = preprocess(file("images.h5"), dir.path().join("set"), &quiet()).unwrap();
        assert_eq!((report.dataset.skipped.len(), report.labelling.as_str()), (0, "3 classes by dataset.json"));
        let set = check_images(&report.folder);
        assert_eq!(export_images(&set, &dir.path().join("again.h5")).unwrap(), N);
        preprocess(dir.path().join("again.h5"), dir.path().join("second"), &quiet()).unwrap();
        check_images(&dir.path().join("second"));
        let keys: Vec<String> = serde_json::from_slice(&std::fs::read(dir.path().join("again_h5.json")).unwrap()).unwrap();
        assert_eq!((keys.len(), keys[5].as_str(), keys[6].as_str()), (7, "00000/img00000005.png", "dataset.json"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().ends_with(".part")).count(), 0);
    }

    #[test]
    fn latents_come_in_and_go_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let images = file("images.h5");
        let set = import_latents(&file("latents.h5"), &at("a"), LatentLabels::Container(&images), options()).unwrap();
        check_latents(&set);
        assert_eq!(set.classes(), ["0", "1", "2"]);
        // The same labels from shards, and a second call finds the work done.
        preprocess(&images, at("set"), &quiet()).unwrap();
        let shards = ImageSet::open(at("set")).unwrap();
        check_latents(&import_latents(&file("latents.h5"), &at("b"), LatentLabels::Images(&shards), options()).unwrap());
        check_latents(&import_latents(&file("latents.h5"), &at("b"), LatentLabels::Images(&shards), options()).unwrap());
        assert_eq!(export_latents(&set, &at("again.h5")).unwrap(), N);
        check_latents(&import_latents(&at("again.h5"), &at("c"), LatentLabels::Own, options()).unwrap());
        let e = text(&import_latents(&file("latents.h5"), &at("d"), LatentLabels::Own, options()).unwrap_err());
        assert!(e.contains("which classes the latents have") && e.contains("images"), "{e}");
        let e = text(&import_latents(&images, &at("d"), LatentLabels::Own, options()).unwrap_err());
        assert!(e.contains("holds no latents"), "{e}");
        let e = text(&import_latents(&file("latents.h5"), &at("d"), LatentLabels::Container(&file("bytes.h5")), options()).unwrap_err());
        assert!(e.contains("6 latents for 3 pictures"), "{e}");
    }

    #[test]
    fn other_ways_to_store_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let report = preprocess(file("bytes.h5"), dir.path(), &quiet()).unwrap();
        // Links into the same or another file are not pictures of this one.
        assert_eq!((report.dataset.count, report.dataset.classes.as_slice()), (2, ["all".to_owned()].as_slice()));
        let images = ImageSet::open(dir.path()).unwrap().gather(&[0, 1]).unwrap().get("images").unwrap().clone();
        assert_eq!(images.to_vec_i64().unwrap(), [0, 2].into_iter().flat_map(picture).collect::<Vec<_>>());
        // The reference compresses nothing, and the library is built without filters.
        let [skipped] = report.dataset.skipped.as_slice() else { panic!("{:?}", report.dataset.skipped) };
        assert!(skipped.path.ends_with("1.png") && skipped.reason.contains("h5repack -f NONE"), "{skipped:?}");
        let numbers = load_hdf5(file("bytes.h5"), Some("numbers")).unwrap();
        let [(_, Hdf5Value::Tensor(t))] = numbers.as_slice() else { panic!("{numbers:?}") };
        assert_eq!((t.shape(), t.to_vec_i64().unwrap()), (vec![2, 3], vec![0, 1, 2, 3, 4, 5]));
        let e = text(&load_hdf5(file("bytes.h5"), Some("claims")).unwrap_err());
        assert!(e.contains("needs 1099511627776 bytes, 0 are stored"), "{e}");
        let e = text(&load_hdf5(file("bytes.h5"), Some("number")).unwrap_err());
        assert!(e.contains("did you mean `numbers`?"), "{e}");
        assert!(load_hdf5(file("bytes.h5"), Some("outside.png")).is_err());
        let all = load_hdf5(file("images.h5"), None).unwrap();
        assert_eq!(all.len(), N + 1);
        assert!(all.iter().all(|(name, v)| matches!((name.as_str(), v), ("dataset.json", Hdf5Value::Json(_)) | (_, Hdf5Value::Picture(_)))));
    }

    #[test]
    fn wrong_keys_and_damaged_files() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        copy(dir.path(), &["images.h5", "images_h5.json"]);
        let list = std::fs::read_to_string(at("images_h5.json")).unwrap();
        std::fs::write(at("images_h5.json"), list.replace("00000003.png", "00000009.png")).unwrap();
        let e = text(&preprocess(at("images.h5"), at("out"), &quiet()).unwrap_err());
        assert!(e.contains("images_h5.json") && e.contains("`00000/img00000009.png`") && e.contains("belong together"), "{e}");
        // A shorter list makes a smaller set, and says so.
        let short: Vec<String> = serde_json::from_str(&list).unwrap();
        std::fs::write(at("images_h5.json"), serde_json::to_string(&short[..4]).unwrap()).unwrap();
        let report = preprocess(at("images.h5"), at("short"), &quiet()).unwrap();
        assert_eq!(report.dataset.count, 3);
        assert!(report.dataset.skipped.iter().any(|s| s.path.ends_with("5.png")), "{:?}", report.dataset.skipped);
        std::fs::write(at("images_h5.json"), "{").unwrap();
        assert!(preprocess(at("images.h5"), at("out"), &quiet()).is_err());
        std::fs::remove_file(at("images_h5.json")).unwrap();
        let whole = std::fs::read(file("images.h5")).unwrap();
        // Cut anywhere it is an error that names the file; nothing is written.
        for len in [0, 7, 100, 2000, whole.len() / 2, whole.len() - 1] {
            std::fs::write(at("cut.h5"), &whole[..len]).unwrap();
            let e = text(&preprocess(at("cut.h5"), at("out"), &quiet()).unwrap_err());
            assert!(e.contains("cut.h5"), "{len}: {e}");
            assert!(len < 2000 || e.contains("truncated"), "{len}: {e}");
        }
        std::fs::write(at("text.h5"), "not HDF5 at all").unwrap();
        assert!(text(&load_hdf5(at("text.h5"), None).unwrap_err()).contains("not an HDF5 file"));
        // A picture whose bytes are broken is named and skipped, as in a folder.
        let mut broken = whole;
        let png = broken.windows(8).position(|w| w == b"\x89PNG\r\n\x1a\n").unwrap();
        broken[png + 12..png + 16].copy_from_slice(b"NOPE");
        std::fs::write(at("broken.h5"), &broken).unwrap();
        let report = preprocess(at("broken.h5"), at("five"), &quiet()).unwrap();
        assert_eq!((report.dataset.count, report.dataset.skipped.len()), (5, 1));
        assert!(!at("out").exists());
    }
}
