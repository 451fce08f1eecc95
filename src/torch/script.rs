//! TorchScript programs: what `torch.jit.save` writes.

use super::{Device, Tensor, refused};
use crate::error::{Error, Result};
use crate::files;
use std::path::Path;
use tch::{CModule, IValue};

/// A loaded program, in evaluation mode.
pub struct TorchScript(CModule);

impl TorchScript {
    /// Loads a program onto a device.
    ///
    /// # Errors
    /// `E0301` when the file cannot be read, `E0302` when it is no TorchScript archive.
    pub fn load(path: &Path, device: Device) -> Result<Self> {
        let bad = |e: tch::TchError| {
            let text = e.to_string();
            let line = text.split("\nException raised from").next().unwrap_or(&text).lines().next().unwrap_or_default();
            Error::data(path, format!("libtorch cannot load it as a TorchScript program: {line}"))
                .help("`torch.jit.trace(model, example).save(path)` or `torch.jit.script(model).save(path)` writes one")
        };
        files::open(path)?;
        if !super::files::is_torchscript(path) {
            return Err(Error::data(path, "not a TorchScript archive: it holds no program")
                .help("`torch.jit.trace(model, example).save(path)` or `torch.jit.script(model).save(path)` writes one"));
        }
        super::files::refuse_file_access(path)?;
        let mut module = CModule::load_on_device(path, device).map_err(bad)?;
        module.f_set_eval().map_err(bad)?;
        Ok(TorchScript(module))
    }

    /// Its parameters, by name. A frozen or traced program may have none.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let named = self.0.named_parameters().map_err(|e| refused("torchscript", &[], e))?;
        Ok(named.into_iter().map(|(name, t)| (name, Tensor(t))).collect())
    }

    /// Runs `forward` on one input. Of a tuple or list the first tensor, or the one at the index `output`; of a dict the one of the key `output`.
    ///
    /// # Errors
    /// `E0201` when the program fails, `E0202` when it returns something else.
    pub fn forward(&self, input: &Tensor, output: Option<&str>) -> Result<Tensor> {
        let value = self.0.forward_is(&[IValue::Tensor(input.0.shallow_clone())]).map_err(|e| refused("torchscript", &[input], e))?;
        let what = kind(&value);
        let no = |message: String| Error::value("torchscript", message);
        let at = |n: usize| {
            let index =
                output.map_or(Ok(0), str::parse::<usize>).map_err(|_| no(format!("output `{}` is no index of {what}", output.unwrap_or_default())));
            index.and_then(|i| if i < n { Ok(i) } else { Err(no(format!("it returns {what} of {n}, there is no element {i}"))) })
        };
        match value {
            IValue::Tensor(t) if t.defined() => Ok(Tensor(t)),
            IValue::TensorList(list) => {
                let i = at(list.len())?;
                list.into_iter().nth(i).map(Tensor).ok_or_else(|| no(format!("it returns {what} of nothing")))
            }
            IValue::Tuple(list) | IValue::GenericList(list) => {
                let i = at(list.len())?;
                tensor(list.into_iter().nth(i))
                    .ok_or_else(|| no(format!("element {i} of what it returns is no tensor")).help("`#{output: \"1\"}` takes another element"))
            }
            IValue::GenericDict(pairs) => {
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

fn key(v: &IValue) -> Option<String> {
    if let IValue::String(s) = v { Some(s.clone()) } else { None }
}

fn tensor(v: Option<IValue>) -> Option<Tensor> {
    if let Some(IValue::Tensor(t)) = v { t.defined().then(|| Tensor(t)) } else { None }
}

fn kind(v: &IValue) -> &'static str {
    match v {
        IValue::None => "None",
        IValue::Tensor(_) => "an undefined tensor",
        IValue::Tuple(_) => "a tuple",
        IValue::TensorList(_) | IValue::GenericList(_) => "a list",
        IValue::GenericDict(_) => "a dict",
        IValue::String(_) => "a string",
        _ => "a value",
    }
}
