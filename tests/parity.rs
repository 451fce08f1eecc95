//! Every part of the reference that is written anew here, checked against numbers that the reference computed.
//!
//! The runner walks a folder of fixtures (`LATHE_GOLDEN`, default `tests/golden`; see its README) and picks the check by the `kind` in
//! each fixture's JSON, so that fixtures of other sizes, seeds and names can be put in its place. One line is printed for each.

mod parity {
    pub mod disc;
    pub mod fixture;
    pub mod lpips;
    pub mod posterior;
    pub mod report;
    pub mod sit;
    pub mod sit_misc;
    pub mod vae;
    pub mod vfm;
}

use parity::fixture::Fixture;
use parity::report::Report;
use std::path::{Path, PathBuf};

type Check = fn(&Fixture, &mut Report) -> lathe::error::Result<()>;

/// The check of a kind of fixture; `None` where there is none yet.
fn check_of(kind: &str) -> Option<Check> {
    Some(match kind {
        "vae" => parity::vae::small,
        "vae_full" => parity::vae::full,
        "vae_loader" => parity::vae::loader,
        "checkpoint" => parity::vae::checkpoint,
        "posterior" => parity::posterior::check,
        "sit" => parity::sit::small,
        "sit_full" => parity::sit::full,
        "misc" => parity::sit_misc::tables,
        "init_stats" => parity::sit_misc::init_stats,
        "lpips" => parity::lpips::check,
        "patchgan" => parity::disc::check,
        "vfm" => parity::vfm::check,
        "vfm_preprocess" => parity::vfm::preprocess,
        _ => return None,
    })
}

fn golden() -> PathBuf {
    std::env::var_os("LATHE_GOLDEN").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), PathBuf::from)
}

/// All sidecars below the folder, in the order of their names.
fn sidecars(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|e| e.expect("the fixtures can be listed").into_path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    found.sort();
    found
}

#[test]
fn fixtures() {
    let root = golden();
    // A part of the file names, to run a few fixtures only: `LATHE_GOLDEN_ONLY=sit/`.
    let only = std::env::var("LATHE_GOLDEN_ONLY").unwrap_or_default();
    let (mut failed, mut checked, mut waiting) = (Vec::new(), 0, 0);
    for path in sidecars(&root) {
        let name = path.strip_prefix(&root).expect("below the root").display().to_string();
        if !name.contains(&only) {
            continue;
        }
        let Some(fixture) = Fixture::open(&path) else { continue };
        let Some(check) = check_of(&fixture.kind) else {
            println!("  {name}: {} is not checked yet", fixture.kind);
            waiting += 1;
            continue;
        };
        let start = std::time::Instant::now();
        let mut report = Report::default();
        if let Err(e) = check(&fixture, &mut report) {
            report.fail(format!("{e:?}"));
        }
        println!("  {name}: {} ({:.1} s)", report.line(), start.elapsed().as_secs_f64());
        checked += 1;
        failed.extend(report.failures().iter().map(|f| format!("{name}: {f}")));
    }
    println!("{checked} checked, {waiting} not checked yet, {} failures", failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(checked > 0, "no fixture below {}", root.display());
}

#[test]
fn hashinit_matches_its_vectors() {
    let text = std::fs::read_to_string(golden().join("hashinit.json")).expect("hashinit.json");
    let json: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    for v in json["vectors"].as_array().expect("a list") {
        let f = |k: &str| v[k].as_f64().expect("a number");
        let value = |i| parity::fixture::hash_value(v["seed"].as_u64().expect("a seed"), v["name"].as_str().expect("a name"), i, f("lo"), f("hi"));
        for (i, want) in v["first"].as_array().expect("a list").iter().enumerate() {
            assert_eq!(value(i as u64), want.as_f64().expect("a number") as f32);
        }
        assert_eq!(value(1_000_003), f("at_1000003") as f32);
    }
}
