//! A denoiser that is evaluated while it trains.

use super::chain::ok;
use super::{ldm, made, words};
use crate::support::{metrics, saved};

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
