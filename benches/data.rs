//! Pictures a second: `cargo bench --bench data`. Two threads, as on a two-core machine.
//!
//! Preprocess: 480 JPEG files of 500 x 375 (avatars scaled up, quality 90, 4:2:0 as ImageNet's) to 256 x 256 shards.
//! Loader: batches of 64 from those shards, shuffled, through two background threads.
//! Packed: the same files as a tar, a gzipped tar, WebDataset's shards, and, where LATHE_PYTHON is a Python with pyarrow, as parquet: each beside the folder in
//! turn; then batches that are cropped when they are drawn. Beside them the readers of PyPI's webdataset and datasets, where that Python has them
//! (benches/readers.py; `pip install pyarrow pillow numpy webdataset datasets`).
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::data::{DirectOptions, ImageSet, Loader, LoaderOptions, PreprocessOptions, preprocess, read_picture};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const FILES: usize = 480;

fn main() -> lathe::error::Result<()> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (source, shards) = (dir.path().join("source"), dir.path().join("shards"));
    make(&source);
    let options = PreprocessOptions { workers: 2, quiet: true, ..Default::default() };
    let report = preprocess(&source, &shards, &options)?;
    println!("preprocess 500x375 JPEG -> 256, {FILES} files, 2 threads: {:.0} pictures/s", report.rate);

    let loader =
        Loader::new(ImageSet::open(&shards)?, LoaderOptions { batch: 64, shuffle: true, drop_last: true, workers: 2, ..Default::default() })?;
    let (warm, measured) = (20, 400);
    for _ in 0..warm {
        loader.next()?;
    }
    let start = Instant::now();
    for _ in 0..measured {
        loader.next()?;
    }
    println!("loader 256x256, batch 64, 2 threads: {:.0} pictures/s", f64::from(measured * 64) / start.elapsed().as_secs_f64());
    packed(dir.path(), &source)
}

/// The rates of packed pictures beside those of the folder, each the best of three, measured in turn.
fn packed(dir: &Path, source: &Path) -> lathe::error::Result<()> {
    let mut sources: Vec<(&str, PathBuf)> = vec![("folder", source.to_owned())];
    for (name, program, args) in [
        ("tar", "tar", vec!["cf", "../p.tar", "."]),
        ("tar.gz", "tar", vec!["czf", "../p.tar.gz", "."]),
        ("zip", "zip", vec!["-qr", "../p.zip", "."]),
    ] {
        let made = Command::new(program).args(args).current_dir(source).status().is_ok_and(|s| s.success());
        if made {
            sources.push((name, dir.join(format!("p.{name}"))));
        }
    }
    shards(dir, source);
    sources.push(("WebDataset", dir.join("w-*.tar")));
    if let Some(python) = std::env::var_os("LATHE_PYTHON") {
        let script = "import pyarrow as pa, pyarrow.parquet as pq, pathlib\n\
            f = sorted(pathlib.Path('source').rglob('*.jpg'))\n\
            t = pa.table({'image': [{'bytes': x.read_bytes(), 'path': x.name} for x in f], 'label': [0] * len(f)})\n\
            pq.write_table(t, 'p.parquet', row_group_size=100)";
        assert!(Command::new(python).args(["-c", script]).current_dir(dir).status().expect("python").success());
        sources.push(("parquet", dir.join("p.parquet")));
    }
    let options = PreprocessOptions { workers: 2, quiet: true, ..Default::default() };
    let mut rates = vec![(0.0f64, 0.0f64); sources.len()];
    let mut peers: BTreeMap<String, f64> = BTreeMap::new();
    for round in 0..3 {
        for (name, rate) in others(dir) {
            let best = peers.entry(name).or_default();
            *best = best.max(rate);
        }
        for ((name, path), best) in sources.iter().zip(&mut rates) {
            // What the one before wrote is on the disk: each waits for its own shards alone.
            let out = dir.join(format!("out-{name}-{round}"));
            let _ = Command::new("sync").status();
            let report = preprocess(path, &out, &options)?;
            assert_eq!(report.dataset.count, FILES);
            std::fs::remove_dir_all(&out).expect("what was written");
            best.0 = best.0.max(report.rate);
            let set = ImageSet::open_any(path, &DirectOptions::default())?;
            let loader = Loader::new(set, LoaderOptions { batch: 16, shuffle: true, workers: 2, ..Default::default() })?;
            let start = Instant::now();
            for _ in 0..FILES / 16 {
                loader.next()?;
            }
            best.1 = best.1.max(FILES as f64 / start.elapsed().as_secs_f64());
        }
    }
    let (folder, base) = (rates[0].0, rates[0]);
    for ((name, _), (made, drawn)) in sources.iter().zip(&rates) {
        println!(
            "{name}: preprocess {made:.0} pictures/s, {:.2} of the folder; cropped when drawn {drawn:.0}, {:.2} of preprocess from the folder",
            made / base.0,
            drawn / folder
        );
    }
    for (peer, own) in [("webdataset", "WebDataset"), ("datasets", "parquet")] {
        let drawn = sources.iter().zip(&rates).find(|((name, _), _)| *name == own).map(|(_, (_, drawn))| *drawn);
        if let (Some(theirs), Some(drawn)) = (peers.get(peer), drawn) {
            println!("{peer} of PyPI, two processes: {theirs:.0} pictures/s; {own} cropped when drawn is {:.2} of it", drawn / theirs);
        }
    }
    Ok(())
}

/// The rates of PyPI's readers, where LATHE_PYTHON has them.
fn others(dir: &Path) -> Vec<(String, f64)> {
    let Some(python) = std::env::var_os("LATHE_PYTHON") else { return Vec::new() };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/readers.py");
    let out = Command::new(python).arg(script).arg(dir).stderr(std::process::Stdio::inherit()).output().expect("python");
    let line = |l: &str| l.split_once(' ').and_then(|(name, rate)| Some((name.to_owned(), rate.parse().ok()?)));
    String::from_utf8_lossy(&out.stdout).lines().filter_map(line).collect()
}

/// WebDataset's shards of 120 samples.
fn shards(dir: &Path, source: &Path) {
    let mut files: Vec<PathBuf> = std::fs::read_dir(source)
        .expect("a folder")
        .flat_map(|c| std::fs::read_dir(c.expect("a folder").path()).expect("a folder"))
        .map(|f| f.expect("a file").path())
        .collect();
    files.sort();
    for (k, part) in files.chunks(120).enumerate() {
        let mut tar = tar::Builder::new(std::fs::File::create(dir.join(format!("w-{k:03}.tar"))).expect("a file"));
        for (i, file) in part.iter().enumerate() {
            tar.append_path_with_name(file, format!("{:06}.jpg", k * 120 + i)).expect("room");
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            tar.append_data(&mut header, format!("{:06}.cls", k * 120 + i), &b"0"[..]).expect("room");
        }
        tar.finish().expect("room");
    }
}

/// JPEG files with the detail of real drawings: four avatars side by side and stacked, scaled up with a smooth filter.
fn make(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/avatars64");
    let classes = ["bun", "sideComed", "spiky", "undercut"];
    for (c, class) in classes.iter().enumerate() {
        let mut files: Vec<_> = std::fs::read_dir(root.join(class)).expect("the avatars").map(|e| e.expect("a file").path()).collect();
        files.sort();
        std::fs::create_dir_all(folder.join(class)).expect("a folder");
        for i in 0..FILES / classes.len() {
            let mut sheet = image::RgbImage::new(4 * 64, 3 * 64);
            for k in 0..12 {
                let p = read_picture(&files[(i * 12 + k + c) % files.len()]).expect("an avatar");
                let p = image::RgbImage::from_raw(64, 64, p.rgb).expect("64 x 64");
                image::imageops::replace(&mut sheet, &p, (k % 4 * 64) as i64, (k / 4 * 64) as i64);
            }
            let big = image::imageops::resize(&sheet, 500, 375, image::imageops::FilterType::CatmullRom);
            let mut comp = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
            comp.set_size(500, 375);
            comp.set_quality(90.0);
            comp.set_chroma_sampling_pixel_sizes((2, 2), (2, 2));
            comp.set_optimize_scans(false);
            let mut started = comp.start_compress(Vec::new()).expect("memory");
            started.write_scanlines(big.as_raw()).expect("375 rows");
            std::fs::write(folder.join(class).join(format!("{i:04}.jpg")), started.finish().expect("a JPEG")).expect("a file");
        }
    }
}
