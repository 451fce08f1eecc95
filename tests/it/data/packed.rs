//! Archives, shards and tables: what is in them, what is wrong with them, and pictures drawn straight from them. tests/data/packed/make.py has written the
//! fixtures with `datasets`, `pyarrow` and `webdataset`.

use crate::support::{avatars, files, name, root};
use lathe::data::{DirectOptions, ImageSet, Loader, LoaderOptions, PreprocessOptions, Samples, preprocess};
use std::path::{Path, PathBuf};

/// A file that the script has written.
pub(super) fn fixture(name: &str) -> PathBuf {
    root().join("tests/data/packed").join(name)
}

pub(super) fn options() -> PreprocessOptions {
    PreprocessOptions { resolution: 32, quiet: true, ..Default::default() }
}

pub(super) fn message(e: lathe::error::Error) -> String {
    format!("{e} help: {}", e.help_text().unwrap_or_default())
}

/// A folder with the first `n` avatars of each class; their names in order.
pub(super) fn tree(into: &Path, n: usize) -> Vec<String> {
    let classes = ["bun", "sideComed", "spiky", "undercut"];
    super::some_avatars(into, &classes.map(|c| (c, n)));
    classes.iter().flat_map(|c| files(&into.join(c)).into_iter().map(move |f| format!("{c}/{}", name(&f)))).collect()
}

/// The bytes of an avatar.
fn picture(class: &str, i: usize) -> Vec<u8> {
    std::fs::read(&files(&avatars().join(class))[i]).unwrap()
}

/// A tar with these members.
fn tar(path: &Path, members: &[(&str, &[u8])]) {
    let mut out = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // As it is: the crate itself refuses `..`.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        out.append(&header, *bytes).unwrap();
    }
    out.finish().unwrap();
}

/// What is said of a source that cannot be used.
fn refused(src: &Path) -> String {
    let dst = tempfile::tempdir().unwrap();
    message(preprocess(src, dst.path(), &options()).unwrap_err())
}

#[test]
fn labels_of_shards_are_numbers_or_names_and_samples_without_one_are_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (picture("bun", 0), picture("spiky", 0));
    let src = dir.path().join("x.tar");
    let members: &[(&str, &[u8])] = &[
        ("s/1.png", &a),
        ("s/1.cls", b"2"),
        ("s/2.cls", b"0\n"),
        ("s/2.jpg", &b),
        ("s/3.png", &a),
        ("s/4.cls", b"1"),
        ("s/5.cls", b" "),
        ("s/5.png", &a),
        ("s/2.seg.png", &a),
        ("s/._1.png", b"left by macOS"),
    ];
    tar(&src, members);
    let dst = tempfile::tempdir().unwrap();
    let report = preprocess(&src, dst.path(), &options()).unwrap();
    let d = &report.dataset;
    assert_eq!((d.count, d.classes.as_slice()), (2, &["0", "1", "2"].map(String::from)[..]));
    assert!(report.labelling.contains("3 classes by .cls"), "{}", report.labelling);
    let set = ImageSet::open(dst.path()).unwrap();
    assert_eq!(set.labels(&[0, 1]).unwrap(), [2, 0]);
    assert_eq!(std::fs::read_to_string(dst.path().join("files.txt")).unwrap(), "x.tar/s/1.png\nx.tar/s/2.jpg\n");
    let skipped: Vec<String> = d.skipped.iter().map(|s| format!("{}: {}", s.path, s.reason)).collect();
    for want in ["x.tar/s/3.png: there is no .cls beside it", "x.tar/s/4.cls: there is no picture of this name", "x.tar/s/5.png: its .cls is empty"] {
        assert!(skipped.iter().any(|s| s.starts_with(want)), "{want}: {skipped:?}");
    }
    assert_eq!(skipped.len(), 3);
    let e = message(preprocess(&src, dir.path().join("strict"), &PreprocessOptions { strict: true, ..options() }).unwrap_err());
    assert!(e.contains("x.tar/s/4.cls"), "{e}");

    tar(&src, &[("1.png", &a), ("1.json", br#"{"label": "dog"}"#), ("2.png", &b), ("2.json", br#"{"label": 3}"#)]);
    let e = refused(&src);
    assert!(e.contains("x.tar") && e.contains("all numbers from 0 or all names") && e.contains("x.tar/1.png"), "{e}");
}

#[test]
fn damaged_archives_are_named_with_their_member() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (picture("bun", 0), picture("spiky", 0));
    let src = dir.path().join("x.tar");
    tar(&src, &[("bun/1.png", &a), ("spiky/2.png", &b)]);
    let whole = std::fs::read(&src).unwrap();

    std::fs::write(&src, &whole[..whole.len() - 1024 - 700]).unwrap();
    let e = refused(&src);
    assert!(e.contains("x.tar") && e.contains("cut off in `spiky/2.png`") && e.contains("again"), "{e}");
    std::fs::write(&src, &whole[..1000 + a.len().next_multiple_of(512)]).unwrap();
    let e = refused(&src);
    assert!(e.contains("behind `bun/1.png`"), "{e}");
    let mut other = whole.clone();
    other[0] ^= 1;
    std::fs::write(&src, other).unwrap();
    let e = refused(&src);
    assert!(e.contains("behind its beginning") && e.contains("checksum"), "{e}");

    tar(&src, &[("bun/1.png", &a), ("../up.png", &b)]);
    let e = refused(&src);
    assert!(e.contains("`../up.png` leads out of the archive") && e.contains("tar cf"), "{e}");
    tar(&src, &[("bun/1.png", &a), ("./bun/1.png", &b)]);
    let e = refused(&src);
    assert!(e.contains("it holds `./bun/1.png` twice"), "{e}");
    tar(&src, &[("1.png", &a), ("1.jpg", &b), ("1.cls", b"0")]);
    let e = refused(&src);
    assert!(e.contains("two pictures have one key: `1.png` and `1.jpg`"), "{e}");
    tar(&src, &[("readme.txt", b"nothing")]);
    let e = refused(&src);
    assert!(e.contains("no picture in this archive"), "{e}");

    // 100 GB that are not there.
    let mut header = tar::Header::new_gnu();
    header.set_path("bun/1.png").unwrap();
    header.set_size(100 << 30);
    header.set_cksum();
    std::fs::write(&src, [&header.as_bytes()[..], &a].concat()).unwrap();
    let e = refused(&src);
    assert!(e.contains("cut off in `bun/1.png`") && e.contains("of its 107374182400 bytes"), "{e}");
    // And as many that are, all of them holes.
    let file = std::fs::File::options().write(true).open(&src).unwrap();
    file.set_len((100 << 30) + 2048).unwrap();
    let e = refused(&src);
    assert!(e.contains("none of the 1 pictures") && e.contains("107374182400 bytes; more than 1 GiB no picture needs"), "{e}");
}

#[test]
fn damaged_zips_are_named_with_their_member() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("x.zip");
    let make = |names: &[&str]| {
        let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (i, n) in names.iter().enumerate() {
            out.start_file(*n, zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated)).unwrap();
            out.write_all(&picture("bun", i)).unwrap();
        }
        out.finish().unwrap().into_inner()
    };
    let whole = make(&["bun/1.png", "spiky/2.png"]);
    let central = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let patched = |at: usize, bytes: &[u8]| {
        let mut all = whole.clone();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&src, all).unwrap();
    };
    std::fs::write(&src, &whole[..whole.len() - 30]).unwrap();
    let e = refused(&src);
    assert!(e.contains("x.zip") && e.contains("damaged or cut off"), "{e}");
    // Method 98 is PPMd.
    patched(central + 10, &98u16.to_le_bytes());
    let e = refused(&src);
    assert!(e.contains("`bun/1.png` is compressed by") && e.contains("zip -r"), "{e}");
    // 4 GB claimed, a few kB there.
    patched(central + 24, &0xffff_fff0_u32.to_le_bytes());
    let dst = tempfile::tempdir().unwrap();
    let d = preprocess(&src, dst.path(), &options()).unwrap().dataset;
    assert_eq!((d.count, d.skipped[0].path.as_str()), (1, "bun/1.png"));
    assert!(d.skipped[0].reason.contains("more than 1 GiB no picture needs"), "{}", d.skipped[0].reason);
    // A small lie.
    patched(central + 24, &10u32.to_le_bytes());
    let dst = tempfile::tempdir().unwrap();
    let d = preprocess(&src, dst.path(), &options()).unwrap().dataset;
    assert!(d.skipped[0].reason.contains("should have 10 bytes"), "{}", d.skipped[0].reason);
    // A bit of its data.
    patched(200, &[whole[200] ^ 8]);
    let dst = tempfile::tempdir().unwrap();
    let d = preprocess(&src, dst.path(), &options()).unwrap().dataset;
    assert_eq!(d.skipped[0].path, "bun/1.png");
    // Two members of one name, as no tool makes them.
    let mut twice = make(&["bun/1.png", "bun/2.png"]);
    while let Some(at) = twice.windows(9).position(|w| w == b"bun/2.png") {
        twice[at + 4] = b'1';
    }
    std::fs::write(&src, twice).unwrap();
    let e = refused(&src);
    assert!(e.contains("it holds `bun/1.png` twice"), "{e}");
    std::fs::write(&src, make(&["bun/1.png", "../up.png"])).unwrap();
    let e = refused(&src);
    assert!(e.contains("`../up.png` leads out of the archive"), "{e}");
}

#[test]
fn columns_of_tables_are_named_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let e = refused(&fixture("plain.parquet"));
    assert!(e.contains("no column `image`") && e.contains("its columns are id, img, kind") && e.contains("--image-column COLUMN"), "{e}");
    let with = |image: &str, label: &str| PreprocessOptions { image_column: image.into(), label_column: label.into(), ..options() };
    let made = |o: &PreprocessOptions, to: &str| preprocess(fixture("plain.parquet"), dir.path().join(to), o);
    let e = message(made(&with("img", "kinds"), "a").unwrap_err());
    assert!(e.contains("no column `kinds`, did you mean `kind`?") && e.contains("--label-column"), "{e}");
    let e = message(made(&with("id", "kind"), "a").unwrap_err());
    assert!(e.contains("column `id` holds INT64, not the bytes"), "{e}");

    let d = made(&with("img", "kind"), "a").unwrap().dataset;
    assert_eq!((d.count, d.classes.as_slice()), (7, &["bun", "sideComed", "spiky", "undercut"].map(String::from)[..]));
    assert_eq!((d.skipped[0].path.as_str(), d.skipped[0].reason.as_str()), ("plain.parquet/5", "it has no label"));
    let d = made(&with("img", ""), "b").unwrap().dataset;
    assert_eq!((d.count, d.classes.as_slice()), (8, &["all".to_owned()][..]));

    let whole = std::fs::read(fixture("plain.parquet")).unwrap();
    let cut = dir.path().join("cut.parquet");
    std::fs::write(&cut, &whole[..whole.len() - 100]).unwrap();
    let e = refused(&cut);
    assert!(e.contains("cut.parquet") && e.contains("damaged or cut off") && e.contains("again"), "{e}");
    // Wherever a byte changes: pictures are skipped or the file is refused, and nothing else happens.
    for at in (4..whole.len()).step_by(whole.len() / 60) {
        let mut other = whole.clone();
        other[at] ^= 0x55;
        std::fs::write(&cut, other).unwrap();
        let _ = preprocess(&cut, dir.path().join(format!("at-{at}")), &with("img", "kind"));
    }
}

#[test]
fn parts_of_a_data_set_are_not_mixed_and_a_copy_of_a_hub_says_where_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for part in ["train", "validation"] {
        std::fs::copy(fixture("train-00000-of-00002.parquet"), data.join(format!("{part}-00000-of-00001.parquet"))).unwrap();
    }
    let e = refused(&data);
    assert!(e.contains("it holds files of train, validation") && e.contains("data/train-*.parquet"), "{e}");
    let e = refused(dir.path());
    assert!(e.contains("no picture in this folder") && e.contains("data` holds archives or parquet files"), "{e}");
}

fn drawn(src: &Path) -> ImageSet {
    ImageSet::open_any(src, &DirectOptions { resolution: 32, ..Default::default() }).unwrap()
}

#[test]
fn pictures_are_drawn_straight_from_any_source() {
    let dir = tempfile::tempdir().unwrap();
    tree(&dir.path().join("tree"), 2);
    preprocess(dir.path().join("tree"), dir.path().join("shards"), &options()).unwrap();
    let want = ImageSet::open(dir.path().join("shards")).unwrap().gather(&[7, 0, 3, 3, 5]).unwrap();
    for src in [dir.path().join("tree"), fixture("shard-*.tar"), fixture("train-*.parquet"), dir.path().join("shards")] {
        let set = drawn(&src);
        assert_eq!((set.len(), set.is_prepared()), (8, src.ends_with("shards")));
        for batch in [set.gather(&[7, 0, 3, 3, 5]).unwrap(), set.take(&[7, 0, 3, 3, 5]).unwrap()] {
            for name in ["images", "labels", "index"] {
                assert!(batch.get(name).unwrap().to_bytes().unwrap() == want.get(name).unwrap().to_bytes().unwrap(), "{name} of {}", src.display());
            }
        }
    }
    let e = message(ImageSet::open_any(dir.path().join("shards"), &DirectOptions { resolution: 64, ..Default::default() }).unwrap_err());
    assert!(e.contains("`resolution` is 64") && e.contains("have 32"), "{e}");
}

#[test]
fn a_loader_of_flipped_pictures_goes_on_at_the_same_sample() {
    let options = || LoaderOptions { batch: 3, shuffle: true, seed: 4, flip: true, ..Default::default() };
    let loader = Loader::new(drawn(&fixture("shard-*.tar")), options()).unwrap();
    let plain = drawn(&fixture("shard-*.tar"));
    for _ in 0..4 {
        loader.next().unwrap();
    }
    let state = loader.state();
    let again = Loader::new(drawn(&fixture("shard-*.tar")), options()).unwrap();
    again.set_state(&state).unwrap();
    let (mut mirrored, mut visits) = (0, 0);
    for _ in 0..12 {
        let (a, b) = (loader.next().unwrap(), again.next().unwrap());
        for (name, tensor) in a.tensors() {
            assert!(tensor.to_bytes().unwrap() == b.get(name).unwrap().to_bytes().unwrap(), "{name}");
        }
        for (row, (i, flip)) in a.get("index").unwrap().to_vec_i64().unwrap().iter().zip(a.get("flipped").unwrap().to_bytes().unwrap()).enumerate() {
            let own = plain.gather(&[*i as usize]).unwrap().get("images").unwrap().select(0, 0).unwrap();
            let want = if flip == 1 { own.flip(&[2]).unwrap().contiguous().unwrap() } else { own };
            assert!(a.get("images").unwrap().select(0, row as i64).unwrap().contiguous().unwrap().to_bytes().unwrap() == want.to_bytes().unwrap());
            mirrored += usize::from(flip);
            visits += 1;
        }
    }
    assert!(mirrored > visits / 5 && mirrored < visits * 4 / 5, "{mirrored} of {visits}");
    let other = Loader::new(plain, LoaderOptions { flip: false, ..options() }).unwrap();
    let e = message(other.set_state(&state).unwrap_err());
    assert!(e.contains("`flip` true, now it is false"), "{e}");
}

#[test]
fn mirror_images_stand_behind_the_pictures() {
    let set = drawn(&fixture("train-*.parquet"));
    let both = set.and_flips();
    assert_eq!((both.len(), both.labels(&[1, 9]).unwrap()), (16, vec![0, 0]));
    assert_ne!(both.origin().id, set.origin().id);
    let batch = both.take(&[9, 1]).unwrap();
    assert_eq!(batch.get("index").unwrap().to_vec_i64().unwrap(), [9, 1]);
    let row = |i| batch.get("images").unwrap().select(0, i).unwrap();
    assert!(row(0).to_bytes().unwrap() == row(1).flip(&[2]).unwrap().contiguous().unwrap().to_bytes().unwrap());
    assert!(batch.tensors().get("flipped").is_none(), "a batch like any other");
}

#[test]
fn of_a_picture_that_cannot_be_read_the_next_one_takes_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("x.tar");
    let (a, b) = (picture("bun", 0), picture("spiky", 0));
    tar(&src, &[("1.png", &a), ("1.cls", b"0"), ("2.png", b"no picture"), ("2.cls", b"0"), ("3.png", &b), ("3.cls", b"1")]);
    let batch = drawn(&src).gather(&[1, 0, 2]).unwrap();
    assert_eq!(batch.get("index").unwrap().to_vec_i64().unwrap(), [2, 0, 2]);
    assert_eq!(batch.get("labels").unwrap().to_vec_i64().unwrap(), [1, 0, 1]);
    let strict = ImageSet::open_any(&src, &DirectOptions { resolution: 32, strict: true, ..Default::default() }).unwrap();
    let e = message(strict.gather(&[1]).unwrap_err());
    assert!(e.contains("x.tar/2.png") && e.contains("its content is text") && e.contains("`preprocess`"), "{e}");
    tar(&src, &[("1.png", b"no"), ("1.cls", b"0"), ("2.png", b"no"), ("2.cls", b"0")]);
    let e = message(drawn(&src).gather(&[1]).unwrap_err());
    assert!(e.contains("neither this picture nor the 1 behind it can be read"), "{e}");
}
