//! `lathe compare` and `scripts/compare_vaes.rhai` as a user runs them: on real runs, on real pictures, and on what is broken.

use crate::support::process::{self, Place, lathe, parts, script};
use crate::support::{TINY_VAE, files, root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Stdout and stderr of a command that must succeed.
fn ok(command: &mut Command) -> (String, String) {
    let (code, out, err) = parts(command.output().unwrap());
    assert_eq!(code, 0, "{command:?}\n{out}{err}");
    (out, err)
}

fn refused(command: &mut Command) -> String {
    process::refused(command, &[])
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// What a page of ours must be: whole, without anything that is fetched or run, every picture with words.
fn check_page(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>"));
    assert!(!html.contains("<script") && !html.contains("http://") && !html.contains("https://"), "something would be fetched or run");
    let sources = html.split(" src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert!(sources.clone().all(|s| s.starts_with("data:image/png;base64,")), "{:?}", sources.map(|s| s[..20].to_owned()).collect::<Vec<_>>());
    assert_eq!(html.matches("<img ").count(), html.matches(" alt=\"").count());
    assert_eq!(html.matches("alt=\"\"").count(), 0);
    // Charts: those of figures are named, the samples of lines in legends are hidden.
    assert_eq!(html.matches("<svg ").count(), html.matches("role=\"img\"").count() + html.matches("aria-hidden=\"true\"").count());
}

/// A loop of its own, with what real runs have: modules, metrics (one not finite), pictures.
const TRAIN: &str = "fn params() { #{ output_dir: \"exps\", exp_name: \"a\", lr: 0.1, width: 3, seed: 0 } }
fn main(cfg) {
    let run = train::run(cfg);
    run.track(\"net\", nn::linear(4, cfg.width));
    for i in run.resume()..20 {
        run.step = i + 1;
        run.log(#{ loss: cfg.lr + 1.0 / (i + 1), psnr: 10.0 + i, grad_norm: if i == 3 { 0.0 / 0.0 } else { 1.0 } });
    }
    run.image(\"noise\", torch::rand([4, 3, 8, 8]));
    run.save();
    run.finish();
}
";
/// Another kind, which never logs.
const SILENT: &str = "fn params() { #{ output_dir: \"exps\", exp_name: \"silent\", depth: 2, seed: 0 } }
fn main(cfg) { let run = train::run(cfg); run.resume(); run.finish(); }
";

/// The name of a run that is a nuisance in HTML.
const NASTY: &str = "b<i>&\"x'";

fn runs() -> Place {
    let place = Place::new(&[("train.rhai", TRAIN), ("silent.rhai", SILENT)]);
    ok(&mut place.command(&["run", "train.rhai"]));
    ok(&mut place.command(&["run", "train.rhai", "--exp-name", NASTY, "--lr", "0.05", "--width", "5"]));
    ok(&mut place.command(&["run", "silent.rhai"]));
    place
}

#[test]
fn runs_of_any_kind_side_by_side() {
    let p = runs();
    let nasty = format!("exps/{NASTY}");
    let (out, err) = ok(&mut p.command(&["compare", "exps/a", &nasty, "exps/silent", "--html", "page.html"]));
    let line = |name: &str| out.lines().find(|l| l.trim_start().starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{out}")).to_owned();
    let words = |name: &str| line(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("run "), ["run", "a", NASTY, "silent"]);
    assert_eq!(words("script "), ["script", "train.rhai", "train.rhai", "silent.rhai"]);
    assert_eq!(words("steps "), ["steps", "20", "20", "0"]);
    // A linear layer of 4 to 3 and one of 4 to 5; the third run has no checkpoint.
    assert_eq!(words("parameters "), ["parameters", "15", "25", "-"]);
    assert_eq!(words("lr "), ["lr", "0.1", "0.05", "-"]);
    assert!(out.contains("and 1 that only some of the scripts have") && !out.contains("depth"), "{out}");
    assert_eq!(words("loss "), ["loss", "0.15", "0.1", "-"]);
    assert!(line("psnr").contains("29") && out.contains("0.15 at 20"), "{out}");
    assert!(err.contains("silent/metrics.jsonl` is empty: the run never logged") || err.contains("silent/metrics.jsonl` is missing"), "{err}");
    assert!(
        err.contains("different scripts (train.rhai, silent.rhai)") && err.contains("`grad_norm` of `exps/a` is not finite in 1 of 20 lines"),
        "{err}"
    );

    let html = read(p.path("page.html"));
    check_page(&html);
    assert!(html.contains("b&lt;i&gt;&amp;&quot;x'") && !html.contains("b<i>"), "the name is escaped");
    assert!(html.contains("1 of 20 values not finite") && html.contains("step 20"), "{}", &html[html.len() / 2..]);
    // Three charts of metrics, the grids of two runs.
    assert_eq!((html.matches("role=\"img\"").count(), html.matches("<img ").count()), (3, 2));

    let (json, _) = ok(&mut p.command(&["compare", "exps/a", &nasty, "--json", "--lower", "psnr"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    let psnr = json["metrics"].as_array().unwrap().iter().find(|m| m["name"] == "psnr").unwrap();
    assert_eq!((&psnr["better"], &psnr["best"][0]["step"]), (&"lower".into(), &1.into()), "the flag goes before the name");
    assert_eq!((&json["runs"][0]["parameters"], &json["runs"][0]["modules"][0][0]), (&15.into(), &"net".into()));
}

#[test]
fn names_that_are_the_same_are_set_apart() {
    let p = runs();
    std::fs::create_dir(p.path("other")).unwrap();
    ok(&mut p.command(&["run", "train.rhai", "--output-dir", "other"]));
    let (out, _) = ok(&mut p.command(&["compare", "exps/a", "other/a"]));
    let heads = out.lines().filter(|l| l.split_whitespace().skip_while(|w| *w == "run").eq(["exps/a", "other/a"]));
    assert_eq!(heads.count(), 2, "above the runs and above the metrics:\n{out}");
    assert!(out.contains("settings that differ: 0 of"), "the folder is no difference:\n{out}");
}

#[test]
fn what_is_broken_is_named() {
    let p = runs();
    let at = |name: &str| p.path(name);
    // No log, a log of rubbish, a damaged checkpoint, a damaged picture: said by name, and the rest is shown.
    std::fs::remove_file(at("exps/a/metrics.jsonl")).unwrap();
    let state = PathBuf::from(format!("exps/{NASTY}/checkpoints/0000020/state.json"));
    std::fs::write(at(state.to_str().unwrap()), "{\"format\": 1").unwrap();
    std::fs::write(at("exps/silent/metrics.jsonl"), [0xff, 0xfe, b'\n', b'{', b'\n']).unwrap();
    std::fs::write(at("exps/a/samples/step-0000021-noise.png"), b"\x89PNG\r\n\x1a\nrest").unwrap();
    let nasty = format!("exps/{NASTY}");
    let (out, err) = ok(&mut p.command(&["compare", "exps/a", &nasty, "exps/silent", "--html", "page.html"]));
    let notes: Vec<&str> = err.lines().filter(|l| l.starts_with("note: ")).collect();
    for (file, why) in [
        ("exps/a/metrics.jsonl", "is missing"),
        ("state.json", "cannot be read"),
        ("exps/silent/metrics.jsonl", "has no line of metrics"),
        ("step-0000021-noise.png", "left out"),
    ] {
        assert_eq!(notes.iter().filter(|n| n.contains(file) && n.contains(why)).count(), 1, "{file}: {notes:#?}");
    }
    assert!(out.contains("parameters"), "{out}");
    check_page(&read(at("page.html")));

    // A file of tensors that was cut off is noticed without reading the whole checkpoint.
    ok(&mut p.command(&["run", "train.rhai", "--exp-name", "cut"]));
    let tensors = at("exps/cut/checkpoints/0000020/net.safetensors");
    let bytes = std::fs::read(&tensors).unwrap();
    std::fs::write(&tensors, &bytes[..bytes.len() - 4]).unwrap();
    let (_, err) = ok(&mut p.command(&["compare", "exps/cut", "exps/silent"]));
    assert!(err.contains("net.safetensors") && err.contains("should have"), "{err}");

    for (args, want) in [
        (&["compare", "exps/a"][..], "2"),
        (&["compare", "exps/a", "exps/../exps/a/"], "given twice"),
        (&["compare", "exps/a", "nowhere"], "nowhere"),
        (&["compare", "exps/a", "."], "run.json"),
        (&["compare", "exps/a", "exps/silent", "--html", "exps/a/config.toml"], ".html"),
        (&["compare", "exps/a", "exps/cut", "--lower", "lossy"], "did you mean `loss`"),
    ] {
        let err = refused(&mut p.command(args));
        assert!(err.contains(want), "{args:?}: {err}");
    }
    assert!(read(at("exps/a/config.toml")).contains("lr"), "a run's settings are not written over");
}

/// Shards, two VAEs after a few steps.
struct Vaes {
    place: Place,
}

impl Vaes {
    fn make() -> Self {
        let v = Vaes { place: Place::new(&[]) };
        let size = ["--resolution", "32", "--max-images", "120"];
        ok(script("preprocess", &["--imagenet-path", "tests/data/avatars64", "--output-path", &v.at("images")]).args(size));
        v.train("vae", "0", "4");
        v.train("other", "1", "3");
        v
    }

    fn at(&self, name: &str) -> String {
        self.place.at(name)
    }

    fn train(&self, name: &str, seed: &str, channels: &str) {
        let (images, out) = (self.at("images"), self.at("exps"));
        let first = ["--data-dir", &images, "--output-dir", &out, "--exp-name", name, "--seed", seed];
        let rest = ["--vae-config.z-channels", channels, "--vae-config.resolution", "32", "--align", "none", "--perceptual", "none"];
        let last = ["--discriminator-weight", "0", "--batch-size", "8", "--max-train-steps", "4", "--log-every", "1", "--sampling-steps", "2"];
        ok(&mut script("train_sendvae", &[&first[..], TINY_VAE, &rest, &last].concat()));
    }

    /// `compare_vaes` on few pictures, with the settings of every call here.
    fn compare(&self, images: &str, out: &str, more: &[&str]) -> Command {
        let own = ["--pictures", images, "--output", out, "--seeds", "2", "--perplexity", "10", "--shown", "4"];
        let mut c = lathe(root(), &["run", "scripts/compare_vaes.rhai"]);
        c.args(own).args(more);
        c
    }
}

#[test]
fn vaes_side_by_side_on_one_page() {
    let v = Vaes::make();
    let (images, out) = (v.at("images"), v.at("compared"));
    let (a, b) = (v.at("exps/vae"), v.at("exps/other"));
    let vaes = format!("{a},{b}");
    // Figures as evaluate writes them, one of them not finite; samples: a run with curves and grids, and pictures alone.
    let result =
        |value: Value| serde_json::json!({"figures": [{"name": "FD-lite0", "value": value, "n": 64, "floor": 3.25, "floor_n": 32}]}).to_string();
    std::fs::write(v.at("r.json"), result(41.5.into())).unwrap();
    std::fs::create_dir(v.at("eval")).unwrap();
    std::fs::write(v.at("eval/result.json"), result("nan".into())).unwrap();
    let figures = format!("{},{}", v.at("r.json"), v.at("eval"));
    let samples = format!("{a},{}", root().join("tests/data/avatars64/bun").display());
    let full = ["--vaes", &vaes, "--names", "plain <&\"'>,other", "--figures", &figures, "--samples", &samples];
    let (said, err) = ok(&mut v.compare(&images, &out, &full));
    assert!(said.contains("PSNR, dB") && said.contains("attributes: F1 macro") && said.contains("discrimination: 16 modes"), "{said}");
    assert!(said.contains("n too small (n = 1)") && !said.contains("Spearman"), "{said}");
    assert!(said.lines().any(|l| l.starts_with("FD-lite0 ") && l.contains("41.5") && l.contains("NaN")), "{said}\n{err}");

    let found: Value = serde_json::from_str(&read(Path::new(&out).join("compare.json"))).unwrap();
    let vae = &found["vaes"][0];
    assert_eq!((&found["n"], &vae["name"]), (&120.into(), &"plain <&\"'>".into()));
    assert_eq!((&vae["latents"], &found["vaes"][1]["latents"]), (&serde_json::json!([4, 16, 16]), &serde_json::json!([3, 16, 16])));
    assert_eq!(found["vaes"][1]["figures"][0]["value"], "nan", "a figure that is not finite is kept");
    let correlation = &found["correlations"][0];
    assert_eq!((&correlation["figure"], &correlation["n"], &correlation["pearson"]), (&"FD-lite0".into(), &1.into(), &Value::Null));
    // The latents have the power that channel normalisation gives: about 1 on average over all frequencies.
    let spectrum = vae["measures"]["spectrum_normalised"].as_array().unwrap();
    assert_eq!(spectrum.len(), 9);
    let psnr = vae["measures"]["reconstruction"].as_array().unwrap().iter().find(|f| f["name"] == "PSNR").unwrap();
    assert!((5.0..40.0).contains(&psnr["value"].as_f64().unwrap()) && psnr["n"] == 120, "{psnr}");

    let html = read(Path::new(&out).join("compare.html"));
    check_page(&html);
    assert!(html.contains("plain &lt;&amp;&quot;'&gt;") && !html.contains("plain <&"));
    for part in
        ["Reconstructions", "Latents", "Radial spectrum", "Generators", "Correlations", "NaN", "N = 64, floor 3.25 of 32", "F1 of each attribute"]
    {
        assert!(html.contains(part), "{part} is not on the page");
    }
    // Pictures and both VAEs, twice; the grids of the run, and the other's samples.
    assert_eq!(html.matches("<img ").count(), 6 + 2, "{}", html.matches("<img ").count());

    // Again, with a third VAE (the first one's weights under another path): nothing that is known is measured again.
    let before = std::fs::metadata(first_measures(&out)).unwrap().modified().unwrap();
    let third = v.at("exps/vae/checkpoints/0000004/vae.safetensors");
    let config = [TINY_VAE, &["--vae-config.z-channels", "4", "--vae-config.resolution", "32"]].concat();
    let vaes = format!("{a},{b},{third}");
    let (said, _) = ok(v.compare(&images, &out, &["--vaes", &vaes]).args(&config));
    assert_eq!(said.matches("are kept in").count(), 3, "{said}");
    assert_eq!(std::fs::metadata(first_measures(&out)).unwrap().modified().unwrap(), before);

    // Other settings are measured anew.
    let (said, _) = ok(&mut v.compare(&images, &out, &["--vaes", &a, "--c", "0.1", "--spread", "0"]));
    assert_eq!(said.matches("are kept in").count(), 0, "{said}");

    let gone = v.at("gone");
    for (more, want) in [
        (vec!["--vaes", &gone], "gone"),
        (vec!["--vaes", ""], "--vaes"),
        (vec!["--vaes", &vaes, "--names", "one,two"], "3 VAEs, but 2 in --names"),
        (vec!["--vaes", &vaes, "--names", "one,two,two"], "two VAEs are called two"),
        (vec!["--vaes", &a, "--figures", &gone], "gone/result.json"),
        (vec!["--vaes", &a, "--samples", &gone], "gone"),
        (vec!["--vaes", &a, "--figures", &a], "vae/result.json"),
    ] {
        let err = refused(&mut v.compare(&images, &out, &more));
        assert!(err.contains(want), "{more:?}: {err}");
    }
    // The only checkpoint is damaged: its file is named.
    let weights = v.at("exps/other/checkpoints/0000004/vae.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&weights, bytes).unwrap();
    let err = refused(&mut v.compare(&images, &out, &["--vaes", &vaes]));
    assert!(err.contains("exps/other/checkpoints"), "{err}");
}

fn first_measures(out: &str) -> PathBuf {
    let mut all = files(&Path::new(out).join("measures"));
    assert_eq!(all.len(), 2, "one file for the weights of each VAE: {all:?}");
    all.swap_remove(0)
}
