//! Hundreds of saves, sound, broken and half-written, while a job runs: it never stops, and never runs a mixture.

use super::place::Place;
use crate::support::{Dice, text};
use std::time::Duration;

const FILES: [&str; 3] = ["train.rhai", "a.rhai", "lib/b.rhai"];

/// The three scripts in one version. Each asserts that the others are of the same; a module of another version lacks the function
/// that the script calls, so that whatever is on disk in the middle of a save of all three is refused.
fn texts(v: u64) -> [String; 3] {
    let train = format!(
        r#"import "./a" as a;
import "./lib/b" as b;
const VERSION = {v};
fn params() {{
    #{{ exp_name: "try1", seed: 5, steps: 1_000_000, log_every: 1, save_every: 500, scale: arg({scale:?}, "", #{{live: true}}) }}
}}
fn main(cfg) {{
    let run = train::run(cfg);
    let net = nn::linear(3, 3);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{{lr: 0.001}}));
    train::fit(run, (), "step", #{{steps: cfg.steps, log_every: cfg.log_every, save_every: cfg.save_every, keep: 2}});
}}
fn step(run, batch) {{
    sleep(0.003);
    a::only_{v}();
    b::only_{v}();
    assert_eq([a::VERSION, b::VERSION, a::version(), b::version(), helper()], [{v}, {v}, {v}, {v}, {v}]);
    let loss = b::loss(run.net.forward(a::input())) * run.cfg.scale;
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    #{{loss: loss, version: global::VERSION, scale: run.cfg.scale}}
}}
fn helper() {{ global::VERSION }}
"#,
        scale = 1.0 + v as f64,
    );
    let module =
        |body: &str| format!("export const VERSION = {v};\nfn version() {{ global::VERSION }}\nfn only_{v}() {{ }}\n{body}\nfn helper() {{ -1 }}\n");
    [train, module("fn input() { torch::randn([4, 3]) }"), module(&format!("fn loss(y) {{ (y - {v}).square().mean() }}"))]
}

struct Editor<'a> {
    place: &'a Place,
    dice: Dice,
}

impl Editor<'_> {
    fn pause(&mut self, up_to: u64) {
        std::thread::sleep(Duration::from_millis(self.dice.roll(up_to + 1)));
    }

    /// Saves a file in one of the ways that editors have.
    fn save(&mut self, file: &str, text: &str) {
        let (path, other) = (self.place.path(file), self.place.path(&format!("{file}.new")));
        match self.dice.roll(5) {
            0 => std::fs::write(&path, text).unwrap(),
            1 => {
                std::fs::write(&other, text).unwrap();
                std::fs::rename(&other, &path).unwrap();
            }
            2 => {
                let _ = std::fs::remove_file(&path);
                self.pause(40);
                std::fs::write(&path, text).unwrap();
            }
            3 => {
                std::fs::write(&path, "").unwrap();
                self.pause(40);
                std::fs::write(&path, text).unwrap();
            }
            _ => {
                std::fs::write(&path, &text[..text.len() / 2]).unwrap();
                self.pause(40);
                std::fs::write(&path, text).unwrap();
            }
        }
    }

    /// What an unlucky moment leaves: cut off, garbage, a missing function, nothing at all. The version stays the one that runs.
    fn break_one(&mut self, v: u64) {
        let texts = texts(v);
        let i = usize::try_from(self.dice.roll(3)).unwrap();
        let (path, text) = (self.place.path(FILES[i]), &texts[i]);
        let at = usize::try_from(self.dice.roll(text.len() as u64)).unwrap();
        match self.dice.roll(6) {
            0 => std::fs::write(&path, &text[..at]).unwrap(),
            1 => std::fs::write(&path, format!("{}@@{}", &text[..at], &text[at..])).unwrap(),
            2 => std::fs::write(&path, text.replace("fn ", "fn x")).unwrap(),
            3 => std::fs::write(&path, [text.as_bytes(), b"\xff\xfe"].concat()).unwrap(),
            4 => drop(std::fs::remove_file(&path)),
            _ => std::fs::write(&path, "").unwrap(),
        }
    }
}

/// `LATHE_EDITS=1000 cargo test --test it random_saves` makes as many as two hours of hard work would.
#[test]
fn random_saves_never_stop_a_run_nor_mix_versions() {
    let edits: u64 = std::env::var("LATHE_EDITS").map_or(200, |n| n.parse().unwrap());
    let place = Place::new();
    FILES.iter().zip(texts(0)).for_each(|(file, text)| place.write(file, &text));
    let mut job = place.start(&["--watch"]);
    job.until("the first step", |job| !job.place.steps("try1").is_empty());
    let mut editor = Editor { place: &place, dice: Dice(11) };
    let mut version = 0;
    let mut warm = 0;
    for n in 0..edits {
        if n == edits / 5 {
            warm = job.resident();
        }
        if editor.dice.roll(3) == 0 {
            editor.break_one(version);
            editor.pause(150);
        } else {
            version += 1;
            let first = usize::try_from(editor.dice.roll(3)).unwrap();
            for i in 0..3 {
                let i = (first + i) % 3;
                editor.save(FILES[i], &texts(version)[i]);
            }
            editor.pause(120);
        }
        assert!(job.child.try_wait().unwrap().is_none(), "the run stopped:\n{}", job.said());
    }
    version += 1;
    FILES.iter().zip(texts(version)).for_each(|(file, text)| place.write(file, &text));
    job.until_version("version", version);
    job.until_more(3);
    let (resident, grown) = (job.resident(), job.resident().saturating_sub(warm));
    let said = job.said();
    assert!(!said.contains("is tried again at the next save"), "no step failed, so no generation was mixed");
    assert!(!said.lines().last().unwrap().contains("[stale"));
    assert_eq!(job.stop().code(), Some(130));

    let lines = place.steps("try1");
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
    // The live setting and the script took effect together.
    assert!(lines.iter().all(|l| l["scale"].as_f64().unwrap() == l["version"].as_f64().unwrap() + 1.0));
    let folders = place.edits("try1");
    let (swaps, errors, mb) = (folders.len(), said.matches("not reloaded").count(), |bytes: u64| bytes as f64 / 1e6);
    println!(
        "{edits} saves, {swaps} swaps, {errors} errors shown, {} steps; {:.0} MB resident, {:.1} MB more than after a fifth",
        steps.len(),
        mb(resident),
        mb(grown)
    );
    assert!(grown < 32 << 20, "{grown} bytes more");
    assert!(folders.len() as u64 >= edits / 8, "only {} swaps", folders.len());
    // Each record is whole, and of one version.
    for folder in &folders {
        let read = |file: &str| std::fs::read_to_string(folder.join("sources").join(file)).unwrap();
        let version = read("train.rhai").lines().nth(2).unwrap().replace("const", "export const");
        assert!([read("a.rhai"), read("lib/b.rhai")].iter().all(|t| t.starts_with(&version)), "{}", folder.display());
    }
    // And all of it can be done again.
    if edits <= 200 {
        let out = place.output(&["replay", "exps/try1"]);
        assert!(out.status.success() && text(&out.stderr).contains("bit for bit"), "{}", text(&out.stderr));
        assert_eq!(place.log("try1"), place.log("try1-replay"));
    }
}
