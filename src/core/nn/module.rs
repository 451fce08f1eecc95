//! The module handle: one network, whether written in Rust or put together in a script.

use super::bounds::DEEPEST;
use super::{Entry, Path, Store, nesting};
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, no_grad};
use indexmap::IndexMap;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// Names and tensors, in order.
pub type State = IndexMap<String, Tensor>;

/// What a layer computes from its inputs.
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

/// What a group computes: it gets the group itself, so that a copy of the group uses its own parts.
pub type GroupForward = Rc<dyn Fn(&Module, &[Tensor]) -> Result<Tensor>>;

/// A network as its constructor makes it: see [`Module::build`].
pub struct Built {
    forward: Option<Rc<dyn Forward>>,
    model: Rc<dyn Any>,
    pub(super) import: Option<Rc<Import>>,
    /// Refuses weights that fit and are others': see [`Built::checking`].
    pub(super) check: Option<Rc<Check>>,
    /// A prefix of names, and the help where a state dict lacks just those.
    advice: Option<(&'static str, &'static str)>,
    /// Whether the import reads weights under the module's own names as well.
    reads_own: bool,
}

/// Turns a published state dict with other names into one with the module's own: see [`Built::importing`].
pub type Import = dyn Fn(&State) -> Result<State>;

/// Refuses a state dict by its values: see [`Built::checking`].
pub type Check = dyn Fn(&State) -> Result<()>;

impl Built {
    /// A layer: something with one forward function.
    pub fn layer<T: Forward + 'static>(layer: T) -> Self {
        let layer = Rc::new(layer);
        Built { forward: Some(layer.clone()), model: layer, import: None, check: None, advice: None, reads_own: false }
    }

    /// A model with methods of its own, reached by [`Module::model`].
    pub fn model<T: 'static>(model: T) -> Self {
        Built { forward: None, model: Rc::new(model), import: None, check: None, advice: None, reads_own: false }
    }

    /// Says how a state dict is read that other software wrote under other names. [`Module::load_state`] asks for it
    /// when names or shapes are not the module's own; what `import` does not know it must leave in, to be reported.
    #[must_use]
    pub fn importing(self, import: impl Fn(&State) -> Result<State> + 'static) -> Self {
        Built { import: Some(Rc::new(import)), ..self }
    }

    /// Looks at the values of a state dict that fits by names and shapes, before a strict load copies them.
    #[must_use]
    pub fn checking(self, check: impl Fn(&State) -> Result<()> + 'static) -> Self {
        Built { check: Some(Rc::new(check)), ..self }
    }

    /// Asks the import for state dicts with the module's own names and shapes too: where shapes do not tell what is in them.
    #[must_use]
    pub fn reading_own(self, reads_own: bool) -> Self {
        Built { reads_own, ..self }
    }

    /// What to do where a state dict lacks names that begin with `prefix`, and only those: the help of the error.
    #[must_use]
    pub fn advising(self, prefix: &'static str, help: &'static str) -> Self {
        Built { advice: Some((prefix, help)), ..self }
    }
}

type Build = Rc<dyn Fn(&Path) -> Result<Built>>;

/// A shared handle to a network: its parameters, its children and what it computes.
#[derive(Clone)]
pub struct Module(Rc<Inner>);

struct Inner {
    kind: String,
    store: Store,
    source: Source,
    children: RefCell<IndexMap<String, Module>>,
    attributes: RefCell<IndexMap<String, Rc<dyn Any>>>,
    /// Below so many others it lies, at most: more than each one that holds it.
    level: Cell<i64>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let forward = match &mut self.source {
            Source::Group { forward } => forward.take(),
            Source::Built { .. } => None,
        };
        let (children, attributes) = (self.children.take(), self.attributes.take());
        if forward.is_some() || !children.is_empty() || !attributes.is_empty() {
            nesting::let_go((children, attributes, forward));
        }
    }
}

/// Where a module's behaviour comes from, and how another one like it is made.
enum Source {
    Built { built: Built, build: Build },
    Group { forward: RefCell<Option<GroupForward>> },
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} parameters)", self.kind(), self.count())
    }
}

impl Module {
    /// A network whose parameters `build` registers under the path it gets. `build` runs once more for every
    /// [`Module::deep_copy`], so it must make the same network each time. `kind` is its name for people: `linear`, `vae f16d32`.
    ///
    /// # Errors
    /// Whatever `build` returns.
    pub fn build(kind: impl Into<String>, device: Device, build: impl Fn(&Path) -> Result<Built> + 'static) -> Result<Self> {
        let store = Store::new();
        let built = build(&store.root(device))?;
        Ok(Self::assemble(kind.into(), store, Source::Built { built, build: Rc::new(build) }))
    }

    /// An empty named container, to which a script adds modules and parameters.
    pub fn group() -> Self {
        Self::group_of("group")
    }

    pub(super) fn group_of(kind: &str) -> Self {
        Self::assemble(kind.to_owned(), Store::new(), Source::Group { forward: RefCell::default() })
    }

    fn assemble(kind: String, store: Store, source: Source) -> Self {
        Module(Rc::new(Inner { kind, store, source, children: RefCell::default(), attributes: RefCell::default(), level: Cell::new(0) }))
    }

    /// Its name for people.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Whether a script may add parts to it.
    pub fn is_group(&self) -> bool {
        matches!(self.0.source, Source::Group { .. })
    }

    /// The Rust struct behind it: `module.model::<AutoencoderKl>()`, or `None` when it is something else.
    pub fn model<T: 'static>(&self) -> Option<Rc<T>> {
        match &self.0.source {
            Source::Built { built, .. } => built.model.clone().downcast().ok(),
            Source::Group { .. } => None,
        }
    }

    /// Its own parameters, without those of its children.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn import(&self) -> Option<Rc<Import>> {
        match &self.0.source {
            Source::Built { built, .. } => built.import.clone(),
            Source::Group { .. } => None,
        }
    }

    /// What [`Built::checking`] said.
    pub(super) fn check(&self) -> Option<Rc<Check>> {
        match &self.0.source {
            Source::Built { built, .. } => built.check.clone(),
            Source::Group { .. } => None,
        }
    }

    /// What [`Built::reading_own`] said.
    pub(super) fn reads_own(&self) -> bool {
        matches!(&self.0.source, Source::Built { built, .. } if built.reads_own)
    }

    /// What [`Built::advising`] said.
    pub(super) fn advice(&self) -> Option<(&'static str, &'static str)> {
        match &self.0.source {
            Source::Built { built, .. } => built.advice,
            Source::Group { .. } => None,
        }
    }

    /// Whether both handles are the same network.
    pub fn is_same(&self, other: &Module) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    // ---- groups

    fn check_part(&self, name: &str) -> Result<()> {
        if !self.is_group() {
            return Err(
                Error::value(self.kind(), format!("`{name}` cannot be added to it")).help("put it into a group: `let g = nn::group(); g.body = m;`")
            );
        }
        if name.is_empty() || name.contains('.') {
            return Err(Error::value(self.kind(), format!("`{name}` is no name for a part: it must not be empty or hold a dot")));
        }
        Ok(())
    }

    /// Adds or replaces a child of a group.
    ///
    /// # Errors
    /// `E0202` when this is not a group, when the child holds this module, for the tree would have a cycle, or when it would be too deep.
    pub fn set_child(&self, name: &str, child: Module) -> Result<()> {
        self.check_part(name)?;
        if child.holds(self, &mut HashSet::new()) {
            return Err(Error::value("group", format!("`{name}` would make the module part of itself")));
        }
        if !child.sinks_to(self.0.level.get() + 1) {
            return Err(Error::value("group", format!("with `{name}`, modules would be nested more than {DEEPEST} deep")));
        }
        self.0.store.remove(name);
        self.0.attributes.borrow_mut().shift_remove(name);
        self.0.children.borrow_mut().insert(name.to_owned(), child);
        Ok(())
    }

    /// Adds or replaces a group's own parameter, or its own buffer: a tensor that is saved but not trained.
    ///
    /// # Errors
    /// `E0202` when this is not a group, or when a parameter is the result of a computation.
    pub fn set_param(&self, name: &str, tensor: Tensor, buffer: bool) -> Result<()> {
        self.check_part(name)?;
        if !buffer && !tensor.is_leaf() {
            let message = format!("`{name}` is the result of a computation, so it would get no gradient");
            return Err(Error::value("group", message).help("`nn::parameter(x.detach())` makes it a parameter"));
        }
        self.0.children.borrow_mut().shift_remove(name);
        self.0.attributes.borrow_mut().shift_remove(name);
        self.0.store.insert(Entry { name: name.to_owned(), tensor, buffer, persistent: true });
        Ok(())
    }

    /// Keeps a value that is neither module nor tensor with a group: a size, a forward function of the host's own kind.
    /// Copies of the group share it; it is not saved.
    ///
    /// # Errors
    /// `E0202` when this is not a group.
    pub fn set_attribute(&self, name: &str, value: Rc<dyn Any>) -> Result<()> {
        self.check_part(name)?;
        self.0.store.remove(name);
        self.0.children.borrow_mut().shift_remove(name);
        self.0.attributes.borrow_mut().insert(name.to_owned(), value);
        Ok(())
    }

    /// The names of the values beside parameters and modules that it has.
    pub fn attribute_names(&self) -> Vec<String> {
        self.0.attributes.borrow().keys().cloned().collect()
    }

    /// The value kept under that name, if it is of that type.
    pub fn attribute<T: 'static>(&self, name: &str) -> Option<Rc<T>> {
        self.0.attributes.borrow().get(name).cloned()?.downcast().ok()
    }

    /// The group's own parameter or buffer of that name.
    pub fn param(&self, name: &str) -> Option<Tensor> {
        self.0.store.entries().into_iter().find(|e| e.name == name).map(|e| e.tensor)
    }

    /// The child of that name.
    pub fn child(&self, name: &str) -> Option<Module> {
        self.0.children.borrow().get(name).cloned()
    }

    /// All children in order.
    pub fn children(&self) -> Vec<(String, Module)> {
        self.0.children.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn holds(&self, other: &Module, seen: &mut HashSet<*const Inner>) -> bool {
        self.is_same(other) || (seen.insert(Rc::as_ptr(&self.0)) && self.0.children.borrow().values().any(|c| c.holds(other, seen)))
    }

    /// Puts it and what it holds at that level or below; whether all stay within the bound.
    fn sinks_to(&self, level: i64) -> bool {
        if level <= self.0.level.get() {
            return true;
        }
        if level > DEEPEST || !self.0.children.borrow().values().all(|c| c.sinks_to(level + 1)) {
            return false;
        }
        self.0.level.set(level);
        true
    }

    /// Says what a group computes.
    ///
    /// # Errors
    /// `E0202` when this is not a group: a layer computes what it computes.
    pub fn set_forward(&self, forward: GroupForward) -> Result<()> {
        match &self.0.source {
            Source::Group { forward: slot } => *slot.borrow_mut() = Some(forward),
            Source::Built { .. } => return Err(Error::value(self.kind(), "its forward function cannot be replaced").help("wrap it in `nn::group()`")),
        }
        Ok(())
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0202` for a group without a forward function; otherwise what the layers say.
    pub fn forward(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let missing = || Error::value(self.kind(), "this module has no forward function");
        match &self.0.source {
            Source::Built { built, .. } => built.forward.as_ref().ok_or_else(missing)?.forward(inputs),
            Source::Group { forward } => {
                let f = forward.borrow().clone();
                f.ok_or_else(|| missing().help("call its parts, `m.head.forward(x)`, or assign `m.forward = |m, x| ..`"))?(self, inputs)
            }
        }
    }

    // ---- parameters

    /// All parameters and buffers in the order of their definition: its own, then each child's with the prefix `child.`.
    pub fn entries(&self) -> Vec<Entry> {
        let mut out = self.0.store.entries();
        for (name, child) in self.0.children.borrow().iter() {
            out.extend(child.entries().into_iter().map(|e| Entry { name: format!("{name}.{}", e.name), ..e }));
        }
        out
    }

    /// All parameters, trained or not, without buffers. One that is used in two places comes once, under its first name.
    pub fn named_parameters(&self) -> Vec<(String, Tensor)> {
        let mut seen = HashSet::new();
        self.entries()
            .into_iter()
            .filter(|e| !e.buffer && (e.tensor.numel() == 0 || seen.insert(e.tensor.id())))
            .map(|e| (e.name, e.tensor))
            .collect()
    }

    /// The parameters whose gradients are wanted.
    pub fn trainable(&self) -> Vec<Tensor> {
        self.named_parameters().into_iter().map(|(_, t)| t).filter(Tensor::requires_grad).collect()
    }

    /// The number of parameter elements, without buffers.
    pub fn count(&self) -> i64 {
        self.named_parameters().iter().map(|(_, t)| t.numel() as i64).sum()
    }

    /// The state dict: every parameter and persistent buffer, sharing memory with the module.
    pub fn state(&self) -> State {
        self.entries().into_iter().filter(|e| e.persistent).map(|e| (e.name, e.tensor)).collect()
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

    /// Turns a switch of that name on or off in every layer that has it: `frozen` keeps a batch norm on its running statistics
    /// while the rest trains. Gives the number of layers that have it.
    pub fn set_switch(&self, name: &str, on: bool) -> usize {
        let own = self.0.store.set_switches(name, on);
        own + self.0.children.borrow().values().map(|c| c.set_switch(name, on)).sum::<usize>()
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

    // ---- copies

    /// An independent network of the same kind, with copies of all tensors and the same training flags, switches and
    /// `requires_grad`. Nothing is drawn from the random generator. Parts used twice stay shared in the copy.
    ///
    /// # Errors
    /// `E0201` or `E0203` when libtorch refuses.
    pub fn deep_copy(&self) -> Result<Module> {
        self.copy_with(&mut Vec::new(), &mut Vec::new())
    }

    fn copy_with(&self, done: &mut Vec<(Module, Module)>, tensors: &mut Vec<(Tensor, Tensor)>) -> Result<Module> {
        if let Some((_, copy)) = done.iter().find(|(from, _)| from.is_same(self)) {
            return Ok(copy.clone());
        }
        let own = &self.0;
        let copy = match &own.source {
            Source::Built { build, .. } => {
                let store = Store::new();
                let built = build(&store.root_uninitialised(Device::Cpu))?;
                for (to, from) in store.entries().iter().zip(own.store.entries()) {
                    to.tensor.requires_grad_(from.tensor.requires_grad())?;
                    no_grad(|| to.tensor.set_data(&from.tensor.detach()?.copy()?))?;
                }
                Self::assemble(own.kind.clone(), store, Source::Built { built, build: build.clone() })
            }
            Source::Group { forward } => {
                let copy = Self::group_of(&own.kind);
                if let Some(f) = forward.borrow().clone() {
                    copy.set_forward(f)?;
                }
                for e in own.store.entries() {
                    let known = tensors.iter().find(|(from, _)| from.numel() > 0 && from.id() == e.tensor.id()).map(|(_, to)| to.clone());
                    let tensor = match known {
                        Some(t) => t,
                        None => {
                            let t = no_grad(|| e.tensor.detach()?.copy())?;
                            t.requires_grad_(e.tensor.requires_grad())?
                        }
                    };
                    tensors.push((e.tensor.clone(), tensor.clone()));
                    copy.0.store.insert(Entry { tensor, ..e });
                }
                for (name, child) in self.children() {
                    copy.0.children.borrow_mut().insert(name, child.copy_with(done, tensors)?);
                }
                *copy.0.attributes.borrow_mut() = own.attributes.borrow().clone();
                copy
            }
        };
        copy.0.level.set(own.level.get());
        copy.0.store.mode().set(self.is_training());
        copy.0.store.copy_switches(&own.store);
        done.push((self.clone(), copy.clone()));
        Ok(copy)
    }
}
