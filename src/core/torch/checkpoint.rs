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
