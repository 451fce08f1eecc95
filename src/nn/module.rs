//! The module handle: one network, whether written in Rust or put together in a script.

use super::{Entry, Store};
use crate::error::{Error, Result, did_you_mean};
use crate::torch::{DType, Device, Tensor, no_grad};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::rc::Rc;

/// Names and tensors, in order.
pub type State = IndexMap<String, Tensor>;

/// What a module computes from its inputs.
pub trait Forward {
    /// One output from one or more inputs.
    ///
    /// # Errors
    /// `E0201` or `E0202` when the inputs do not fit.
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor>;
}

impl<F: Fn(&[Tensor]) -> Result<Tensor>> Forward for F {
    fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        self(inputs)
    }
}

/// A shared handle to a network: its parameters, its children and what it computes.
#[derive(Clone)]
pub struct Module(Rc<Inner>);

struct Inner {
    kind: String,
    store: Store,
    children: RefCell<IndexMap<String, Module>>,
    forward: RefCell<Option<Rc<dyn Forward>>>,
}

/// What loading a state left out.
#[derive(Debug, Default, Clone)]
pub struct LoadReport {
    /// Names of the module that the state lacks.
    pub missing: Vec<String>,
    /// Names of the state that the module lacks.
    pub unexpected: Vec<String>,
    /// Names whose shapes differ: `(name, the module's, the state's)`.
    pub mismatched: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl LoadReport {
    /// Whether every name matched.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl Module {
    /// A module over a store of parameters. `kind` is its name for people: `linear`, `vae f16d32`.
    pub fn new(kind: impl Into<String>, store: Store, forward: Option<Rc<dyn Forward>>) -> Self {
        Module(Rc::new(Inner { kind: kind.into(), store, children: RefCell::default(), forward: RefCell::new(forward) }))
    }

    /// An empty named container, to which a script adds modules and parameters.
    pub fn group() -> Self {
        Self::new("group", Store::new(), None)
    }

    /// Its name for people.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Its own parameters, without those of its children.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// Adds or replaces a child.
    ///
    /// # Errors
    /// `E0202` when the child holds this module: the tree would have a cycle.
    pub fn set_child(&self, name: &str, child: Module) -> Result<()> {
        if child.holds(self) {
            return Err(Error::value("group", format!("`{name}` would make the module part of itself")));
        }
        self.0.children.borrow_mut().insert(name.to_owned(), child);
        Ok(())
    }

    fn holds(&self, other: &Module) -> bool {
        Rc::ptr_eq(&self.0, &other.0) || self.0.children.borrow().values().any(|c| c.holds(other))
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<Module> {
        self.0.children.borrow().get(name).cloned()
    }

    /// All children in order.
    pub fn children(&self) -> Vec<(String, Module)> {
        self.0.children.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Says what a group computes.
    pub fn set_forward(&self, forward: Rc<dyn Forward>) {
        *self.0.forward.borrow_mut() = Some(forward);
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0202` for a group without a forward function; otherwise what the layers say.
    pub fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let f = self.0.forward.borrow().clone();
        f.ok_or_else(|| Error::value(self.kind(), "this module has no forward function").help("call its parts: `m.head.forward(x)`"))?.forward(inputs)
    }

    /// All parameters and buffers, children's names prefixed with `child.`.
    pub fn entries(&self) -> Vec<Entry> {
        let mut out = self.0.store.entries();
        for (name, child) in self.0.children.borrow().iter() {
            out.extend(child.entries().into_iter().map(|e| Entry { name: format!("{name}.{}", e.name), ..e }));
        }
        out
    }

    /// All parameters, trained or not, without buffers.
    pub fn named_parameters(&self) -> Vec<(String, Tensor)> {
        self.entries().into_iter().filter(|e| !e.buffer).map(|e| (e.name, e.tensor)).collect()
    }

    /// The parameters whose gradients are wanted.
    pub fn trainable(&self) -> Vec<Tensor> {
        self.entries().into_iter().filter(|e| !e.buffer && e.tensor.requires_grad()).map(|e| e.tensor).collect()
    }

    /// The number of parameter elements, without buffers.
    pub fn count(&self) -> i64 {
        self.named_parameters().iter().map(|(_, t)| t.numel() as i64).sum()
    }

    /// The state dict: every parameter and persistent buffer, sharing memory with the module.
    pub fn state(&self) -> State {
        self.entries().into_iter().filter(|e| e.persistent).map(|e| (e.name, e.tensor)).collect()
    }

    /// Copies a state dict in. Nothing is changed unless everything fits, or `strict` is off.
    ///
    /// # Errors
    /// `E0401` with the difference: missing, unexpected, and mismatched names.
    pub fn load_state(&self, state: &State, strict: bool) -> Result<LoadReport> {
        let own = self.state();
        let mut report = LoadReport::default();
        let mut pairs = Vec::new();
        for (name, to) in &own {
            match state.get(name) {
                None => report.missing.push(name.clone()),
                Some(from) if from.shape() != to.shape() => report.mismatched.push((name.clone(), to.shape(), from.shape())),
                Some(from) => pairs.push((to, from)),
            }
        }
        report.unexpected = state.keys().filter(|k| !own.contains_key(*k)).cloned().collect();
        if strict && !report.is_complete() {
            return Err(self.difference(&report, own.keys().map(String::as_str)));
        }
        for (to, from) in pairs {
            no_grad(|| to.copy_(from))?;
        }
        Ok(report)
    }

    fn difference<'a>(&self, r: &LoadReport, own: impl Iterator<Item = &'a str> + Clone) -> Error {
        const SHOWN: usize = 6;
        let list = |names: &[String]| {
            let more = names.len().saturating_sub(SHOWN);
            let shown = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            if more > 0 { format!("{shown} and {more} more") } else { shown }
        };
        let mut parts = Vec::new();
        if !r.missing.is_empty() {
            parts.push(format!("{} missing: {}", r.missing.len(), list(&r.missing)));
        }
        if !r.unexpected.is_empty() {
            let near = did_you_mean(&r.unexpected[0], own);
            parts.push(format!("{} unexpected: {}{near}", r.unexpected.len(), list(&r.unexpected)));
        }
        if !r.mismatched.is_empty() {
            let shown: Vec<String> = r.mismatched.iter().map(|(n, a, b)| format!("{n} is {a:?} here and {b:?} in the file")).collect();
            parts.push(format!("{} of another shape: {}", shown.len(), list(&shown)));
        }
        Error::weights(format!("the weights do not belong to this {}: {}", self.kind(), parts.join("; ")))
            .help("check the architecture options; `#{strict: false}` loads what fits")
    }

    /// Switches training mode here and in all children.
    pub fn set_training(&self, training: bool) {
        self.0.store.mode().set(training);
        self.0.children.borrow().values().for_each(|c| c.set_training(training));
    }

    /// Whether it is in training mode.
    pub fn is_training(&self) -> bool {
        self.0.store.mode().training()
    }

    /// Switches gradients of all parameters on or off.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn set_requires_grad(&self, on: bool) -> Result<()> {
        self.named_parameters().iter().try_for_each(|(_, t)| t.requires_grad_(on).map(|_| ()))
    }

    /// Moves and converts every tensor in place; integer buffers keep their dtype.
    ///
    /// # Errors
    /// `E0201` or `E0203` when libtorch refuses.
    pub fn to(&self, device: Option<Device>, dtype: Option<DType>) -> Result<()> {
        for e in self.entries() {
            no_grad(|| -> Result<()> {
                let mut t = e.tensor.detach()?;
                if let Some(d) = device {
                    t = t.to_device(d)?;
                }
                if let (Some(k), true) = (dtype, e.tensor.is_float()) {
                    t = t.to_dtype(k)?;
                }
                e.tensor.set_data(&t)
            })?;
        }
        Ok(())
    }
}
