//! The identity of a module's weights.

use super::{Module, State};
use crate::error::Result;
use crate::files;
use crate::torch::dtype_name;
use sha2::{Digest, Sha256};

/// SHA-256 over names, shapes, dtypes and bytes of the whole state, in hexadecimal: latents name the VAE that made them by it.
///
/// # Errors
/// `E0203` without memory for a copy of the largest tensor.
pub fn digest(module: &Module) -> Result<String> {
    digest_state(&module.state())
}

/// The same of a state that is no module yet, or no longer.
///
/// # Errors
/// As [`digest`].
pub fn digest_state(state: &State) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in state {
        hash.update(format!("{name} {:?} {}\n", tensor.shape(), dtype_name(tensor.dtype())));
        hash.update(tensor.to_bytes()?);
    }
    Ok(files::hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device, Tensor, no_grad};

    #[test]
    fn one_changed_weight_changes_it() {
        let m = Module::group();
        let w = Tensor::zeros(&[2, 3], DType::Float, Device::Cpu).unwrap();
        m.set_param("w", w.clone(), false).unwrap();
        let before = digest(&m).unwrap();
        assert_eq!(before, digest(&m).unwrap());
        assert_eq!(before.len(), 64);
        no_grad(|| w.fill_(1e-30)).unwrap();
        assert_ne!(before, digest(&m).unwrap());
    }
}
