//! Density, mixture and t-SNE against scipy and scikit-learn on the same points: `tests/data/eval/spread.py` computed the numbers.

use super::{kernel_density, mixture, tsne, uniformity};
use crate::torch::{DType, Device, Tensor};
use serde_json::Value;

fn case() -> (Value, Tensor) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/eval/spread.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let x = numbers(&json["x"]);
    (json, x)
}

fn numbers(v: &Value) -> Tensor {
    let rows: Vec<Vec<f64>> = serde_json::from_value(v.clone()).unwrap();
    Tensor::from_slice(&rows.concat()).unwrap().reshape(&[rows.len() as i64, -1]).unwrap()
}

#[test]
fn density_and_its_figures_are_scipys() {
    let (json, x) = case();
    let plane = x.narrow(1, 0, 2).unwrap();
    let p = kernel_density(&plane).unwrap().to_vec_f64().unwrap();
    for (got, want) in p.iter().step_by(10).zip(json["density"].as_array().unwrap()) {
        assert!((got / want.as_f64().unwrap() - 1.0).abs() < 1e-9);
    }
    let u = uniformity(&plane).unwrap();
    for (got, key) in [(u.cv, "cv"), (u.gini, "gini"), (u.entropy, "entropy")] {
        assert!((got - json[key].as_f64().unwrap()).abs() < 1e-9, "{key}: {got}");
    }
    assert!(uniformity(&plane.mul(f64::NAN).unwrap()).is_err() && uniformity(&plane.mul(0.0).unwrap()).is_err());
    assert!(uniformity(&plane.narrow(0, 0, 2).unwrap()).is_err());
}

#[test]
fn mixtures_are_scikit_learns() {
    let (json, x) = case();
    let m = mixture(&x, 3, Some(&numbers(&json["start"])), 0, 1e-9, 1000).unwrap();
    assert!(m.converged);
    assert!((m.log_likelihood - json["log_likelihood"].as_f64().unwrap()).abs() < 1e-6, "{}", m.log_likelihood);
    let off = m.means.sub(&numbers(&json["means"])).unwrap().abs().unwrap().max().unwrap().item().unwrap();
    assert!(off < 1e-3, "{off}");
    // Drawn starts find the same three clusters, which one Gaussian does not.
    let drawn = mixture(&x, 3, None, 1, 1e-6, 500).unwrap();
    let one = mixture(&x, 1, None, 1, 1e-6, 500).unwrap();
    assert!(drawn.log_likelihood > one.log_likelihood + 0.1);
    assert!(mixture(&x, 0, None, 0, 1e-6, 10).is_err() && mixture(&x.mul(f64::NAN).unwrap(), 2, None, 0, 1e-6, 10).is_err());
}

/// How far neighbours in the plane were neighbours before (Venna and Kaski 2001), `1 - 2 / (n k (2 n - 3 k - 1)) * sum (rank - k)`.
fn trustworthiness(x: &Tensor, y: &Tensor, k: usize) -> f64 {
    let n = x.size(0).unwrap() as usize;
    let order = |t: &Tensor| -> Vec<Vec<i64>> {
        let d = t.unsqueeze(1).unwrap().sub(&t.unsqueeze(0).unwrap()).unwrap().square().unwrap().sum(&[2], false).unwrap();
        let (_, index) = d.sort(1, false).unwrap();
        index.to_vec_i64().unwrap().chunks(n).map(<[i64]>::to_vec).collect()
    };
    let (a, b) = (order(x), order(y));
    let mut sum = 0.0;
    for i in 0..n {
        for j in &b[i][1..=k] {
            let rank = a[i].iter().position(|v| v == j).unwrap();
            sum += rank.saturating_sub(k) as f64;
        }
    }
    1.0 - 2.0 / (n as f64 * k as f64 * (2.0 * n as f64 - 3.0 * k as f64 - 1.0)) * sum
}

/// Embeddings differ by more than rotation between programs; how trustworthy they are does not.
#[test]
fn tsne_keeps_neighbours_as_scikit_learns_does() {
    let (json, x) = case();
    let y = tsne(&x, 20.0, 1000).unwrap();
    let (got, want) = (trustworthiness(&x, &y, 10), json["trustworthiness"].as_f64().unwrap());
    assert!(got > want - 0.01, "{got}, scikit-learn's {want}");
    let shuffled = Tensor::randn(&[240, 2], DType::Double, Device::Cpu).unwrap();
    assert!(trustworthiness(&x, &shuffled, 10) < 0.7, "the measure can fail");
    assert!(tsne(&x.narrow(0, 0, 20).unwrap(), 20.0, 10).is_err() && tsne(&x.mul(f64::NAN).unwrap(), 5.0, 10).is_err());
}
