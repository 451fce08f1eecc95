//! Ranks that have come apart are made equal again: what one of them has of everything that is tracked, all get.

use super::run::{LOADER, OpenRun};
use super::tracked::Saved;
use crate::dist::Dist;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::{Device, Tensor, dtype_name, parse_dtype};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of a saved state, without its numbers.
#[derive(Serialize, Deserialize)]
struct Form {
    tensors: Vec<(String, Vec<i64>, String)>,
    meta: Value,
}

impl OpenRun {
    /// Gives all ranks what the rank `root` tracks, but for its place in the data and for what ranks share out, of which each keeps its part. Called by all.
    ///
    /// # Errors
    /// `E0802` when a rank is gone, `E0401` when the ranks track other things.
    pub fn spread(&self, d: &Dist, root: usize) -> Result<()> {
        let broken = |e: serde_json::Error| Error::run(format!("a state cannot be sent: {e}"));
        let is_root = d.world.rank == root;
        for (name, object) in self.tracked().into_iter().filter(|(name, object)| name != LOADER && object.kind() != "loader") {
            let own = object.shared().map_or_else(|| object.save(), |s| s.common())?;
            let tensors = own.tensors.iter().map(|(name, t)| (name.clone(), t.shape(), dtype_name(t.dtype()).to_owned())).collect();
            let form = serde_json::to_vec(&Form { tensors, meta: own.meta.clone() }).map_err(broken)?;
            let form: Form = serde_json::from_slice(&d.said_by(root, &form)?).map_err(broken)?;
            let mut tensors = State::new();
            for (key, shape, dtype) in form.tensors {
                let mine = if is_root { own.tensors.get(&key).map_or_else(|| Ok(Vec::new()), Tensor::to_bytes)? } else { Vec::new() };
                let bytes = d.said_by(root, &mine)?;
                if !is_root {
                    let device = own.tensors.get(&key).map_or(Device::Cpu, Tensor::device);
                    tensors.insert(key, Tensor::from_bytes(&bytes, &shape, parse_dtype(&dtype)?)?.to_device(device)?);
                }
            }
            if !is_root {
                let saved = Saved { tensors, meta: form.meta };
                object
                    .shared()
                    .map_or_else(|| object.restore(&saved), |s| s.restore_common(&saved))
                    .map_err(|e| e.context(format!("taking `{name}` from rank {root}")))?;
            }
        }
        Ok(())
    }

    /// Drops all gradients of what is tracked.
    pub(super) fn drop_gradients(&self) -> Result<()> {
        self.tracked().iter().try_for_each(|(_, object)| object.drop_gradients())
    }
}
