//! InceptionV3 in the FID layout against pytorch-fid's network with the same hashed weights, on pictures resized by torch-fidelity's copy of
//! TensorFlow 1. `tests/data/eval/inception.py` computed the numbers, with torch 2.11.0, torchvision 0.26.0, pytorch-fid 0.3.0 and
//! torch-fidelity.

use crate::parity::fixture::{Fixture, hash_tensor, shape_of};
use crate::support::root;
use lathe::models::Inception;
use lathe::nn::State;
use lathe::torch::{DType, Tensor, no_grad};

fn fixture() -> Fixture {
    Fixture::open(&root().join("tests/data/eval/inception.json")).unwrap()
}

fn numbers(f: &Fixture, key: &str) -> Vec<f64> {
    f.meta[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Hashed weights under the published names.
fn weights(f: &Fixture) -> State {
    let one = |(name, s): (&String, &serde_json::Value)| {
        let value = hash_tensor(f.seed(), name, &shape_of(&s["shape"]), s["lo"].as_f64().unwrap(), s["hi"].as_f64().unwrap()).unwrap();
        (name.clone(), value)
    };
    f.meta["spec"].as_object().unwrap().iter().map(one).collect()
}

#[test]
fn names_and_numbers_are_pytorch_fids() {
    let f = fixture();
    let state = weights(&f);
    let module = Inception::with_state(&state).unwrap();
    let count: usize = module.named_parameters().iter().map(|(_, t)| t.numel()).sum();
    assert_eq!(count as u64, f.meta["parameters"].as_u64().unwrap());
    assert!(module.trainable().is_empty(), "the network is frozen");
    let own = module.state();
    let mut names: Vec<&String> = own.keys().filter(|n| !n.ends_with("num_batches_tracked")).collect();
    names.sort();
    let mut want: Vec<&String> = state.keys().collect();
    want.sort();
    assert_eq!(names, want);

    let net = module.model::<Inception>().unwrap();
    let pixels = hash_tensor(5, "images", &[2, 3, 64, 48], 0.0, 256.0).unwrap().floor().unwrap().to_dtype(DType::Uint8).unwrap();
    let a = no_grad(|| net.activations(&pixels)).unwrap();
    assert_eq!((a.pool.shape(), a.spatial.shape(), a.logits.shape()), (vec![2, 2048], vec![2, 2023], vec![2, 1008]));
    let with_bias = no_grad(|| net.logits(&pixels)).unwrap();
    for (key, got, step, scale) in [
        ("pool", &a.pool, 61, "pool"),
        ("spatial", &a.spatial, 61, "spatial"),
        ("logits", &a.logits, 31, "logits"),
        ("with_bias", &with_bias, 31, "logits"),
    ] {
        let (got, want) = (got.to_vec_f64().unwrap(), numbers(&f, key));
        assert_eq!(got.iter().step_by(step).count(), want.len());
        let worst = got.iter().step_by(step).zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // f32 through 48 convolutions, relative to the largest value.
        let limit = 1e-4 * f.meta["scale"][scale].as_f64().unwrap();
        assert!(worst <= limit, "{key}: {worst} beyond {limit}");
        println!("{key}: {worst:.1e} of {limit:.1e}");
    }
    // The same pictures as floats in [-1, 1].
    let floats = pixels.to_dtype(DType::Float).unwrap().div(127.5).unwrap().sub(1.0).unwrap();
    let again = no_grad(|| net.activations(&floats)).unwrap().pool;
    assert!(again.sub(&a.pool).unwrap().abs().unwrap().max().unwrap().item().unwrap() < 1e-3);
}

#[test]
fn weights_of_another_network_are_refused() {
    let e = Inception::missing();
    assert!(e.help_text().is_some_and(|h| h.contains("pt_inception-2015-12-05-6726825d.pth")), "{e}");
    let one: State =
        [("fc.weight".to_owned(), Tensor::zeros(&[1000, 2048], DType::Float, lathe::torch::default_device()).unwrap())].into_iter().collect();
    assert_eq!(Inception::with_state(&one).expect_err("one tensor is no network").code(), "E0401");
}
