//! Layer, group and batch normalisation.

use super::forward_one;
use crate::dist::{self, Dist};
use crate::error::{Error, Result};
use crate::nn::{Built, Init, Mode, Module, Path, Switch};
use crate::torch::bridge::call1;
use crate::torch::bridge::dist::Reduce;
use crate::torch::{DType, Tensor, default_device, no_grad};

/// `weight`, usually of ones, and `bias` of zeros.
fn affine(p: &Path, n: i64, weight: Init) -> Result<(Tensor, Tensor)> {
    Ok((p.param("weight", &[n], weight)?, p.param("bias", &[n], Init::Zeros)?))
}

/// Normalises the last dimension: `[.., D]` -> `[.., D]`.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    dim: i64,
    eps: f64,
    affine: Option<(Tensor, Tensor)>,
}
forward_one!(LayerNorm, "layer_norm");

impl LayerNorm {
    /// Registers `weight` and `bias` `[dim]` if `affine`. PyTorch's default `eps` is 1e-5.
    ///
    /// # Errors
    /// `E0201` for a size that libtorch refuses.
    pub fn new(p: &Path, dim: i64, eps: f64, with_affine: bool) -> Result<Self> {
        Ok(LayerNorm { dim, eps, affine: with_affine.then(|| affine(p, dim, Init::Ones)).transpose()? })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`LayerNorm::new`].
    pub fn module(dim: i64, eps: f64, affine: bool) -> Result<Module> {
        Module::build("layer_norm", default_device(), move |p| Ok(Built::layer(LayerNorm::new(p, dim, eps, affine)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the last size of `x` is not `dim`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.layer_norm(&[self.dim], self.affine.as_ref().map(|a| &a.0), self.affine.as_ref().map(|a| &a.1), self.eps)
    }
}

/// Normalises groups of channels: `[B, C, ..]` -> `[B, C, ..]`.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    groups: i64,
    eps: f64,
    affine: Option<(Tensor, Tensor)>,
}
forward_one!(GroupNorm, "group_norm");

impl GroupNorm {
    /// Registers `weight` and `bias` `[channels]` if `affine`. PyTorch's default `eps` is 1e-5.
    ///
    /// # Errors
    /// `E0202` when the groups do not divide the channels.
    pub fn new(p: &Path, groups: i64, channels: i64, eps: f64, with_affine: bool) -> Result<Self> {
        if groups < 1 || channels % groups != 0 {
            return Err(Error::value("group_norm", format!("{groups} groups do not divide {channels} channels")));
        }
        Ok(GroupNorm { groups, eps, affine: with_affine.then(|| affine(p, channels, Init::Ones)).transpose()? })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`GroupNorm::new`].
    pub fn module(groups: i64, channels: i64, eps: f64, affine: bool) -> Result<Module> {
        Module::build("group_norm", default_device(), move |p| Ok(Built::layer(GroupNorm::new(p, groups, channels, eps, affine)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the channels of `x` do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.group_norm(self.groups, self.affine.as_ref().map(|a| &a.0), self.affine.as_ref().map(|a| &a.1), self.eps)
    }
}

/// `nn.BatchNorm2d`'s options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNormOptions {
    /// Weight of the new batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
    /// Whether there are `weight` and `bias`.
    pub affine: bool,
    /// First values of `weight`.
    pub weight: Init,
    /// Whether it takes the statistics of all ranks that train together, as `torch.nn.SyncBatchNorm`: what one process would compute.
    pub sync: bool,
}

impl Default for BatchNormOptions {
    fn default() -> Self {
        BatchNormOptions { momentum: 0.1, eps: 1e-5, affine: true, weight: Init::Ones, sync: true }
    }
}

/// Normalises each channel over the batch: `[B, C, H, W]` -> `[B, C, H, W]`. In training by the batch's own (biased) variance,
/// while the running variance takes the unbiased one; otherwise by the running statistics.
#[derive(Debug, Clone)]
pub struct BatchNorm2d {
    affine: Option<(Tensor, Tensor)>,
    /// Running mean `[C]`.
    pub running_mean: Tensor,
    /// Running variance `[C]`.
    pub running_var: Tensor,
    batches: Tensor,
    options: BatchNormOptions,
    mode: Mode,
    frozen: Switch,
}
forward_one!(BatchNorm2d, "batch_norm2d");

impl BatchNorm2d {
    /// Registers `weight`, `bias` if affine, and the buffers `running_mean`, `running_var` `[channels]`, `num_batches_tracked` (i64).
    ///
    /// # Errors
    /// `E0201` for a size that libtorch refuses.
    pub fn new(p: &Path, channels: i64, options: BatchNormOptions) -> Result<Self> {
        let d = p.device();
        Ok(BatchNorm2d {
            affine: options.affine.then(|| affine(p, channels, options.weight)).transpose()?,
            running_mean: p.buffer("running_mean", &Tensor::zeros(&[channels], DType::Float, d)?)?,
            running_var: p.buffer("running_var", &Tensor::ones(&[channels], DType::Float, d)?)?,
            batches: p.buffer("num_batches_tracked", &Tensor::zeros(&[], DType::Int64, d)?)?,
            options,
            mode: p.mode(),
            frozen: p.switch("frozen"),
        })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`BatchNorm2d::new`].
    pub fn module(channels: i64, options: BatchNormOptions) -> Result<Module> {
        Module::build("batch_norm2d", default_device(), move |p| Ok(Built::layer(BatchNorm2d::new(p, channels, options)?)))
    }

    /// Keeps it on its running statistics even in training (`bn.eval()` of a model that trains), or lets it follow the mode again.
    pub fn set_frozen(&self, on: bool) {
        self.frozen.set(on);
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the channels of `x` do not fit, or in training with one value for each channel.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let batch = self.mode.training() && !self.frozen.get();
        if batch {
            no_grad(|| self.batches.add_(1))?;
        }
        if batch
            && self.options.sync
            && let Some(d) = dist::together("batch_norm2d")?
        {
            return self.forward_all(x, d);
        }
        let (w, b) = (self.affine.as_ref().map(|a| &a.0), self.affine.as_ref().map(|a| &a.1));
        x.batch_norm(w, b, Some(&self.running_mean), Some(&self.running_var), batch, self.options.momentum, self.options.eps)
    }

    /// By the statistics of all ranks, in two passes so that it is as exact as over one batch.
    fn forward_all(&self, x: &Tensor, d: &Dist) -> Result<Tensor> {
        let channels = self.running_mean.shape();
        if x.rank() < 2 || x.size(1)? != channels[0] {
            return Err(Error::value("batch_norm2d", format!("[B, {}, H, W] is needed, got {}", channels[0], x.describe())));
        }
        let over: Vec<i64> = (0..x.rank() as i64).filter(|i| *i != 1).collect();
        let wide = if x.dtype() == DType::Double { DType::Double } else { DType::Float };
        let y = x.to_dtype(wide)?;
        let sum = |t: &Tensor| call1("sum.dim_IntList", &[t.into(), over.as_slice().into(), true.into()], &[]);
        let count = Tensor::full(&[1], x.numel() as f64 / channels[0] as f64, DType::Double, x.device())?;
        d.all_reduce(std::slice::from_ref(&count), Reduce::Sum)?;
        let count = count.item()?;
        if count <= 1.0 {
            return Err(Error::torch("batch_norm2d", format!("expected more than 1 value per channel when training, got {}", x.describe())));
        }
        let mean = d.all_reduce_grad(&sum(&y)?)?.div(count)?;
        let centred = y.sub(&mean)?;
        let var = d.all_reduce_grad(&sum(&centred.mul(&centred)?)?)?.div(count)?;
        no_grad(|| {
            let momentum = self.options.momentum;
            for (kept, now) in [(&self.running_mean, mean.clone()), (&self.running_var, var.mul(count / (count - 1.0))?)] {
                let now = now.reshape(&channels)?.to_dtype(kept.dtype())?;
                kept.copy_(&kept.mul(1.0 - momentum)?.add(&now.mul(momentum)?)?)?;
            }
            Ok(())
        })?;
        let mut out = centred.mul(&var.add(self.options.eps)?.rsqrt()?)?;
        if let Some((weight, bias)) = &self.affine {
            let mut shape = vec![1; x.rank()];
            shape[1] = channels[0];
            let on = |t: &Tensor| t.reshape(&shape)?.to_dtype(wide);
            out = out.mul(&on(weight)?)?.add(&on(bias)?)?;
        }
        out.to_dtype(x.dtype())
    }

    /// What [`BatchNorm2d::forward`] computes without training: `(x - running_mean) / sqrt(running_var + eps)`, whatever the mode.
    ///
    /// # Errors
    /// `E0201` when the channels of `x` do not fit.
    pub fn forward_running(&self, x: &Tensor) -> Result<Tensor> {
        let (w, b) = (self.affine.as_ref().map(|a| &a.0), self.affine.as_ref().map(|a| &a.1));
        x.batch_norm(w, b, Some(&self.running_mean), Some(&self.running_var), false, self.options.momentum, self.options.eps)
    }
}
