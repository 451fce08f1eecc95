//! What pictures of `scripts/sample.rhai` depend on, and what guidance needs.

use super::chain::{ldm, made, ok, refused, words};
use lathe::torch::files::Npz;

/// Pictures `[N, H, W, 3]` of a sample set, one after the other.
fn drawn(path: &str) -> Vec<Vec<u8>> {
    let rows = Npz::open(std::path::Path::new(path)).unwrap().rows("arr_0").unwrap();
    (0..rows.shape()[0]).map(|i| rows.read(i, 1).unwrap().to_bytes().unwrap()).collect()
}

#[test]
fn pictures_hang_on_seed_and_number_alone() {
    ok("train_ldm", &[&words(&ldm("seeds", &["--max-train-steps", "2"]))]);
    let m = made();
    let (run, all) = (m.path("seeds"), m.path(""));
    let sample = |seed: &str, batch: &str, more: &[&str]| {
        let out = m.path(&format!("seeds-{seed}-{batch}-{}", more.len()));
        let own = ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--global-seed", seed, "--pproc-batch-size", batch, "--png", "false"];
        ok("sample", &[&own, &["--num-fid-samples", "8", "--num-steps", "3", "--mode", "sde"], more]);
        drawn(&format!("{out}.npz"))
    };
    let first = sample("0", "4", &[]);
    let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(x, y)| x.abs_diff(*y) <= 1);
    // The same pictures in batches of another size and on another number of threads.
    for (batch, more) in [("1", &[][..]), ("3", &["--threads", "2"]), ("8", &[])] {
        let other = sample("0", batch, more);
        assert!(first.iter().zip(&other).all(|(a, b)| near(a, b)), "batches of {batch}");
    }
    // Other seeds share none, near or far.
    for seed in ["1", "4", "8"] {
        let other = sample(seed, "4", &[]);
        assert!(first.iter().all(|a| other.iter().all(|b| !near(a, b))), "seed {seed}");
    }
}

#[test]
fn guidance_without_a_trained_label_of_no_class_is_refused() {
    ok("train_ldm", &[&words(&ldm("no-null", &["--max-train-steps", "2", "--cfg-prob", "0"]))]);
    let m = made();
    let (run, all, out) = (m.path("no-null"), m.path(""), m.path("no-null-samples"));
    let own = ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--num-fid-samples", "2", "--num-steps", "2"];
    let text = refused("sample", &[&own, &["--cfg-scale", "2"]]);
    assert!(text.contains("--cfg-scale") && text.contains("--cfg-prob 0"), "{text}");
    assert!(!std::path::Path::new(&out).exists(), "nothing is begun");
    let text = refused("sample", &[&own, &["--cfg-scale", "0.5"]]);
    assert!(text.contains("`cfg_scale` must be at least 1") && text.contains("0.5"), "{text}");
    ok("sample", &[&own]);
}
