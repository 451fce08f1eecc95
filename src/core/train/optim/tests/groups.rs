//! Groups of parameters with rates of their own, and their states.

use super::*;
use crate::torch::files::read_safetensors;

fn group(params: &[(String, Tensor)], lr: Option<f64>, weight_decay: Option<f64>) -> ParamGroup {
    ParamGroup { params: params.to_vec(), lr, weight_decay, ..ParamGroup::default() }
}

fn bytes(params: &[Tensor]) -> Vec<Vec<u8>> {
    params.iter().map(|p| p.to_bytes().unwrap()).collect()
}

#[test]
fn groups_step_as_optimizers_of_their_own() {
    let o = AdamWOptions { lr: 0.01, weight_decay: 0.1, ..Default::default() };
    // The three calls and the one pass.
    for all_at_once in [false, true] {
        let (together, apart) = (params(), params());
        let all = named(&together);
        let opt = adamw(ParamGroups(vec![group(&all[..1], None, None), group(&all[1..], Some(0.03), Some(0.0))]), o).unwrap();
        let named = named(&apart);
        let one = adamw(named[..1].to_vec(), o).unwrap();
        let two = adamw(named[1..].to_vec(), AdamWOptions { lr: 0.03, weight_decay: 0.0, ..o }).unwrap();
        for i in 0..4 {
            for opt in [&opt, &one, &two] {
                opt.zero_grad().unwrap();
            }
            backward(&together, i);
            backward(&apart, i);
            if all_at_once {
                step(&opt, &together, 1.0, None).unwrap();
                // The norm is that of all: clipped here, and not once more there.
                clip_grad_norm(&apart, 1.0).unwrap();
            } else {
                opt.step().unwrap();
            }
            one.step().unwrap();
            two.step().unwrap();
        }
        for (a, b) in together.iter().zip(&apart) {
            near(a, &b.to_vec_f64().unwrap(), if all_at_once { 1e-6 } else { 0.0 });
        }
    }
}

#[test]
fn the_learning_rate_of_a_group_moves_with_the_optimizers() {
    let all = named(&params());
    let groups = || ParamGroups(vec![group(&all[..1], None, None), group(&all[1..], Some(3e-4), None)]);
    let opt = adamw(groups(), AdamWOptions { lr: 1e-3, ..Default::default() }).unwrap();
    let lrs = |opt: &Optimizer| [0, 1].map(|i| opt.rates(i).unwrap().lr);
    assert_eq!((opt.lr(), lrs(&opt)), (1e-3, [1e-3, 3e-4]));
    opt.set_lr(5e-4).unwrap();
    assert_eq!(lrs(&opt)[0], 5e-4);
    assert!((lrs(&opt)[1] - 1.5e-4).abs() < 1e-18);
    // A warm-up from 0 does not lose the proportion, nor does a state that is saved there.
    opt.set_lr(0.0).unwrap();
    assert_eq!(lrs(&opt), [0.0, 0.0]);
    let state = opt.state().unwrap();
    let e = opt.set_rates(1, Rates { lr: 1.0, ..Rates::default() }).unwrap_err();
    assert!(e.to_string().contains("while the optimizer's is 0"), "{e}");
    opt.set_lr(1e-3).unwrap();
    assert_eq!(lrs(&opt), [1e-3, 3e-4]);
    opt.set_rates(0, Rates { lr: 2e-3, weight_decay: 0.5, betas: None }).unwrap();
    opt.set_lr(2e-3).unwrap();
    assert_eq!((lrs(&opt), opt.rates(0).unwrap().weight_decay), ([4e-3, 6e-4], 0.5));

    let other = adamw(groups(), AdamWOptions { lr: 0.1, weight_decay: 0.3, ..Default::default() }).unwrap();
    other.load_state(&state).unwrap();
    assert_eq!((other.lr(), other.rates(1).unwrap()), (0.0, Rates { lr: 0.0, weight_decay: 0.01, betas: Some((0.9, 0.999)) }));
    other.set_lr(1e-3).unwrap();
    assert_eq!(lrs(&other), [1e-3, 3e-4]);
    let plain = adamw(all.clone(), AdamWOptions::default()).unwrap();
    assert!(plain.load_state(&state).unwrap_err().to_string().contains("of 2 groups, this one has 1"));
    assert!(other.load_state(&plain.state().unwrap()).unwrap_err().to_string().contains("of 1 group, this one has 2"));
    assert!(opt.rates(2).is_err() && opt.set_rates(0, Rates { lr: -1.0, ..Rates::default() }).is_err());
}

#[test]
fn the_rate_of_an_only_group_is_the_optimizers() {
    let opt = adamw(ParamGroups(vec![group(&named(&params()), Some(0.2), None)]), AdamWOptions::default()).unwrap();
    assert_eq!(opt.lr(), 0.2);
    opt.set_rates(0, Rates { lr: 0.0, ..opt.rates(0).unwrap() }).unwrap();
    opt.set_rates(0, Rates { lr: 0.4, ..opt.rates(0).unwrap() }).unwrap();
    assert_eq!((opt.lr(), opt.state().unwrap().len()), (0.4, 1));
    opt.set_rates(0, Rates { lr: 0.4, weight_decay: 0.5, betas: None }).unwrap();
    let other = adamw(named(&params()), AdamWOptions::default()).unwrap();
    other.load_state(&opt.state().unwrap()).unwrap();
    assert_eq!(other.rates(0).unwrap(), Rates { lr: 0.4, weight_decay: 0.5, betas: Some((0.9, 0.999)) });
}

#[test]
fn wrong_groups_are_refused() {
    let all = named(&params());
    let make = |groups| adamw(ParamGroups(groups), AdamWOptions::default()).err().unwrap().to_string();
    assert!(make(vec![group(&all, None, None), group(&all[..1], None, None)]).contains("`p0` is in group 0 and in group 1"));
    assert!(make(vec![group(&all, Some(-1.0), None)]).contains("`lr` must be"));
    assert!(make(vec![group(&all, None, Some(-1.0))]).contains("`weight_decay` must not be negative"));
    assert!(make(vec![]).contains("no parameters"));
}

/// tests/data/optim/make.rhai wrote it before there were groups.
#[test]
fn a_state_of_before_groups_goes_on_to_the_last_bit() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/optim/adamw.safetensors");
    let all = read_safetensors(std::path::Path::new(path)).unwrap().0;
    let get = |name: &str| no_grad(|| all[name].copy()).unwrap();
    let (w, b) = (get("before.w").requires_grad_(true).unwrap(), get("before.b").requires_grad_(true).unwrap());
    let options = AdamWOptions { betas: (0.8, 0.95), weight_decay: 0.1, ..Default::default() };
    let opt = adamw(vec![("b".into(), b.clone()), ("w".into(), w.clone())], options).unwrap();
    let state: State = all.iter().filter_map(|(k, t)| Some((k.strip_prefix("opt.")?.to_owned(), t.clone()))).collect();
    opt.load_state(&state).unwrap();
    let mut now: Vec<String> = opt.state().unwrap().into_keys().collect();
    let mut then: Vec<String> = state.keys().cloned().collect();
    now.sort();
    then.sort();
    assert_eq!(now, then);
    let loss = w.mul(4.0).unwrap().sin().unwrap().sum(&[], false).unwrap();
    loss.add(&b.mul(&b).unwrap().mul(&b).unwrap().sum(&[], false).unwrap()).unwrap().backward().unwrap();
    opt.step().unwrap();
    assert_eq!(bytes(&[w, b]), bytes(&[get("after.w"), get("after.b")]));
}
