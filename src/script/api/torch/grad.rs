//! `torch::grad`: gradients with respect to chosen tensors.

use crate::api;
use crate::script::lang::value::{FromArg, IntoScript};
use crate::torch::Tensor;
use crate::torch::bridge::{GradOptions, grad};
use rhai::{Array, Dynamic};

/// One tensor or an array of them.
struct Tensors(Vec<Tensor>);

impl FromArg for Tensors {
    const NAME: &'static str = "a tensor or an array of tensors";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        Tensor::from_dynamic(d).map(|t| Tensors(vec![t])).or_else(|| Vec::from_dynamic(d).map(Tensors))
    }
}

/// The gradient of each output; `()` stands for 1.
struct GradOutputs(Vec<Option<Tensor>>);

impl FromArg for GradOutputs {
    const NAME: &'static str = "a tensor or an array of tensors and ()";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let one = |d: &Dynamic| if d.is_unit() { Some(None) } else { Tensor::from_dynamic(d).map(Some) };
        match d.read_lock::<Array>() {
            Some(list) => list.iter().map(one).collect::<Option<_>>().map(GradOutputs),
            None => Tensor::from_dynamic(d).map(|t| GradOutputs(vec![Some(t)])),
        }
    }
}

api! {
    namespace "torch";

    /// Gradients of the sum of `outputs` with respect to each of `inputs` (a tensor or an array of them), as an array: PyTorch's
    /// `torch.autograd.grad`. No `grad` is touched, and only what lies between the two is gone through.
    ///
    /// # Shapes
    /// - one element each, unless `grad_outputs` is given -> the shapes of the inputs
    /// # Errors
    /// `E0201` for an output of several elements without its gradient, for an input that was not recorded or is not used, and for a graph
    /// that is gone.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([2.0]).requires_grad_();
    /// let y = x * x * x;
    /// let first = torch::grad(y, x, #{ create_graph: true })[0];
    /// assert_eq(first.item(), 12.0);
    /// assert_eq(torch::grad(first, x)[0].item(), 12.0);
    /// assert_eq(type_of(x.grad), "()");
    /// ```
    fn gradients as "grad"(outputs: Tensors, inputs: Tensors;
        /// the gradient of each output of more than one element, as `backward(gradient)` takes it
        grad_outputs: Option<GradOutputs>,
        /// whether another pass through the same graph is possible; as `create_graph` unless given
        retain_graph: Option<bool>,
        /// whether the gradients themselves are recorded
        create_graph: bool = false,
        /// `()` for an input that the outputs do not depend on, which is an error otherwise
        allow_unused: bool = false,
    ) -> Array {
        let o = GradOptions { grad_outputs: grad_outputs.map(|g| g.0), retain_graph, create_graph, allow_unused };
        Ok(grad(&outputs.0, &inputs.0, &o)?.into_iter().map(|g| g.map_or(Dynamic::UNIT, IntoScript::into_script)).collect())
    }
}
