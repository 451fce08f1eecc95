//! SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner, as nikhilvyas/SOAP writes it.

use super::algorithm::{Algorithm, Kept, Ready, Step};
use super::soap_basis::{DataFormat, Layout, eigenbasis, outer, refined};
use super::{Optimizer, ParamGroups, Rates};
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};

/// The settings of [`soap`], with the published names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoapOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Decay of the preconditioner; below 0 it is the second of `betas`.
    pub shampoo_beta: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// After each step the weights lose `lr * weight_decay` of themselves.
    pub weight_decay: f64,
    /// Steps between two updates of the eigenbasis.
    pub precondition_frequency: i64,
    /// Dimensions that are larger have no preconditioner.
    pub max_precond_dim: i64,
    /// Whether neighbouring dimensions are taken together as long as they fit into `max_precond_dim`.
    pub merge_dims: bool,
    /// Whether vectors have a preconditioner.
    pub precondition_1d: bool,
    /// Whether each step is scaled to a mean square of 1.
    pub normalize_grads: bool,
    /// Where kernels of convolutions have their channels, while dimensions are merged.
    pub data_format: DataFormat,
    /// Whether the averages are corrected for their beginning at 0.
    pub correct_bias: bool,
}

impl Default for SoapOptions {
    fn default() -> Self {
        SoapOptions {
            lr: 3e-3,
            betas: (0.95, 0.95),
            shampoo_beta: -1.0,
            eps: 1e-8,
            weight_decay: 0.01,
            precondition_frequency: 10,
            max_precond_dim: 10_000,
            merge_dims: false,
            precondition_1d: false,
            normalize_grads: false,
            data_format: DataFormat::ChannelsFirst,
            correct_bias: true,
        }
    }
}

/// SOAP of named parameters, in one group or several. The first step only begins the preconditioner and changes no weight. Its state is
/// `<name>.exp_avg` and `<name>.exp_avg_sq`, both in the eigenbasis, `<name>.step`, and for each preconditioned dimension `i` `<name>.GG.<i>`, the
/// statistics, and `<name>.Q.<i>`, their eigenvectors.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn soap(params: impl Into<ParamGroups>, options: SoapOptions) -> Result<Optimizer> {
    let o = options;
    if o.precondition_frequency < 1 || o.max_precond_dim < 1 {
        let got = (o.precondition_frequency, o.max_precond_dim);
        return Err(Error::value("soap", format!("`precondition_frequency` and `max_precond_dim` must be at least 1, got {got:?}")));
    }
    if o.eps.is_nan() || o.eps < 0.0 || o.shampoo_beta.is_nan() || o.shampoo_beta > 1.0 {
        let got = (o.eps, o.shampoo_beta);
        return Err(Error::value("soap", format!("`eps` must not be negative and `shampoo_beta` at most 1, got {got:?}")));
    }
    Optimizer::new(params, Rates { lr: o.lr, weight_decay: o.weight_decay, betas: Some(o.betas) }, Soap(o))
}

const EXP_AVG: usize = 0;
const EXP_AVG_SQ: usize = 1;
const STEP: usize = 2;
/// The first of the statistics; eigenvectors follow.
const MATRICES: usize = 3;

struct Soap(SoapOptions);

impl Soap {
    fn layout(&self, param: &Tensor) -> Layout {
        let o = &self.0;
        Layout::new(&param.shape(), o.max_precond_dim, o.precondition_1d, o.merge_dims.then_some(o.data_format))
    }

    fn one(&self, r: &Ready, rates: Rates) -> Result<()> {
        let o = &self.0;
        let (beta1, beta2) = rates.betas.unwrap_or(o.betas);
        let shampoo_beta = if o.shampoo_beta >= 0.0 { o.shampoo_beta } else { beta2 };
        let layout = self.layout(&r.param);
        let n = layout.preconditioned().count();
        let (statistics, bases) = (&r.state[MATRICES..MATRICES + n], &r.state[MATRICES + n..MATRICES + 2 * n]);
        let wide = |t: &Tensor| if t.dtype() == DType::Double { Ok(t.clone()) } else { t.to_dtype(DType::Float) };
        let grad = wide(&r.grad)?;
        let observe = || -> Result<()> {
            for (dim, kept) in layout.preconditioned().zip(statistics) {
                kept.lerp_(&outer(&layout.merged(&grad)?, dim)?, 1.0 - shampoo_beta)?;
            }
            Ok(())
        };
        if r.is_first {
            observe()?;
            for (kept, basis) in statistics.iter().zip(bases) {
                basis.copy_(&eigenbasis(kept)?)?;
            }
            // This was no step yet.
            return r.state[STEP].zero_().map(drop);
        }
        let count = r.state[STEP].item()?;
        let projected = layout.project(&grad, bases)?;
        let exp_avg = wide(&r.state[EXP_AVG])?.mul(beta1)?.add(&projected.mul(1.0 - beta1)?)?;
        let exp_avg_sq = wide(&r.state[EXP_AVG_SQ])?.mul(beta2)?.add(&projected.square()?.mul(1.0 - beta2)?)?;
        let mut size = rates.lr;
        if o.correct_bias {
            size *= (1.0 - beta2.powf(count)).sqrt() / (1.0 - beta1.powf(count));
        }
        let mut step = layout.project_back(&exp_avg.div(&exp_avg_sq.sqrt()?.add(o.eps)?)?, bases)?;
        if o.normalize_grads {
            step = step.div(&step.square()?.mean(&[], false)?.sqrt()?.add(1e-30)?)?;
        }
        let param = wide(&r.param)?.add(&step.mul(-size)?)?;
        r.param.copy_(&if rates.weight_decay > 0.0 { param.add(&param.mul(-rates.lr * rates.weight_decay)?)? } else { param })?;
        // Only now: a step never uses its own gradient in the basis.
        let back = layout.project_back(&exp_avg, bases)?;
        observe()?;
        let mut exp_avg_sq = layout.merged(&exp_avg_sq)?;
        if count % o.precondition_frequency as f64 == 0.0 {
            for (dim, (kept, basis)) in layout.preconditioned().zip(statistics.iter().zip(bases)) {
                let (order, better) = refined(kept, basis)?;
                exp_avg_sq = exp_avg_sq.index_select(dim, &order)?;
                basis.copy_(&better)?;
            }
        }
        r.state[EXP_AVG_SQ].copy_(&layout.split(&exp_avg_sq)?)?;
        r.state[EXP_AVG].copy_(&layout.project(&back, bases)?).map(drop)
    }
}

impl Algorithm for Soap {
    fn kind(&self) -> &'static str {
        "soap"
    }

    fn state(&self, param: &Tensor) -> Vec<Kept> {
        let layout = self.layout(param);
        let square = |name: &str| layout.preconditioned().map(|d| Kept::Square(format!("{name}.{d}"), layout.size(d))).collect::<Vec<Kept>>();
        let mut kept = vec![Kept::Like("exp_avg"), Kept::Like("exp_avg_sq"), Kept::HostCount("step")];
        kept.extend(square("GG"));
        kept.extend(square("Q"));
        kept
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        ready.iter().filter(|r| r.param.numel() > 0).try_for_each(|r| self.one(r, step.rates))
    }
}
