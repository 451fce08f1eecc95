//! What a checkpoint holds: objects that can be written down and put back.

use crate::error::{Error, Result};
use crate::nn::{Module, State};
use serde_json::Value;

/// The state of one object: tensors for the bulk, JSON for the rest.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its tensors by name. They may share memory with the live object: write them before going on.
    pub tensors: State,
    /// Numbers, names, positions.
    pub meta: Value,
}

impl Saved {
    /// Tensors without anything beside them.
    pub fn tensors(tensors: State) -> Self {
        Saved { tensors, meta: Value::Null }
    }

    /// Anything that serde can write, without tensors.
    ///
    /// # Errors
    /// `E0601` when it has no JSON form.
    pub fn meta(meta: &impl serde::Serialize) -> Result<Self> {
        let meta = serde_json::to_value(meta).map_err(|e| Error::run(format!("a state cannot be written as JSON: {e}")))?;
        Ok(Saved { tensors: State::new(), meta })
    }

    /// Reads the JSON part back into its type.
    ///
    /// # Errors
    /// `E0601` when it was written by another kind of object.
    pub fn read_meta<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.meta.clone()).map_err(|e| Error::run(format!("the saved state is of another kind: {e}")))
    }
}

/// An object that a checkpoint holds. Restoring works in place, so that every handle to the object stays valid.
pub trait Tracked {
    /// What it is, for messages and for refusing another kind: `module`, `adamw`.
    fn kind(&self) -> &'static str;

    /// Its state now.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn save(&self) -> Result<Saved>;

    /// Puts a saved state back.
    ///
    /// # Errors
    /// `E0401` with the difference when the state belongs to something of another shape; nothing is changed then.
    fn restore(&self, saved: &Saved) -> Result<()>;
}

impl Tracked for Module {
    fn kind(&self) -> &'static str {
        "module"
    }

    fn save(&self) -> Result<Saved> {
        Ok(Saved::tensors(self.state()))
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        self.load_state(&saved.tensors, true).map(|_| ())
    }
}
