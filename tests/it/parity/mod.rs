//! Every part of the reference that is written anew here, checked against numbers that the reference computed.
//!
//! The runner walks a folder of fixtures (`LATHE_GOLDEN`, default `tests/golden`, see its README; a folder in it works as well) and picks
//! the check by the `kind` in each fixture's sidecar, so that fixtures of other sizes, seeds and names can be put in its place. A file that
//! belongs to no check is a failure. One line is printed for each fixture: the quantity with the worst error, the error and its limit.
//! - `LATHE_DEVICE=cuda` runs the checks on a GPU, without TF32.
//! - `LATHE_GOLDEN_ONLY=sit/` takes the fixtures whose path holds that text.
//! - `LATHE_PARITY_MD=docs/parity.md` writes the lines as a table.

mod alone;
mod case;
mod crop;
mod disc;
mod evaluator;
pub mod fixture;
mod kink;
mod lpips;
mod posterior;
mod recon_loss;
pub mod report;
mod sampler;
mod scripts;
mod settings;
mod sit;
mod sit_misc;
mod strides;
mod table;
mod trajectory;
mod trajectory_end;
mod vae;
mod vfm;
mod walk;

use crate::support::root;
use fixture::Fixture;
use lathe::error::Result;
use lathe::torch;
use report::Report;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;
use table::Row;

type Check = fn(&Fixture, &mut Report) -> Result<()>;

/// The check of a kind of fixture.
fn check_of(kind: &str) -> Option<Check> {
    Some(match kind {
        "hashinit" => fixture::vectors,
        "vae" => vae::small,
        "vae_full" => vae::full,
        "vae_loader" => vae::loader,
        "checkpoint" => vae::checkpoint,
        "posterior" => posterior::check,
        "sit" => sit::small,
        "sit_full" => sit::full,
        "misc" => sit_misc::tables,
        "init_stats" => sit_misc::init_stats,
        "sampler" => sampler::check,
        "lpips" => lpips::check,
        "patchgan" => disc::check,
        "recon_loss" => recon_loss::check,
        "trajectory" => trajectory::check,
        "evaluator" => evaluator::check,
        "center_crop" => crop::check,
        "vfm" => vfm::check,
        "vfm_preprocess" => vfm::preprocess,
        _ => return None,
    })
}

fn golden() -> PathBuf {
    std::env::var_os("LATHE_GOLDEN").map_or_else(|| root().join("tests/golden"), PathBuf::from)
}

/// The device under test.
fn set_device() -> String {
    torch::bridge::load_cuda();
    let name = std::env::var("LATHE_DEVICE").ok().filter(|v| !v.is_empty()).unwrap_or_else(|| "cpu".into());
    torch::set_default_device(torch::parse_device(&name).expect("LATHE_DEVICE names a device that is here"));
    torch::bridge::allow_tf32(false).expect("TF32 can be switched off");
    name
}

/// Says which tensors of a fixture its check left alone.
fn leftovers(fixture: &Fixture, report: &mut Report) {
    match fixture.unseen()[..] {
        [] => {}
        [first] => report.note(format!("`{first}` is not compared")),
        [first, ref more @ ..] => report.note(format!("`{first}` and {} more are not compared", more.len())),
    }
}

/// What a sidecar's `config` says and its check does not know: the fixture would be compared with something else.
fn unknown(fixture: &Fixture, report: &mut Report) {
    for key in fixture.unread() {
        report.fail(format!("`config.{key}` is unknown to the check of `{}`, which would ignore it", fixture.kind));
    }
}

/// Runs the check of one sidecar. A panic in it is a failure of this fixture alone.
fn run(path: &Path, name: &str) -> Row {
    let start = Instant::now();
    let (mut report, mut kind) = (Report::default(), String::new());
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let fixture = Fixture::open(path)?;
        kind.clone_from(&fixture.kind);
        // Two kinds have one name: statistics of a SiT, and of the networks written in the language.
        let in_rust = check_of(&fixture.kind).filter(|_| fixture.kind != "init_stats" || fixture.meta["columns"].is_null());
        match (in_rust, case::script_of(&fixture.kind)) {
            (Some(check), _) => check(&fixture, &mut report).map(|()| {
                unknown(&fixture, &mut report);
                leftovers(&fixture, &mut report);
            }),
            (None, Some(script)) => {
                let (checked, result) = case::check(&script, fixture, std::mem::take(&mut report));
                report = checked;
                result
            }
            (None, None) => {
                report.fail(format!("there is no check for fixtures of the kind `{}`", fixture.kind));
                Ok(())
            }
        }
    }));
    match checked {
        Ok(Ok(())) if report.compared() == 0 && report.failures().is_empty() => report.fail("nothing was compared".into()),
        Ok(Ok(())) => {}
        Ok(Err(e)) => report.fail(format!("{e:?}")),
        Err(_) => report.fail("the check panicked".into()),
    }
    println!("  {name}: {} ({:.1} s)", report.line(), start.elapsed().as_secs_f64());
    Row { name: name.to_owned(), kind, report }
}

/// Sums are divided among threads, and the reference had two: with another number the chaotic trajectories part from the recorded ones.
const THREADS: usize = 2;

fn all() -> Vec<String> {
    let (root, device) = (golden(), set_device());
    torch::set_num_threads(THREADS);
    let only = std::env::var("LATHE_GOLDEN_ONLY").unwrap_or_default();
    let found = walk::walk(&root);
    let mut failed: Vec<String> = found.strays.iter().filter(|s| s.contains(&only)).map(|s| format!("{s}: belongs to no fixture")).collect();
    for stray in &failed {
        println!("  {stray}");
    }
    let rows: Vec<Row> = found.sidecars.iter().filter(|(_, name)| name.contains(&only)).map(|(path, name)| run(path, name)).collect();
    let wrong = rows.iter().filter(|r| !r.report.failures().is_empty()).count();
    let compared: usize = rows.iter().map(|r| r.report.compared()).sum();
    println!(
        "{} fixtures checked on {device}, {} as they should be, {wrong} not; {} other files; {compared} comparisons",
        rows.len(),
        rows.len() - wrong,
        failed.len()
    );
    if let Some(path) = std::env::var_os("LATHE_PARITY_MD").filter(|p| !p.is_empty() && only.is_empty()) {
        table::write(Path::new(&path), &device, &rows).expect("the table can be written");
    }
    failed.extend(rows.iter().flat_map(|r| r.report.failures().iter().map(|f| format!("{}: {f}", r.name))));
    if rows.is_empty() {
        failed.push(format!("no fixture below {}", root.display()));
    }
    failed
}
