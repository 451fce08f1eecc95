//! The last stage of `scripts/demo.rhai` on small runs of the real scripts: few judged pictures, and a run whose log has the mark of an edit.

use crate::support::process::{Place, ok, said, until};
use crate::support::{TINY_SIT, TINY_VAE, avatars, files, metrics, name, path, root};
use lathe::script::rhai::{Dynamic, Map};
use lathe::script::{Engine, EngineOptions, on_big_stack};
use lathe::torch::files::NpzWriter;
use lathe::torch::{DType, Device, Tensor};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command};

/// A project with its own copy of the scripts.
struct Demo(Place);

impl Demo {
    fn new() -> Demo {
        let demo = Demo(Place::new(&[("lathe.toml", "")]));
        demo.copy("scripts");
        demo
    }

    /// Takes a copy of the files of a folder of the repository.
    fn copy(&self, folder: &str) {
        std::fs::create_dir(self.at(folder)).unwrap();
        for file in files(&root().join(folder)).iter().filter(|f| f.is_file()) {
            std::fs::copy(file, self.at(folder).join(name(file))).unwrap();
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// The standard library: the place's own where it has one.
    fn stdlib(&self) -> PathBuf {
        Some(self.at("stdlib")).filter(|own| own.is_dir()).unwrap_or_else(|| root().join("stdlib"))
    }

    fn command(&self, script: &str, flags: &[&str]) -> Command {
        let mut c = self.0.command(&["run", &format!("scripts/{script}.rhai"), "--device", "cpu", "--threads", "1"]);
        c.args(flags).env("LATHE_STDLIB", self.stdlib());
        c
    }

    fn start(&self, script: &str, flags: &[&str]) -> Child {
        self.command(script, flags).spawn().unwrap()
    }

    fn run(&self, script: &str, flags: &[&str]) {
        ok(&mut self.command(script, flags));
    }

    fn log(&self, run: &str) -> Vec<Value> {
        metrics(&self.at("out").join(run))
    }

    /// Waits until the run's log is as wanted.
    fn wait(&self, run: &str, what: &str, done: impl Fn(&[Value]) -> bool) {
        until(what, 120, || done(&self.log(run)));
    }

    fn edit(&self, file: &str, old: &str, new: &str) {
        let text = self.0.read(file);
        assert!(text.contains(old), "{file} has no `{old}`");
        self.0.write(file, &text.replacen(old, new, 1));
    }
}

/// README.md's first edit: the line that it names, and what it adds below.
fn first_edit() -> (String, String) {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let section = readme.split("\n## ").find(|s| s.starts_with("First edit\n")).unwrap();
    let mut blocks = section.split("```rhai\n").skip(1).map(|b| b.split_once("```").unwrap().0.to_owned());
    (blocks.next().unwrap(), blocks.next().unwrap())
}

const COMMON: [&str; 10] =
    ["--data-dir", "out/images", "--output-dir", "out", "--perceptual", "none", "--discriminator-weight", "0", "--batch-size", "4"];

fn preprocess(place: &Demo) {
    place.run("preprocess", &["--imagenet-path", path(&avatars()), "--output-path", "out/images", "--resolution", "32", "--max-images", "24"]);
}

/// Two aligned stages and a plain one, as the demo names them.
fn train(place: &Demo) {
    let map = format!("torchscript:{}", root().join("tests/data/encoders/map.pt").display());
    preprocess(place);
    let short = ["--log-every", "1", "--sampling-steps", "0"];
    let encoder = ["--enc-type", &map, "--enc-config.resolution", "16"];

    let steps = ["--max-train-steps", "400", "--exp-name", "vae", "--align", "none", "--watch"];
    let child = place.start("train_sendvae", &[&COMMON[..], TINY_VAE, &short, &steps].concat());
    place.wait("vae", "step", |log| log.len() > 2);
    let script = place.at("scripts/train_sendvae.rhai");
    let text = std::fs::read_to_string(&script).unwrap();
    let (below, added) = first_edit();
    let edited = text.replace(&below, &format!("{below}{added}"));
    assert_ne!(edited, text, "README.md's first edit is not one of this script");
    std::fs::write(&script, edited).unwrap();
    place.wait("vae", "edit", |log| log.iter().any(|l| l["edit"].is_number()));
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    let log = place.log("vae");
    let mark = log.iter().find(|l| l["edit"].is_number()).unwrap();
    let tv = log.last().unwrap()["tv"].as_f64().unwrap_or_default();
    assert!(mark["loss"].is_null() && tv > 0.0, "a line without a loss, and the new code after it: {mark}");

    std::fs::write(&script, text).unwrap();
    let mapper = ["--mapper.width", "16", "--mapper.heads", "2", "--mapper.hidden", "16", "--max-train-steps", "3", "--exp-name", "sendvae"];
    place.run("train_sendvae", &[&COMMON[..], TINY_VAE, &short, &encoder, &mapper, &["--vae-ckpt", "out/vae"]].concat());
    place.run("cache_latents", &["--data-dir", "out/images", "--output-dir", "out", "--vae-ckpt-path", "out/sendvae"]);
    let data = ["--data-dir", "out/latents", "--image-dir", "out/images", "--output-dir", "out", "--exp-name", "ldm", "--vae-ckpt", "out/sendvae"];
    let more = ["--encoder-depth", "1", "--batch-size", "4", "--max-train-steps", "2", "--log-every", "1", "--model-config.projector-dim", "16"];
    place.run("train_ldm", &[&data[..], TINY_SIT, &encoder, &more].concat());
}

fn number(map: &Map, name: &str) -> f64 {
    map.get(name).and_then(|v| v.as_float().ok().or(v.as_int().ok().map(|i| i as f64))).unwrap_or_else(|| panic!("no number {name} in {map:?}"))
}

#[test]
fn few_judged_pictures_and_an_edited_run_are_no_trouble() {
    let place = Demo::new();
    train(&place);
    let out = place.at("out");
    let samples = Tensor::arange(0.0, f64::from(5 * 32 * 32 * 3), 1.0, DType::Int64, Device::Cpu).unwrap();
    let samples = samples.to_dtype(DType::Uint8).unwrap().view(&[5, 32, 32, 3]).unwrap();
    let mut npz = NpzWriter::create(&out.join("samples.npz")).unwrap();
    npz.add("arr_0", &samples).unwrap();
    npz.finish().unwrap();
    let steps = place.log("vae").iter().filter(|l| l["loss"].is_number()).count();

    for judged in [5i64, 2] {
        let out = out.clone();
        let summary = on_big_stack(move || {
            let engine = Engine::new(EngineOptions { stdlib: Some(root().join("stdlib")), ..EngineOptions::default() });
            engine.load(root().join("scripts/demo.rhai")).unwrap();
            let map = |entries: Vec<(&str, Dynamic)>| -> Dynamic { entries.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map>().into() };
            let cfg = map(vec![("samples", 4i64.into()), ("judged", judged.into()), ("seed", 0i64.into()), ("resolution", 32i64.into())]);
            let args = vec![cfg, out.display().to_string().into()];
            let found = engine.call("judge", args).unwrap_or_else(|e| panic!("{judged} judged: {}", e.render(false)));
            let map = found.cast::<Map>();
            let losses = map["losses"].clone().cast::<Map>()["vae"].clone().cast::<Map>();
            [
                number(&map, "n"),
                number(&map, "psnr"),
                number(&map, "fd_lite0"),
                number(&losses, "first"),
                number(&losses, "last"),
                number(&losses, "steps"),
            ]
        })
        .unwrap();
        assert!(summary.iter().all(|v| v.is_finite()), "{summary:?}");
        assert_eq!((summary[0], summary[5]), (judged as f64, steps as f64));
        // Each picture beside its reconstruction, eight in a row, two pixels between.
        let pairs = image::open(out_picture(&place)).unwrap();
        assert_eq!((pairs.width(), pairs.height()), if judged == 5 { (8 * 34 + 2, 2 * 34 + 2) } else { (4 * 34 + 2, 34 + 2) });
        let curves = std::fs::read_to_string(place.at("out/curves.svg")).unwrap();
        assert!(["vae", "sendvae", "ldm"].iter().all(|name| curves.contains(name)), "a curve for each run");
    }
}

fn out_picture(place: &Demo) -> PathBuf {
    place.at("out/reconstructions.png")
}

#[test]
fn edits_of_the_shared_modules_take_effect_in_a_run() {
    let place = Demo::new();
    place.copy("stdlib");
    preprocess(&place);
    let map = format!("torchscript:{}", root().join("tests/data/encoders/map.pt").display());
    let flags = ["--align", "gram", "--enc-type", &map, "--enc-config.resolution", "16", "--sampling-steps", "0", "--exp-name", "gram", "--watch"];
    let mut child = place.start("train_sendvae", &[&COMMON[..], TINY_VAE, &flags].concat());
    let last = |log: &[Value], name: &str| log.iter().rev().find_map(|l| l[name].as_f64());
    // A line after every fiftieth step, until the default is another one.
    place.wait("gram", "line", |log| last(log, "align").is_some_and(|a| a > 0.0));
    place.edit("stdlib/settings.rhai", "log_every: arg(50,", "log_every: arg(1,");
    let steps = |log: &[Value]| -> Vec<i64> { log.iter().filter(|l| l["loss"].is_number()).filter_map(|l| l["step"].as_i64()).collect() };
    place.wait("gram", "line after each step", |log| steps(log).windows(2).any(|w| w[1] == w[0] + 1));
    place.edit("stdlib/align.rhai", "_ => relations::gram_loss(", "_ => 0.0 * relations::gram_loss(");
    place.wait("gram", "loss of the edited alignment", |log| last(log, "align") == Some(0.0));
    place.edit("stdlib/losses.rhai", "    log.loss = added(", "    log.seven = 7;\n    log.loss = added(");
    place.wait("gram", "value of the edited sum", |log| last(log, "seven") == Some(7.0));
    child.kill().unwrap();
    child.wait().unwrap();
}
