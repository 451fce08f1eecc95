//! What an optimizer trains, as scripts give it.

use crate::entries;
use crate::error::Result;
use crate::nn::Module;
use crate::script::lang::value::FromArg;
use crate::torch::Tensor;
use crate::train::optim::{ParamGroup, ParamGroups};
use rhai::{Array, Dynamic, Map};

/// Parameters in any form: a module, an array of tensors or modules, a map of names to tensors or modules.
pub(super) struct Params(Vec<(String, Tensor)>);

impl FromArg for Params {
    const NAME: &'static str = "a module, an array of tensors or modules, or a map of them";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let mut out = Vec::new();
        if let Some(m) = d.read_lock::<Map>() {
            for (name, v) in m.iter() {
                collect(v, name, &mut out)?;
            }
        } else if let Some(list) = d.read_lock::<Array>() {
            for (i, v) in list.iter().enumerate() {
                collect(v, &i.to_string(), &mut out)?;
            }
        } else if let Some(m) = d.read_lock::<Module>() {
            out = m.named_parameters();
        } else {
            collect(d, "0", &mut out)?;
        }
        Some(Params(out))
    }
}

fn collect(d: &Dynamic, name: &str, out: &mut Vec<(String, Tensor)>) -> Option<()> {
    if let Some(t) = d.read_lock::<Tensor>() {
        out.push((name.to_owned(), t.clone()));
        return Some(());
    }
    let module = d.read_lock::<Module>()?;
    out.extend(module.named_parameters().into_iter().map(|(n, t)| (format!("{name}.{n}"), t)));
    Some(())
}

impl Params {
    /// The tensors alone.
    pub(super) fn tensors(self) -> Vec<Tensor> {
        self.0.into_iter().map(|(_, t)| t).collect()
    }
}

/// What an optimizer trains: parameters in any form, or groups of them, `#{params: .., lr: .., weight_decay: ..}`.
pub(super) enum Trained {
    All(Params),
    Groups(Vec<Map>),
}

impl FromArg for Trained {
    const NAME: &'static str = "a module, an array of tensors or modules, a map of them, or an array of groups `#{params: ..}`";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        let groups: Option<Vec<Map>> = d.read_lock::<Array>().and_then(|list| list.iter().map(Map::from_dynamic).collect());
        groups.filter(|g| !g.is_empty()).map(Trained::Groups).or_else(|| Params::from_dynamic(d).map(Trained::All))
    }
}

impl Trained {
    /// The names of a group's parameters begin with its index, as those of an array do.
    pub(super) fn read(self, op: &str) -> Result<ParamGroups> {
        let groups = match self {
            Trained::All(params) => return Ok(params.0.into()),
            Trained::Groups(groups) => groups,
        };
        let read = |(i, map)| {
            entries!(all op, map; params: Params, lr: Option<f64>, weight_decay: Option<f64>);
            let params = params.0.into_iter().map(|(name, t)| (format!("{i}.{name}"), t)).collect();
            Ok(ParamGroup { params, lr, weight_decay })
        };
        groups.into_iter().enumerate().map(read).collect::<Result<_>>().map(ParamGroups)
    }
}
