//! Arguments by the names of the parameters that they are for.

use super::schema::{Count, Param, Schema};
use crate::torch::Tensor;
use crate::torch::bridge::Value;

/// The arguments of a call of one overload.
pub struct Bound<'a> {
    pub(super) schema: &'a Schema,
    pub(super) args: &'a [Value],
    pub(super) kw: &'a [(&'a str, Value)],
}

impl<'a> Bound<'a> {
    /// The name of the operator, without its overload: `embedding_bag`.
    pub fn op(&self) -> &str {
        self.schema.name.strip_prefix("aten::").unwrap_or(&self.schema.name)
    }

    /// The name of the overload; empty for the one without a name.
    pub fn overload(&self) -> &str {
        &self.schema.overload
    }

    /// What the overload takes.
    pub fn params(&self) -> &[Param] {
        &self.schema.params
    }

    /// What was given for a parameter; `None` where it was left out.
    pub fn get(&self, param: &str) -> Option<&'a Value> {
        let at = self.schema.params.iter().position(|p| p.name == param)?;
        let given = self.args.get(at).or_else(|| self.kw.iter().find(|(k, _)| *k == param).map(|(_, v)| v));
        given.filter(|v| !matches!(v, Value::None))
    }

    /// The tensor given for a parameter.
    pub fn tensor(&self, param: &str) -> Option<&'a Tensor> {
        if let Some(Value::Tensor(t)) = self.get(param) { Some(t) } else { None }
    }

    /// The tensors given for a parameter, one or a list; empty where none was given.
    pub fn tensors(&self, param: &str) -> Vec<&'a Tensor> {
        self.get(param).map(tensors_in).unwrap_or_default()
    }

    /// The int given for a parameter.
    pub fn int(&self, param: &str) -> Option<i64> {
        match self.get(param) {
            Some(Value::Int(i)) => Some(*i),
            Some(Value::Bool(b)) => Some(i64::from(*b)),
            _ => None,
        }
    }

    /// The number given for a parameter.
    pub fn number(&self, param: &str) -> Option<f64> {
        if let Some(Value::Float(x)) = self.get(param) { Some(*x) } else { self.int(param).map(|i| i as f64) }
    }

    /// The ints given for a parameter; one that stands for several as often as it does.
    pub fn ints(&self, param: &str) -> Vec<i64> {
        let times = self.schema.params.iter().find(|p| p.name == param).map_or(1, |p| if let Count::Sized(n) = p.count { n } else { 1 });
        match self.get(param) {
            Some(Value::List(items) | Value::Tuple(items)) => {
                items.iter().filter_map(|v| if let Value::Int(i) = v { Some(*i) } else { None }).collect()
            }
            Some(Value::Int(i)) => vec![*i; usize::try_from(times).unwrap_or(1)],
            _ => Vec::new(),
        }
    }

    /// The truth value given for a parameter.
    pub fn flag(&self, param: &str) -> bool {
        matches!(self.get(param), Some(Value::Bool(true)))
    }

    /// The string given for a parameter.
    pub fn text(&self, param: &str) -> Option<&'a str> {
        if let Some(Value::Str(s)) = self.get(param) { Some(s) } else { None }
    }

    /// Every parameter that was given, with its name.
    pub fn given(&self) -> impl Iterator<Item = (&str, &'a Value)> {
        self.schema.params.iter().filter_map(|p| self.get(&p.name).map(|v| (p.name.as_str(), v)))
    }

    /// Every tensor that was given, those in lists too, with the name of its parameter.
    pub fn all_tensors(&self) -> Vec<(&str, &'a Tensor)> {
        self.given().flat_map(|(name, value)| tensors_in(value).into_iter().map(move |t| (name, t))).collect()
    }
}

/// The tensors in a value: itself, or those of a list.
fn tensors_in(value: &Value) -> Vec<&Tensor> {
    match value {
        Value::Tensor(t) => vec![t],
        Value::List(items) | Value::Tuple(items) => items.iter().filter_map(|v| if let Value::Tensor(t) = v { Some(t) } else { None }).collect(),
        _ => Vec::new(),
    }
}
