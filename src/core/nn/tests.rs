//! Modules: order, sharing, copies, groups.

use super::layers::{BatchNorm2d, BatchNormOptions, Conv2d, Conv2dOptions, Linear, LinearInit};
use super::*;
use crate::error::Result;
use crate::torch::{DType, Device, Tensor};
use std::rc::Rc;

fn names(m: &Module) -> Vec<String> {
    m.state().keys().cloned().collect()
}

fn randn(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, DType::Float, Device::Cpu).unwrap()
}

fn group() -> Module {
    let g = Module::group();
    g.set_param("scale", Tensor::ones(&[4], DType::Float, Device::Cpu).unwrap().requires_grad_(true).unwrap(), false).unwrap();
    g.set_child("body", Linear::module(3, 4, true, LinearInit::Torch).unwrap()).unwrap();
    g.set_param("table", Tensor::zeros(&[2], DType::Int64, Device::Cpu).unwrap(), true).unwrap();
    g.set_forward(Rc::new(|m, x| m.child("body").unwrap().forward(x)?.mul(&m.param("scale").unwrap()))).unwrap();
    g
}

#[test]
fn state_has_the_order_of_definition() {
    assert_eq!(names(&group()), ["scale", "table", "body.weight", "body.bias"]);
    let s = Module::sequential(vec![
        Conv2d::module(3, 4, [1, 1], Conv2dOptions::default()).unwrap(),
        BatchNorm2d::module(4, BatchNormOptions::default()).unwrap(),
    ])
    .unwrap();
    assert_eq!(names(&s), ["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]);
    assert_eq!(s.count(), 3 * 4 + 4 + 4 + 4);
}

#[test]
fn a_deep_copy_is_equal_and_independent() -> Result<()> {
    let g = group();
    g.set_child("again", g.child("body").unwrap())?;
    g.child("body").unwrap().set_requires_grad(false)?;
    g.set_training(false);
    let copy = g.deep_copy()?;
    let x = randn(&[2, 3]);
    let before = copy.forward(std::slice::from_ref(&x))?.to_vec_f32()?;
    assert_eq!(before, g.forward(std::slice::from_ref(&x))?.to_vec_f32()?);
    assert_eq!(copy.trainable().len(), 1, "requires_grad is kept");
    assert!(!copy.is_training() && !copy.child("body").unwrap().is_training());
    assert!(copy.child("again").unwrap().is_same(&copy.child("body").unwrap()), "a part used twice stays one part");
    assert!(!copy.child("body").unwrap().is_same(&g.child("body").unwrap()));
    for (_, t) in g.named_parameters() {
        crate::torch::no_grad(|| t.fill_(7.0))?;
    }
    assert_eq!(copy.forward(&[x])?.to_vec_f32()?, before, "writing to the original leaves the copy alone");
    Ok(())
}

#[test]
fn a_copy_draws_nothing_and_keeps_dtype_and_switches() -> Result<()> {
    let m = Module::sequential(vec![Linear::module(4, 4, true, LinearInit::Torch)?, Linear::module(4, 4, true, LinearInit::Torch)?])?;
    m.to(None, Some(DType::BFloat16))?;
    let copy = m.deep_copy()?;
    assert!(copy.state().values().all(|t| t.dtype() == DType::BFloat16));
    let bn = BatchNorm2d::module(2, BatchNormOptions::default())?;
    assert_eq!(bn.set_switch("frozen", true), 1);
    let copy = bn.deep_copy()?;
    copy.forward(&[randn(&[3, 2, 2, 2])])?;
    assert_eq!(copy.state()["num_batches_tracked"].item()?, 0.0, "the copy is frozen too");
    bn.set_switch("frozen", false);
    bn.forward(&[randn(&[3, 2, 2, 2])])?;
    assert_eq!(bn.state()["num_batches_tracked"].item()?, 1.0);
    Ok(())
}

#[test]
fn groups_refuse_what_cannot_be() {
    let (a, b) = (Module::group(), Module::group());
    a.set_child("b", b.clone()).unwrap();
    assert!(b.set_child("a", a.clone()).is_err(), "a cycle");
    assert!(a.set_child("a", a.clone()).is_err(), "itself");
    assert!(a.set_child("x.y", Module::group()).is_err(), "a dot");
    let y = Tensor::ones(&[2], DType::Float, Device::Cpu).unwrap().requires_grad_(true).unwrap().mul(2.0).unwrap();
    assert!(a.set_param("y", y, false).is_err(), "not a leaf");
    let linear = Linear::module(2, 2, true, LinearInit::Torch).unwrap();
    assert!(linear.set_child("z", Module::group()).is_err(), "not a group");
    assert!(linear.model::<Linear>().is_some() && linear.model::<Conv2d>().is_none());
    assert_eq!(a.forward(&[]).unwrap_err().code(), "E0202");
    assert_eq!(linear.forward(&[]).unwrap_err().code(), "E0202");
}

#[test]
fn replacing_a_part_keeps_one_of_each_name() -> Result<()> {
    let g = group();
    g.set_child("scale", Linear::module(2, 2, false, LinearInit::Zeros)?)?;
    assert_eq!(names(&g), ["table", "body.weight", "body.bias", "scale.weight"]);
    g.set_attribute("body", Rc::new(5i64))?;
    assert_eq!(names(&g), ["table", "scale.weight"]);
    assert_eq!(g.deep_copy()?.attribute::<i64>("body").as_deref(), Some(&5));
    Ok(())
}
