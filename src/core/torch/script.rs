//! TorchScript programs: what `torch.jit.save` writes.

use super::bridge::{Program, Value};
use super::files::{load_program, plain};
use super::{Device, Tensor, from_message};
use crate::error::{Error, Result};
use std::path::Path;

/// A loaded program, in evaluation mode.
pub struct TorchScript(Program);

impl TorchScript {
    /// Loads a program onto a device. Only what computes on tensors is loaded: see `bridge/program`.
    ///
    /// # Errors
    /// `E0301` when the file cannot be read, `E0302` when it is no TorchScript archive, or its program does what programs may not.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        load_program(path, device).map(TorchScript)
    }

    /// Its parameters, by name. A frozen or traced program may have none.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        self.0.parameters().map_err(|e| from_message("torchscript", &[], &plain(&e)))
    }

    /// Runs `forward` on one input. Of a tuple or list the first tensor, or the one at the index `output`; of a dict the one of the key `output`.
    ///
    /// # Errors
    /// `E0201` when the program fails, `E0202` when it returns something else.
    pub fn forward(&self, input: &Tensor, output: Option<&str>) -> Result<Tensor> {
        let value = self.0.forward(input).map_err(|e| from_message("torchscript", &[input], &plain(&e)))?;
        let what = value.kind();
        let no = |message: String| Error::value("torchscript", message);
        let at = |n: usize| {
            let index =
                output.map_or(Ok(0), str::parse::<usize>).map_err(|_| no(format!("output `{}` is no index of {what}", output.unwrap_or_default())));
            index.and_then(|i| if i < n { Ok(i) } else { Err(no(format!("it returns {what} of {n}, there is no element {i}"))) })
        };
        match value {
            Value::Tensor(t) => Ok(t),
            Value::Tuple(list) | Value::List(list) => {
                let i = at(list.len())?;
                tensor(list.into_iter().nth(i))
                    .ok_or_else(|| no(format!("element {i} of what it returns is no tensor")).help("`#{output: \"1\"}` takes another element"))
            }
            Value::Dict(pairs) => {
                let keys: Vec<String> = pairs.iter().filter_map(|(k, _)| key(k)).collect();
                let wanted =
                    output.ok_or_else(|| no(format!("it returns a dict of {}", keys.join(", "))).help("`#{output: KEY}` names the tokens"))?;
                let found = pairs.into_iter().find(|(k, _)| key(k).as_deref() == Some(wanted)).map(|(_, v)| v);
                tensor(found)
                    .ok_or_else(|| no(format!("the dict that it returns has no tensor `{wanted}`")).help(format!("it has {}", keys.join(", "))))
            }
            _ => Err(no(format!("it returns {what}, not a tensor"))),
        }
    }
}

fn key(v: &Value) -> Option<String> {
    if let Value::Str(s) = v { Some(s.clone()) } else { None }
}

fn tensor(v: Option<Value>) -> Option<Tensor> {
    if let Some(Value::Tensor(t)) = v { Some(t) } else { None }
}
