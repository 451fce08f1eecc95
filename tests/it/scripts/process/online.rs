//! A denoiser that is evaluated while it trains, also where the VAE trains along.

use super::chain::{SIT, VAE, ok};
use super::{ENCODER, ldm, made, words};
use crate::support::{TINY_VAE, files, metrics, name, saved};

#[test]
fn the_best_checkpoint_stays_and_the_training_is_the_same() {
    let dir = |name: &str| made().0.path(name);
    let often = ["--max-train-steps", "6", "--checkpointing-steps", "1", "--keep-last", "1"];
    let judged = [
        &often[..],
        &["--eval-every", "2", "--eval-samples", "8", "--eval-steps", "2", "--eval-extractor", "efficientnet-lite0", "--keep-best", "FD-lite0"],
    ]
    .concat();
    let said = ok("train_ldm", &[&words(&ldm("judged", &judged))]);
    assert!(said.contains("evaluation of 8 pictures at step 4") && said.contains("is the best by FD-lite0"), "{said}");
    let distances: Vec<(u64, f64)> =
        metrics(&dir("judged")).iter().filter_map(|l| Some((l["step"].as_u64()?, l.get("FD-lite0")?.as_f64()?))).collect();
    assert_eq!(distances.iter().map(|d| d.0).collect::<Vec<_>>(), [2, 4, 6]);
    let best = distances.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let mut wanted = vec![best, 6];
    wanted.dedup();
    assert_eq!(saved(&dir("judged")), wanted);

    ok("train_ldm", &[&words(&ldm("unjudged", &often))]);
    let losses = |name: &str| metrics(&dir(name)).iter().filter_map(|l| l.get("loss").map(ToString::to_string)).collect::<Vec<_>>();
    assert_eq!(losses("judged"), losses("unjudged"), "an evaluation changes nothing in the training");
}

/// The figures of a run by step.
fn figures(run: &str, of: &str) -> Vec<(u64, f64)> {
    metrics(&made().0.path(run)).iter().filter_map(|l| Some((l["step"].as_u64()?, l.get(of)?.as_f64()?))).collect()
}

#[test]
fn a_joint_training_is_evaluated_with_its_vae_of_that_step_and_shows_grids_beside() {
    let m = made();
    let (images, out, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let train = |to: &str, more: &[&str]| {
        let own = ["--data-dir", &images, "--output-dir", &out, "--exp-name", to, "--vae-ckpt", &vae, "--stats-pictures", "8"];
        let often =
            ["--max-train-steps", "4", "--checkpointing-steps", "2", "--keep-last", "1", "--log-every", "1", "--loss.perceptual-loss", "none"];
        ok("train_repae", &[&own, &often, &["--disc-config.ndf", "4"], TINY_VAE, VAE, SIT, ENCODER, more])
    };
    let judged =
        ["--eval-every", "2", "--eval-samples", "8", "--eval-steps", "2", "--eval-extractor", "efficientnet-lite0", "--keep-best", "FD-lite0"];
    let said = train("joint-judged", &[&judged[..], &["--sampling-steps", "3"]].concat());
    assert!(said.contains("evaluation of 8 pictures at step 2") && said.contains("is the best by FD-lite0"), "{said}");
    let distances = figures("joint-judged", "FD-lite0");
    assert_eq!(distances.iter().map(|d| d.0).collect::<Vec<_>>(), [2, 4]);
    assert_ne!(distances[0].1, distances[1].1, "the networks of that step");
    let best = distances.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let mut wanted = vec![best, 4];
    wanted.dedup();
    assert_eq!(saved(&m.0.path("joint-judged")), wanted);
    let grids: Vec<String> = files(&m.0.path("joint-judged/samples")).iter().map(|f| name(f)).filter(|n| n.contains("reconstruction")).collect();
    assert_eq!(grids, ["step-0000003-reconstruction.png", "step-0000004-reconstruction.png"]);

    train("joint-unjudged", &["--sampling-steps", "3"]);
    assert_eq!(figures("joint-judged", "loss"), figures("joint-unjudged", "loss"), "an evaluation changes nothing in the training");
}
