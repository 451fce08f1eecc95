//! Every stage killed at any moment, again and again, and started again: what it leaves is what an uninterrupted one leaves, byte for byte.
//! `LATHE_KILLS` says how many times each is killed; `make fuzz` asks for many.

use super::chain::{ENCODER, Made, SIT, VAE, made};
use crate::support::process::{ok, script, signal};
use crate::support::{Dice, TINY_VAE, metrics, name};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn kills() -> usize {
    std::env::var("LATHE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(2)
}

/// Starts a stage and ends it at some moment of the time that it takes, as often as is asked; in the end it is left alone. How it ends: `kill -9`, or
/// two SIGTERM one after the other, of which the second ends it at once whatever it writes just then. Returns how often it was.
fn killed(stage: &dyn Fn() -> Command, time: Duration, dice: &mut Dice) -> usize {
    let (mut done, mut tries) = (0, 0);
    while done < kills() {
        tries += 1;
        assert!(tries < 20 * kills() + 20, "it is always over before it can be killed");
        let mut child = stage().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let within = time.mul_f64(dice.roll(1000) as f64 / 1000.0);
        let start = Instant::now();
        while start.elapsed() < within && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if child.try_wait().unwrap().is_some() {
            child.wait().unwrap();
            continue;
        }
        if dice.roll(3) == 0 {
            signal(&child, "-TERM");
            std::thread::sleep(Duration::from_millis(dice.roll(30)));
            // It may have ended by itself meanwhile.
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
        } else {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        done += 1;
    }
    ok(&mut stage());
    done
}

/// Names with their bytes.
pub(super) type Content = Vec<(String, Vec<u8>)>;

/// Everything in a folder, with its bytes; nothing half-written may be left.
pub(super) fn contents(folder: &Path) -> Content {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|e| e.unwrap()).filter(|e| e.file_type().is_file());
    // The lock of a run stays, with the process that held it.
    let all = all.filter(|e| e.file_name() != ".lock");
    let all: Vec<_> = all.map(|e| (e.path().strip_prefix(folder).unwrap().display().to_string(), std::fs::read(e.path()).unwrap())).collect();
    assert!(!all.is_empty() && all.iter().all(|(n, _)| !name(Path::new(n)).starts_with('.')), "{:?}", all.iter().map(|a| &a.0).collect::<Vec<_>>());
    all
}

/// The stage done at once, and killed in between, at the same place: what it leaves must be the same. `clean` removes what it left.
pub(super) fn same(what: &str, seed: u64, stage: &dyn Fn() -> Command, content: &dyn Fn() -> Content, clean: &dyn Fn()) {
    let start = Instant::now();
    ok(&mut stage());
    let (time, a) = (start.elapsed(), content());
    clean();
    let n = killed(stage, time, &mut Dice(seed));
    let b = content();
    let differ: Vec<&String> = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, _)| &x.0).collect();
    assert!(a.len() == b.len() && differ.is_empty(), "{what}, killed {n} times: {differ:?} differ, {} and {} files", a.len(), b.len());
    println!("{what}: killed {n} times, {} files the same", a.len());
}

fn command(kind: &str, flags: &[&[&str]]) -> Command {
    script(kind, &flags.concat())
}

pub(super) fn remove(path: &str) {
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn preprocess_killed_at_any_time_leaves_the_same_bytes() {
    let m = Made::empty();
    let to = m.path("shards");
    let stage = || {
        let flags = ["--imagenet-path", "tests/data/avatars64", "--resolution", "48", "--max-images", "1600", "--output-path", &to];
        command("preprocess", &[&flags])
    };
    same("preprocess", 1, &stage, &|| contents(Path::new(&to)), &|| remove(&to));
}

#[test]
fn cache_latents_killed_at_any_time_leaves_the_same_bytes() {
    let m = made();
    let to = m.path("killed-cached");
    let stage = || {
        let flags = ["--data-dir", &m.path("images"), "--output-dir", &to, "--vae-ckpt-path", &m.path("sendvae"), "--pproc-batch-size", "4"];
        command("cache_latents", &[&flags])
    };
    same("cache_latents", 2, &stage, &|| contents(Path::new(&to)), &|| remove(&to));
}

/// The flags of a joint training that takes seconds.
fn repae(m: &Made, to: &str, more: &[&str]) -> Command {
    let (images, out, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let own = ["--data-dir", &images, "--output-dir", &out, "--exp-name", to, "--vae-ckpt", &vae, "--stats-pictures", "8"];
    let often = ["--max-train-steps", "6", "--checkpointing-steps", "1", "--log-every", "1", "--sampling-steps", "0"];
    let loss = ["--loss.perceptual-loss", "encoder", "--loss.discriminator-start", "2"];
    command("train_repae", &[&own, &often, &loss, TINY_VAE, VAE, SIT, ENCODER, more])
}

/// What a training came to: its log, and what its last checkpoint holds.
pub(super) fn trained(m: &Made, to: &str) -> Content {
    let run = m.0.path(to);
    let mut all: Content = metrics(&run).into_iter().map(|l| ("log".to_owned(), l.to_string().into_bytes())).collect();
    let steps = crate::support::saved(&run);
    let last = run.join("checkpoints").join(format!("{:07}", steps.last().unwrap()));
    all.extend(contents(&last).into_iter().filter(|(n, _)| n.ends_with(".safetensors")));
    let left = contents(&run.join("checkpoints"));
    assert!(left.iter().all(|(n, _)| n.starts_with(|c: char| c.is_ascii_digit())), "nothing half-written is left");
    all
}

#[test]
fn train_repae_killed_at_any_time_ends_with_the_same_weights() {
    let m = made();
    let joint = || repae(m, "killed-joint", &[]);
    same("train_repae", 3, &joint, &|| trained(m, "killed-joint"), &|| remove(&m.path("killed-joint")));
    // From the weights of that run: the same, and the weights are read only where the run begins.
    let first = m.path("killed-joint");
    let from = || repae(m, "killed-joint-from", &["--init-from", &first]);
    same("train_repae --init-from", 4, &from, &|| trained(m, "killed-joint-from"), &|| remove(&m.path("killed-joint-from")));
    assert_ne!(trained(m, "killed-joint"), trained(m, "killed-joint-from"), "it began with other weights");
}

#[test]
fn sample_killed_at_any_time_draws_the_same_pictures() {
    let m = made();
    ok(&mut repae(m, "drawn", &[]));
    let (run, to, all) = (m.path("drawn"), m.path("pictures-of"), m.path(""));
    let stage = || {
        let output = format!("{to}/set");
        let drawn = ["--num-fid-samples", "24", "--pproc-batch-size", "2", "--num-steps", "4", "--exp-path", &run, "--output", &output];
        command("sample", &[&drawn, &["--allow-read", &all]])
    };
    same("sample", 5, &stage, &|| contents(Path::new(&to)), &|| remove(&to));
}
