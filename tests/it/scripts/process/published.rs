//! Sampling and training from files that others publish: no run folder, no training data.

use crate::support::process::{Place, ok, refused, script};
use crate::support::{TINY_SIT, TINY_VAE};
use lathe::script::{Engine, EngineOptions};
use std::sync::OnceLock;

/// A VAE of random weights, latents that it made, and a denoiser trained on them for two steps.
fn made() -> &'static Place {
    static MADE: OnceLock<Place> = OnceLock::new();
    MADE.get_or_init(|| {
        let place = Place::new(&[]);
        let at = |name: &str| place.at(name);
        eval(&format!(
            "let vae = models::vae(#{{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 4}}); vae.save({:?});",
            at("vae.safetensors")
        ));
        let pictures = ["--imagenet-path", "tests/data/avatars64", "--resolution", "16", "--max-images", "8", "--output-path", &at("images")];
        ok(&mut script("preprocess", &pictures));
        let files = ["--data-dir", &at("images"), "--output-dir", &at(""), "--vae-ckpt-path", &at("vae.safetensors")];
        ok(script("cache_latents", TINY_VAE).args(files));
        ok(script("train_ldm", TINY_SIT).args(TINY_VAE).args(ldm(&place, "ldm")));
        place
    })
}

fn eval(code: &str) {
    Engine::new(EngineOptions::default()).eval(code).map(|_| ()).unwrap_or_else(|e| panic!("{}", e.render(false)));
}

fn ldm(place: &Place, name: &str) -> Vec<String> {
    let (data, out, vae) = (place.at("latents"), place.at(""), place.at("vae.safetensors"));
    let flags = ["--data-dir", &data, "--output-dir", &out, "--exp-name", name, "--vae-ckpt", &vae, "--proj-coeff", "0", "--batch-size", "4"];
    flags.iter().chain(&["--max-train-steps", "2", "--encoder-depth", "1"]).map(|s| (*s).to_owned()).collect()
}

/// Four pictures drawn into the folder `out`, by flags: the bytes of the `.npz`.
fn sampled(out: &str, flags: &[&str]) -> Vec<u8> {
    let m = made();
    let drawn = ["--num-fid-samples", "4", "--num-steps", "3", "--output", &m.at(out)];
    ok(script("sample", &drawn).args(flags));
    std::fs::read(m.path(&format!("{out}.npz"))).unwrap()
}

/// The flags of a VAE and a denoiser in files; `--vae-config.norm-groups` is what no tensor tells.
fn published(sit: &str) -> Vec<String> {
    let m = made();
    let (sit, vae) = (m.at(sit), m.at("vae.safetensors"));
    let flags = ["--sit-ckpt", &sit, "--model-config.heads", "2", "--vae-ckpt", &vae, "--vae-config.norm-groups", "4"];
    flags.iter().map(|s| (*s).to_owned()).collect()
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

#[test]
fn sample_without_the_training_latents() {
    let m = made();
    let run = m.at("ldm");
    let here = sampled("with", &["--exp-path", &run, "--allow-read", &m.at("")]);
    // A run that was copied to a machine without its data.
    let away = m.at("away");
    eval(&format!("io::make_dir({away:?});"));
    std::process::Command::new("cp").args(["-r", &m.at("ldm"), &m.at("away/ldm")]).status().unwrap();
    let config = m.read("away/ldm/config.toml").replace(&m.at("latents"), &m.at("away/no-latents"));
    m.write("away/ldm/config.toml", &config);
    let there = sampled("without", &["--exp-path", &m.at("away/ldm"), "--vae-ckpt", &m.at("vae.safetensors")]);
    assert!(here == there, "the pictures do not depend on the data");
}

#[test]
fn sample_from_published_files_without_a_run() {
    let m = made();
    let want = sampled("run", &["--exp-path", &m.at("ldm"), "--allow-read", &m.at("")]);
    let ema = "ldm/checkpoints/0000002/ema.safetensors";
    assert!(sampled("files", &words(&published(ema))) == want, "the same weights draw the same pictures");
    let without: Vec<String> = published(ema).into_iter().filter(|f| !f.contains("heads") && f != "2").collect();
    let flags = [words(&without), vec!["--output", &m.at("x")]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    refused(script("sample", &[]).args(&flags), &["how many heads", "--model"]);
    refused(&mut script("sample", &[]), &["--exp-path", "--sit-ckpt"]);

    // REPA's kind: no statistics of the latents, a joint file with `model`, `ema` and `args`.
    eval(&format!(
        "let state = io::load({:?}); for n in [\"bn.running_mean\", \"bn.running_var\", \"bn.num_batches_tracked\"] {{ state.remove(n); }}
         io::save({:?}, #{{model: state, ema: state, steps: 2}});",
        m.at(ema),
        m.at("repa.pt")
    ));
    let repa = published("repa.pt");
    let lacking = [words(&repa), vec!["--output", &m.at("y")]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    refused(script("sample", &[]).args(&lacking), &["has no latent statistics", "--latents-stats FILE"]);
    let stats = m.at("latents/latents-stats.pt");
    assert!(sampled("repa", &[words(&repa), vec!["--latents-stats", &stats]].concat()) == want, "the statistics of the same latents");
    // Statistics under other names, and those that a config.json of diffusers has.
    eval(&format!("io::save({:?}, #{{mean: torch::zeros([4]), std: torch::ones([4])}});", m.at("other.pt")));
    let other = [lacking.clone(), vec!["--latents-stats".into(), m.at("other.pt")]].concat();
    refused(script("sample", &[]).args(&other), &["latents_scale", "latents_bias", "mean", "std"]);
    m.write("diffusers/config.json", "{\"scaling_factor\": 0.5, \"shift_factor\": 0.25}");
    assert!(sampled("scaled", &[words(&repa), vec!["--latents-stats", &m.at("diffusers")]].concat()) != want);
}

#[test]
fn train_from_the_weights_of_a_file_or_a_run() {
    let m = made();
    let start = |name: &str, from: &str, more: &[&str]| {
        let mut command = script("train_ldm", TINY_SIT);
        command.args(TINY_VAE).args(ldm(m, name)).args(["--init-from", from, "--learning-rate", "0", "--log-every", "1"]).args(more);
        command
    };
    // With a learning rate of 0 the weights stay those that it starts from.
    let ema = m.at("ldm/checkpoints/0000002/ema.safetensors");
    for (name, from) in [("from-file", &ema), ("from-run", &m.at("ldm"))] {
        let text = ok(&mut start(name, from, &[]));
        assert!(text.contains(&format!("starts from {from}: ")) && text.contains("sit"), "{text}");
        eval(&format!(
            "let a = io::load({ema:?}); let b = io::load({:?}); for n in a.keys() {{ if !n.starts_with(\"bn.\") {{ assert(a[n] == b[n], n); }} }}",
            m.at(&format!("{name}/checkpoints/0000002/sit.safetensors"))
        ));
        // It goes on from its own checkpoints, and says nothing of a start.
        let text = ok(&mut start(name, from, &["--max-train-steps", "3"]));
        assert!(!text.contains("starts from"), "{text}");
    }
    refused(&mut start("from-vae", &m.at("vae.safetensors"), &[]), &["holds nothing that is trained here", "vae"]);
    // A VAE starts the VAE.
    let (images, out, vae) = (m.at("images"), m.at(""), m.at("vae.safetensors"));
    let flags = ["--data-dir", &images, "--output-dir", &out, "--exp-name", "vae", "--init-from", &vae, "--align-coeff", "0", "--perceptual", "none"];
    let more = ["--discriminator-weight", "0", "--max-train-steps", "1", "--learning-rate", "0", "--batch-size", "2"];
    let text = ok(script("train_sendvae", TINY_VAE).args(flags).args(more).args(["--vae-config.z-channels", "4"]));
    assert!(text.contains("starts from") && text.contains("vae"), "{text}");
    eval(&format!(
        "let a = io::load({vae:?}); let b = io::load({:?}); for n in a.keys() {{ assert(a[n] == b[n], n); }}",
        m.at("vae/checkpoints/0000001/vae.safetensors")
    ));
}
