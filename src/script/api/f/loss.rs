//! `F::`, losses, with PyTorch's options and defaults.

use crate::error::{Error, Result};
use crate::script::lang::value::FromArg;
use crate::torch::Tensor;
use crate::torch::bridge::{Value, call1};
use crate::{api, choices};

api! {
    namespace "F";

    /// Mean of `(x - target)^2`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::mse_loss(torch::tensor([1.0, 3.0]), torch::zeros([2])).item(), 5.0);
    /// ```
    fn mse_loss(x: Tensor, target: Tensor;
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        same_shape("mse_loss", &x, &target)?;
        call1("mse_loss", &[(&x).into(), (&target).into(), reduction.code()], &[])
    }

    /// Mean of `|x - target|`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::l1_loss(torch::tensor([1.0, -3.0]), torch::zeros([2])).item(), 2.0);
    /// ```
    fn l1_loss(x: Tensor, target: Tensor;
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        same_shape("l1_loss", &x, &target)?;
        call1("l1_loss", &[(&x).into(), (&target).into(), reduction.code()], &[])
    }

    /// Mean of `x^2 / 2` below `delta` and `delta (|x| - delta / 2)` above, of the difference.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::huber_loss(torch::tensor([3.0]), torch::zeros([1])).item(), 2.5);
    /// ```
    fn huber_loss(x: Tensor, target: Tensor;
        /// where squares end
        delta: f64 = 1.0,
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        same_shape("huber_loss", &x, &target)?;
        call1("huber_loss", &[(&x).into(), (&target).into(), reduction.code(), delta.into()], &[])
    }

    /// Mean of `x^2 / (2 beta)` below `beta` and `|x| - beta / 2` above, of the difference.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::smooth_l1_loss(torch::tensor([3.0]), torch::zeros([1])).item(), 2.5);
    /// ```
    fn smooth_l1_loss(x: Tensor, target: Tensor;
        /// where the slope is 1
        beta: f64 = 1.0,
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        same_shape("smooth_l1_loss", &x, &target)?;
        call1("smooth_l1_loss", &[(&x).into(), (&target).into(), reduction.code(), beta.into()], &[])
    }

    /// Cross entropy of logits with classes or probabilities.
    ///
    /// # Shapes
    /// - `x`: `[B, C, ..]`; `target`: i64 `[B, ..]` or `[B, C, ..]` probabilities -> `[]`
    /// # Errors
    /// `E0201` for a class outside the logits or another dtype.
    /// # Example
    /// ```rhai
    /// assert_close(F::cross_entropy(torch::zeros([2, 4]), torch::tensor([0, 3])).item(), 1.3862944, #{rtol: 1e-6});
    /// ```
    fn cross_entropy(x: Tensor, target: Tensor;
        /// weight of each class
        weight: Option<Tensor>,
        /// the class that does not count
        ignore_index: i64 = -100,
        /// part of the target that is spread over all classes
        label_smoothing: f64 = 0.0,
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        call1("cross_entropy_loss", &[(&x).into(), (&target).into(), weight.into(), reduction.code(), ignore_index.into(), label_smoothing.into()], &[])
    }

    /// Minus the log-probability of each class.
    ///
    /// # Shapes
    /// - `x`: `[B, C, ..]` log-probabilities, `target`: i64 `[B, ..]` -> `[]`
    /// # Errors
    /// `E0201` for a class outside the probabilities.
    /// # Example
    /// ```rhai
    /// let p = torch::zeros([2, 4]).log_softmax(1);
    /// assert_close(F::nll_loss(p, torch::tensor([0, 3])).item(), 1.3862944, #{rtol: 1e-6});
    /// ```
    fn nll_loss(x: Tensor, target: Tensor;
        /// weight of each class
        weight: Option<Tensor>,
        /// the class that does not count
        ignore_index: i64 = -100,
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        call1("nll_loss_nd", &[(&x).into(), (&target).into(), weight.into(), reduction.code(), ignore_index.into()], &[])
    }

    /// Binary cross entropy of logits with targets in `[0, 1]`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_close(F::bce_with_logits(torch::zeros([2]), torch::ones([2])).item(), 0.6931472, #{rtol: 1e-6});
    /// ```
    fn bce_with_logits(x: Tensor, target: Tensor;
        /// weight of each element
        weight: Option<Tensor>,
        /// weight of the positive targets
        pos_weight: Option<Tensor>,
        /// what the values become
        reduction: Reduction = Reduction::Mean,
    ) -> Tensor {
        same_shape("bce_with_logits", &x, &target)?;
        call1("binary_cross_entropy_with_logits", &[(&x).into(), (&target).into(), weight.into(), pos_weight.into(), reduction.code()], &[])
    }

    /// `target * (log(target) - x)` for log-probabilities `x`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let p = torch::tensor([[0.5, 0.5]]);
    /// assert_close(F::kl_div(p.log(), p, #{reduction: "batchmean"}).item(), 0.0, #{atol: 1e-7});
    /// ```
    fn kl_div(x: Tensor, target: Tensor;
        /// `mean` over all elements as in PyTorch, `batchmean` for the divergence itself, `sum` or `none`
        reduction: String["mean", "batchmean", "sum", "none"] = "mean".into(),
        /// whether the target is a logarithm as well
        log_target: bool = false,
    ) -> Tensor {
        let each = Reduction::from_dynamic(&reduction.clone().into()).unwrap_or(Reduction::Sum);
        let sum = call1("kl_div", &[(&x).into(), (&target).into(), each.code()], &[("log_target", log_target.into())])?;
        if reduction == "batchmean" { sum.div(x.size(0)?.max(1)) } else { Ok(sum) }
    }

    /// Cosine of the angle between vectors along `dim`.
    ///
    /// # Shapes
    /// - shapes broadcast -> without `dim`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_close(F::cosine_similarity(torch::ones([1, 3]), torch::ones([1, 3])).item(), 1.0);
    /// ```
    fn cosine_similarity(x: Tensor, other: Tensor;
        /// along which dimension
        dim: i64 = 1,
        /// added to the denominator, against division by zero
        eps: f64 = 1e-8,
    ) -> Tensor {
        x.cosine_similarity(&other, dim, eps)
    }
}

/// What becomes of the values of a loss.
#[derive(Clone, Copy)]
enum Reduction {
    None,
    Mean,
    Sum,
}
choices! { Reduction { Mean = "mean", Sum = "sum", None = "none" } }

impl Reduction {
    /// libtorch's number for it.
    fn code(self) -> Value {
        Value::Int(self as i64)
    }
}

fn same_shape(op: &str, x: &Tensor, target: &Tensor) -> Result<()> {
    if x.shape() == target.shape() {
        return Ok(());
    }
    let message = format!("input {} and target {} differ in shape", x.describe(), target.describe());
    Err(Error::value(op, message).help("reshape or expand one of them: broadcasting would compare every element with every other"))
}
