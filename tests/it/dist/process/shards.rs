//! Ranks that share moments and averages out among them.

use super::edits::log;
use super::retry::{failing, script, until_it_waits, watched};
use super::{TRAIN, assert_equal, train, whole};
use crate::support::process::{Place, ok, parts};

const SHARD: &str = "--shard-optimizer";

/// A training by every optimizer there is, whose average is used on one rank and on all; each rank says how much it keeps.
const MANY: &str = r#"
fn params() { #{ exp_name: "t", output_dir: "exps", lonely: "" } }
fn main(cfg) {
    let run = train::run(cfg);
    let make = #{
        adamw: |m| optim::adamw(m, #{ lr: 1e-2, amsgrad: true, groups: [#{ names: ["0.weight"], lr: 2e-2 }, #{ names: ["0.bias", "1.*", "2.*"] }] }),
        sgd: |m| optim::sgd(m, #{ lr: 1e-2, momentum: 0.9 }),
        muon: |m| optim::muon(m, #{ lr: 1e-2, rest: #{ lr: 1e-2 } }),
        gmuon: |m| optim::gmuon(m, #{ lr: 1e-2, rest: #{ lr: 1e-2 } }),
        free: |m| optim::schedule_free_adamw(m, #{ lr: 1e-2, warmup_steps: 2 }),
        lion: |m| optim::lion(m, #{ lr: 1e-3 }),
        soap: |m| optim::soap(m, #{ lr: 1e-2 }),
    };
    let nets = #{};
    let opts = #{};
    for name in make.keys() {
        let net = nn::group();
        for i in 0..3 { net[`${i}`] = nn::linear(6, 6); }
        nets[name] = net;
        run.track(`net_${name}`, net);
        opts[name] = make[name].call(net);
        run.track(name, opts[name]);
    }
    run.set("nets", nets);
    run.set("opts", opts);
    run.track("ema", optim::power_ema(nets.adamw, #{ exponent: 5.0 }));
    run.set("other", optim::ema(nets.sgd, 0.9));
    train::fit(run, (), "step", #{ steps: 6, log_every: 1, save_every: 0, sample_every: 3, on_sample: "sample", on_log: "logged" });
    let kept = 0.0;
    for name in opts.keys() { for t in opts[name].state().values() { kept += t.numel(); } }
    let all = dist::all_gather(torch::tensor([kept]));
    let most = 0.0;
    for t in all { most = max(most, t.item()); }
    print(`kept ${kept} most ${most}`);
    let w = run.other.module["0"].weight;
    for t in dist::all_gather(w) { if (t - w).abs().max().item() != 0.0 { throw "averages differ"; } }
}
fn step(run, batch) {
    let x = torch::randn([8, 6]);
    let losses = #{};
    for name in run.nets.keys() {
        let net = run.nets[name];
        let opt = run.opts[name];
        opt.zero_grad();
        let loss = (net["2"].forward(F::gelu(net["1"].forward(F::gelu(net["0"].forward(x))))) - x).square().mean();
        optim::backward(opt, loss);
        opt.step();
        losses[name] = loss;
    }
    run.ema.update();
    run.other.update();
    // All of it on every rank, for a while.
    if run.step == 4 { losses.average = run.ema.module["1"].weight.sum(); }
    losses
}
// The weights of training are back before the next step.
fn logged(run, values) {
    run.opts.free.eval();
    run.opts.free.train();
}
fn sample(run, batch) {
    if run.cfg.lonely == "average" { run.other.module; }
    if run.cfg.lonely == "eval" { run.opts.free.eval(); }
    print(`sampled ${run.ema.module["0"].weight.sum().item()} ${run.ema.module["2"].bias.sum().item()}`);
}
"#;

/// The lines that begin with a word.
fn lines<'a>(said: &'a str, word: &str) -> Vec<&'a str> {
    said.lines().filter(|l| l.starts_with(word)).collect()
}

#[test]
fn ranks_that_share_moments_and_averages_out_train_what_one_trains() {
    let place = whole();
    for (ranks, more) in [(2, &[SHARD][..]), (3, &[SHARD, "--batch-size", "9"])] {
        let name = format!("shared-{ranks}");
        ok(&mut train(place, ranks, &name, more));
        let one = if ranks == 2 { "one" } else { "one-of-9" };
        if ranks != 2 {
            ok(&mut train(place, 1, one, &["--batch-size", "9"]));
        }
        assert_equal(&place.path(&format!("exps/{one}")), &place.path(&format!("exps/{name}")), 1e-12);
    }
    ok(&mut train(place, 2, "shared-branch", &[SHARD, "--branch", "--plain"]));
}

#[test]
fn a_shared_run_goes_on_unshared_and_the_other_way_round() {
    let place = whole();
    for (ranks, more) in [(2, &[SHARD, "--steps", "7"][..]), (1, &["--steps", "13"]), (4, &[SHARD, "--steps", "20"])] {
        ok(&mut train(place, ranks, "shared-chain", more));
    }
    assert_equal(&place.path("exps/one"), &place.path("exps/shared-chain"), 1e-12);
}

#[test]
fn every_optimizer_can_be_shared_out() {
    let place = Place::new(&[("many.rhai", MANY)]);
    let run = |name: &str, ranks: &str, more: &[&str]| {
        let args = ["run", "--nproc", ranks, "many.rhai", "--exp-name", name, "--threads", "1"];
        place.command(&[&args[..], more].concat())
    };
    let (all, shared) = (ok(&mut run("all", "2", &[])), ok(&mut run("shared", "2", &[SHARD])));
    assert_equal(&place.path("exps/all"), &place.path("exps/shared"), 1e-6);
    assert!(lines(&all, "sampled").len() == 2 && lines(&all, "sampled") == lines(&shared, "sampled"), "{all}\n{shared}");
    let kept = |said: &str| lines(said, "kept")[0].split_whitespace().map(|w| w.parse().unwrap_or(0.0)).collect::<Vec<f64>>();
    let (all, shared) = (kept(&all), kept(&shared));
    assert!(shared[3] < 0.65 * all[1] && shared[1] > 0.4 * all[1], "{all:?} {shared:?}");
    // What only all ranks can do one of them cannot do alone.
    for (what, word) in
        [("average", "an average that is tracked is whole in `on_sample`"), ("eval", "schedule_free_adamw: one rank works alone here")]
    {
        let (code, _, said) = parts(run(what, "2", &[SHARD, "--lonely", what]).output().unwrap());
        // Whichever rank ends first gives the code.
        assert!(code != 0 && said.contains("error[E0202]") && said.contains(word), "{code} {said}");
    }
}

#[test]
fn a_shared_step_is_tried_again_unless_it_has_begun_to_change_weights() {
    let place = whole();
    let name = "shared-retried";
    let job = watched(place, name, &failing("if rank == 1 && run.step == 3 { throw \"on purpose\"; }"), &[SHARD]);
    until_it_waits(place, name, 1);
    place.write(&script(name), TRAIN);
    let (code, out, said) = parts(job.wait_with_output().unwrap());
    assert!(code == 0 && out.contains("done by 2"), "{code} {out} {said}");
    assert_equal(&place.path("exps/one"), &place.path("exps/shared-retried"), 1e-12);
    let name = "shared-late";
    let late = TRAIN.replace("    #{ loss: loss, norm", "    if rank == 1 && run.step == 4 { throw \"at its end\"; }\n    #{ loss: loss, norm");
    let (code, _, said) = parts(watched(place, name, &late, &[SHARD]).wait_with_output().unwrap());
    assert!(code != 0 && said.contains("under --shard-optimizer no rank has what another one has changed"), "{code} {said}\n{}", log(place, name));
}
