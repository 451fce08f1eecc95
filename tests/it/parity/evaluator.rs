//! The figures of ADM's evaluation suite on given features, by the functions that scripts call.

use super::fixture::Fixture;
use super::report::Report;
use super::scripts::{engine, entry};
use lathe::error::{Error, Result};
use lathe::script::rhai::Dynamic;
use lathe::torch::Tensor;

const ENTRY: &str = r#"
    fn fid(a, b) { eval::fid(a, b) }
    fn sfid(a, b) { eval::sfid(a, b) }
    fn frechet(a, b) { let x = eval::feature_stats(a); let y = eval::feature_stats(b); eval::frechet(x.mu, x.cov, y.mu, y.cov) }
    fn stats(a) { eval::feature_stats(a) }
    fn score(p, split) { eval::inception_score(p, #{split: split}) }
    fn score_of_logits(l, split) { eval::inception_score(l, #{split: split, logits: true}) }
    fn neighbours(a, b, precision) { eval::precision_recall(a, b, #{k: 3, precision: precision}) }
    fn radii(a) { eval::manifold_radii(a, #{k: 3}) }
"#;

/// Of distances, where the covariances have their full rank.
const DISTANCE: f64 = 1e-6;
/// The reference takes the root of a product of covariances in f64, which leaves about 2e-7 of their traces where they are singular.
const SINGULAR: f64 = 5e-7;
/// The reference scores in f32.
const SCORE: f64 = 1e-6;
/// Radii are f32 sums of `D` products, in another order.
const RADIUS: f64 = 1e-5;
/// The reference takes the mean of f32 features in f32, the covariance in f64.
const MEAN: f64 = 1e-6;
/// The reference scores groups of so many.
const SPLIT: i64 = 5000;

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let engine = engine();
    engine.load_text("evaluator.rhai", ENTRY)?;
    let call = |name: &str, args: Vec<Dynamic>| engine.call(name, args);
    let given = |name: &str| f.get(name).map(|t| Dynamic::from(t.clone()));
    let number = |d: &Dynamic| d.as_float().map_err(|kind| Error::value("parity", format!("a number is needed, the script gave {kind}")));
    let (reference, sample) = (given("ref")?, given("sample")?);

    let distance_limit = |names: [&str; 2], want: f64| -> Result<f64> {
        let mut limit = DISTANCE * want.abs().max(1.0);
        for name in names {
            let x = f.get(name)?.flatten(1, -1)?.to_dtype(lathe::torch::DType::Double)?;
            if x.size(0)? <= x.size(1)? {
                limit = limit.max(2.0 * SINGULAR * x.var(&[0], 1, false)?.sum(&[], false)?.item()?);
            }
        }
        Ok(limit)
    };
    let expected = f.meta["expected"].as_object().ok_or_else(|| Error::data(&f.path, "has no `expected`"))?;
    for (name, want) in expected {
        let want = want.as_f64().ok_or_else(|| Error::data(&f.path, format!("`{name}` is no number")))?;
        let pair = || vec![reference.clone(), sample.clone()];
        let (got, limit) = match name.as_str() {
            "fid" => {
                let other = number(&call("frechet", pair())?)?;
                let limit = distance_limit(["ref", "sample"], want)?;
                r.within("frechet", (other - want).abs(), limit);
                (number(&call("fid", pair())?)?, limit)
            }
            "fid_self" => (number(&call("fid", vec![reference.clone(), reference.clone()])?)?, distance_limit(["ref", "ref"], want)?),
            "sfid" => (
                number(&call("sfid", vec![given("spatial_ref")?, given("spatial_sample")?])?)?,
                distance_limit(["spatial_ref", "spatial_sample"], want)?,
            ),
            _ if name.starts_with("inception_score") => {
                let split = match name.strip_prefix("inception_score_split") {
                    Some(n) => n.parse().map_err(|_| Error::data(&f.path, format!("`{name}` names no split")))?,
                    None if name == "inception_score" => SPLIT,
                    None => return unknown(f, name),
                };
                let logits = f.get("sample")?.matmul(f.get("softmax_w")?)?;
                let other = number(&call("score_of_logits", vec![Dynamic::from(logits), split.into()])?)?;
                r.within(&format!("{name} of logits"), (other - want).abs(), SCORE * want.abs());
                (number(&call("score", vec![given("softmax")?, split.into()])?)?, SCORE * want.abs())
            }
            _ => {
                let Some((what, numbers)) = name.split_once('_').filter(|(w, _)| ["precision", "recall"].contains(w)) else {
                    return unknown(f, name);
                };
                let numbers = match numbers {
                    "f64" | "f32" => numbers,
                    "f16emul" => "f16",
                    _ => return unknown(f, name),
                };
                let found = call("neighbours", [pair(), vec![numbers.into()]].concat())?;
                // A share of a number of features: exact, or one of them is on the other side.
                (number(&entry(&found, what)?)?, 1e-12)
            }
        };
        r.within(name, (got - want).abs(), limit);
    }
    tensors(f, r, &call)
}

fn unknown(f: &Fixture, name: &str) -> Result<()> {
    Err(Error::data(&f.path, format!("expects `{name}`, which this check does not know")))
}

/// What the fixture stores beside the figures.
fn tensors(f: &Fixture, r: &mut Report, call: &dyn Fn(&str, Vec<Dynamic>) -> Result<Dynamic>) -> Result<()> {
    for name in f.tensors.keys() {
        let want = f.get(name)?;
        let of = |set: &str| f.get(set).map(|t| Dynamic::from(t.clone()));
        let tensor = |d: Dynamic| d.try_cast::<Tensor>().ok_or_else(|| Error::value("parity", "the script gave no tensor"));
        match name.split_once('_') {
            None if ["ref", "sample"].contains(&name.as_str()) => {}
            Some(("spatial", _)) | Some(("softmax", "w")) => {}
            None if name == "softmax" => r.close(name, &f.get("sample")?.matmul(f.get("softmax_w")?)?.softmax(1)?, want, 1e-5)?,
            Some(("mu", set)) => r.close(name, &tensor(entry(&call("stats", vec![of(set)?])?, "mu")?)?, want, MEAN)?,
            Some(("sigma", set)) => r.close(name, &tensor(entry(&call("stats", vec![of(set)?])?, "cov")?)?, want, 1e-12)?,
            Some(("radii", set)) => r.close(name, &tensor(call("radii", vec![of(set)?])?)?.unsqueeze(1)?, want, RADIUS)?,
            _ => return unknown(f, name),
        }
    }
    Ok(())
}
