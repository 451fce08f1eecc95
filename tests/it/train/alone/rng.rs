//! The state of the global random generator: no other test may draw in between.

use crate::support::alone;
use lathe::torch::bridge::{manual_seed, manual_seed_on, rng_state, set_rng_state};
use lathe::torch::{DType, Device, Tensor};

fn draws() -> Vec<Vec<f64>> {
    let (f, cpu) = (DType::Float, Device::Cpu);
    let ones = Tensor::ones(&[100], f, cpu).unwrap();
    [
        Tensor::randn(&[1000], f, cpu).unwrap(),
        Tensor::rand(&[37], f, cpu).unwrap(),
        Tensor::randperm(100, cpu).unwrap(),
        ones.dropout(0.5, true).unwrap(),
        Tensor::randint(0, 1000, &[5], cpu).unwrap(),
        Tensor::randn(&[3], f, cpu).unwrap(),
        ones.copy().unwrap().uniform_(0.0, 1.0).unwrap(),
    ]
    .iter()
    .map(|t| t.to_vec_f64().unwrap())
    .collect()
}

#[test]
fn state_and_seed_repeat_every_kind_of_draw() {
    alone(|| {
        manual_seed(42).unwrap();
        // An odd count leaves a cached normal number behind, which belongs to the state.
        Tensor::randn(&[7], DType::Float, Device::Cpu).unwrap();
        let state = rng_state(Device::Cpu).unwrap();
        let first = draws();
        assert_ne!(first, draws());
        set_rng_state(Device::Cpu, &state).unwrap();
        assert_eq!(first, draws());

        manual_seed_on(Device::Cpu, 7).unwrap();
        let a = draws();
        manual_seed(7).unwrap();
        assert_eq!(a, draws());
    });
}
