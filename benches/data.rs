//! Pictures a second: `cargo bench --bench data`. Two threads, as on a two-core machine.
//!
//! Preprocess: 480 JPEG files of 500 x 375 (avatars scaled up, quality 90, 4:2:0 as ImageNet's) to 256 x 256 shards.
//! Loader: batches of 64 from those shards, shuffled, through two background threads.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::data::{ImageSet, Loader, LoaderOptions, PreprocessOptions, preprocess, read_picture};
use std::path::Path;
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
    Ok(())
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
