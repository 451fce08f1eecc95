//! Several crops of a picture, and another one in each epoch.

use super::some_avatars;
use lathe::data::{Batch, DirectOptions, ImageSet, Loader, LoaderOptions, Pictures, PreprocessOptions, Samples, Size, preprocess};
use std::path::Path;

/// Nine avatars, cropped to 24 when they are drawn.
fn set(folder: &Path) -> ImageSet {
    some_avatars(folder, &[("bun", 5), ("spiky", 4)]);
    ImageSet::open_any(folder, &DirectOptions { resolution: 24, ..Default::default() }).unwrap()
}

fn row(b: &Batch, i: i64) -> Vec<u8> {
    b.get("images").unwrap().narrow(0, i, 1).unwrap().to_bytes().unwrap()
}

#[test]
fn crops_of_a_picture_are_pictures_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let plain = set(dir.path());
    let three = plain.and_crops(3).unwrap();
    assert_eq!((three.len(), three.and_flips().len(), three.is_prepared()), (27, 54, false));
    let batch = three.take(&[2, 9 + 2, 18 + 2, 18 + 3]).unwrap();
    assert_eq!(batch.get("index").unwrap().to_vec_i64().unwrap(), [2, 11, 20, 21]);
    assert_eq!(row(&batch, 0), row(&plain.take(&[2]).unwrap(), 0), "the first is the middle");
    assert!(row(&batch, 1) != row(&batch, 0) && row(&batch, 2) != row(&batch, 1));
    let labels = plain.take(&[2, 2, 2, 3]).unwrap().get("labels").unwrap().to_vec_i64().unwrap();
    assert_eq!(batch.get("labels").unwrap().to_vec_i64().unwrap(), labels);
    // The same whenever they are drawn, and mirrored behind all of them.
    let again = three.and_flips().take(&[20, 27 + 20]).unwrap();
    assert_eq!(row(&again, 0), row(&batch, 2));
    let mirrored = again.get("images").unwrap().narrow(0, 1, 1).unwrap().flip(&[3]).unwrap().contiguous().unwrap();
    assert_eq!((mirrored.to_bytes().unwrap(), again.get("index").unwrap().to_vec_i64().unwrap()), (row(&batch, 2), vec![20, 47]));
    assert_eq!(plain.and_crops(1).unwrap().identity(), plain.identity());
    let ids = [plain.identity(), three.identity(), three.and_flips().identity(), plain.and_crops(2).unwrap().identity()];
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    for n in [0, 1001] {
        assert_eq!(plain.and_crops(n).unwrap_err().code(), "E0202");
    }
}

#[test]
fn a_loader_crops_elsewhere_in_each_epoch_and_goes_on_at_the_same_sample() {
    let dir = tempfile::tempdir().unwrap();
    let plain = set(dir.path());
    let options = || LoaderOptions { batch: 4, seed: 3, random_crop: true, flip: true, ..Default::default() };
    let loader = Loader::new(plain.clone(), options()).unwrap();
    let first: Vec<Batch> = (0..3).map(|_| loader.next().unwrap()).collect();
    let state = loader.state();
    let second: Vec<Batch> = (0..3).map(|_| loader.next().unwrap()).collect();
    assert_eq!(first[0].get("index").unwrap().to_vec_i64().unwrap(), second[0].get("index").unwrap().to_vec_i64().unwrap());
    assert!(row(&first[0], 0) != row(&second[0], 0), "another epoch, another crop");
    let other = Loader::new(plain.clone(), LoaderOptions { workers: 4, ..options() }).unwrap();
    other.set_state(&state).unwrap();
    for b in &second {
        assert_eq!(other.next().unwrap().get("images").unwrap().to_bytes().unwrap(), b.get("images").unwrap().to_bytes().unwrap());
    }
    let e = Loader::new(plain, LoaderOptions { random_crop: false, ..options() }).unwrap().set_state(&state).unwrap_err().to_string();
    assert!(e.contains("`random_crop` true, now it is false"), "{e}");
    // Shards are cropped already.
    let shards = tempfile::tempdir().unwrap();
    preprocess(dir.path(), shards.path(), &PreprocessOptions { resolution: 24, quiet: true, ..Default::default() }).unwrap();
    let shards = ImageSet::open(shards.path()).unwrap();
    for e in [Loader::new(shards.clone(), options()).unwrap_err(), shards.and_crops(2).unwrap_err()] {
        assert!(e.code() == "E0202" && e.to_string().contains("cropped already") && e.help_text().is_some(), "{e}");
    }
}

#[test]
fn pictures_that_are_no_squares_are_the_same_from_shards_and_as_they_are() {
    let (dir, shards) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    some_avatars(dir.path(), &[("bun", 5), ("spiky", 4)]);
    let options = PreprocessOptions { resolution: 24, width: 40, shard_size: 4, flip: true, quiet: true, ..Default::default() };
    let report = preprocess(dir.path(), shards.path(), &options).unwrap();
    assert_eq!(report.dataset.size(), Size { height: 24, width: 40 });
    let prepared = ImageSet::open(shards.path()).unwrap();
    let direct = |resolution, width| ImageSet::open_any(dir.path(), &DirectOptions { resolution, width, ..Default::default() }).unwrap();
    let positions: Vec<usize> = (0..18).collect();
    let (a, b) = (prepared.take(&positions).unwrap(), direct(24, 40).and_flips().take(&positions).unwrap());
    assert_eq!(a.get("images").unwrap().shape(), [18, 3, 24, 40]);
    assert_eq!(a.get("images").unwrap().to_bytes().unwrap(), b.get("images").unwrap().to_bytes().unwrap());
    assert!(format!("{prepared:?}").contains("18 pictures of 24 x 40 (height x width)"), "{prepared:?}");
    // A width that makes squares is none.
    let ids = [direct(24, 0), direct(24, 24), direct(24, 40), direct(40, 24)].map(|s| s.identity());
    assert!(ids[0] == ids[1] && ids[1] != ids[2] && ids[2] != ids[3]);
    assert_eq!(Pictures::open(shards.path()).unwrap().read(0, 2).unwrap().shape(), [2, 3, 24, 40]);
    // What does not fit is refused by name.
    let refused =
        |resolution, width| ImageSet::open_any(shards.path(), &DirectOptions { resolution, width, ..Default::default() }).unwrap_err().to_string();
    assert!(refused(24, 0).contains("option `width` is 24") && refused(0, 32).contains("option `width` is 32"));
    assert!(refused(40, 24).contains("option `resolution` is 40"));
    assert!(ImageSet::open_any(shards.path(), &DirectOptions { resolution: 24, width: 40, ..Default::default() }).is_ok());
    let e = preprocess(dir.path(), shards.path(), &PreprocessOptions { width: 32, ..options.clone() }).unwrap_err().to_string();
    assert!(e.contains("24 x 40 (height x width) against 24 x 32"), "{e}");
    let e = preprocess(dir.path(), shards.path(), &PreprocessOptions { width: 9000, ..options }).unwrap_err();
    assert_eq!(e.code(), "E0202");
}
