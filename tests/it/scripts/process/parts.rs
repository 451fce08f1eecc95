//! `--accumulate`: a step in parts is the step of the whole batch, in every training script; what would be another one is refused by name.

use super::chain::{ENCODER, Made, SIT, VAE, made, ok, refused};
use super::rae::DECODER;
use crate::support::{TINY_VAE, metrics};
use lathe::torch::Tensor;
use lathe::torch::files::read_safetensors;
use std::collections::BTreeMap;

/// A discriminator that takes pictures one by one, as `train_sendvae`, `train_repae` and `train_rae` have it.
const APART: &[&str] = &["--disc-config.ndf", "4", "--disc-config.layers", "2", "--disc-config.batch-norm", "false"];
const DINO: &[&str] = &[
    "--discriminator",
    "dino",
    "--disc-config.pretrained",
    "false",
    "--disc-config.embed-dim",
    "16",
    "--disc-config.num-heads",
    "2",
    "--disc-config.patch-size",
    "8",
    "--disc-config.img-size",
    "32",
    "--disc-config.depth",
    "2",
    "--disc-config.ks",
    "3",
];
const MAPPER: &[&str] = &["--mapper.width", "16", "--mapper.heads", "2", "--mapper.hidden", "16"];
const STILL: &[&str] = &["--learning-rate", "0", "--disc-learning-rate", "0"];
const STEPS: &[&str] = &["--batch-size", "8", "--max-train-steps", "3", "--checkpointing-steps", "1", "--log-every", "1", "--sampling-steps", "0"];

/// The flags of a run of seconds of a script, with everything adversarial from its second step on.
fn flags(m: &Made, script: &str, name: &str, more: &[&str]) -> Vec<String> {
    let (images, out, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let place = ["--data-dir", &images, "--output-dir", &out, "--exp-name", name];
    let repae =
        [&["--vae-ckpt", &vae, "--stats-pictures", "8", "--loss.perceptual-loss", "encoder", "--loss.discriminator-start", "1"], TINY_VAE, VAE, SIT]
            .concat();
    let sendvae = [
        &["--perceptual", "encoder", "--discriminator-start", "1", "--latent-noise", "1", "--eq-vae", "0.5", "--eq-min-scale", "0.8"],
        TINY_VAE,
        VAE,
        MAPPER,
    ]
    .concat();
    let rae = [&["--perceptual", "encoder", "--perceptual-start", "1", "--disc-update-start", "1", "--discriminator-start", "1"], DECODER].concat();
    let own = match script {
        "train_sendvae" => sendvae,
        "train_repae" => repae,
        _ => rae,
    };
    [&place[..], &own, ENCODER, STEPS, more].concat().into_iter().map(str::to_owned).collect()
}

fn train(script: &str, name: &str, more: &[&str]) {
    ok(script, &[&flags(made(), script, name, more).iter().map(String::as_str).collect::<Vec<_>>()]);
}

/// The first moments of a checkpoint's optimizers: sums of the gradients of all steps, each times a factor.
fn moments(name: &str, step: u64) -> BTreeMap<String, Tensor> {
    let folder = made().0.path(name).join(format!("checkpoints/{step:07}"));
    let files = crate::support::files(&folder).into_iter().filter(|f| crate::support::name(f).contains("opt"));
    let all = files.flat_map(|f| {
        let file = crate::support::name(&f);
        read_safetensors(&f).unwrap().0.into_iter().map(move |(key, t)| (format!("{file} {key}"), t))
    });
    all.filter(|(key, _)| key.contains("exp_avg") && !key.contains("exp_avg_sq")).collect()
}

/// Two runs whose losses, gradients and norms are the same within 1e-6.
///
/// Where an adversary is trained both stay at their first weights (`STILL`): Adam's first steps make whole steps of the last bits of gradients that are 0.
fn same(a: &str, b: &str) {
    let [x, y] = [a, b].map(|name| metrics(&made().0.path(name)));
    assert_eq!((x.len(), y.len()), (3, 3), "{a}, {b}");
    for (x, y) in x.iter().zip(&y) {
        let (x, y) = (x.as_object().unwrap(), y.as_object().unwrap());
        assert_eq!(x.keys().collect::<Vec<_>>(), y.keys().collect::<Vec<_>>(), "{a}, {b}");
        for (key, value) in x {
            let (value, other) = (value.as_f64().unwrap(), y[key].as_f64().unwrap());
            assert!(
                (value - other).abs() <= 1e-6 * value.abs().max(1.0),
                "{b}: {key} of step {} is {other}, and {value} of the whole batch",
                x["step"]
            );
        }
    }
    let (x, y) = (moments(a, 3), moments(b, 3));
    assert!(x.len() > 20 && x.keys().eq(y.keys()), "{a}: {} moments", x.len());
    let mut largest = 0.0_f64;
    for (key, t) in &x {
        let (t, other) = (t.to_vec_f64().unwrap(), y[key].to_vec_f64().unwrap());
        let far = t.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let most = t.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        assert!(t.len() == other.len() && far <= 1e-6 * most.max(1.0), "{b}: {key} differs by {far}, the largest is {most}");
        largest = largest.max(most);
    }
    assert!(largest > 1e-4, "there are gradients: {largest}");
}

#[test]
fn parts_of_a_vae_s_batch_are_the_batch() {
    let own = [APART, STILL, &["--mapper.bn", "none"]].concat();
    train("train_sendvae", "vae-1", &own);
    train("train_sendvae", "vae-4", &[&own, &["--accumulate", "4"][..]].concat());
    same("vae-1", "vae-4");
    // On several ranks as well, each with its own part of each part.
    train("train_sendvae", "vae-2x2", &[&own, &["--accumulate", "2", "--nproc", "2"][..]].concat());
    same("vae-1", "vae-2x2");
}

#[test]
fn parts_of_a_joint_batch_are_the_batch_with_the_statistics_of_all() {
    let own = [APART, STILL, &["--vae-learning-rate", "0"]].concat();
    train("train_repae", "joint-1", &own);
    train("train_repae", "joint-2", &[&own, &["--accumulate", "2"][..]].concat());
    same("joint-1", "joint-2");
}

#[test]
fn parts_of_an_rae_s_batch_are_the_batch_with_the_balance_of_all() {
    let own = [DINO, STILL].concat();
    train("train_rae", "rae-1", &own);
    train("train_rae", "rae-2", &[&own, &["--accumulate", "2"][..]].concat());
    same("rae-1", "rae-2");
    let log = metrics(&made().0.path("rae-2"));
    assert!(log[1]["d_weight"].as_f64().unwrap() > 0.0 && log[2]["disc"].as_f64().unwrap() > 0.0, "{log:?}");
}

#[test]
fn what_a_part_cannot_stand_for_is_refused_before_the_first_step() {
    let half = ["--accumulate", "2"];
    let patchgan = ["--discriminator", "patchgan", "--disc-config.ndf", "4"];
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("train_sendvae", APART, &["the mapper normalises by statistics of its batch (bn.running_mean)", "--mapper.bn none"]),
        (
            "train_sendvae",
            &["--mapper.bn", "none"],
            &["the discriminator normalises by", "--disc-config.batch-norm false", "--discriminator-weight 0"],
        ),
        ("train_sendvae", &["--align", "vavae", "--vavae.adaptive", "--discriminator-weight", "0"], &["--no-vavae.adaptive"]),
        ("train_repae", &[], &["the discriminator normalises by", "--disc-config.batch-norm false"]),
        ("train_repae", &[APART, &["--loss.lecam-regularization-weight", "0.1"]].concat(), &["--loss.lecam-regularization-weight"]),
        ("train_rae", &patchgan, &["the discriminator normalises by", "--discriminator dino"]),
        ("train_rae", &["--discriminator-weight", "0", "--batch-size", "7"], &["--batch-size 7 does not divide into --accumulate 2"]),
    ];
    for (script, more, wanted) in cases {
        let flags = flags(made(), script, "refused-parts", &[more, &half[..]].concat());
        let text = refused(script, &[&flags.iter().map(String::as_str).collect::<Vec<_>>()]);
        for word in *wanted {
            assert!(text.contains(word), "{script} {more:?}: no `{word}` in {text}");
        }
        assert!(metrics(&made().0.path("refused-parts")).is_empty(), "{script} {more:?}: a step was made");
        let _ = std::fs::remove_dir_all(made().path("refused-parts"));
    }
}
