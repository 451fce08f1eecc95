//! An evaluation that is killed goes on where it was, and comes to the same figures.

use super::run::{evaluate, flags, result};
use crate::support::avatars;
use crate::support::process::{script, until};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The first pictures of the parts whose features are kept.
fn kept(out: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(out.join("samples-torchscript-map.pt/parts.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn changed(file: &Path) -> std::time::SystemTime {
    std::fs::metadata(file).unwrap().modified().unwrap()
}

#[test]
fn a_killed_evaluation_goes_on_with_the_same_figures() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = avatars();
    // All 3,000 are samples, in three parts; a network of one convolution looks at them.
    let network = ["--extractor", "torchscript:tests/data/encoders/map.pt", "--enc-config.resolution", "16", "--batch", "2"];
    let reference = pictures.join("bun");
    let (whole, _) = evaluate(&pictures, &reference, &dir.path().join("whole"), &network);

    let out = dir.path().join("killed");
    let part = |start: u64| out.join(format!("samples-torchscript-map.pt/{start}.safetensors"));
    for parts in 1..=2 {
        let mut child =
            script("evaluate", &flags(&pictures, &reference, &out, &network)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("a part", 240, || kept(&out).len() >= parts || child.try_wait().unwrap().is_some());
        assert!(child.try_wait().unwrap().is_none(), "it was over before it could be killed");
        // Some moment in the next part.
        std::thread::sleep(Duration::from_millis(20));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(kept(&out).len(), parts, "killed within a part");
        assert!(!out.join("result.json").exists());
    }
    let before = changed(&part(0));
    let (again, _) = evaluate(&pictures, &reference, &out, &network);
    assert_eq!(again["figures"], whole["figures"]);
    assert_eq!(changed(&part(0)), before, "the first part was not computed again");

    // A part that is lost is made again.
    std::fs::remove_file(part(1024)).unwrap();
    std::fs::remove_file(out.join("result.json")).unwrap();
    evaluate(&pictures, &reference, &out, &network);
    assert_eq!(result(&out)["figures"], whole["figures"]);
    assert_eq!(changed(&part(0)), before);
}
