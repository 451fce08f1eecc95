//! Averages whose decay follows a rule.

use super::*;

fn set(m: &Module, x: f64) {
    let state = m.state();
    no_grad(|| ["weight", "running_mean"].map(|name| state[name].fill_(x).unwrap()));
}

#[test]
fn a_power_average_of_exponent_one_weighs_by_time_and_copies_buffers() {
    let m = module();
    let ema = Ema::of_profile(&m, 0.0, Profile::Power { exponent: 1.0 }).unwrap();
    for t in 1..=4 {
        set(&m, f64::from(t));
        ema.update().unwrap();
    }
    // beta = (1 - 1/t)^2: what came at t weighs t^2 - (t - 1)^2 of 16.
    let average = ema.module().state();
    near(&average["weight"], &[(1.0 + 2.0 * 3.0 + 3.0 * 5.0 + 4.0 * 7.0) / 16.0; 3], 1e-6);
    near(&average["running_mean"], &[4.0], 0.0);
    assert_eq!((ema.updates(), ema.decay()), (4, 0.5625));
    assert!(ema.update_at(1.0, 2.0).is_err() && ema.update_at(f64::NAN, 1.0).is_err());
}

#[test]
fn a_rule_goes_on_where_a_checkpoint_was() {
    use crate::train::tracked::Tracked;
    let rule = Profile::WarmUp(WarmUp { update_after_step: 1, ..WarmUp::default() });
    let m = module();
    let ema = Ema::of_profile(&m, 0.9999, rule).unwrap();
    for x in [1.0, 2.0, 5.0] {
        set(&m, x);
        ema.update().unwrap();
    }
    let saved = ema.save().unwrap();
    let other = Ema::of_profile(&module(), 0.9999, rule).unwrap();
    other.restore(&saved).unwrap();
    let n = module();
    set(&n, 5.0);
    assert_eq!(other.updates(), 3);
    near(&other.module().state()["weight"], &ema.module().state()["weight"].to_vec_f64().unwrap(), 0.0);
    // One that follows none says nothing of itself.
    assert!(Ema::new(&m, 0.5).unwrap().save().unwrap().meta.is_null());
}

#[test]
fn the_one_pass_follows_a_rule_as_the_three_calls_do() {
    let (a, b) = (module(), module());
    let make = |m: &Module| Ema::of_profile(m, 0.0, Profile::Power { exponent: 3.0 }).unwrap();
    let (one, three) = (make(&a), make(&b));
    let opt = |m: &Module| adamw(m.named_parameters(), AdamWOptions { lr: 0.1, ..Default::default() }).unwrap();
    let (first, second) = (opt(&a), opt(&b));
    for i in 0..4 {
        for (m, opt) in [(&a, &first), (&b, &second)] {
            opt.zero_grad().unwrap();
            backward(&m.named_parameters().into_iter().map(|(_, p)| p).collect::<Vec<_>>(), i);
        }
        step(&first, &first.tensors(), 1e9, Some(&one)).unwrap();
        second.step().unwrap();
        three.update().unwrap();
    }
    near(&one.module().state()["weight"], &three.module().state()["weight"].to_vec_f64().unwrap(), 1e-6);
}
