//! Optimizing: AdamW, SGD, Muon, schedule-free AdamW, Lion, SOAP, gradient clipping, moving averages of weights, loss scaling. On libtorch's
//! multi-tensor kernels, with the published arithmetic and names of the state.

mod adamw;
mod algorithm;
mod clip;
mod ema;
mod ema_parts;
mod foreach;
mod lion;
mod muon;
mod newton_schulz;
mod optimizer;
mod overlap;
mod param_group;
mod profile;
mod scaler;
mod schedule_free;
mod sgd;
mod shards;
mod soap;
mod soap_basis;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use adamw::{AdamWOptions, adamw};
pub use algorithm::{Algorithm, Kept, OnePass, PassItem, Ready, Step};
pub use clip::clip_grad_norm;
pub use ema::Ema;
pub use lion::{LionOptions, lion};
pub use muon::{AdjustLr, Coefficients, GMuonOptions, MuonOptions, NsAlgorithm, RestOptions, gmuon, muon};
pub use newton_schulz::{Quintic, YOU, best_restarts, polar_express};
pub use optimizer::Optimizer;
pub use param_group::{ParamGroup, ParamGroups, Rates};
pub use profile::{Profile, WarmUp, std_to_exponent};
pub use scaler::{GradScaler, GradScalerOptions};
pub use schedule_free::{ScheduleFreeOptions, schedule_free_adamw};
pub use sgd::{SgdOptions, sgd};
pub use soap::{SoapOptions, soap};
pub use soap_basis::DataFormat;
pub use step::step;

use crate::torch::{DType, Device, Tensor};

/// Indices of tensors that one multi-tensor kernel can take together: same device, same dtype.
fn groups<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<Vec<usize>> {
    let mut out: Vec<((Device, DType), Vec<usize>)> = Vec::new();
    for (i, t) in tensors.into_iter().enumerate() {
        let key = (t.device(), t.dtype());
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, list)) => list.push(i),
            None => out.push((key, vec![i])),
        }
    }
    out.into_iter().map(|(_, list)| list).collect()
}

/// The same, and one empty group where there is none: for what must happen once at least.
fn merged(groups: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    if groups.is_empty() { vec![Vec::new()] } else { groups }
}
