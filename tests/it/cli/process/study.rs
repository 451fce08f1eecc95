//! `scripts/study_avatars.rhai` with tiny networks' worth of steps on real pictures: killed in the middle of its stages it ends with the figures of a
//! study that ran through.

use crate::support::process::{ok, refused, script, until};
use crate::support::{files, metrics, name, saved};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Enough steps for a kill to fall between two checkpoints.
const TINY: &[&str] = &[
    "--max-pictures",
    "64",
    "--held-out",
    "0.5",
    "--vae-steps",
    "2",
    "--more-steps",
    "5",
    "--ldm-steps",
    "5",
    "--samples",
    "8",
    "--sampler-steps",
    "2",
    "--probe-seeds",
    "1",
    "--save-every",
    "1",
];

struct Study(tempfile::TempDir);

impl Study {
    fn new() -> Self {
        Study(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut c = script("study_avatars", TINY);
        c.arg("--output-dir").arg(self.0.path()).args(more);
        c
    }

    fn run(&self, more: &[&str]) -> String {
        ok(&mut self.command(more))
    }

    /// Starts it and kills it as soon as `reached`, while the stage that leaves `unfinished` is under way.
    fn kill_when(&self, reached: impl Fn() -> bool, unfinished: &str) {
        let mut c = self.command(&["--seeds", "1"]);
        let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until(unfinished, 300, || {
            assert!(child.try_wait().unwrap().is_none(), "{unfinished}: it ended before");
            reached()
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!self.at(unfinished).exists(), "the kill came too late for {unfinished}");
    }

    /// How many whole checkpoints a run has.
    fn saved(&self, run: &str) -> usize {
        saved(&self.at(run)).len()
    }

    /// The result files of finished stages, byte by byte.
    fn finished(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(&self.at("seed-0"))
            .into_iter()
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .map(|p| (p.clone(), std::fs::read(p).unwrap()))
            .collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.at("study.json")).unwrap()).unwrap()
    }

    /// All values of study.json but clocks and the place.
    fn figures(&self) -> Value {
        let mut v = self.json();
        v["settings"].as_object_mut().unwrap().remove("output_dir");
        without_seconds(&mut v);
        v
    }
}

fn without_seconds(v: &mut Value) {
    match v {
        Value::Object(map) => {
            map.remove("seconds");
            map.values_mut().for_each(without_seconds);
        }
        Value::Array(list) => list.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

fn pictures(dir: &Path) -> BTreeSet<String> {
    files(dir).iter().flat_map(|class| files(class).into_iter().map(|f| format!("{}/{}", name(class), name(&f)))).collect()
}

/// The `kl` of the first step of a run: it depends on the weights and the pictures, and not on the noise.
fn first_kl(run: &Path) -> f64 {
    let row = metrics(run).swap_remove(0);
    assert_eq!(row["step"], 1);
    row["kl"].as_f64().unwrap()
}

#[test]
fn a_study_killed_in_its_stages_has_the_figures_of_one_that_ran_through() {
    let whole = Study::new();
    whole.run(&["--seeds", "1"]);
    let one = whole.figures();
    // With more seeds the same folder goes on.
    let text = whole.run(&["--seeds", "2"]);

    let killed = Study::new();
    killed.kill_when(|| killed.at("pictures/train").exists(), "pictures.json");
    killed.kill_when(|| killed.saved("seed-0/aligned") >= 2, "seed-0/aligned.json");
    let before = killed.finished();
    assert!(before.contains_key(&killed.at("seed-0/plain-judged.json")), "{:?}", before.keys());
    killed.kill_when(|| killed.saved("seed-0/aligned-ldm") >= 3, "seed-0/aligned-ldm.json");
    killed.run(&["--seeds", "1"]);
    // Nothing that was finished was done again.
    let after = killed.finished();
    for (file, bytes) in &before {
        assert_eq!(Some(bytes), after.get(file), "{}", file.display());
    }
    // The runs that were killed went on.
    let log = std::fs::read_to_string(killed.at("seed-0/aligned-ldm/log.txt")).unwrap();
    assert!(log.contains("goes on at step"), "{log}");
    assert_eq!(killed.figures(), one);

    // A finished study is told again, and nothing in it changes.
    let json = std::fs::read(whole.at("study.json")).unwrap();
    let again = whole.run(&["--seeds", "2"]);
    assert_eq!(std::fs::read(whole.at("study.json")).unwrap(), json);
    assert!(!again.lines().any(|l| l.starts_with("-- ")), "a stage was repeated:\n{again}");

    // Other settings would mix two studies.
    refused(&mut whole.command(&["--seeds", "2", "--align-coeff", "0.25"]), &["align_coeff = 0.5, now it is 0.25"]);

    the_arms_are_a_fair_pair(&whole, &text);
}

/// Both arms begin with the same weights and pictures, are judged by pictures that nothing was trained on, and differ.
fn the_arms_are_a_fair_pair(study: &Study, text: &str) {
    let (train, held) = (pictures(&study.at("pictures/train")), pictures(&study.at("pictures/held-out")));
    assert_eq!((train.len(), held.len(), train.intersection(&held).count()), (32, 32, 0));
    assert_eq!(first_kl(&study.at("seed-0/plain")).to_bits(), first_kl(&study.at("seed-0/aligned")).to_bits());
    assert_ne!(first_kl(&study.at("seed-0/plain")).to_bits(), first_kl(&study.at("seed-1/plain")).to_bits());
    let v = study.json();
    let seed = &v["seeds"][0];
    assert_eq!(seed["plain"]["vae"]["steps"], seed["aligned"]["vae"]["steps"]);
    assert!(seed["aligned"]["vae"]["last"]["align"].is_number() && seed["plain"]["vae"]["last"]["align"].is_null());
    assert_eq!(seed["plain"]["judged"]["floor"], seed["aligned"]["judged"]["floor"]);
    for figure in ["f1_macro", "f1_micro", "ap", "psnr", "ssim", "rfd", "fd", "precision", "recall"] {
        let row = &v["compared"][figure];
        let (plain, aligned) = (row["plain"]["values"].as_array().unwrap(), row["aligned"]["values"].as_array().unwrap());
        assert_eq!((plain.len(), aligned.len()), (2, 2), "{figure}");
        let difference = aligned[1].as_f64().unwrap() - plain[1].as_f64().unwrap();
        assert!((row["difference"]["values"][1].as_f64().unwrap() - difference).abs() < 1e-12, "{figure}: {row}");
    }
    // Another loss and another start give other pictures.
    let psnr = |seed: usize, arm: &str| v["seeds"][seed][arm]["recon"]["psnr"].as_f64().unwrap();
    let all: BTreeSet<u64> = [psnr(0, "start"), psnr(0, "plain"), psnr(0, "aligned"), psnr(1, "plain")].map(f64::to_bits).into();
    assert_eq!(all.len(), 4);

    let table = std::fs::read_to_string(study.at("table.txt")).unwrap();
    assert!(text.contains(&table), "the terminal has the table:\n{text}");
    for row in ["PSNR, dB", "FD-lite0 of samples", "skinColor", "hair", "SiT"] {
        assert!(table.contains(&format!("\n| {row} | ")), "no row {row}:\n{table}");
    }
    for file in ["reconstructions-0.png", "samples-1-plain.png", "samples-1-aligned.png"] {
        let picture = image::open(study.at(file)).unwrap();
        // Eight pictures of 64 pixels in a row, two pixels around each.
        assert_eq!(picture.width(), 8 * 66 + 2, "{file}");
    }
}
