//! Against scikit-learn on the same arrays: `tests/data/eval/probe.py` computed the numbers.

use super::*;
use crate::eval::probe::{fit_binary, fit_classes};
use serde_json::Value;

struct Case {
    json: Value,
    x: Tensor,
    targets: Tensor,
    factors: Vec<Factor>,
}

fn list(v: &Value) -> Vec<f64> {
    match v {
        Value::Array(a) => a.iter().flat_map(list).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn case() -> Case {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/eval/probe.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let n = json["x"].as_array().unwrap().len() as i64;
    let x = Tensor::from_slice(&list(&json["x"])).unwrap().reshape(&[n, -1]).unwrap();
    let targets = Tensor::from_slice(&list(&json["targets"])).unwrap().reshape(&[n, -1]).unwrap().to_dtype(DType::Int64).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let names = json["names"].as_array().unwrap().iter().map(text);
    let values = json["values"].as_array().unwrap().iter().map(|v| v.as_array().unwrap().iter().map(text).collect());
    let factors = names.zip(values).map(|(name, values)| Factor { name, values }).collect();
    Case { json, x, targets, factors }
}

fn positions(c: &Case) -> (Vec<usize>, Vec<usize>) {
    let (n, train) = (c.x.size(0).unwrap() as usize, c.json["train"].as_u64().unwrap() as usize);
    ((0..train).collect(), (train..n).collect())
}

fn options(c: &Case) -> ProbeOptions {
    ProbeOptions { c: c.json["c"].as_f64().unwrap(), ..ProbeOptions::default() }
}

/// Decisions of both models: the minimum is unique, so they agree as far as both converge (1e-6 of the gradient here).
#[test]
fn scores_are_scikit_learns() {
    let c = case();
    let train = c.json["train"].as_i64().unwrap();
    let scaling = Standardise::of(&c.x.narrow(0, 0, train).unwrap()).unwrap();
    let x = scaling.apply(&c.x).unwrap();
    let (a, b) = (x.narrow(0, 0, train).unwrap(), x.narrow(0, train, x.size(0).unwrap() - train).unwrap());
    let y = c.targets.narrow(0, 0, train).unwrap();
    let o = options(&c);
    let hair = fit_classes(&a, &y.select(1, 0).unwrap(), 4, o.c, o.iterations).unwrap().scores(&b).unwrap();
    let off = |got: Tensor, want: &Value| {
        let (got, want) = (got.contiguous().unwrap().to_vec_f64().unwrap(), list(want));
        assert_eq!(got.len(), want.len());
        got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    // Softmax is free to add a constant to all scores of a picture: compare without their mean.
    let centred = |t: &Tensor| t.sub(&t.mean(&[1], true).unwrap()).unwrap();
    let want = Tensor::from_slice(&list(&c.json["hair_scores"])).unwrap().reshape(&[-1, 4]).unwrap();
    let worst = centred(&hair).sub(&centred(&want)).unwrap().abs().unwrap().max().unwrap().item().unwrap();
    assert!(worst < 1e-3, "softmax: {worst}");
    let binary = fit_binary(&a, &y.narrow(1, 1, 7).unwrap(), o.c, o.iterations).unwrap().scores(&b).unwrap();
    let worst = off(binary, &c.json["binary_scores"]);
    assert!(worst < 1e-3, "logistic: {worst}");
}

#[test]
fn figures_are_scikit_learns() {
    let c = case();
    let (train, test) = positions(&c);
    let y = columns(&c.targets, &c.factors).unwrap();
    let mut all = Gathered { per_factor: vec![(Vec::new(), Vec::new()); c.factors.len()], ..Gathered::default() };
    one_seed(&c.x, &y, &c.factors, &options(&c), &train, &test, 0, &mut all).unwrap();
    let p = all.finish(&c.factors, [train.len(), test.len()]).unwrap();
    for (name, got) in [("f1_macro", p.f1_macro.mean), ("f1_micro", p.f1_micro.mean), ("ap", p.ap.mean), ("top5", p.top5.unwrap().mean)] {
        let want = c.json[name].as_f64().unwrap();
        assert!((got - want).abs() < 1e-9, "{name}: {got}, {want}");
    }
    for (i, (name, f1, ap)) in p.factors.iter().enumerate() {
        let want = list(&c.json["factors"][i]);
        assert!((f1.mean - want[0]).abs() < 1e-9 && (ap.mean - want[1]).abs() < 1e-9, "{name}: {} {} {want:?}", f1.mean, ap.mean);
    }
}

#[test]
fn seeds_give_an_interval_and_the_same_again() {
    let c = case();
    let o = ProbeOptions { seeds: vec![0, 1, 2], ..options(&c) };
    let (a, b) = (probe(&c.x, &c.targets, &c.factors, &o).unwrap(), probe(&c.x, &c.targets, &c.factors, &o).unwrap());
    assert_eq!(a.f1_macro.values, b.f1_macro.values);
    assert_eq!((a.f1_macro.values.len(), a.sizes), (3, [128, 32]));
    assert!(a.f1_macro.interval.unwrap() > 0.0 && a.f1_macro.values[0] != a.f1_macro.values[1]);
    // Features that know the answer are read without fault.
    let told = c.targets.to_dtype(DType::Double).unwrap().narrow(1, 1, 7).unwrap();
    let p = probe(&told, &c.targets.narrow(1, 1, 7).unwrap(), &c.factors[1..], &ProbeOptions { c: 100.0, ..o }).unwrap();
    assert!((p.f1_macro.mean - 1.0).abs() < 1e-12 && (p.ap.mean - 1.0).abs() < 1e-12);
}

#[test]
fn bad_input_is_refused_by_name() {
    let c = case();
    let o = options(&c);
    let refuse =
        |x: &Tensor, t: &Tensor, f: &[Factor], o: &ProbeOptions| probe(x, t, f, o).map_or_else(|e| e.to_string(), |_| panic!("it was not refused"));
    assert!(refuse(&c.x.mul(f64::NAN).unwrap(), &c.targets, &c.factors, &o).contains("NaN"));
    let same = c.targets.mul(0i64).unwrap();
    let e = refuse(&c.x, &same, &c.factors, &o);
    assert!(e.contains("`hair`") && e.contains("`bun`"), "{e}");
    assert!(refuse(&c.x, &c.targets.add(9i64).unwrap(), &c.factors, &o).contains("`hair`"));
    assert!(refuse(&c.x.narrow(0, 0, 10).unwrap(), &c.targets, &c.factors, &o).contains("as many pictures"));
    assert!(refuse(&c.x, &c.targets, &c.factors[1..], &o).contains("targets"));
    assert!(refuse(&c.x, &c.targets, &c.factors, &ProbeOptions { test: 1.5, ..o.clone() }).contains("nothing"));
    assert!(refuse(&c.x, &c.targets, &c.factors, &ProbeOptions { iterations: 1, ..o }).contains("no convergence"));
}
