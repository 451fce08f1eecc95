//! Jobs of several ranks, as `lathe run --nproc` and launchers start them.

mod attach;
mod edits;
mod ends;
mod equal;
mod hosts;
mod launch;
mod retry;
mod shards;
mod stages;

use crate::support::process::{Place, lathe, ok};
use crate::support::{metrics, saved};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A training in f64 with every place where ranks must agree: draws of the batch, synchronised batch norm, two optimizers, clipping, an average,
/// parameters and losses that one rank leaves out.
const TRAIN: &str = r#"
fn params() {
    #{
        steps: 20, exp_name: "t", output_dir: "exps", seed: 1, batch_size: 8, branch: false, plain: false, nan_at: -1, save_every: 5, pause: 0.0,
        rate: arg(1e-2, "", #{ live: true }),
    }
}
fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::group();
    net.conv = nn::conv2d(4, 8, 3, #{ padding: 1, bias: false });
    net.bn = nn::batch_norm2d(8);
    net.out = nn::conv2d(8, 4, 1);
    net.extra = nn::linear(4, 4);
    let judge = nn::linear(64, 1);
    net.to("f64");
    judge.to("f64");
    run.track("net", net);
    run.track("judge", judge);
    run.track("opt", optim::adamw(net, #{ lr: cfg.rate }));
    run.track("judge_opt", optim::adamw(judge, #{ lr: 1e-3 }));
    run.track("ema", optim::ema(net, 0.9));
    let loader = data::latents("latents").loader(#{ batch: cfg.batch_size, shuffle: true, seed: 3, drop_last: true, workers: 1 });
    train::fit(run, loader, "step", #{ steps: cfg.steps, log_every: 1, save_every: cfg.save_every });
    for m in [net, judge] {
        for name in m.state().keys() {
            let all = dist::all_gather(m.state()[name]);
            for other in all { if (other.double() - all[0].double()).abs().max().item() != 0.0 { throw `ranks differ in ${name}`; } }
        }
    }
    print(`done by ${dist::get_world_size()}`);
}
fn backward(run, opt, loss) { if run.cfg.plain { loss.backward(); } else { optim::backward(opt, loss); } }
fn scale() { 1.0 }
fn step(run, batch) {
    let rank = dist::get_rank();
    if run.cfg.pause > 0.0 { sleep(run.cfg.pause); }
    let mean = batch.mean.double();
    let z = mean + batch.std.double() * mean.randn_like();
    let t = torch::rand([z.size(0), 1, 1, 1], #{ dtype: "f64" });
    let y = run.net.out.forward(F::relu(run.net.bn.forward(run.net.conv.forward(z))));
    let loss = scale() * ((y - z) * t).square().mean();
    if !run.cfg.branch || (run.step + rank) % 2 == 0 { loss = loss + run.net.extra.forward(z.mean([2, 3])).square().mean(); }
    if run.step == run.cfg.nan_at && rank == dist::get_world_size() - 1 { loss = loss / 0.0; }
    run.opt.lr = run.cfg.rate;
    run.opt.zero_grad();
    backward(run, run.opt, loss);
    // Gradients that one rank throws away.
    if run.cfg.branch && rank == 0 && run.step % 7 == 3 { run.opt.zero_grad(); }
    let norm = optim::step(run.opt, run.net, 1.0, run.ema);
    run.judge_opt.zero_grad();
    let judged = (run.judge.forward(y.detach().view([y.size(0), -1])) - 1.0).square().mean();
    // One rank leaves its loss out every third step, or has one that reaches nothing of what is trained.
    let is_out = run.cfg.branch && rank == 1 && run.step % 3 == 0;
    if !run.cfg.plain { optim::backward(run.judge_opt, if is_out { torch::zeros([1], #{ requires_grad: true }).sum() } else { judged }); } else if !is_out { judged.backward(); }
    optim::clip_grad_norm(run.judge, 1.0);
    run.judge_opt.step();
    #{ loss: loss, norm: norm, judged: judged }
}
"#;

const DATA: &str = r#"
fn main(cfg) {
    let w = data::latent_writer("latents", #{ channels: 4, size: 4 });
    torch::manual_seed(5);
    w.push(#{ mean: torch::randn([43, 4, 4, 4]), std: torch::rand([43, 4, 4, 4]), labels: torch::zeros([43], #{ dtype: "i64" }) });
    w.finish();
}
"#;

/// A folder with the script and its data.
fn place() -> Place {
    let place = Place::new(&[("t.rhai", TRAIN), ("data.rhai", DATA)]);
    ok(&mut place.command(&["run", "data.rhai", "--allow-write", "latents"]));
    place
}

/// The script with so many ranks; 1 without any launcher.
fn train(place: &Place, ranks: usize, name: &str, more: &[&str]) -> Command {
    let n = ranks.to_string();
    let mut c = place.command(&["run"]);
    if ranks > 1 {
        c.args(["--nproc", &n]);
    }
    c.args(["t.rhai", "--exp-name", name, "--threads", "1"]).args(more);
    c
}

/// One rank of several, as somebody starts it who has no launcher.
fn rank(place: &Place, rank: usize, size: usize, port: u16, args: &[&str]) -> Command {
    let mut c = lathe(place.folder(), args);
    for (name, value) in
        [("RANK", rank.to_string()), ("WORLD_SIZE", size.to_string()), ("MASTER_ADDR", "127.0.0.1".into()), ("MASTER_PORT", port.to_string())]
    {
        c.env(name, value);
    }
    c
}

fn quiet(mut c: Command) -> Child {
    c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A port that nobody uses now.
fn port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The process of a rank below a `--nproc`.
fn process_of(parent: u32, rank: usize) -> Option<u32> {
    let wanted = format!("RANK={rank}");
    std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let ppid: u32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        let env = std::fs::read(entry.path().join("environ")).ok()?;
        (ppid == parent && env.split(|b| *b == 0).any(|v| v == wanted.as_bytes())).then_some(pid)
    })
}

/// Sends a signal to a process.
fn send(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Tensors by file and name.
type State = BTreeMap<String, Vec<f64>>;
/// The lines of a run's metrics, by step.
type Rows = Vec<(u64, BTreeMap<String, f64>)>;

/// Everything that a run's newest checkpoint holds, by file and name, and its metrics without clocks.
fn content(run: &Path) -> (State, Rows) {
    let steps = saved(run);
    let folder = run.join("checkpoints").join(format!("{:07}", steps.last().unwrap()));
    let mut all = BTreeMap::new();
    for file in crate::support::files(&folder) {
        let name = crate::support::name(&file);
        if name.ends_with(".safetensors") && !name.starts_with('_') {
            for (key, t) in lathe::torch::files::read_safetensors(&file).unwrap().0 {
                all.insert(format!("{name}:{key}"), t.to_vec_f64().unwrap());
            }
        }
    }
    let row = |line: &serde_json::Value| {
        let values = line.as_object().unwrap().iter().filter(|(k, _)| *k != "time" && *k != "step");
        (line["step"].as_u64().unwrap(), values.map(|(k, v)| (k.clone(), v.as_f64().unwrap())).collect())
    };
    // A run that goes on with other settings says so in a line of its own.
    (all, metrics(run).iter().filter(|l| l.get("edit").is_none()).map(row).collect())
}

/// Two runs came to the same, within `limit` of the larger of 1 and the number.
fn assert_equal(a: &Path, b: &Path, limit: f64) {
    assert_equal_but(a, b, limit, 0.0);
}

/// The same, where first moments may differ by `kinks` of their tensor's largest number as well, and norms of gradients by a twentieth of
/// that: a difference in the last bit of f32 turns the sign of an L1 loss or the side of a ReLU somewhere, and one such gradient more or less
/// is not small.
fn assert_equal_but(a: &Path, b: &Path, limit: f64, kinks: f64) {
    let ((a_state, a_rows), (b_state, b_rows)) = (content(a), content(b));
    let what = format!("{} and {}", a.display(), b.display());
    assert!(!a_state.is_empty() && a_state.keys().eq(b_state.keys()), "{what} hold the same");
    let near = |x: f64, y: f64| (x - y).abs() <= limit * x.abs().max(1.0);
    for (name, values) in &a_state {
        let largest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let room = if name.ends_with(".exp_avg") { kinks * largest } else { 0.0 };
        for (x, y) in values.iter().zip(&b_state[name]) {
            assert!(near(*x, *y) || (x - y).abs() <= room, "{what}: {name}: {x} {y}, of {largest}");
        }
    }
    assert_eq!(a_rows.len(), b_rows.len(), "{what}");
    for ((step, x), (other, y)) in a_rows.iter().zip(&b_rows) {
        assert!(step == other && x.keys().eq(y.keys()), "{what}: step {step}");
        for (name, value) in x {
            let room = if name.starts_with("grad_norm") { 0.05 * kinks * value } else { 0.0 };
            assert!(near(*value, y[name]) || (value - y[name]).abs() <= room, "{what}: step {step}: {name} {value} {}", y[name]);
        }
    }
}

/// The data and an uninterrupted run of one process that tests compare with.
fn whole() -> &'static Place {
    static WHOLE: OnceLock<Place> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let place = place();
        ok(&mut train(&place, 1, "one", &[]));
        place
    })
}
