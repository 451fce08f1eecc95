//! Activation checkpointing: what a function computed is thrown away, and computed again in the backward pass (Chen et al. 2016, arXiv 1604.06174).

use super::bridge::{self, GradOptions, recompute};
use super::{Device, Tensor, default_device, draws};
use crate::error::Result;

/// What decides what a function computes beside its inputs.
struct Moment {
    generators: Vec<(Device, Tensor)>,
    mixed: bridge::Mixed,
}

impl Moment {
    fn now() -> Result<Moment> {
        let device = default_device();
        let all = if device.is_cuda() { vec![Device::Cpu, device] } else { vec![Device::Cpu] };
        let generators = all.into_iter().map(|d| Ok((d, bridge::rng_state(d)?))).collect::<Result<_>>()?;
        Ok(Moment { generators, mixed: bridge::Mixed::now(device)? })
    }

    /// Runs `f` as it would have run then. The random generators go on from where they are now.
    fn again<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let now = self.generators.iter().map(|(d, _)| Ok((*d, bridge::rng_state(*d)?))).collect::<Result<Vec<_>>>()?;
        let set = |all: &[(Device, Tensor)]| all.iter().try_for_each(|(d, state)| bridge::set_rng_state(*d, state));
        set(&self.generators)?;
        let result = self.mixed.enter().and_then(|_mixed| f());
        set(&now)?;
        result
    }
}

/// A copy that shares the data, and records gradients of its own where the original does.
fn apart(t: &Tensor) -> Result<Tensor> {
    let own = t.detach()?;
    if t.requires_grad() { own.requires_grad_(true) } else { Ok(own) }
}

/// What `run` gives for `inputs`, without keeping what it computed in between: that is computed again, with the same random numbers and the same
/// mixed precision, when gradients are asked for. `run` must be a function of its inputs and of parameters; tensors that were computed
/// elsewhere must be among the inputs.
///
/// # Errors
/// What `run` returns.
pub fn checkpoint(inputs: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + 'static) -> Result<Vec<Tensor>> {
    if !recompute::records() {
        return run(inputs);
    }
    let moment = Moment::now()?;
    let own = inputs.iter().map(apart).collect::<Result<Vec<_>>>()?;
    // Inside a replay of recorded draws and the like, the draws themselves are kept: no generator makes them again.
    let (outputs, kept) = if draws::framed() {
        let (outputs, kept) = draws::record(|| run(&own))?;
        (outputs, Some(kept))
    } else {
        (run(&own)?, None)
    };
    let recorded: Vec<usize> = (0..outputs.len()).filter(|i| outputs[*i].requires_grad()).collect();
    if recorded.is_empty() {
        return Ok(outputs);
    }
    let with_history: Vec<Tensor> = recorded.iter().map(|i| outputs[*i].clone()).collect();
    let leaves: Vec<Tensor> = recompute::leaves(&with_history, &own)?;
    let wanted: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].requires_grad()).collect();
    let edges: Vec<Tensor> = wanted.iter().map(|i| inputs[*i].clone()).chain(leaves.iter().cloned()).collect();
    let apart_outputs = outputs.iter().map(Tensor::detach).collect::<Result<Vec<_>>>()?;
    let attached: Vec<Tensor> = recorded.iter().map(|i| apart_outputs[*i].clone()).collect();
    drop((outputs, with_history, own));

    let originals = inputs.to_vec();
    let gradients = move |grads: &[Option<Tensor>]| -> Result<Vec<Option<Tensor>>> {
        // Gradients of gradients reach the inputs through the graph that they have.
        let create_graph = recompute::records();
        let again = if create_graph { originals.clone() } else { originals.iter().map(apart).collect::<Result<Vec<_>>>()? };
        let outputs = moment.again(|| {
            recompute::recording(|| match &kept {
                Some(draws) => draws::replay(draws.clone(), || run(&again)),
                None => run(&again),
            })
        })?;
        let (mut from, mut weights) = (Vec::new(), Vec::new());
        for (place, grad) in recorded.iter().zip(grads) {
            if let (Some(grad), Some(output)) = (grad, outputs.get(*place))
                && output.requires_grad()
            {
                from.push(output.clone());
                weights.push(Some(grad.clone()));
            }
        }
        let to: Vec<Tensor> = wanted.iter().map(|i| again[*i].clone()).chain(leaves.iter().cloned()).collect();
        if from.is_empty() || to.is_empty() {
            return Ok(vec![None; to.len()]);
        }
        let options = GradOptions { grad_outputs: Some(weights), retain_graph: None, create_graph, allow_unused: true };
        bridge::grad(&from, &to, &options)
    };
    recompute::attach(&edges, &attached, Box::new(gradients))?;
    Ok(apart_outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::DType;
    use crate::torch::bridge::manual_seed;
    use crate::torch::no_grad;

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
        let y = if checkpointed { checkpoint(&[x.clone()], twice) } else { one(&one(&[x.clone()]).unwrap()) }.unwrap().remove(0);
        let loss = y.mul(&y).unwrap().mean(&[], false).unwrap();
        loss.backward().unwrap();
        // The generators stand where they would have stood.
        let next = Tensor::randn(&[1], DType::Double, Device::Cpu).unwrap();
        let of = |t: &Tensor| t.grad().unwrap().unwrap().to_vec_f64().unwrap();
        (of(&w), of(&x), next.to_vec_f64().unwrap())
    }

    #[test]
    fn gradients_are_bit_equal() {
        let plain = gradients(false, false);
        assert_eq!(plain, gradients(true, false));
        assert_eq!(plain, gradients(true, true));
    }

    #[test]
    fn gradients_of_gradients_go_through() {
        let second = |checkpointed: bool| {
            let (w, x) = weights();
            let held = w.clone();
            let run = move |t: &[Tensor]| Ok(vec![t[0].matmul(&held)?.tanh()?]);
            let y = if checkpointed { checkpoint(&[x.clone()], run) } else { run(&[x.clone()]) }.unwrap().remove(0);
            let y = y.mul(&y).unwrap().sum(&[], false).unwrap();
            let options = GradOptions { create_graph: true, ..GradOptions::default() };
            let g = bridge::grad(&[y], &[x.clone()], &options).unwrap().remove(0).unwrap();
            g.mul(&g).unwrap().sum(&[], false).unwrap().backward().unwrap();
            w.grad().unwrap().unwrap().to_vec_f64().unwrap()
        };
        // Summed in another order.
        let near = second(false).iter().zip(second(true)).all(|(a, b)| (a - b).abs() < 1e-12 * a.abs().max(1.0));
        assert!(near, "{:?} and {:?}", second(false), second(true));
    }

    #[test]
    fn what_goes_wrong_again_is_told() {
        let (w, x) = weights();
        let count = std::cell::Cell::new(0);
        let run = move |t: &[Tensor]| {
            count.set(count.get() + 1);
            if count.get() > 1 { Err(crate::error::Error::value("block", "it fails the second time")) } else { block(&w, &t[0]).map(|y| vec![y]) }
        };
        let y = checkpoint(&[x], run).unwrap().remove(0);
        let e = y.mean(&[], false).unwrap().backward().unwrap_err();
        assert_eq!(e.to_string(), "block: it fails the second time");
    }

    #[test]
    fn without_gradients_nothing_is_kept() {
        let (w, x) = weights();
        let y = no_grad(|| checkpoint(&[x], move |t| Ok(vec![block(&w, &t[0])?]))).unwrap();
        assert!(!y[0].requires_grad());
    }
}
