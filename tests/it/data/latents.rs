use lathe::data::{Attribute, Features, LatentOptions, LatentSet, LatentWriter, Loader, LoaderOptions, Precision, Samples, feature_name};
use lathe::torch::{DType, Tensor};
use std::path::Path;

fn options() -> LatentOptions {
    let attributes = vec![Attribute { name: "hair".into(), values: vec!["long".into(), "short".into()] }];
    let classes = vec!["a".into(), "b".into(), "c".into()];
    LatentOptions { name: "test".into(), vae: "abc".into(), shape: [2, 3, 3], shard_size: 8, classes, attributes, ..LatentOptions::default() }
}

/// Sample `i`: nothing random, so that an interrupted run can push the same again.
fn value(i: usize, k: usize) -> f32 {
    ((i * 18 + k) as f32 * 0.7).sin() * (1.0 + (k / 9) as f32) + (k / 9) as f32
}

fn push(w: &LatentWriter, range: std::ops::Range<usize>) {
    let n = range.len() as i64;
    let mean: Vec<f32> = range.clone().flat_map(|i| (0..18).map(move |k| value(i, k))).collect();
    let std: Vec<f32> = range.clone().flat_map(|i| (0..18).map(move |k| 0.1 + (i + k) as f32 * 0.001)).collect();
    let labels: Vec<i64> = range.clone().map(|i| (i % 3) as i64).collect();
    let index: Vec<i64> = range.clone().map(|i| i as i64 * 2).collect();
    let attributes: Vec<u8> = range.map(|i| (i % 2) as u8).collect();
    let shape = [n, 2, 3, 3];
    w.push(
        &Tensor::from_vec(&mean, &shape).unwrap(),
        &Tensor::from_vec(&std, &shape).unwrap(),
        &Tensor::from_slice(&labels).unwrap(),
        &Tensor::from_slice(&index).unwrap(),
        Some(&Tensor::from_bytes(&attributes, &[n, 1], DType::Uint8).unwrap()),
        &[],
    )
    .unwrap();
}

fn write_all(dir: &Path) -> LatentSet {
    let w = LatentWriter::open(dir, options()).unwrap();
    for start in (0..30).step_by(5) {
        push(&w, start..start + 5);
    }
    w.finish().unwrap()
}

#[test]
fn latents_come_back_with_their_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let set = write_all(dir.path());
    assert_eq!((set.len(), set.latents().shards.len()), (30, 4));
    set.verify().unwrap();
    let b = set.gather(&[29, 3, 4, 5, 17]).unwrap();
    let want: Vec<f32> = [29, 3, 4, 5, 17].iter().flat_map(|i| (0..18).map(move |k| value(*i, k))).collect();
    assert_eq!(b.get("mean").unwrap().to_vec_f32().unwrap(), want);
    assert_eq!(b.get("std").unwrap().shape(), [5, 2, 3, 3]);
    assert_eq!(b.get("labels").unwrap().to_vec_i64().unwrap(), [2, 0, 1, 2, 2]);
    assert_eq!(b.get("index").unwrap().to_vec_i64().unwrap(), [58, 6, 8, 10, 34]);
    assert_eq!(b.get("attributes").unwrap().to_vec_i64().unwrap(), [1, 1, 0, 1, 1]);
    // Against the definition, one channel at a time: the variance of mean + std * eps over samples, places and eps.
    let (bias, scale) = set.stats().unwrap();
    let (bias, scale) = (bias.to_vec_f64().unwrap(), scale.to_vec_f64().unwrap());
    for c in 0..2 {
        let values: Vec<(f64, f64)> =
            (0..30).flat_map(|i| (c * 9..c * 9 + 9).map(move |k| (f64::from(value(i, k)), f64::from(0.1 + (i + k) as f32 * 0.001)))).collect();
        let n = values.len() as f64;
        let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
        let variance = values.iter().map(|v| (v.0 - mean).powi(2) + v.1 * v.1).sum::<f64>() / n;
        assert!((bias[c] - mean).abs() < 1e-6 && (scale[c] * variance.sqrt() - 1.0).abs() < 1e-6, "channel {c}");
    }
    let loader = Loader::new(set, LoaderOptions { batch: 7, shuffle: true, ..Default::default() }).unwrap();
    assert_eq!(loader.next().unwrap().get("mean").unwrap().shape(), [7, 2, 3, 3]);
}

#[test]
fn an_interrupted_writer_continues_behind_its_last_whole_shard() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_all(whole.path());
    // Dropped in the middle of a shard, as a killed process would leave it.
    let w = LatentWriter::open(cut.path(), options()).unwrap();
    push(&w, 0..5);
    push(&w, 5..20);
    drop(w);
    assert!(LatentSet::open(cut.path()).unwrap_err().to_string().contains("not finished"));
    let w = LatentWriter::open(cut.path(), options()).unwrap();
    assert_eq!(w.len(), 16);
    push(&w, 16..30);
    w.finish().unwrap();
    assert!(super::contents(whole.path()) == super::contents(cut.path()));
    let again = LatentWriter::open(cut.path(), options()).unwrap();
    assert!(again.is_complete() && again.len() == 30);
    again.finish().unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path());
    let e = LatentWriter::open(dir.path(), LatentOptions { vae: "xyz".into(), ..options() }).unwrap_err().to_string();
    assert!(e.contains(r#"VAE: "abc" -> "xyz""#), "{e}");
    let fresh = tempfile::tempdir().unwrap();
    let w = LatentWriter::open(fresh.path(), LatentOptions { attributes: Vec::new(), ..options() }).unwrap();
    let (good, labels) = (Tensor::from_vec(&[0f32; 18], &[1, 2, 3, 3]).unwrap(), Tensor::from_slice(&[0i64]).unwrap());
    let wide = Tensor::from_vec(&[0f32; 36], &[1, 4, 3, 3]).unwrap();
    let nan = Tensor::from_vec(&[f32::NAN; 18], &[1, 2, 3, 3]).unwrap();
    let e = w.push(&wide, &wide, &labels, &labels, None, &[]).unwrap_err().to_string();
    assert!(e.contains("`mean` must be a float tensor [1, 2, 3, 3], got [1, 4, 3, 3] f32"), "{e}");
    let e = w.push(&good, &nan, &labels, &labels, None, &[]).unwrap_err().to_string();
    assert!(e.contains("`std` has values that are not finite"), "{e}");
    assert!(w.finish().unwrap_err().to_string().contains("nothing was pushed"));
    // A channel that is constant cannot be normalised.
    w.push(&good, &good, &labels, &labels, None, &[]).unwrap();
    let e = w.finish().unwrap().stats().unwrap_err().to_string();
    assert!(e.contains("channel 0") && e.contains("cannot be normalised"), "{e}");
}

#[test]
fn bf16_is_half_the_disk_and_says_what_it_costs() {
    let (whole, half) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let exact = write_all(whole.path());
    let w = LatentWriter::open(half.path(), LatentOptions { dtype: Precision::Bf16, ..options() }).unwrap();
    push(&w, 0..13);
    drop(w);
    // It goes on behind the last whole shard, and counts what was rounded before.
    let w = LatentWriter::open(half.path(), LatentOptions { dtype: Precision::Bf16, ..options() }).unwrap();
    push(&w, 8..30);
    let rounded = w.finish().unwrap();
    let at: Vec<usize> = (0..30).collect();
    let means = |set: &LatentSet| set.gather(&at).unwrap().get("mean").unwrap().to_vec_f32().unwrap();
    let (a, b) = (means(&exact), means(&rounded));
    assert_eq!(rounded.gather(&[3]).unwrap().get("std").unwrap().dtype(), DType::Float);
    assert!(a.iter().zip(&b).all(|(a, b)| half::bf16::from_f32(*a).to_f32() == *b));
    let errors: Vec<f64> = a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
    let r = rounded.latents().rounding.clone().unwrap();
    assert_eq!(r.max, errors.iter().fold(0.0, |m: f64, e| m.max(e.abs())));
    let stats = &rounded.latents().stats;
    let variance = stats.std.iter().map(|s| s * s).sum::<f64>() / 2.0;
    let want = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64 / variance).sqrt();
    assert!((r.relative / want - 1.0).abs() < 1e-9 && r.relative > 0.0 && r.relative < 0.004, "{r:?} {want}");
    // Of 18 numbers each a moment has half the bytes; labels, indices and attributes stay.
    let size = |set: &LatentSet| set.latents().shards.iter().map(|s| s.bytes).sum::<u64>();
    assert!(size(&exact) - size(&rounded) >= 30 * 2 * 18 * 2 - 64, "{} {}", size(&exact), size(&rounded));
    assert!(exact.latents().rounding.is_none() && exact.origin().id != rounded.origin().id);
    let e = LatentWriter::open(half.path(), options()).unwrap_err().to_string();
    assert!(e.contains("dtype: bf16 -> f32"), "{e}");
}

#[test]
fn features_lie_beside_the_latents_of_their_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let eye = |name: &str, dim| Features { name: name.into(), model: format!("hash of {name}"), tokens: 2, dim, grid: None, options: None };
    let with = LatentOptions { attributes: Vec::new(), features: vec![eye("a", 3), eye("b", 1)], ..options() };
    let w = LatentWriter::open(dir.path(), with.clone()).unwrap();
    let moments = Tensor::from_vec(&(0..10 * 18).map(|i| i as f32).collect::<Vec<_>>(), &[10, 2, 3, 3]).unwrap();
    let labels = Tensor::from_slice(&[0i64; 10]).unwrap();
    let index = Tensor::from_slice(&(0..10).collect::<Vec<i64>>()).unwrap();
    let tokens = |dim: i64| Tensor::from_vec(&(0..20 * dim).map(|i| i as f32 / 8.0).collect::<Vec<_>>(), &[10, 2, dim]).unwrap();
    let push = |f: &[Tensor]| w.push(&moments, &moments, &labels, &index, None, f);
    let e = push(&[tokens(3)]).unwrap_err().to_string();
    assert!(e.contains("features` are of 1 models, the writer was opened for 2"), "{e}");
    let e = push(&[tokens(3), tokens(2)]).unwrap_err().to_string();
    assert!(e.contains("features of b must be a float tensor [10, 2, 1]"), "{e}");
    push(&[tokens(3), tokens(1)]).unwrap();
    let set = w.finish().unwrap();
    // Across two shards, in another order.
    let batch = set.gather(&[9, 0, 8]).unwrap();
    let first = batch.get(&feature_name(0)).unwrap().to_vec_f32().unwrap();
    assert_eq!(first[..6], (54..60).map(|i| i as f32 / 8.0).collect::<Vec<_>>());
    assert_eq!(batch.get("features.1").unwrap().to_vec_f32().unwrap(), [18.0, 19.0, 0.0, 1.0, 16.0, 17.0].map(|x: f32| x / 8.0));
    assert!(set.without_features().gather(&[9]).unwrap().get("features.0").is_err());
    let other = LatentOptions { features: vec![eye("a", 3)], ..with };
    let e = LatentWriter::open(dir.path(), other).unwrap_err().to_string();
    assert!(e.contains("features: [a hash of a, b hash of b] -> [a hash of a]"), "{e}");
}
