use super::{contents, some_avatars};
use crate::support::{avatars, files, name};
use lathe::data::{ImageSet, PreprocessOptions, Samples, Size, center_crop, preprocess, read_picture};
use std::path::Path;

fn options(resolution: usize) -> PreprocessOptions {
    PreprocessOptions { resolution, quiet: true, ..Default::default() }
}

fn message(e: lathe::error::Error) -> String {
    format!("{e} help: {}", e.help_text().unwrap_or_default())
}

#[test]
fn the_avatars_become_shards_with_their_classes_and_attributes() {
    let dir = tempfile::tempdir().unwrap();
    let report = preprocess(avatars(), dir.path(), &PreprocessOptions { shard_size: 1000, ..options(32) }).unwrap();
    let d = &report.dataset;
    assert_eq!((d.count, d.shards.len(), d.skipped.len()), (3000, 3, 0));
    assert_eq!(d.classes, ["bun", "sideComed", "spiky", "undercut"]);
    assert_eq!(d.class_counts.iter().sum::<usize>(), 3000);
    let set = ImageSet::open(dir.path()).unwrap();
    set.verify().unwrap();
    let files = std::fs::read_to_string(dir.path().join("files.txt")).unwrap();
    let files: Vec<&str> = files.lines().collect();
    let mut table = csv::Reader::from_path(avatars().join("attributes.csv")).unwrap();
    let header = table.headers().unwrap().clone();
    let rows: std::collections::HashMap<String, csv::StringRecord> = table.records().map(|r| r.unwrap()).map(|r| (r[0].to_owned(), r)).collect();
    // Some from every shard, its edges among them.
    for i in [0, 1, 999, 1000, 1777, 2000, 2999] {
        let batch = set.gather(&[i]).unwrap();
        let crop = center_crop(&read_picture(avatars().join(files[i])).unwrap(), Size::square(32)).unwrap();
        let planes: Vec<u8> = (0..3).flat_map(|c| crop.rgb.iter().skip(c).step_by(3).copied().collect::<Vec<_>>()).collect();
        assert_eq!(batch.get("images").unwrap().to_bytes().unwrap(), planes, "{}", files[i]);
        let label = batch.get("labels").unwrap().to_vec_i64().unwrap()[0];
        assert_eq!(set.classes()[label as usize], files[i].split('/').next().unwrap());
        let values = batch.get("attributes").unwrap().to_vec_i64().unwrap();
        for (a, v) in values.iter().enumerate() {
            let attribute = &set.attributes()[a];
            assert_eq!(attribute.name, header[a + 1]);
            assert_eq!(attribute.values[*v as usize], rows[files[i]][a + 1], "{} {}", files[i], attribute.name);
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let (one, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let o = PreprocessOptions { max_images: Some(300), shard_size: 70, ..options(48) };
    preprocess(avatars(), one.path(), &PreprocessOptions { workers: 1, ..o.clone() }).unwrap();
    preprocess(avatars(), many.path(), &PreprocessOptions { workers: 7, ..o }).unwrap();
    assert!(contents(one.path()) == contents(many.path()));
}

/// A PNG header that promises 30,000 x 30,000 pixels.
fn huge_png() -> Vec<u8> {
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(30_000u32.to_be_bytes());
    ihdr.extend(30_000u32.to_be_bytes());
    ihdr.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(&ihdr);
    png.extend(crc32(&ihdr).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, b| (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }))
}

fn broken_source(dir: &Path) {
    some_avatars(dir, &[("bun", 5), ("spiky", 5)]);
    let good = std::fs::read(&files(&dir.join("bun"))[0]).unwrap();
    std::fs::write(dir.join("bun/text.jpg"), "this is not a picture\n").unwrap();
    std::fs::write(dir.join("bun/cut.png"), &good[..700]).unwrap();
    std::fs::write(dir.join("spiky/huge.png"), huge_png()).unwrap();
    std::fs::write(dir.join("spiky/empty.jpeg"), "").unwrap();
    std::fs::write(dir.join("spiky/notes.txt"), "no picture by its name").unwrap();
    std::fs::write(dir.join("stray.png"), "beside the classes").unwrap();
}

#[test]
fn broken_pictures_are_named_counted_and_skipped() {
    let (src, dst) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    broken_source(src.path());
    let report = preprocess(src.path(), dst.path(), &options(64)).unwrap();
    let skipped: Vec<(String, String)> = report.dataset.skipped.iter().map(|s| (s.path.clone(), s.reason.clone())).collect();
    let want = [
        ("stray.png", "beside the class folders"),
        ("bun/cut.png", "truncated"),
        ("bun/text.jpg", "its content is text"),
        ("spiky/empty.jpeg", "empty file"),
        ("spiky/huge.png", "30000 x 30000 pixels are more than the limit"),
    ];
    assert_eq!(skipped.len(), want.len(), "{skipped:?}");
    for ((path, reason), (want_path, want_reason)) in skipped.iter().zip(want) {
        assert_eq!(path, want_path);
        assert!(reason.contains(want_reason), "{path}: {reason}");
    }
    assert_eq!(report.dataset.count, 10);
    assert_eq!(std::fs::read_to_string(dst.path().join("files.txt")).unwrap().lines().count(), 10);

    let strict = tempfile::tempdir().unwrap();
    let e = preprocess(src.path(), strict.path(), &PreprocessOptions { strict: true, ..options(64) }).unwrap_err();
    assert!(message(e).contains("stray.png"));
}

#[test]
fn what_cannot_be_a_data_set_says_why() {
    let dst = tempfile::tempdir().unwrap();
    let e = message(preprocess("/no/such/folder", dst.path(), &options(64)).unwrap_err());
    assert!(e.contains("/no/such/folder"), "{e}");
    let empty = tempfile::tempdir().unwrap();
    let e = message(preprocess(empty.path(), dst.path(), &options(64)).unwrap_err());
    assert!(e.contains("no picture in this folder"), "{e}");
    std::fs::write(empty.path().join("a.png"), "text").unwrap();
    let e = message(preprocess(empty.path(), dst.path(), &options(64)).unwrap_err());
    assert!(e.contains("none of the 1 pictures can be read; the first is `a.png`: not a picture: its content is text"), "{e}");
    let e = message(ImageSet::open(dst.path()).unwrap_err());
    assert!(e.contains("not finished"), "{e}");
    let e = message(ImageSet::open(avatars()).unwrap_err());
    assert!(e.contains("not a data set folder"), "{e}");
}

#[test]
fn one_folder_or_none_is_one_class_and_a_label_file_overrides() {
    let src = tempfile::tempdir().unwrap();
    some_avatars(src.path(), &[("bun", 3)]);
    let dst = tempfile::tempdir().unwrap();
    let report = preprocess(src.path(), dst.path(), &options(16)).unwrap();
    assert_eq!((report.dataset.classes.as_slice(), report.dataset.class_counts.as_slice()), (&["bun".to_owned()][..], &[3][..]));
    assert!(report.labelling.contains("all labels are 0"), "{}", report.labelling);
    let flat = tempfile::tempdir().unwrap();
    let report = preprocess(src.path().join("bun"), flat.path(), &options(16)).unwrap();
    assert_eq!((report.dataset.classes.as_slice(), report.dataset.count), (&["all".to_owned()][..], 3));

    let names: Vec<String> = files(&src.path().join("bun")).iter().map(|f| name(f)).collect();
    let labels = serde_json::json!({"labels": [[format!("bun/{}", names[1]), 2], [format!("bun/{}", names[0]), 0], ["bun/missing.png", 1]]});
    std::fs::write(src.path().join("dataset.json"), labels.to_string()).unwrap();
    let labelled = tempfile::tempdir().unwrap();
    let report = preprocess(src.path(), labelled.path(), &options(16)).unwrap();
    assert_eq!(report.dataset.classes, ["0", "1", "2"]);
    assert_eq!(report.dataset.skipped[0].path, "bun/missing.png");
    let set = ImageSet::open(labelled.path()).unwrap();
    assert_eq!(set.gather(&[0, 1]).unwrap().get("labels").unwrap().to_vec_i64().unwrap(), [0, 2]);
    std::fs::write(src.path().join("dataset.json"), r#"{"labels": [["../up.png", 0]]}"#).unwrap();
    let e = message(preprocess(src.path(), flat.path(), &options(16)).unwrap_err());
    assert!(e.contains("does not lie below"), "{e}");
}

#[test]
fn attributes_must_cover_the_pictures() {
    let src = tempfile::tempdir().unwrap();
    some_avatars(src.path(), &[("bun", 2)]);
    let names: Vec<String> = files(&src.path().join("bun")).iter().map(|f| name(f)).collect();
    let csv = src.path().join("attributes.csv");
    // A bare file name is enough, columns can be chosen.
    std::fs::write(&csv, format!("file,age,id\nbun/{},old,1\n{},young,2\n", names[0], names[1])).unwrap();
    let dst = tempfile::tempdir().unwrap();
    let o = PreprocessOptions { attributes: Some(vec!["age".into()]), ..options(16) };
    let set = preprocess(src.path(), dst.path(), &o).map(|_| ImageSet::open(dst.path()).unwrap()).unwrap();
    assert_eq!(set.attributes()[0].values, ["old", "young"]);
    assert_eq!(set.gather(&[0, 1]).unwrap().get("attributes").unwrap().to_vec_i64().unwrap(), [0, 1]);
    let fresh = tempfile::tempdir().unwrap();
    let o = PreprocessOptions { attributes: Some(vec!["agee".into()]), ..options(16) };
    let e = message(preprocess(src.path(), fresh.path(), &o).unwrap_err());
    assert!(e.contains("no column `agee`, did you mean `age`?"), "{e}");
    std::fs::write(&csv, format!("file,age\n{},old\n", names[0])).unwrap();
    let e = message(preprocess(src.path(), fresh.path(), &options(16)).unwrap_err());
    assert!(e.contains(&format!("no row for `bun/{}`", names[1])), "{e}");
}

#[test]
fn a_destination_with_other_options_is_refused_with_the_difference() {
    let dst = tempfile::tempdir().unwrap();
    let o = PreprocessOptions { max_images: Some(10), ..options(16) };
    preprocess(avatars(), dst.path(), &o).unwrap();
    let again = preprocess(avatars(), dst.path(), &o).unwrap();
    assert_eq!((again.resumed, again.dataset.count), (10, 10));
    let e = message(preprocess(avatars(), dst.path(), &PreprocessOptions { resolution: 24, ..o.clone() }).unwrap_err());
    assert!(e.contains("`resolution` 16 against 24"), "{e}");
    let e = message(preprocess(avatars(), dst.path(), &PreprocessOptions { max_images: Some(11), ..o }).unwrap_err());
    assert!(e.contains("10 source pictures against 11"), "{e}");
}

#[test]
fn a_truncated_shard_is_named() {
    let dst = tempfile::tempdir().unwrap();
    preprocess(avatars(), dst.path(), &PreprocessOptions { max_images: Some(20), shard_size: 10, ..options(16) }).unwrap();
    let shard = dst.path().join("images-00001.safetensors");
    let bytes = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &bytes[..bytes.len() - 1]).unwrap();
    let e = message(ImageSet::open(dst.path()).unwrap_err());
    assert!(e.contains("images-00001.safetensors") && e.contains("truncated"), "{e}");
    // Of the right size, but other bytes: the cheap check cannot see it, the thorough one does.
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(&shard, other).unwrap();
    let e = message(ImageSet::open(dst.path()).unwrap().verify().unwrap_err());
    assert!(e.contains("images-00001.safetensors") && e.contains("SHA-256"), "{e}");
}

#[test]
fn with_flips_every_picture_is_there_a_second_time_mirrored() {
    let (plain, both) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let some = PreprocessOptions { max_images: Some(21), shard_size: 8, ..options(16) };
    preprocess(avatars(), plain.path(), &some).unwrap();
    preprocess(avatars(), both.path(), &PreprocessOptions { flip: true, ..some.clone() }).unwrap();
    let (want, got) = (ImageSet::open(plain.path()).unwrap().and_flips(), ImageSet::open(both.path()).unwrap());
    assert_eq!((got.len(), got.dataset().class_counts.iter().sum::<usize>()), (42, 42));
    let all: Vec<usize> = (0..42).collect();
    let (want, got) = (want.gather(&all).unwrap(), got.gather(&all).unwrap());
    for name in ["images", "labels", "attributes", "index"] {
        assert_eq!(want.get(name).unwrap().to_bytes().unwrap(), got.get(name).unwrap().to_bytes().unwrap(), "{name}");
    }
    let e = preprocess(avatars(), both.path(), &some).unwrap_err();
    assert_eq!(e.code(), "E0302", "another set: {e}");
}
