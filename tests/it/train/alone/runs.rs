//! Runs, checkpoints and the fit loop through the library. The random generators and the interrupt flag belong to the whole process.

use crate::support::alone;
use lathe::error::{Error, Result};
use lathe::nn::{Built, Init, Module, State};
use lathe::torch::{DType, Device, Tensor, no_grad};
use lathe::train::{self, Batches, FitOptions, Metrics, OpenRun, Options, Outcome, Saved, Steps, Tracked};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

/// Batches of ten numbers that depend on the position alone.
#[derive(Clone, Default)]
struct Numbers(Rc<Cell<u64>>);

impl Tracked for Numbers {
    fn kind(&self) -> &'static str {
        "numbers"
    }
    fn save(&self) -> Result<Saved> {
        Saved::meta(&self.0.get())
    }
    fn restore(&self, saved: &Saved) -> Result<()> {
        self.0.set(saved.read_meta()?);
        Ok(())
    }
}

impl Batches for Numbers {
    type Batch = Tensor;
    fn next_batch(&self) -> Result<Tensor> {
        let at = self.0.replace(self.0.get() + 1) as f64;
        Tensor::arange(at, at + 10.0, 1.0, DType::Float, Device::Cpu)?.sin()?.reshape(&[10, 1])
    }
    fn tensors(batch: &Tensor) -> State {
        [("x".to_owned(), batch.clone())].into_iter().collect()
    }
}

fn linear(out: i64) -> Module {
    Module::build("linear", Device::Cpu, move |p| {
        let w = p.param("weight", &[out, 1], Init::FanIn)?;
        Ok(Built::layer(move |x: &[Tensor]| x[0].linear(&w, None)))
    })
    .unwrap()
}

/// Gradient descent on a noisy target; something happens at `at`.
struct Descent {
    net: Module,
    at: u64,
    what: What,
    samples: Rc<Cell<u64>>,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Nothing,
    Fail,
    Interrupt,
    NaN,
}

impl Steps<Tensor> for Descent {
    fn step(&mut self, run: &OpenRun, x: &Tensor) -> Result<Metrics> {
        let noise = x.randn_like()?.mul(0.1)?;
        let mut loss = self.net.forward(std::slice::from_ref(x))?.sub(&x.mul(3.0)?.add(&noise)?)?.square()?.mean(&[], false)?;
        if run.step() == self.at {
            match self.what {
                What::Nothing => {}
                What::Fail => return Err(Error::run("power failure")),
                What::Interrupt => lathe::interrupt::request(),
                What::NaN => loss = loss.mul(f64::NAN)?,
            }
        }
        loss.backward()?;
        for (_, w) in self.net.named_parameters() {
            let g = w.grad()?.expect("backward ran");
            no_grad(|| w.add_(&g.mul(-0.05)?))?;
            w.zero_grad()?;
        }
        let mut m = Metrics::new();
        m.insert("loss".into(), loss.into());
        if run.step().is_multiple_of(3) {
            m.insert("sometimes".into(), (run.step() as f64).sqrt().into());
        }
        Ok(m)
    }

    fn on_sample(&mut self, run: &OpenRun, _: &Tensor) -> Result<()> {
        self.samples.set(self.samples.get() + 1);
        // Drawing numbers here must not change the training.
        let x = Tensor::rand(&[4, 3, 8, 8], DType::Float, Device::Cpu)?;
        run.image("noise", &x)?;
        run.log(&[("sampled".to_owned(), x.mean(&[], false)?.into())].into_iter().collect())
    }
}

fn options(dir: &Path) -> Options {
    let config = serde_json::json!({"seed": 3, "learning_rate": 0.05, "log_every": 4}).as_object().unwrap().clone();
    Options { output_dir: dir.to_owned(), name: "try1".into(), seed: 3, config, script: "test.rhai".into(), ..Options::default() }
}

const FIT: FitOptions = FitOptions { steps: 40, log_every: 4, save_every: 7, sample_every: 10 };

/// Opens the run, builds everything anew as a restarted script does, and trains.
fn go(o: Options, at: u64, what: What) -> (Result<Outcome>, Module, u64) {
    let samples = Rc::new(Cell::new(0));
    let run = OpenRun::open(o).unwrap();
    let net = linear(1);
    run.track("net", Rc::new(net.clone())).unwrap();
    run.log(&[("parameters".to_owned(), 1.0.into())].into_iter().collect()).unwrap();
    let mut steps = Descent { net: net.clone(), at, what, samples: samples.clone() };
    let outcome = train::fit(&run, &Numbers::default(), &mut steps, &FIT);
    (outcome, net, samples.get())
}

/// Every line of the log with its values as bits, without the time.
fn log_of(dir: &Path) -> Vec<(u64, Vec<(String, u64)>)> {
    let lines = train::metrics::read(&dir.join("try1/metrics.jsonl")).unwrap();
    lines.into_iter().map(|l| (l.step, l.values.into_iter().map(|(k, v)| (k, v.to_bits())).collect())).collect()
}

fn bytes(net: &Module) -> Vec<u8> {
    net.state()["weight"].to_bytes().unwrap()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one() {
    alone(|| {
        let whole = tempfile::tempdir().unwrap();
        let (outcome, want, samples) = go(options(whole.path()), 0, What::Nothing);
        assert_eq!((outcome.unwrap(), samples), (Outcome::Finished, 4));
        let log = log_of(whole.path());
        let steps: Vec<u64> = log.iter().map(|(s, _)| *s).collect();
        assert_eq!(steps, [0, 1, 4, 8, 10, 12, 16, 20, 20, 24, 28, 30, 32, 36, 40, 40]);
        let loss = |at: usize| f64::from_bits(log[at].1[0].1);
        assert!(loss(14) < 0.2 * loss(1), "it learns: {} -> {}", loss(1), loss(14));

        // At every kind of moment: before the first checkpoint, right after one, in the middle of a window, at a sample.
        for at in [3, 7, 9, 19, 25, 39] {
            for what in [What::Fail, What::Interrupt] {
                let dir = tempfile::tempdir().unwrap();
                let (first, _, before) = go(options(dir.path()), at, what);
                let e = first.unwrap_err();
                assert_eq!(e.is_interrupt(), what == What::Interrupt, "{e}");
                lathe::interrupt::clear();
                let (second, net, after) = go(options(dir.path()), 0, What::Nothing);
                assert_eq!(second.unwrap(), Outcome::Finished);
                assert_eq!(log_of(dir.path()), log, "stopped at {at}");
                assert_eq!(bytes(&net), bytes(&want));
                if what == What::Interrupt {
                    assert_eq!(before + after, 4, "no sample is lost or taken twice, stopped at {at}");
                }
            }
        }
    });
}

#[test]
fn an_interrupt_finishes_the_step_and_saves_it() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let (outcome, ..) = go(options(dir.path()), 16, What::Interrupt);
        assert_eq!(outcome.unwrap_err().exit_code(), 130);
        let run = dir.path().join("try1");
        let c = train::Checkpoint::find(&run, None, &mut |w| panic!("{w}")).unwrap();
        assert_eq!(c.head().step, 17);
        let status = train::status::Status::read(&run).unwrap();
        assert_eq!((status.state, status.step, status.steps), (train::status::Phase::Stopped, 17, Some(40)));
        assert!(std::fs::read_to_string(run.join("log.txt")).unwrap().contains("step 17 is saved"));
    });
}

#[test]
fn a_finished_run_does_nothing_but_comes_back() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let (_, net, _) = go(options(dir.path()), 0, What::Nothing);
        let log = log_of(dir.path());
        let (outcome, again, samples) = go(options(dir.path()), 0, What::Fail);
        assert_eq!((outcome.unwrap(), samples), (Outcome::AlreadyFinished, 0));
        assert_eq!((bytes(&net), log), (bytes(&again), log_of(dir.path())));
        assert_eq!(train::status::Status::read(&dir.path().join("try1")).unwrap().state, train::status::Phase::Finished);
    });
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let (_, want, _) = go(options(dir.path()), 0, What::Nothing);
        let log = log_of(dir.path());
        let checkpoints = dir.path().join("try1/checkpoints");
        let damage = |step: u64, file: &str, how: &dyn Fn(&mut Vec<u8>)| {
            let path = checkpoints.join(format!("{step:07}")).join(file);
            let mut bytes = std::fs::read(&path).unwrap();
            how(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        };
        damage(40, "net.safetensors", &|b| b.truncate(b.len() - 1));
        damage(35, "_rng.safetensors", &|b| *b.last_mut().unwrap() ^= 1);
        damage(28, "state.json", &|b| b.truncate(b.len() / 2));
        std::fs::remove_file(checkpoints.join("0000021/_window.safetensors")).unwrap();
        std::fs::create_dir(checkpoints.join(".tmp-half")).unwrap();
        let (outcome, net, _) = go(options(dir.path()), 0, What::Nothing);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!((bytes(&net), log_of(dir.path())), (bytes(&want), log));
        assert!(!checkpoints.join(".tmp-half").exists());
        let said = std::fs::read_to_string(dir.path().join("try1/log.txt")).unwrap();
        for part in ["0000040/net.safetensors", "0000035/_rng.safetensors", "0000028/state.json", "0000021/_window.safetensors"] {
            assert!(said.contains("warning: skipping a damaged checkpoint: ") && said.contains(part), "{part}: {said}");
        }
        assert!(said.contains("goes on at step 14"), "{said}");
        for (_, path) in train::checkpoint::list(&checkpoints).unwrap() {
            std::fs::write(path.join("state.json"), "").unwrap();
        }
        let (outcome, ..) = go(options(dir.path()), 0, What::Nothing);
        let e = outcome.unwrap_err();
        assert!(e.to_string().contains("none of its 6 checkpoints is whole"), "{e}");
    });
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let (outcome, ..) = go(options(dir.path()), 17, What::NaN);
        let e = outcome.unwrap_err();
        let path = dir.path().join("try1/nonfinite-0000018.safetensors");
        assert_eq!(e.to_string(), "`loss` is NaN at step 18 of `try1`");
        let help = e.help_text().unwrap();
        assert!(help.contains(&format!("io::load(\"{}\")", path.display())) && help.contains("the last checkpoint is of step 14"), "{help}");
        let bytes = std::fs::read(path).unwrap();
        let saved = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let loader = Numbers(Rc::new(Cell::new(17)));
        assert_eq!(saved.tensor("x").unwrap().data(), loader.next_batch().unwrap().to_bytes().unwrap());
        assert_eq!(train::status::Status::read(&dir.path().join("try1")).unwrap().state, train::status::Phase::Failed);
    });
}

#[test]
fn another_architecture_is_refused_and_unharmed() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        go(options(dir.path()), 9, What::Interrupt).0.unwrap_err();
        lathe::interrupt::clear();
        let try_with = |objects: &[(&str, Module)]| {
            let run = OpenRun::open(options(dir.path())).unwrap();
            for (name, m) in objects {
                run.track(name, Rc::new(m.clone())).unwrap();
            }
            run.track("loader", Rc::new(Numbers::default())).unwrap();
            run.resume()
        };
        let wide = linear(2);
        let before = bytes(&wide);
        let e = try_with(&[("net", wide.clone())]).unwrap_err();
        assert!(e.to_string().contains("weight is [2, 1] here and [1, 1] in the file"), "{e}");
        assert_eq!((e.code(), bytes(&wide)), ("E0401", before));
        let e = try_with(&[("network", linear(1))]).unwrap_err();
        assert!(e.to_string().contains("it lacks `network`; it holds `net`, which this script does not track"), "{e}");
        assert_eq!(try_with(&[("net", linear(1))]).unwrap(), 10);
    });
}

#[test]
fn other_settings_are_shown_or_refused() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        go(options(dir.path()), 9, What::Interrupt).0.unwrap_err();
        lathe::interrupt::clear();
        let with = |key: &str, value: f64| {
            let mut o = options(dir.path());
            o.config.insert(key.into(), value.into());
            o
        };
        let e = OpenRun::open(with("seed", 4.0)).err().unwrap();
        assert_eq!(e.exit_code(), 2);
        assert!(e.to_string().contains("seed: 3 -> 4"), "{e}");
        let run = dir.path().join("try1");
        let resume = |o: Options| {
            let run = OpenRun::open(o).unwrap();
            run.track("net", Rc::new(linear(1))).unwrap();
            run.resume().unwrap()
        };
        drop(OpenRun::open(with("learning_rate", 0.1)).unwrap());
        assert!(std::fs::read_to_string(run.join("log.txt")).unwrap().contains("learning_rate: 0.05 -> 0.1"));
        assert!(!run.join("config.1.toml").exists(), "a run that did not go on keeps its settings");
        assert_eq!(resume(with("learning_rate", 0.1)), 10);
        assert!(std::fs::read_to_string(run.join("config.toml")).unwrap().contains("learning_rate = 0.1"));
        assert!(std::fs::read_to_string(run.join("config.1.toml")).unwrap().contains("learning_rate = 0.05"));
        assert_eq!(resume(Options { allowed: lathe::train::Allowed { force: true, ..Default::default() }, ..with("seed", 4.0) }), 10);
        assert!(run.join("config.2.toml").exists());
    });
}

#[test]
fn an_explicit_resume_may_come_before_the_loader() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        go(options(dir.path()), 9, What::Interrupt).0.unwrap_err();
        lathe::interrupt::clear();
        let run = OpenRun::open(options(dir.path())).unwrap();
        run.track("net", Rc::new(linear(1))).unwrap();
        assert_eq!(run.resume().unwrap(), 10);
        assert!(run.track("late", Rc::new(linear(1))).unwrap_err().to_string().contains("too late"));
        let loader = Numbers::default();
        run.track("loader", Rc::new(loader.clone())).unwrap();
        assert_eq!(loader.0.get(), 10);
    });
}

#[test]
fn one_process_one_run_and_kept_checkpoints() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let run = OpenRun::open(Options { keep: train::Keep { last: Some(2), every: None }, ..options(dir.path()) }).unwrap();
        assert_eq!(OpenRun::open(options(dir.path())).err().unwrap().code(), "E0601");
        for step in [1, 2, 2, 10_000_000] {
            run.set_step(step);
            run.save().unwrap();
        }
        let steps: Vec<u64> = train::checkpoint::list(&run.dir().join("checkpoints")).unwrap().iter().map(|(s, _)| *s).collect();
        assert_eq!(steps, [2, 10_000_000]);
        for name in ["", "a/b", "..", "_rng", "a b"] {
            assert_eq!(run.track(name, Rc::new(Numbers::default())).unwrap_err().code(), "E0202", "{name:?}");
        }
        for name in ["", "../up", "/abs"] {
            assert_eq!(OpenRun::open(Options { name: name.into(), ..options(dir.path()) }).err().unwrap().exit_code(), 2, "{name:?}");
        }
    });
}

#[test]
fn a_replaced_checkpoint_survives_a_kill_between_two_renames() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        go(options(dir.path()), 9, What::Interrupt).0.unwrap_err();
        lathe::interrupt::clear();
        let checkpoints = dir.path().join("try1/checkpoints");
        std::fs::rename(checkpoints.join("0000010"), checkpoints.join(".old-0000010")).unwrap();
        train::checkpoint::recover(&checkpoints).unwrap();
        assert_eq!(train::Checkpoint::find(&checkpoints, None, &mut |_| ()).unwrap().head().step, 10);
    });
}
