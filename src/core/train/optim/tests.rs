mod algorithms;
mod averages;
mod groups;
mod sgd;

use super::newton_schulz::NewtonSchulz;
use super::*;
use crate::nn::{Built, Init, Module, State};
use crate::torch::no_grad;

const CPU: Device = Device::Cpu;

fn tensor(data: &[f32]) -> Tensor {
    Tensor::from_slice(data).unwrap()
}

fn named(tensors: &[Tensor]) -> Vec<(String, Tensor)> {
    tensors.iter().enumerate().map(|(i, t)| (format!("p{i}"), t.clone())).collect()
}

/// Fills the gradients with fixed numbers that differ by step and tensor.
fn backward(params: &[Tensor], step: usize) {
    for (i, p) in params.iter().enumerate() {
        let n = p.numel() as f64;
        let weights = Tensor::arange(0.0, n, 1.0, DType::Double, CPU).unwrap();
        let weights = weights.mul(0.37 + step as f64).unwrap().add(i as f64).unwrap().sin().unwrap().to_dtype(p.dtype()).unwrap();
        p.mul(&weights.view(&p.shape()).unwrap()).unwrap().sum(&[], false).unwrap().backward().unwrap();
    }
}

fn params() -> Vec<Tensor> {
    let a = Tensor::arange(0.0, 6.0, 1.0, DType::Float, CPU).unwrap().view(&[2, 3]).unwrap();
    [a.mul(0.1).unwrap(), tensor(&[1.0, -2.0, 3.0, 0.5])].into_iter().map(|t| t.detach().unwrap().requires_grad_(true).unwrap()).collect()
}

/// The update of the paper in f64, as PyTorch's single-tensor implementation writes it.
struct Reference {
    p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
    t: i32,
}

impl Reference {
    fn new(p: &Tensor) -> Self {
        let p = p.to_vec_f64().unwrap();
        Reference { m: vec![0.0; p.len()], v: vec![0.0; p.len()], p, t: 0 }
    }

    fn step(&mut self, g: &[f64], lr: f64, o: &AdamWOptions) {
        self.t += 1;
        let (b1, b2) = o.betas;
        for (i, g) in g.iter().enumerate() {
            self.p[i] *= 1.0 - lr * o.weight_decay;
            self.m[i] += (1.0 - b1) * (g - self.m[i]);
            self.v[i] = b2 * self.v[i] + (1.0 - b2) * g * g;
            let denominator = (self.v[i] / (1.0 - b2.powi(self.t))).sqrt() + o.eps;
            self.p[i] -= lr / (1.0 - b1.powi(self.t)) * self.m[i] / denominator;
        }
    }
}

fn near(a: &Tensor, b: &[f64], tolerance: f64) {
    for (x, y) in a.to_vec_f64().unwrap().iter().zip(b) {
        assert!((x - y).abs() <= tolerance * y.abs().max(1.0), "{x} {y}");
    }
}

#[test]
fn adamw_equals_the_paper() {
    let o = AdamWOptions { lr: 0.01, betas: (0.9, 0.99), eps: 1e-8, weight_decay: 0.1, amsgrad: false, maximize: false };
    let params = params();
    let opt = adamw(named(&params), o).unwrap();
    let mut reference: Vec<Reference> = params.iter().map(Reference::new).collect();
    for step in 0..20 {
        let lr = if step < 10 { 0.01 } else { 0.003 };
        opt.set_lr(lr).unwrap();
        opt.zero_grad().unwrap();
        backward(&params, step);
        for (r, p) in reference.iter_mut().zip(&params) {
            r.step(&p.grad().unwrap().unwrap().to_vec_f64().unwrap(), lr, &o);
        }
        opt.step().unwrap();
    }
    for (r, p) in reference.iter().zip(&params) {
        near(p, &r.p, 1e-5);
        assert!(p.requires_grad() && p.is_leaf());
    }
    assert_eq!(opt.state().unwrap()["p0.step"].item().unwrap(), 20.0);
}

#[test]
fn adamw_equals_tch() {
    let store = tch::nn::VarStore::new(CPU);
    let theirs = store.root().var("p0", &[4], tch::nn::Init::Const(0.5));
    let ours = Tensor::full(&[4], 0.5, DType::Float, CPU).unwrap().requires_grad_(true).unwrap();
    let config = tch::nn::AdamW { wd: 0.01, ..Default::default() };
    let mut their_opt = tch::nn::OptimizerConfig::build(config, &store, 1e-2).unwrap();
    let opt = adamw(vec![("p0".into(), ours.clone())], AdamWOptions { lr: 1e-2, ..Default::default() }).unwrap();
    for step in 0..10 {
        opt.zero_grad().unwrap();
        their_opt.zero_grad();
        backward(std::slice::from_ref(&ours), step);
        backward(&[Tensor::from_tch(theirs.shallow_clone())], step);
        opt.step().unwrap();
        their_opt.step();
    }
    near(&ours, &Tensor::from_tch(theirs).to_vec_f64().unwrap(), 1e-6);
}

#[test]
fn resumed_steps_are_bit_exact() {
    let whole = params();
    let opt = adamw(named(&whole), AdamWOptions::default()).unwrap();
    let run = |opt: &Optimizer, params: &[Tensor], steps: std::ops::Range<usize>| {
        for step in steps {
            opt.zero_grad().unwrap();
            backward(params, step);
            opt.step().unwrap();
        }
    };
    run(&opt, &whole, 0..4);
    opt.set_lr(5e-4).unwrap();
    let saved: State = opt.state().unwrap().into_iter().map(|(k, t)| (k, t.copy().unwrap())).collect();
    let resumed: Vec<Tensor> = whole.iter().map(|t| no_grad(|| t.copy()).unwrap().requires_grad_(true).unwrap()).collect();
    run(&opt, &whole, 4..8);

    let other = adamw(named(&resumed), AdamWOptions::default()).unwrap();
    other.load_state(&saved).unwrap();
    assert_eq!(other.lr(), 5e-4);
    run(&other, &resumed, 4..8);
    for (a, b) in whole.iter().zip(&resumed) {
        assert_eq!(a.to_bytes().unwrap(), b.to_bytes().unwrap());
    }
    assert_eq!(opt.state().unwrap().keys().collect::<Vec<_>>(), other.state().unwrap().keys().collect::<Vec<_>>());
}

#[test]
fn a_wrong_state_changes_nothing() {
    let opt = adamw(named(&params()), AdamWOptions::default()).unwrap();
    let shape = |name: &str, n: usize| {
        let t = tensor(&vec![0.0; n]);
        [(format!("{name}.exp_avg"), t.clone()), (format!("{name}.exp_avg_sq"), t), (format!("{name}.step"), tensor(&[1.0]))]
    };
    let e = opt.load_state(&shape("p1", 5).into_iter().collect()).unwrap_err();
    assert!(e.to_string().contains("`p1` has shape [5], not [4]"), "{e}");
    let e = opt.load_state(&shape("p2", 4).into_iter().collect()).unwrap_err();
    assert!(e.to_string().contains("`p2`, which it does not train, did you mean"), "{e}");
    let e = opt.load_state(&shape("p1", 4).into_iter().skip(1).collect()).unwrap_err();
    assert!(e.to_string().contains("incomplete"), "{e}");
    assert_eq!(opt.state().unwrap().len(), 1);
    opt.load_state(&shape("p1", 4).into_iter().collect()).unwrap();
    assert_eq!(opt.state().unwrap().len(), 4);
}

#[test]
fn parameters_without_gradients_stay() {
    let params = params();
    let opt = adamw(named(&params), AdamWOptions::default()).unwrap();
    backward(&params[..1], 0);
    let before = params[1].to_vec_f64().unwrap();
    opt.step().unwrap();
    assert_eq!(params[1].to_vec_f64().unwrap(), before, "not even weight decay");
    assert!(!opt.state().unwrap().contains_key("p1.step"));
    opt.zero_grad().unwrap();
    assert!(params[0].grad().unwrap().is_none());
    opt.step().unwrap();
    assert_eq!(opt.state().unwrap()["p0.step"].item().unwrap(), 1.0);
}

#[test]
fn odd_layouts_and_dtypes_are_right() {
    // A gradient in another memory order than its parameter: the kernel walks addresses.
    let make = || Tensor::arange(0.0, 24.0, 1.0, DType::Float, CPU).unwrap().view(&[2, 3, 2, 2]).unwrap();
    let plain = make().requires_grad_(true).unwrap();
    let last = make().to_memory_format("channels_last").unwrap().requires_grad_(true).unwrap();
    for p in [&plain, &last] {
        backward(std::slice::from_ref(p), 0);
        adamw(vec![("w".into(), p.clone())], AdamWOptions::default()).unwrap().step().unwrap();
    }
    assert_eq!(plain.to_vec_f32().unwrap(), last.to_vec_f32().unwrap());
    let half = tensor(&[1.0, 2.0]).to_dtype(DType::BFloat16).unwrap().requires_grad_(true).unwrap();
    let mixed = vec![("a".into(), half.clone()), ("b".into(), plain.clone())];
    let opt = adamw(mixed, AdamWOptions { lr: 0.1, ..Default::default() }).unwrap();
    backward(&[half.clone(), plain], 1);
    opt.step().unwrap();
    assert_ne!(half.to_vec_f32().unwrap(), [1.0, 2.0]);
}

#[test]
fn wrong_settings_are_refused() {
    let p = || named(&params());
    for o in [
        AdamWOptions { lr: -1.0, ..Default::default() },
        AdamWOptions { lr: f64::NAN, ..Default::default() },
        AdamWOptions { betas: (0.9, 1.0), ..Default::default() },
        AdamWOptions { eps: -1.0, ..Default::default() },
    ] {
        assert_eq!(adamw(p(), o).err().unwrap().code(), "E0202");
    }
    let o = AdamWOptions::default();
    assert!(adamw(vec![], o).err().unwrap().to_string().contains("no parameters"));
    assert!(adamw(vec![("x".into(), tensor(&[1.0]))], o).err().unwrap().to_string().contains("frozen"));
    let grad = tensor(&[1.0]).requires_grad_(true).unwrap();
    assert!(adamw(vec![("x".into(), grad.mul(2.0).unwrap())], o).err().unwrap().to_string().contains("cannot be trained"));
    let twice = vec![("x".into(), grad.clone()), ("y".into(), grad.clone())];
    assert_eq!(adamw(twice, o).unwrap().params().len(), 1);
    let same_name = vec![("x".into(), grad), ("x".into(), tensor(&[1.0]).requires_grad_(true).unwrap())];
    assert!(adamw(same_name, o).is_err());
}

#[test]
fn clipping_equals_pytorchs_formula() {
    let params = params();
    backward(&params, 3);
    let grads: Vec<f64> = params.iter().flat_map(|p| p.grad().unwrap().unwrap().to_vec_f64().unwrap()).collect();
    let norm = grads.iter().map(|g| g * g).sum::<f64>().sqrt();
    for max in [1e9, 0.5] {
        let total = clip_grad_norm(&params, max).unwrap();
        assert!((total.item().unwrap() - norm).abs() < 1e-5 && !total.requires_grad());
        let scale = (max / (norm + 1e-6)).min(1.0);
        let wanted: Vec<f64> = grads.iter().map(|g| g * scale).collect();
        let flat: Vec<Tensor> = params.iter().map(|p| p.grad().unwrap().unwrap().flatten(0, -1).unwrap()).collect();
        near(&Tensor::cat(&flat, 0).unwrap(), &wanted, 1e-6);
    }
    assert_eq!(clip_grad_norm(&[tensor(&[1.0])], 1.0).unwrap().item().unwrap(), 0.0);
    assert_eq!(clip_grad_norm(&[], 1.0).unwrap().item().unwrap(), 0.0);
    assert!(clip_grad_norm(&params, -1.0).is_err() && clip_grad_norm(&params, f64::NAN).is_err());
    // 0 measures and clips nothing.
    let flat = || {
        Tensor::cat(&params.iter().map(|p| p.grad().unwrap().unwrap().flatten(0, -1).unwrap()).collect::<Vec<_>>(), 0).unwrap().to_vec_f64().unwrap()
    };
    let before = flat();
    let total = clip_grad_norm(&params, 0.0).unwrap().item().unwrap();
    assert!(flat() == before && (total - before.iter().map(|g| g * g).sum::<f64>().sqrt()).abs() < 1e-5);
}

fn module() -> Module {
    Module::build("test", CPU, |path| {
        path.param("weight", &[3], Init::Const(1.0))?;
        path.buffer("running_mean", &tensor(&[4.0]))?;
        path.buffer("num_batches_tracked", &Tensor::from_slice(&[3i64])?)?;
        Ok(Built::layer(|inputs: &[Tensor]| Ok(inputs[0].clone())))
    })
    .unwrap()
}

#[test]
fn ema_follows_parameters_and_buffers() {
    let m = module();
    let ema = Ema::new(&m, 0.9).unwrap();
    let (mut mean, mut weight) = (4.0f64, 1.0f64);
    for step in 0..5 {
        let state = m.state();
        no_grad(|| {
            state["weight"].fill_(2.0 + step as f64).unwrap();
            state["running_mean"].fill_(-1.0).unwrap();
            state["num_batches_tracked"].fill_(10.0 + step as f64).unwrap();
        });
        ema.update().unwrap();
        weight = 0.9 * weight + 0.1 * (2.0 + step as f64);
        mean = 0.9 * mean - 0.1;
    }
    let average = ema.module().state();
    near(&average["weight"], &[weight; 3], 1e-6);
    near(&average["running_mean"], &[mean], 1e-6);
    assert_eq!(average["num_batches_tracked"].to_vec_i64().unwrap(), [14]);
    assert!(!average["weight"].requires_grad() && !ema.module().is_training());
    assert!(m.state()["weight"].requires_grad() && m.is_training());
    ema.set_decay(0.0).unwrap();
    ema.update().unwrap();
    near(&average["weight"], &[6.0; 3], 0.0);
    assert!(Ema::new(&m, 1.5).is_err());

    let group = Module::group();
    group.set_child("a", m).unwrap();
    let ema = Ema::new(&group, 0.5).unwrap();
    group.set_child("b", module()).unwrap();
    assert!(ema.update().unwrap_err().to_string().contains("other parameters"));
}

#[test]
fn the_scaler_skips_overflows_and_grows() {
    let o = GradScalerOptions { init_scale: 1024.0, growth_interval: 2, ..Default::default() };
    let scaler = GradScaler::new(o).unwrap();
    let p = tensor(&[1.0, 2.0]).requires_grad_(true).unwrap();
    let plain = tensor(&[1.0, 2.0]).requires_grad_(true).unwrap();
    let opt = adamw(vec![("p".into(), p.clone())], AdamWOptions::default()).unwrap();
    let plain_opt = adamw(vec![("p".into(), plain.clone())], AdamWOptions::default()).unwrap();
    let mut scales = Vec::new();
    for step in 0..5 {
        opt.zero_grad().unwrap();
        let factor = if step == 1 { f64::INFINITY } else { 0.5 };
        let loss = |p: &Tensor| p.square().unwrap().mul(factor).unwrap().sum(&[], false).unwrap();
        scaler.scale(&loss(&p)).unwrap().backward().unwrap();
        scaler.unscale(&opt).unwrap();
        assert!(scaler.unscale(&opt).is_err(), "twice");
        let norm = clip_grad_norm(std::slice::from_ref(&p), 1e9).unwrap().item().unwrap();
        assert_eq!(norm.is_finite(), step != 1);
        scaler.step(&opt).unwrap();
        scaler.update().unwrap();
        scales.push(scaler.get_scale().unwrap());
        if step != 1 {
            plain_opt.zero_grad().unwrap();
            loss(&plain).backward().unwrap();
            plain_opt.step().unwrap();
        }
    }
    assert_eq!(scales, [1024.0, 512.0, 512.0, 1024.0, 1024.0]);
    near(&p, &plain.to_vec_f64().unwrap(), 1e-6);
    assert_eq!(opt.state().unwrap()["p.step"].item().unwrap(), 4.0, "the skipped step does not count");
    assert!(scaler.update().is_err());

    // Two optimizers, one scaler: an overflow of either lowers the factor, the other still steps.
    let q = tensor(&[1.0]).requires_grad_(true).unwrap();
    let q_opt = adamw(vec![("q".into(), q.clone())], AdamWOptions::default()).unwrap();
    for (t, factor) in [(&p, f64::INFINITY), (&q, 1.0)] {
        t.clear_grad().unwrap();
        scaler.scale(&t.mul(factor).unwrap().sum(&[], false).unwrap()).unwrap().backward().unwrap();
    }
    scaler.step(&opt).unwrap();
    scaler.step(&q_opt).unwrap();
    scaler.update().unwrap();
    assert_eq!((opt.state().unwrap()["p.step"].item().unwrap(), q_opt.state().unwrap()["q.step"].item().unwrap()), (4.0, 1.0));
    assert_eq!((scaler.get_scale().unwrap(), scaler.state()["growth_tracker"].item().unwrap()), (512.0, 0.0));

    let other = GradScaler::new(o).unwrap();
    other.load_state(&scaler.state()).unwrap();
    assert_eq!((other.get_scale().unwrap(), other.state()["growth_tracker"].item().unwrap()), (512.0, 0.0));
    assert!(other.load_state(&State::new()).is_err());
    let off = GradScaler::new(GradScalerOptions { enabled: false, ..o }).unwrap();
    assert_eq!(off.scale(&plain).unwrap().to_vec_f64().unwrap(), plain.to_vec_f64().unwrap());
    off.update().unwrap();
    assert!(GradScaler::new(GradScalerOptions { backoff_factor: 2.0, ..o }).is_err());
}

/// A module whose parameters are two layouts, with a buffer and a frozen parameter, in `dtype`.
fn mixed(dtype: DType, columns: i64) -> Module {
    let m = Module::build("m", CPU, move |p| {
        p.param("a", &[3, columns], Init::Normal(0.0, 0.5))?;
        p.param("b", &[5], Init::Normal(0.0, 0.5))?;
        p.param("c", &[2, 3, 5, 7], Init::Normal(0.0, 0.5))?;
        p.param("frozen", &[4], Init::Normal(0.0, 0.5))?.requires_grad_(false)?;
        p.buffer("mean", &Tensor::ones(&[2], DType::Float, CPU)?)?;
        Ok(Built::layer(|x: &[Tensor]| Ok(x[0].clone())))
    })
    .unwrap();
    m.to(None, Some(dtype)).unwrap();
    let c = &m.named_parameters()[2].1;
    no_grad(|| c.set_data(&c.detach().unwrap().to_memory_format("channels_last").unwrap())).unwrap();
    m
}

#[test]
fn one_pass_is_clipping_the_step_and_the_average() {
    for (dtype, decay, tolerance) in [(DType::Float, 0.9, 2e-6f64), (DType::Float, 0.3, 2e-6), (DType::Double, 0.9, 0.0)] {
        let (one, three) = {
            // Three slices of one pass over memory, the last one not whole.
            let m = mixed(dtype, 200_001);
            (m.deep_copy().unwrap(), m)
        };
        let options = AdamWOptions { lr: 0.05, betas: (0.8, 0.95), eps: 1e-6, weight_decay: 0.1, amsgrad: false, maximize: false };
        let make = |m: &Module| {
            let trained: Vec<_> = m.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect();
            (adamw(trained, options).unwrap(), Ema::new(m, decay).unwrap(), m.trainable())
        };
        let ((opt1, ema1, p1), (opt3, ema3, p3)) = (make(&one), make(&three));
        for i in 0..4 {
            opt1.zero_grad().unwrap();
            opt3.zero_grad().unwrap();
            backward(&p1, i);
            backward(&p3, i);
            // Scaled in some steps and not in others.
            let max = if i == 1 { 1e9 } else { 0.7 };
            let norm = step(&opt1, &p1, max, Some(&ema1)).unwrap();
            let expected = clip_grad_norm(&p3, max).unwrap().item().unwrap();
            assert!((norm.item().unwrap() - expected).abs() <= tolerance.max(1e-12) * expected, "{norm:?} {expected}");
            opt3.step().unwrap();
            ema3.update().unwrap();
            for (a, b) in p1.iter().zip(&p3) {
                let (x, y) = (a.grad().unwrap().unwrap(), b.grad().unwrap().unwrap());
                assert!(off(&x, &y, 1e-3) <= tolerance, "gradients {x} {y}");
            }
        }
        for (a, b) in [(one.state(), three.state()), (ema1.module().state(), ema3.module().state()), (opt1.state().unwrap(), opt3.state().unwrap())] {
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
            for (name, a) in &a {
                assert_eq!(a.strides(), b[name].strides(), "{name}");
                assert!(off(a, &b[name], 1.0) <= tolerance, "{name}: {a} {}", b[name]);
            }
        }
    }
}

/// By how much of the larger of `y` and `least` an element of `x` is off at most.
fn off(x: &Tensor, y: &Tensor, least: f64) -> f64 {
    let (x, y) = (x.to_dtype(DType::Double).unwrap(), y.to_dtype(DType::Double).unwrap());
    let size = y.abs().unwrap().clamp(Some(least), None).unwrap();
    x.sub(&y).unwrap().abs().unwrap().div(&size).unwrap().max().unwrap().item().unwrap()
}

#[test]
fn one_pass_gives_the_same_bits_on_any_number_of_threads_and_goes_on_from_a_state() {
    // More slices than threads.
    let start = mixed(DType::Float, 400_001);
    let run = |threads: i32, halves: bool| {
        tch::set_num_threads(threads);
        let m = start.deep_copy().unwrap();
        let trained = || m.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect::<Vec<_>>();
        let mut opt = adamw(trained(), AdamWOptions::default()).unwrap();
        for i in 0..4 {
            if halves && i == 2 {
                let next = adamw(trained(), AdamWOptions::default()).unwrap();
                next.load_state(&opt.state().unwrap()).unwrap();
                opt = next;
            }
            opt.zero_grad().unwrap();
            backward(&m.trainable(), i);
            step(&opt, &m.trainable(), 1.0, None).unwrap();
        }
        m.state().into_iter().map(|(_, t)| t.to_vec_f64().unwrap()).collect::<Vec<_>>()
    };
    let before = crate::torch::num_threads();
    let one = run(1, false);
    assert!(run(4, false) == one);
    assert!(run(2, true) == one);
    tch::set_num_threads(before as i32);
}

#[test]
fn one_pass_leaves_parameters_without_a_gradient_and_clips_only_what_it_is_given() {
    let p = params();
    let before = p[1].to_vec_f64().unwrap();
    let opt = adamw(named(&p), AdamWOptions::default()).unwrap();
    p[0].sum(&[], false).unwrap().backward().unwrap();
    let norm = step(&opt, &p[..1], 1.0, None).unwrap().item().unwrap();
    assert!((norm - 6f64.sqrt()).abs() < 1e-6);
    assert_eq!(p[1].to_vec_f64().unwrap(), before);
    assert!(step(&opt, &p, -1.0, None).is_err());
}
