//! SGD against the update rule that PyTorch documents, in f64.

use super::*;

struct Reference {
    p: Vec<f64>,
    buffer: Option<Vec<f64>>,
}

impl Reference {
    fn step(&mut self, g: &[f64], o: &SgdOptions) {
        let g: Vec<f64> = g.iter().zip(&self.p).map(|(g, p)| g + o.weight_decay * p).collect();
        let mut along = g.clone();
        if o.momentum != 0.0 {
            let next: Vec<f64> = match &self.buffer {
                None => g.clone(),
                Some(b) => b.iter().zip(&g).map(|(b, g)| o.momentum * b + (1.0 - o.dampening) * g).collect(),
            };
            along = if o.nesterov { g.iter().zip(&next).map(|(g, b)| g + o.momentum * b).collect() } else { next.clone() };
            self.buffer = Some(next);
        }
        self.p.iter_mut().zip(along).for_each(|(p, d)| *p -= o.lr * d);
    }
}

#[test]
fn sgd_equals_pytorchs_rule() {
    let o = SgdOptions { lr: 0.02, ..Default::default() };
    for o in [
        o,
        SgdOptions { weight_decay: 0.1, ..o },
        SgdOptions { momentum: 0.9, weight_decay: 0.1, ..o },
        SgdOptions { momentum: 0.8, dampening: 0.3, ..o },
        SgdOptions { momentum: 0.7, nesterov: true, weight_decay: 0.05, ..o },
    ] {
        let params = params();
        let opt = sgd(named(&params), o).unwrap();
        let mut reference: Vec<Reference> = params.iter().map(|p| Reference { p: p.to_vec_f64().unwrap(), buffer: None }).collect();
        for step in 0..6 {
            opt.zero_grad().unwrap();
            // The second parameter has its first gradient later than the other.
            let reached = if step == 0 { 1 } else { 2 };
            backward(&params[..reached], step);
            for (r, p) in reference.iter_mut().zip(&params).take(reached) {
                r.step(&p.grad().unwrap().unwrap().to_vec_f64().unwrap(), &o);
            }
            opt.step().unwrap();
        }
        for (i, (r, p)) in reference.iter().zip(&params).enumerate() {
            near(p, &r.p, 2e-6);
            let state = opt.state().unwrap();
            match (&r.buffer, state.get(&format!("p{i}.momentum_buffer"))) {
                (Some(b), Some(t)) => near(t, b, 2e-6),
                (None, None) => assert_eq!(state.keys().collect::<Vec<_>>(), ["lr"]),
                (wanted, found) => panic!("{wanted:?} {found:?}"),
            }
        }
    }
}

#[test]
fn sgd_resumes_scales_and_takes_everything_that_follows_backward() {
    let o = SgdOptions { lr: 0.05, momentum: 0.9, dampening: 0.5, ..Default::default() };
    let p = tensor(&[1.0, 2.0]).requires_grad_(true).unwrap();
    let plain = tensor(&[1.0, 2.0]).requires_grad_(true).unwrap();
    let (opt, plain_opt) = (sgd(vec![("p".into(), p.clone())], o).unwrap(), sgd(vec![("p".into(), plain.clone())], o).unwrap());
    let scaler = GradScaler::new(GradScalerOptions { init_scale: 1024.0, ..Default::default() }).unwrap();
    for step in 0..4 {
        // The first step overflows: it is none, and the next one is the first.
        let factor = if step == 0 { f64::INFINITY } else { 0.5 };
        let loss = |p: &Tensor| p.square().unwrap().mul(factor).unwrap().sum(&[], false).unwrap();
        opt.zero_grad().unwrap();
        scaler.scale(&loss(&p)).unwrap().backward().unwrap();
        scaler.step(&opt).unwrap();
        scaler.update().unwrap();
        if step == 0 {
            assert_eq!(opt.state().unwrap().len(), 1, "no buffer yet");
            continue;
        }
        plain_opt.zero_grad().unwrap();
        loss(&plain).backward().unwrap();
        plain_opt.step().unwrap();
    }
    near(&p, &plain.to_vec_f64().unwrap(), 1e-6);

    let other = sgd(vec![("p".into(), plain.detach().unwrap().copy().unwrap().requires_grad_(true).unwrap())], o).unwrap();
    other.load_state(&plain_opt.state().unwrap()).unwrap();
    let twin = other.params().remove(0).1;
    for (opt, p) in [(&plain_opt, &plain), (&other, &twin)] {
        opt.zero_grad().unwrap();
        backward(std::slice::from_ref(p), 3);
        // An optimizer without a way of its own through memory takes the three calls.
        let norm = step(opt, std::slice::from_ref(p), 0.1, None).unwrap().item().unwrap();
        let clipped = p.grad().unwrap().unwrap().square().unwrap().sum(&[], false).unwrap().item().unwrap().sqrt();
        assert!(norm > 0.1 && (clipped - 0.1).abs() < 1e-5, "{norm} {clipped}");
    }
    assert_eq!(plain.to_bytes().unwrap(), twin.to_bytes().unwrap());
    assert!(adamw(other.params(), AdamWOptions::default()).unwrap().load_state(&other.state().unwrap()).is_err(), "the state of another algorithm");
}

#[test]
fn wrong_settings_of_sgd_are_refused() {
    let o = SgdOptions::default();
    for o in [
        SgdOptions { lr: f64::INFINITY, ..o },
        SgdOptions { momentum: -0.1, ..o },
        SgdOptions { dampening: f64::NAN, ..o },
        SgdOptions { weight_decay: -1.0, ..o },
        SgdOptions { nesterov: true, ..o },
        SgdOptions { nesterov: true, momentum: 0.9, dampening: 0.1, ..o },
    ] {
        assert_eq!(sgd(named(&params()), o).err().unwrap().code(), "E0202");
    }
}
