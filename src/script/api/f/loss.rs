//! `F::`, losses, with PyTorch's options and defaults.

use crate::api;
use crate::error::{Error, Result, did_you_mean};
use crate::script::lang::value::Kw;
use crate::torch::Tensor;
use crate::torch::bridge::{Value, call1};

api! {
    namespace "F";

    /// Mean of `(x - target)^2`. Options: `reduction` (`mean`, `sum`, `none`).
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::mse_loss(torch::tensor([1.0, 3.0]), torch::zeros([2])).item(), 5.0);
    /// ```
    fn mse_loss(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("mse_loss", &mut opts)?;
        opts.done()?;
        same_shape("mse_loss", &x, &target)?;
        call1("mse_loss", &[(&x).into(), (&target).into(), reduction], &[])
    }

    /// Mean of `|x - target|`. Options: `reduction` (`mean`, `sum`, `none`).
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::l1_loss(torch::tensor([1.0, -3.0]), torch::zeros([2])).item(), 2.0);
    /// ```
    fn l1_loss(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("l1_loss", &mut opts)?;
        opts.done()?;
        same_shape("l1_loss", &x, &target)?;
        call1("l1_loss", &[(&x).into(), (&target).into(), reduction], &[])
    }

    /// Mean of `x^2 / 2` below `delta` and `delta (|x| - delta / 2)` above, of the difference. Options: `delta` (1), `reduction`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::huber_loss(torch::tensor([3.0]), torch::zeros([1])).item(), 2.5);
    /// ```
    fn huber_loss(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("huber_loss", &mut opts)?;
        let delta = opts.get("delta", 1.0)?;
        opts.done()?;
        same_shape("huber_loss", &x, &target)?;
        call1("huber_loss", &[(&x).into(), (&target).into(), reduction, delta.into()], &[])
    }

    /// Mean of `x^2 / (2 beta)` below `beta` and `|x| - beta / 2` above, of the difference. Options: `beta` (1), `reduction`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_eq(F::smooth_l1_loss(torch::tensor([3.0]), torch::zeros([1])).item(), 2.5);
    /// ```
    fn smooth_l1_loss(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("smooth_l1_loss", &mut opts)?;
        let beta = opts.get("beta", 1.0)?;
        opts.done()?;
        same_shape("smooth_l1_loss", &x, &target)?;
        call1("smooth_l1_loss", &[(&x).into(), (&target).into(), reduction, beta.into()], &[])
    }

    /// Cross entropy of logits with classes or probabilities. Options: `weight` `[C]`, `ignore_index` (-100), `label_smoothing` (0), `reduction`.
    ///
    /// # Shapes
    /// - `x`: `[B, C, ..]`; `target`: i64 `[B, ..]` or `[B, C, ..]` probabilities -> `[]`
    /// # Errors
    /// `E0201` for a class outside the logits or another dtype.
    /// # Example
    /// ```rhai
    /// assert_close(F::cross_entropy(torch::zeros([2, 4]), torch::tensor([0, 3])).item(), 1.3862944, #{rtol: 1e-6});
    /// ```
    fn cross_entropy(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("cross_entropy", &mut opts)?;
        let weight: Option<Tensor> = opts.opt("weight")?;
        let (ignore, smoothing) = (opts.get("ignore_index", -100)?, opts.get("label_smoothing", 0.0)?);
        opts.done()?;
        call1("cross_entropy_loss", &[(&x).into(), (&target).into(), weight.into(), reduction, ignore.into(), smoothing.into()], &[])
    }

    /// Minus the log-probability of each class. Options: `weight` `[C]`, `ignore_index` (-100), `reduction`.
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
    fn nll_loss(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("nll_loss", &mut opts)?;
        let weight: Option<Tensor> = opts.opt("weight")?;
        let ignore = opts.get("ignore_index", -100)?;
        opts.done()?;
        call1("nll_loss_nd", &[(&x).into(), (&target).into(), weight.into(), reduction, ignore.into()], &[])
    }

    /// Binary cross entropy of logits with targets in `[0, 1]`. Options: `weight`, `pos_weight`, `reduction`.
    ///
    /// # Shapes
    /// - equal shapes -> `[]`, or with `reduction: "none"` the same shape
    /// # Errors
    /// `E0202` when the shapes differ: broadcasting in a loss is nearly always a mistake.
    /// # Example
    /// ```rhai
    /// assert_close(F::bce_with_logits(torch::zeros([2]), torch::ones([2])).item(), 0.6931472, #{rtol: 1e-6});
    /// ```
    fn bce_with_logits(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let reduction = reduction("bce_with_logits", &mut opts)?;
        let (weight, pos_weight): (Option<Tensor>, Option<Tensor>) = (opts.opt("weight")?, opts.opt("pos_weight")?);
        opts.done()?;
        same_shape("bce_with_logits", &x, &target)?;
        call1("binary_cross_entropy_with_logits", &[(&x).into(), (&target).into(), weight.into(), pos_weight.into(), reduction], &[])
    }

    /// `target * (log(target) - x)` for log-probabilities `x`. Options: `reduction` (`mean` over all elements as in PyTorch, `batchmean` for the
    /// divergence itself, `sum`, `none`), `log_target` (false).
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
    fn kl_div(x: Tensor, target: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let log_target = opts.get("log_target", false)?;
        let name: String = opts.get("reduction", "mean".to_owned())?;
        opts.done()?;
        let args = |reduction| [(&x).into(), (&target).into(), reduction];
        let log_target = [("log_target", log_target.into())];
        if name == "batchmean" {
            return call1("kl_div", &args(code("kl_div", "sum")?), &log_target)?.div(x.size(0)?.max(1));
        }
        call1("kl_div", &args(code("kl_div", &name)?), &log_target)
    }

    /// Cosine of the angle between vectors along `dim`. Options: `dim` (1), `eps` (1e-8).
    ///
    /// # Shapes
    /// - shapes broadcast -> without `dim`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_close(F::cosine_similarity(torch::ones([1, 3]), torch::ones([1, 3])).item(), 1.0);
    /// ```
    fn cosine_similarity(x: Tensor, other: Tensor, opts: Kw) -> Tensor {
        let mut opts = opts;
        let (dim, eps) = (opts.get("dim", 1)?, opts.get("eps", 1e-8)?);
        opts.done()?;
        x.cosine_similarity(&other, dim, eps)
    }
}

/// The option `reduction`, `mean` unless given.
fn reduction(op: &str, opts: &mut Kw) -> Result<Value> {
    code(op, &opts.get("reduction", "mean".to_owned())?)
}

/// libtorch's number for a reduction.
fn code(op: &str, name: &str) -> Result<Value> {
    const NAMES: [&str; 3] = ["none", "mean", "sum"];
    let at = NAMES.iter().position(|n| *n == name).ok_or_else(|| {
        let near = did_you_mean(name, NAMES);
        Error::value(op, format!("unknown reduction `{name}`{near}")).help("`mean`, `sum` or `none`")
    })?;
    Ok(Value::Int(at as i64))
}

fn same_shape(op: &str, x: &Tensor, target: &Tensor) -> Result<()> {
    if x.shape() == target.shape() {
        return Ok(());
    }
    let message = format!("input {} and target {} differ in shape", x.describe(), target.describe());
    Err(Error::value(op, message).help("reshape or expand one of them: broadcasting would compare every element with every other"))
}
