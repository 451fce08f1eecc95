//! Averages of any width after training (`scripts/phema.rhai`), of a run that kept averages of two, against averages that were kept all along.

use crate::support::process::{Place, ok, refused, script};

/// A small network that trains, with averages of the widths 0.05 and 0.1 kept for later, and of 0.07 and 0.12 to compare with.
const TRAIN: &str = r#"import "std/phema" as phema;
fn params() { #{ output_dir: "exps", exp_name: "edm2", seed: 0, max_train_steps: 128 } }
fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::sequential([nn::linear(4, 16), nn::activation("silu"), nn::linear(16, 4)]);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{ lr: 1e-2 }));
    run.set("averages", phema::track(run, net, [0.05, 0.1]));
    for width in [70, 120] { run.track(`direct_${width}`, optim::power_ema(net, #{ std: width / 1000.0 })); }
    train::fit(run, (), "step", #{ steps: cfg.max_train_steps, save_every: 8, log_every: 8 });
}
fn step(run, batch) {
    let x = torch::randn([16, 4]);
    let loss = (run.net.forward(x) - x.flip([1]) * x).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    for average in run.averages + [run.direct_70, run.direct_120] { average.update(); }
    #{ loss: loss }
}
"#;

/// How far what was made is from the average of the same width, as a part of how far the two that were kept are apart.
const CHECK: &str = r#"
fn main(cfg) {
    let last = train::checkpoint("exps/edm2");
    assert_eq(last.step, 128);
    let far = |a, b| {
        let sum = 0.0;
        for name in a.keys() { sum += (a[name].double() - b[name].double()).square().sum().item(); }
        sum.sqrt()
    };
    let apart = far.call(last.state("phema_050"), last.state("phema_100"));
    for width in ["070", "120"] {
        let made = io::load(`exps/edm2/phema/phema-0000128-0.${width}.safetensors`);
        let known = last.state(`direct_${width.parse_int()}`);
        assert_eq(made.keys(), known.keys());
        let error = far.call(made, known);
        print(`${width}: ${error} of ${apart}`);
        assert(error < 0.005 * apart, `${width}: ${error} of ${apart}`);
    }
}
"#;

#[test]
fn averages_made_after_a_run_are_those_that_were_kept_along_it() {
    let place = Place::new(&[("train.rhai", TRAIN), ("check.rhai", CHECK)]);
    let own = |words: &[&str]| place.command(&[words, &["--device", "cpu", "--threads", "1"]].concat());
    // In two goes: what was kept before goes on as well.
    ok(&mut own(&["run", "train.rhai", "--max-train-steps", "60"]));
    ok(&mut own(&["run", "train.rhai"]));
    let run = place.at("exps/edm2");
    let said = ok(&mut script("phema", &["--run", &run, "--std", "0.07,0.12"]));
    assert!(said.contains("phema-0000128-0.070.safetensors: of 34 averages"), "{said}");
    let said = ok(&mut own(&["run", "check.rhai"]));
    assert!(said.contains("070: ") && said.contains("120: "), "{said}");
    // An earlier step, and widths that there are not.
    assert!(ok(&mut script("phema", &["--run", &run, "--step", "64", "--std", "0.1"])).contains("phema-0000064-0.100.safetensors"));
    refused(&mut script("phema", &["--run", &run, "--std", "0.3"]), &["0.3 is not from above 0 to below 0.289"]);
    refused(&mut script("phema", &["--run", &run, "--step", "63"]), &["63"]);
}
