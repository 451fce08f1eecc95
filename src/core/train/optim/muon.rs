//! Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>): orthogonalized momentum for matrices, AdamW for the rest. As
//! `torch.optim.Muon`, and as the variant of Dao-AILab/gram-newton-schulz that diffusion-bench trains with.

use super::adamw::AdamW;
use super::algorithm::{Algorithm, Kept, Ready, Step};
use super::newton_schulz::{NewtonSchulz, Quintic, best_restarts, polar_express};
use super::{AdamWOptions, Optimizer, ParamGroup, ParamGroups, Rates, foreach};
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};

/// The settings of [`muon`], with `torch.optim.Muon`'s names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonOptions {
    /// Learning rate of the matrices.
    pub lr: f64,
    /// Each step first multiplies the weights by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// How much of the averaged gradient each step keeps.
    pub momentum: f64,
    /// Whether the gradient goes into the step once more.
    pub nesterov: bool,
    /// The polynomial that is applied to the singular values.
    pub ns_coefficients: Quintic,
    /// The smallest norm that a matrix is divided by.
    pub eps: f64,
    /// How often the polynomial is applied.
    pub ns_steps: i64,
    /// How the learning rate follows a matrix's size.
    pub adjust_lr_fn: AdjustLr,
}

impl Default for MuonOptions {
    fn default() -> Self {
        MuonOptions {
            lr: 1e-3,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            ns_coefficients: [3.4445, -4.7750, 2.0315],
            eps: 1e-7,
            ns_steps: 5,
            adjust_lr_fn: AdjustLr::Original,
        }
    }
}

/// The settings of [`gmuon`], with gram-newton-schulz's names and defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct GMuonOptions {
    /// Learning rate of the matrices.
    pub lr: f64,
    /// Each step first multiplies the weights by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// How much of the sum of gradients each step keeps.
    pub momentum: f64,
    /// Whether the gradient goes into the step once more.
    pub nesterov: bool,
    /// How the learning rate follows a matrix's size.
    pub adjust_lr: AdjustLr,
    /// The polynomial of each step of the iteration.
    pub ns_coefficients: Coefficients,
    /// Whether the iteration of matrices that are not square goes by their Gram matrix.
    pub ns_algorithm: NsAlgorithm,
    /// Added to the norm that a matrix is divided by.
    pub ns_epsilon: f64,
    /// How often the Gram matrix is computed anew, at the best places.
    pub num_restarts: i64,
    /// Or before which steps.
    pub restart_iterations: Option<Vec<i64>>,
}

impl Default for GMuonOptions {
    fn default() -> Self {
        GMuonOptions {
            lr: 1e-3,
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            adjust_lr: AdjustLr::RmsNorm,
            ns_coefficients: Coefficients(polar_express()),
            ns_algorithm: NsAlgorithm::Gram,
            ns_epsilon: 1e-7,
            num_restarts: 1,
            restart_iterations: None,
        }
    }
}

/// How a learning rate follows the size of a matrix of `R` rows and `C` columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjustLr {
    /// Times `sqrt(max(1, R / C))`.
    Original,
    /// Times `0.2 sqrt(max(R, C))`, so that elements move as under AdamW (arXiv 2502.16982).
    MatchRmsAdamW,
    /// The same, by gram-newton-schulz's name.
    RmsNorm,
    /// Times `sqrt(R / C)` (arXiv 2310.17813).
    SpectralNorm,
    /// As it is.
    Unchanged,
}

impl AdjustLr {
    fn factor(self, rows: i64, columns: i64) -> f64 {
        let (rows, columns) = (rows as f64, columns as f64);
        match self {
            AdjustLr::Original => (rows / columns).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamW | AdjustLr::RmsNorm => 0.2 * rows.max(columns).sqrt(),
            AdjustLr::SpectralNorm => (rows / columns).sqrt(),
            AdjustLr::Unchanged => 1.0,
        }
    }
}

/// The polynomials of the steps of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficients(pub Vec<Quintic>);

/// Which iteration the GMuon variant orthogonalizes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NsAlgorithm {
    /// On the Gram matrix where a matrix is not square.
    Gram,
    /// On the matrix.
    Standard,
}

/// How what is no matrix is trained: AdamW, whose rates are Muon's where they are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestOptions {
    /// Learning rate.
    pub lr: Option<f64>,
    /// Decay of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: Option<f64>,
    /// Whether the largest average so far takes the place of the average of squares.
    pub amsgrad: bool,
}

impl Default for RestOptions {
    fn default() -> Self {
        let AdamWOptions { betas, eps, amsgrad, .. } = AdamWOptions::default();
        RestOptions { lr: None, betas, eps, weight_decay: None, amsgrad }
    }
}

/// Muon of named matrices, and with `rest` AdamW of all other parameters and of the groups whose `algorithm` is 1. Muon's groups come first, each group's
/// other parameters are a group behind them. Its state is `<name>.momentum_buffer`, and AdamW's.
///
/// # Errors
/// `E0202` when a setting is out of range, for a parameter that is no matrix while there is no `rest`, and as [`Optimizer::new`].
pub fn muon(params: impl Into<ParamGroups>, options: MuonOptions, rest: Option<RestOptions>) -> Result<Optimizer> {
    let o = options;
    check_momentum("muon", o.momentum, o.eps)?;
    if !(0..100).contains(&o.ns_steps) {
        return Err(Error::value("muon", format!("`ns_steps` must be from 0 to 99, got {}", o.ns_steps)));
    }
    let algorithm = Muon {
        kind: "muon",
        buffer: "momentum_buffer",
        is_sum: false,
        momentum: o.momentum,
        nesterov: o.nesterov,
        adjust: o.adjust_lr_fn,
        iteration: NewtonSchulz::Torch { coefficients: o.ns_coefficients, steps: o.ns_steps, eps: o.eps },
    };
    make(params.into(), Rates { lr: o.lr, weight_decay: o.weight_decay, betas: None }, algorithm, rest)
}

/// The same by gram-newton-schulz's arithmetic: momentum is a sum, the iteration Gram Newton-Schulz in f16. Its state is `<name>.momentum`, and AdamW's.
///
/// # Errors
/// As [`muon`], and when no restarts keep the iteration in bounds.
pub fn gmuon(params: impl Into<ParamGroups>, options: GMuonOptions, rest: Option<RestOptions>) -> Result<Optimizer> {
    let o = options;
    check_momentum("gmuon", o.momentum, o.ns_epsilon)?;
    if o.ns_epsilon == 0.0 || o.momentum >= 1.0 {
        return Err(Error::value("gmuon", format!("`ns_epsilon` must be above 0 and `momentum` below 1, got {} and {}", o.ns_epsilon, o.momentum)));
    }
    let coefficients = o.ns_coefficients.0;
    let restarts = match (o.ns_algorithm, o.restart_iterations) {
        (NsAlgorithm::Standard, _) => None,
        (NsAlgorithm::Gram, Some(given)) => Some(given.into_iter().filter_map(|i| usize::try_from(i).ok()).collect()),
        (NsAlgorithm::Gram, None) => Some(best_restarts(&coefficients, usize::try_from(o.num_restarts).unwrap_or(0))?),
    };
    let algorithm = Muon {
        kind: "gmuon",
        buffer: "momentum",
        is_sum: true,
        momentum: o.momentum,
        nesterov: o.nesterov,
        adjust: o.adjust_lr,
        iteration: NewtonSchulz::Gram { coefficients, restarts, eps: o.ns_epsilon },
    };
    make(params.into(), Rates { lr: o.lr, weight_decay: o.weight_decay, betas: None }, algorithm, rest)
}

fn check_momentum(op: &str, momentum: f64, eps: f64) -> Result<()> {
    if momentum >= 0.0 && momentum.is_finite() && eps >= 0.0 {
        return Ok(());
    }
    Err(Error::value(op, format!("`momentum` and the smallest norm must not be negative, got {momentum} and {eps}")))
}

/// Puts matrices into groups of Muon, and the others into groups of AdamW behind them.
fn make(given: ParamGroups, rates: Rates, muon: Muon, rest: Option<RestOptions>) -> Result<Optimizer> {
    let kind = muon.kind;
    let (mut matrices, mut others) = (Vec::new(), Vec::new());
    for group in given.0 {
        let is_whole = group.algorithm != 0;
        let (own, other): (Vec<_>, Vec<_>) = group.params.iter().cloned().partition(|(_, p)| !is_whole && p.rank() == 2);
        if !own.is_empty() {
            matrices.push(ParamGroup { params: own, ..group.clone() });
        }
        let Some((name, p)) = other.first() else { continue };
        let Some(rest) = rest else {
            let message = format!("`{name}` is {:?}: Muon orthogonalizes matrices, `[R, C]`, and nothing else", p.shape());
            return Err(Error::value(kind, message).help("`rest: #{}` trains everything else by AdamW, `rest: #{ lr: 1e-4 }` with rates of its own"));
        };
        // A group that asks for AdamW has its rates for AdamW; otherwise they are Muon's.
        let first = |a: Option<f64>, b: Option<f64>| if is_whole { a.or(b) } else { b.or(a) };
        others.push(ParamGroup {
            lr: first(group.lr, rest.lr),
            weight_decay: first(group.weight_decay, rest.weight_decay),
            betas: Some(group.betas.unwrap_or(rest.betas)),
            params: other,
            algorithm: 1,
        });
    }
    if let Some(group) = matrices.iter().find(|g| g.betas.is_some()) {
        let name = group.params.first().map_or("", |(name, _)| name);
        return Err(Error::value(kind, format!("the group of `{name}` has `betas`, which are AdamW's")).help("give the group `algorithm: \"adamw\"`"));
    }
    if matrices.is_empty() {
        return Err(Error::value(kind, "there is no matrix to train").help("`optim::adamw` trains parameters of any shape"));
    }
    let RestOptions { eps, betas, amsgrad, .. } = rest.unwrap_or_default();
    let mut algorithms: Vec<Box<dyn Algorithm>> = vec![Box::new(muon)];
    if !others.is_empty() {
        algorithms.push(Box::new(AdamW::new(AdamWOptions { betas, eps, amsgrad, ..AdamWOptions::default() })?));
    }
    matrices.extend(others);
    Optimizer::of_several(ParamGroups(matrices), rates, algorithms)
}

struct Muon {
    kind: &'static str,
    buffer: &'static str,
    /// Whether the buffer is a sum of gradients, and not an average.
    is_sum: bool,
    momentum: f64,
    nesterov: bool,
    adjust: AdjustLr,
    iteration: NewtonSchulz,
}

impl Muon {
    /// The buffers moved on, and what is to be orthogonalized.
    fn directions(&self, grads: &[Tensor], buffers: &[Tensor]) -> Result<Vec<Tensor>> {
        if self.is_sum {
            foreach::mul_(buffers, self.momentum)?;
            foreach::add_(buffers, grads, 1.0)?;
            if !self.nesterov {
                return Ok(buffers.to_vec());
            }
            let directions = foreach::mul(buffers, self.momentum)?;
            foreach::add_(&directions, grads, 1.0)?;
            return Ok(directions);
        }
        foreach::lerp_(buffers, grads, 1.0 - self.momentum)?;
        if self.nesterov { foreach::lerp(grads, buffers, self.momentum) } else { Ok(buffers.to_vec()) }
    }
}

impl Algorithm for Muon {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn state(&self, _: &Tensor) -> Vec<Kept> {
        vec![Kept::Like(self.buffer)]
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        let ready: Vec<&Ready> = ready.iter().copied().filter(|r| r.param.numel() > 0).collect();
        let of = |f: fn(&Ready) -> &Tensor| ready.iter().map(|r| f(r).clone()).collect::<Vec<Tensor>>();
        let (params, grads, buffers) = (of(|r| &r.param), of(|r| &r.grad), of(|r| &r.state[0]));
        if params.is_empty() {
            return Ok(());
        }
        let directions = self.directions(&grads, &buffers)?;
        foreach::mul_(&params, 1.0 - step.rates.lr * step.rates.weight_decay)?;
        let mut shapes: Vec<Vec<i64>> = Vec::new();
        for p in &params {
            if !shapes.contains(&p.shape()) {
                shapes.push(p.shape());
            }
        }
        // Matrices of one size go through the iteration together.
        for shape in shapes {
            let [rows, columns] = shape[..] else { continue };
            let these: Vec<usize> = (0..params.len()).filter(|&i| params[i].shape() == shape).collect();
            let some = |list: &[Tensor]| these.iter().map(|&i| list[i].clone()).collect::<Vec<Tensor>>();
            let together = Tensor::stack(&some(&directions), 0)?.to_dtype(DType::BFloat16)?;
            let lr = step.rates.lr * self.adjust.factor(rows, columns);
            let orthogonal = self.iteration.apply(&together)?;
            // There the rate is multiplied in bf16, and here by the sum.
            let (orthogonal, alpha) = if self.is_sum { (orthogonal.mul(lr)?, -1.0) } else { (orthogonal, -lr) };
            let params = some(&params);
            let updates = orthogonal.to_dtype(params[0].dtype())?.unbind(0)?;
            foreach::add_(&params, &updates, alpha)?;
        }
        Ok(())
    }
}
