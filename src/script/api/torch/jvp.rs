//! `torch::jvp` and `torch::checkpoint`: functions differentiated forwards, and computed again backwards.

use crate::api;
use crate::error::{Error, Result};
use crate::script::bind::with_caller;
use crate::script::lang::value::{FromArg, IntoScript, type_name};
use crate::script::units::callback;
use crate::torch::bridge::Level;
use crate::torch::{self, Tensor};
use rhai::{Array, Dynamic, FnPtr, Map};

/// Tensors, some of which may be missing.
struct Tangents(Vec<Option<Tensor>>);

impl FromArg for Tangents {
    const NAME: &'static str = "an array of tensors and ()";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let one = |d: &Dynamic| if d.is_unit() { Some(None) } else { Tensor::from_dynamic(d).map(Some) };
        d.read_lock::<Array>()?.iter().map(one).collect::<Option<_>>().map(Tangents)
    }
}

/// Values that a function took or gave, with the tensors in them, in order, replaced by what `change` makes of them.
///
/// # Errors
/// What `change` returns.
fn each(value: &Dynamic, change: &mut dyn FnMut(&Tensor) -> Result<Dynamic>) -> Result<Dynamic> {
    if let Some(t) = Tensor::from_dynamic(value) {
        return change(&t);
    }
    if let Some(list) = value.read_lock::<Array>() {
        return Ok(list.iter().map(|v| each(v, change)).collect::<Result<Array>>()?.into());
    }
    if let Some(map) = value.read_lock::<Map>() {
        return Ok(map.iter().map(|(k, v)| Ok((k.clone(), each(v, change)?))).collect::<Result<Map>>()?.into());
    }
    Ok(value.flatten_clone())
}

/// The tensors in a value, in order.
fn tensors(value: &Dynamic) -> Result<Vec<Tensor>> {
    let mut found = Vec::new();
    let walked = each(value, &mut |t| {
        found.push(t.clone());
        Ok(Dynamic::UNIT)
    });
    walked.map(|_| found)
}

/// The value with its tensors replaced, in order.
fn with(value: &Dynamic, tensors: &[Tensor]) -> Result<Dynamic> {
    let mut rest = tensors.iter();
    let changed = || Error::value("checkpoint", "the function gave another number of tensors when it was called again");
    each(value, &mut |_| rest.next().map(|t| t.clone().into_script()).ok_or_else(changed))
}

api! {
    namespace "torch";

    /// A function's value at `inputs` and its derivative there in the direction of `tangents`, in one pass forwards: `torch.func.jvp`. Gradients of
    /// both can be taken afterwards. The function takes the inputs and gives a tensor or an array of tensors. `()` stands for a tangent of zero, and
    /// is the only one of an integer tensor. Attention runs without its fused kernels in here.
    ///
    /// # Shapes
    /// - tangents of the shape and dtype of their inputs -> `#{output, tangent}` of the shape that the function gives
    /// # Errors
    /// `E0201` for an operator without forward derivative, which is named, for a tangent of another shape, and inside another jvp; `E0202` for
    /// another number of tangents; whatever the function throws.
    /// # Example
    /// ```rhai
    /// let r = torch::jvp(|x| x * x * x, [torch::tensor([2.0])], [torch::tensor([1.0])]);
    /// assert_eq([r.output.item(), r.tangent.item()], [8.0, 12.0]);
    /// ```
    fn jvp[cx](f: FnPtr, inputs: Vec<Tensor>, tangents: Tangents) -> Map {
        if inputs.len() != tangents.0.len() {
            return Err(Error::value("jvp", format!("{} inputs and {} tangents", inputs.len(), tangents.0.len())).help("() for an input without one"));
        }
        let level = Level::open()?;
        let args = inputs.iter().zip(&tangents.0).map(|(x, t)| match t {
            Some(t) if !x.is_float() => Err(Error::value("jvp", format!("{} has no derivative: its tangent is ()", t.describe()))),
            Some(t) => level.dual(x, t).map(IntoScript::into_script),
            None => Ok(x.clone().into_script()),
        });
        let result = cx.call(&f, args.collect::<Result<_>>()?)?;
        let found = tensors(&result)?;
        if found.is_empty() {
            return Err(Error::value("jvp", format!("the function must give tensors, it gave {}", type_name(&result))));
        }
        let (mut primals, mut moved) = (Vec::new(), Vec::new());
        for t in &found {
            let (primal, tangent) = level.parts(t)?;
            moved.push(match tangent {
                Some(t) => t,
                None => Tensor::zeros(&primal.shape(), primal.dtype(), primal.device())?,
            });
            primals.push(primal);
        }
        let parts = [("output", with(&result, &primals)?), ("tangent", with(&result, &moved)?)];
        Ok(parts.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// The value of a function whose inner results are not kept for the backward pass but computed again there, with the same random numbers and
    /// the same mixed precision (activation checkpointing, arXiv 1604.06174): less memory for about a third more time. Gradients are bit-equal.
    /// The tensors that the function takes with it, and those in `args`, are its inputs; it gives a tensor, or an array or a map of them.
    /// What it changes beside that, such as running statistics, it changes twice.
    ///
    /// # Shapes
    /// - as the function says
    /// # Errors
    /// Whatever the function throws, in either pass; `E0202` when it gives other tensors the second time.
    /// # Example
    /// ```rhai
    /// let block = nn::mlp(4, 16);
    /// let x = torch::randn([2, 4]).requires_grad_();
    /// torch::checkpoint(|| block.forward(x)).sum().backward();
    /// let again = x.grad.clone();
    /// x.zero_grad();
    /// block.forward(x).sum().backward();
    /// assert_eq(x.grad.to_array(), again.to_array());
    /// ```
    fn checkpoint[cx](f: FnPtr, args: Option<Array>) -> Dynamic {
        let args: Dynamic = args.unwrap_or_default().into();
        // What the function took with it is what it is now: variables that it shares with others may change until the backward pass.
        let taken: Dynamic = callback::taken(&f, &*cx.program()?).into();
        let given = tensors(&taken)?.len();
        let inputs: Vec<Tensor> = tensors(&taken)?.into_iter().chain(tensors(&args)?).collect();
        let shape = std::rc::Rc::new(std::cell::RefCell::new(Dynamic::UNIT));
        let told = std::rc::Rc::downgrade(&shape);
        let run = move |inputs: &[Tensor]| {
            let list = |v: Dynamic| v.into_array().unwrap_or_default();
            let (taken, args) = (list(with(&taken, &inputs[..given])?), list(with(&args, &inputs[given..])?));
            with_caller(|cx| {
                let result = cx.call(&callback::taking(&f, taken, &*cx.program()?), args)?;
                let found = tensors(&result)?;
                // The second time the result is not asked for, and would keep what it was computed from.
                if let Some(told) = told.upgrade() {
                    *told.borrow_mut() = result;
                }
                Ok(found)
            })
        };
        let outputs = torch::checkpoint(&inputs, run)?;
        let result = std::mem::take(&mut *shape.borrow_mut());
        with(&result, &outputs)
    }
}
