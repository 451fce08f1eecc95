//! Which pictures a folder holds, which class each has, and which are taken of many.

use super::some_avatars;
use crate::support::{avatars, files, name};
use lathe::data::{Dataset, ImageSet, Pick, PixelRule, PreprocessOptions, PreprocessReport, Samples, preprocess};
use lathe::error::Result;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

fn options() -> PreprocessOptions {
    PreprocessOptions { resolution: 16, quiet: true, ..Default::default() }
}

fn made_with(source: &Path, options: &PreprocessOptions) -> Result<(PreprocessReport, Vec<i64>)> {
    let to = tempfile::tempdir().unwrap();
    let report = preprocess(source, to.path(), options)?;
    let set = ImageSet::open(to.path())?;
    let labels = set.labels(&(0..set.len()).collect::<Vec<_>>())?;
    Ok((report, labels))
}

fn made(source: &Path) -> (Dataset, Vec<i64>, String) {
    let (report, labels) = made_with(source, &options()).unwrap();
    (report.dataset, labels, report.labelling)
}

fn refused(source: &Path) -> String {
    let e = made_with(source, &options()).unwrap_err();
    format!("{e} help: {}", e.help_text().unwrap_or_default())
}

/// A picture under a name.
fn copy(to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(&files(&avatars().join("bun"))[0], to).unwrap();
}

#[test]
fn hidden_and_system_files_are_no_classes_and_no_pictures() {
    let src = tempfile::tempdir().unwrap();
    some_avatars(src.path(), &[("bun", 2), ("spiky", 1)]);
    for odd in [
        ".ipynb_checkpoints/x.png",
        "__MACOSX/bun/._a.png",
        "bun/.ipynb_checkpoints/y.png",
        "spiky/._z.png",
        "@eaDir/a.png",
        ".git/a.png",
        "bun/Thumbs.db",
    ] {
        copy(&src.path().join(odd));
    }
    let (set, labels, _) = made(src.path());
    assert_eq!((set.classes, labels), (vec!["bun".to_owned(), "spiky".into()], vec![0, 0, 1]));
    // A folder below which nothing else is says why it is empty.
    assert!(refused(&src.path().join("__MACOSX/bun")).contains("1 hidden or system file or folder is left out: ._a.png"));
    // A hidden folder that is given itself is taken.
    assert_eq!(made(&src.path().join(".git")).0.count, 1);
    // So does a list: what it names is meant.
    std::fs::write(src.path().join("dataset.json"), r#"{"labels": [[".git/a.png", 0], ["bun/.ipynb_checkpoints/y.png", 1]]}"#).unwrap();
    assert_eq!(made(src.path()).0.count, 2);
}

#[test]
fn an_empty_class_keeps_its_label() {
    let (train, val) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    some_avatars(train.path(), &[("bun", 1), ("sideComed", 1), ("spiky", 1)]);
    some_avatars(val.path(), &[("bun", 1), ("sideComed", 0), ("spiky", 2)]);
    std::fs::write(val.path().join("sideComed/notes.txt"), "no picture").unwrap();
    assert_eq!(made(train.path()).1, [0, 1, 2]);
    let (set, labels, how) = made(val.path());
    assert_eq!((labels, set.class_counts), (vec![0, 2, 2], vec![1, 0, 2]));
    assert!(how.contains("3 classes by folder, 1 of them without pictures: sideComed"), "{how}");
    // Folders beside pictures that have none themselves are no classes.
    std::fs::create_dir(val.path().join("bun/notes")).unwrap();
    assert_eq!(made(&val.path().join("bun")).0.classes, ["all"]);
}

#[test]
fn names_that_are_not_utf8_stay_apart() {
    let src = tempfile::tempdir().unwrap();
    for (folder, n) in [(&b"\xff"[..], 2), (b"\xfe", 1), ("\u{fffd}".as_bytes(), 1)] {
        (0..n).for_each(|i| copy(&src.path().join(OsStr::from_bytes(folder)).join(OsStr::from_bytes(&[b'a', 0x80 + i, b'.', b'p', b'n', b'g']))));
    }
    let (set, labels, _) = made(src.path());
    assert_eq!(set.classes, ["\\xfe", "\\xff", "\u{fffd}"]);
    assert_eq!((set.class_counts, labels.len()), (vec![1, 2, 1], 4));
}

#[test]
fn links_that_lead_nowhere_are_skipped_and_named() {
    let src = tempfile::tempdir().unwrap();
    some_avatars(src.path(), &[("bun", 2), ("spiky", 1)]);
    let at = |name: &str| src.path().join(name);
    symlink("missing/x.png", at("bun/dead.png")).unwrap();
    symlink("loop", at("bun/loop")).unwrap();
    symlink("..", at("spiky/up")).unwrap();
    symlink("../bun", at("spiky/again")).unwrap();
    let (set, _, _) = made(src.path());
    // The link to another class brings its pictures.
    assert_eq!((set.classes.len(), set.class_counts), (2, vec![2, 3]));
    let said: Vec<String> = set.skipped.iter().map(|s| format!("{}: {}", s.path, s.reason)).collect();
    for want in ["bun/dead.png: a link to `missing/x.png`, which is not there", "bun/loop: a link to `loop`", "spiky/up: a link that leads back"] {
        assert!(said.iter().any(|s| s.starts_with(want)), "no `{want}` in {said:#?}");
    }
}

#[test]
fn parts_of_a_data_set_are_refused_and_the_folder_to_give_is_named() {
    let src = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        some_avatars(&src.path().join(part), &[("bun", 1), ("spiky", 1)]);
    }
    let e = refused(src.path());
    assert!(e.contains("it holds train/, val/") && e.contains(&format!("`{}`", src.path().join("train").display())), "{e}");
    assert_eq!(made(&src.path().join("train")).1, [0, 1]);
    std::fs::rename(src.path().join("val"), src.path().join("Test")).unwrap();
    assert!(refused(src.path()).contains("Test/, train/"));
    // A class that is called like a part is one, and a folder with one folder of folders says what it may be.
    std::fs::rename(src.path().join("Test"), src.path().join("plane")).unwrap();
    assert_eq!(made(src.path()).0.classes, ["plane", "train"]);
    std::fs::remove_dir_all(src.path().join("plane")).unwrap();
    let how = made(src.path()).2;
    assert!(how.contains("it holds 2 folders itself") && how.contains(&format!("`{}`", src.path().join("train").display())), "{how}");
}

#[test]
fn most_pictures_are_drawn_evenly_over_the_classes() {
    let counts = |o: &PreprocessOptions| made_with(&avatars(), o).unwrap().0.dataset.class_counts;
    let some = PreprocessOptions { max_images: Some(10), ..options() };
    let even = counts(&some);
    assert!(even.iter().sum::<usize>() == 10 && even.iter().all(|n| [2, 3].contains(n)), "{even:?}");
    assert_eq!(counts(&PreprocessOptions { pick: Pick::First, ..some.clone() }), [10, 0, 0, 0]);
    let source = |o: &PreprocessOptions| made_with(&avatars(), o).unwrap().0.dataset.source;
    assert_eq!(source(&some), source(&some));
    assert_ne!(source(&some), source(&PreprocessOptions { seed: 1, ..some.clone() }));
    // Without classes they come from all over the folder.
    let flat = PreprocessOptions { max_images: Some(20), ..options() };
    let to = tempfile::tempdir().unwrap();
    preprocess(avatars().join("bun"), to.path(), &flat).unwrap();
    let all: Vec<String> = files(&avatars().join("bun")).iter().map(|f| name(f)).collect();
    let taken = std::fs::read_to_string(to.path().join("files.txt")).unwrap();
    let places: Vec<usize> = taken.lines().map(|l| all.iter().position(|n| n == l).unwrap()).collect();
    assert!(places.is_sorted() && places[19] > all.len() / 2, "{places:?}");
}

#[test]
fn what_pillow_clips_and_drops_is_counted_and_16_bits_can_be_scaled() {
    let src = tempfile::tempdir().unwrap();
    let at = |name: &str| src.path().join(name);
    let grey: Vec<u8> = (0..64u32).flat_map(|i| ((i * 1040) as u16).to_ne_bytes()).collect();
    image::save_buffer(at("a-deep.png"), &grey, 8, 8, image::ExtendedColorType::L16).unwrap();
    image::save_buffer(at("b-dark.png"), &7u16.to_ne_bytes().repeat(64), 8, 8, image::ExtendedColorType::L16).unwrap();
    image::save_buffer(at("c-clear.png"), &[9, 9, 9, 100].repeat(64), 8, 8, image::ExtendedColorType::Rgba8).unwrap();
    image::save_buffer(at("d-opaque.png"), &[9, 9, 9, 255].repeat(64), 8, 8, image::ExtendedColorType::Rgba8).unwrap();
    let run = |pixels: PixelRule| {
        let to = tempfile::tempdir().unwrap();
        let o = PreprocessOptions { resolution: 8, pixels, ..options() };
        let d = preprocess(src.path(), to.path(), &o).unwrap().dataset;
        let bytes = ImageSet::open(to.path()).unwrap().gather(&[0]).unwrap().get("images").unwrap().to_bytes().unwrap();
        // The same folder takes no pictures of the other kind.
        let other = if pixels == PixelRule::Scale { PixelRule::Pillow } else { PixelRule::Scale };
        let e = preprocess(src.path(), to.path(), &PreprocessOptions { pixels: other, ..o }).unwrap_err().to_string();
        assert!(e.contains("`pixels`"), "{e}");
        (d.lost.clipped, d.lost.alpha, d.pixels, bytes)
    };
    let (clipped, alpha, rule, bytes) = run(PixelRule::Pillow);
    assert_eq!((clipped, alpha, rule, bytes[0], bytes[1], bytes[63]), (1, 1, PixelRule::Pillow, 0, 255, 255));
    let (clipped, alpha, rule, bytes) = run(PixelRule::Scale);
    assert_eq!((clipped, alpha, rule, bytes[0], bytes[1], bytes[32], bytes[63]), (0, 1, PixelRule::Scale, 0, 4, 129, 255));
}
