//! Activation checkpointing through the library. It goes back to old states of the process's random generator: no other test may draw in between.

use crate::support::alone;
use lathe::error::Result;
use lathe::torch::bridge::{self, GradOptions, manual_seed};
use lathe::torch::{DType, Device, Tensor, checkpoint, no_grad};

fn weights() -> (Tensor, Tensor) {
    manual_seed(3).unwrap();
    let w = Tensor::randn(&[4, 4], DType::Double, Device::Cpu).unwrap().requires_grad_(true).unwrap();
    let x = Tensor::randn(&[2, 4], DType::Double, Device::Cpu).unwrap().requires_grad_(true).unwrap();
    (w, x)
}

/// A block with dropout: other random numbers would give other gradients.
fn block(w: &Tensor, x: &Tensor) -> Result<Tensor> {
    x.matmul(w)?.tanh()?.dropout(0.5, true)?.add(x)
}

fn gradients(checkpointed: bool, nested: bool) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (w, x) = weights();
    let held = w.clone();
    let one = move |t: &[Tensor]| Ok(vec![block(&held, &t[0])?]);
    let twice = {
        let one = one.clone();
        move |t: &[Tensor]| if nested { checkpoint(&checkpoint(t, one.clone())?, one.clone()) } else { one(&one(t)?) }
    };
    let y = if checkpointed { checkpoint(std::slice::from_ref(&x), twice) } else { one(&one(std::slice::from_ref(&x)).unwrap()) }.unwrap().remove(0);
    let loss = y.mul(&y).unwrap().mean(&[], false).unwrap();
    loss.backward().unwrap();
    // The generators stand where they would have stood.
    let next = Tensor::randn(&[1], DType::Double, Device::Cpu).unwrap();
    let of = |t: &Tensor| t.grad().unwrap().unwrap().to_vec_f64().unwrap();
    (of(&w), of(&x), next.to_vec_f64().unwrap())
}

#[test]
fn gradients_are_bit_equal() {
    alone(|| {
        let plain = gradients(false, false);
        assert_eq!(plain, gradients(true, false));
        assert_eq!(plain, gradients(true, true));
    });
}

#[test]
fn gradients_of_gradients_go_through() {
    alone(|| {
        let second = |checkpointed: bool| {
            let (w, x) = weights();
            let held = w.clone();
            let run = move |t: &[Tensor]| Ok(vec![t[0].matmul(&held)?.tanh()?]);
            let y = if checkpointed { checkpoint(std::slice::from_ref(&x), run) } else { run(std::slice::from_ref(&x)) }.unwrap().remove(0);
            let y = y.mul(&y).unwrap().sum(&[], false).unwrap();
            let options = GradOptions { create_graph: true, ..GradOptions::default() };
            let g = bridge::grad(&[y], std::slice::from_ref(&x), &options).unwrap().remove(0).unwrap();
            g.mul(&g).unwrap().sum(&[], false).unwrap().backward().unwrap();
            w.grad().unwrap().unwrap().to_vec_f64().unwrap()
        };
        // Summed in another order.
        let near = second(false).iter().zip(second(true)).all(|(a, b)| (a - b).abs() < 1e-12 * a.abs().max(1.0));
        assert!(near, "{:?} and {:?}", second(false), second(true));
    });
}

#[test]
fn what_goes_wrong_again_is_told() {
    alone(|| {
        let (w, x) = weights();
        let count = std::cell::Cell::new(0);
        let run = move |t: &[Tensor]| {
            count.set(count.get() + 1);
            if count.get() > 1 { Err(lathe::error::Error::value("block", "it fails the second time")) } else { block(&w, &t[0]).map(|y| vec![y]) }
        };
        let y = checkpoint(&[x], run).unwrap().remove(0);
        let e = y.mean(&[], false).unwrap().backward().unwrap_err();
        assert_eq!(e.to_string(), "block: it fails the second time");
    });
}

#[test]
fn without_gradients_nothing_is_kept() {
    alone(|| {
        let (w, x) = weights();
        let y = no_grad(|| checkpoint(&[x], move |t| Ok(vec![block(&w, &t[0])?]))).unwrap();
        assert!(!y[0].requires_grad());
    });
}
