//! Named parameters and buffers, and the path under which a layer registers its own.

use super::Init;
use crate::error::Result;
use crate::torch::{DType, Device, Tensor};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A named tensor of a model.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The state-dict name, as the reference writes it.
    pub name: String,
    /// The tensor itself; clones see in-place changes.
    pub tensor: Tensor,
    /// A buffer is saved but never trained: running statistics, counters.
    pub buffer: bool,
    /// Whether `state()` and checkpoints hold it (`persistent` in PyTorch).
    pub persistent: bool,
}

/// Whether a model trains or evaluates; shared by all its layers.
#[derive(Clone, Debug)]
pub struct Mode(Rc<Cell<bool>>);

impl Default for Mode {
    fn default() -> Self {
        Mode(Rc::new(Cell::new(true)))
    }
}

impl Mode {
    /// Whether dropout drops and batch norm uses the batch.
    pub fn training(&self) -> bool {
        self.0.get()
    }

    /// Switches all layers that share it.
    pub fn set(&self, training: bool) {
        self.0.set(training);
    }
}

/// The parameters and buffers of one model, in the order in which they were made.
#[derive(Clone, Default)]
pub struct Store {
    entries: Rc<RefCell<Vec<Entry>>>,
    switches: Rc<RefCell<Vec<(String, Switch)>>>,
    mode: Mode,
}

/// An on/off property of one layer, apart from the training mode; off at first.
pub type Switch = Rc<Cell<bool>>;

impl Store {
    /// Nothing in it, training.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a model registers its parameters: f32 on `device`.
    pub fn root(&self, device: Device) -> Path {
        Path { store: self.clone(), prefix: String::new(), device, init: true }
    }

    /// The same without drawing first values, for parameters that are set right after.
    pub fn root_uninitialised(&self, device: Device) -> Path {
        Path { init: false, ..self.root(device) }
    }

    /// A snapshot of all entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.borrow().clone()
    }

    /// Training or evaluating.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }

    /// Adds an entry, or replaces the one of that name at its place.
    pub(super) fn insert(&self, entry: Entry) {
        let mut entries = self.entries.borrow_mut();
        match entries.iter_mut().find(|e| e.name == entry.name) {
            Some(old) => *old = entry,
            None => entries.push(entry),
        }
    }

    pub(super) fn remove(&self, name: &str) {
        self.entries.borrow_mut().retain(|e| e.name != name);
    }

    /// Sets the switches whose last name part is `name`, and counts them.
    pub(super) fn set_switches(&self, name: &str, on: bool) -> usize {
        let switches = self.switches.borrow();
        let named = switches.iter().filter(|(n, _)| n.rsplit('.').next() == Some(name));
        named.inspect(|(_, s)| s.set(on)).count()
    }

    pub(super) fn copy_switches(&self, from: &Store) {
        for ((_, to), (_, from)) in self.switches.borrow().iter().zip(from.switches.borrow().iter()) {
            to.set(from.get());
        }
    }
}

/// A name prefix in a [`Store`]: `path.pp("attn").param("q.weight", ..)` makes `attn.q.weight`.
#[derive(Clone)]
pub struct Path {
    store: Store,
    prefix: String,
    device: Device,
    init: bool,
}

impl Path {
    /// The path `self.name`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Path {
        Path { store: self.store.clone(), prefix: self.full(&name.to_string()), ..*self }
    }

    /// The store's mode, for layers that behave differently in training.
    pub fn mode(&self) -> Mode {
        self.store.mode.clone()
    }

    /// A tensor of the model, if it has one already: where that lives now, the model's inputs belong.
    pub fn anchor(&self) -> Option<Tensor> {
        self.store.entries.borrow().first().map(|e| e.tensor.clone())
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.device
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// A trained f32 parameter.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses the shape, `E0203` without memory.
    pub fn param(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor> {
        let t = Tensor::empty(shape, DType::Float, self.device)?;
        if self.init {
            init.fill(&t)?;
        }
        let t = t.requires_grad_(true)?;
        self.add(name, &t, false, true);
        Ok(t)
    }

    /// A parameter with given values that is saved but not trained (`requires_grad=False`), such as `pos_embed`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn fixed(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let t = value.to_device(self.device)?;
        self.add(name, &t, false, true);
        Ok(t)
    }

    /// A buffer: saved, never trained, not a parameter.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn buffer(&self, name: &str, value: &Tensor) -> Result<Tensor> {
        let t = value.to_device(self.device)?;
        self.add(name, &t, true, true);
        Ok(t)
    }

    /// An on/off property of the layer at this path, set by [`super::Module::set_switch`].
    pub fn switch(&self, name: &str) -> Switch {
        let switch = Switch::default();
        self.store.switches.borrow_mut().push((self.full(name), switch.clone()));
        switch
    }

    fn add(&self, name: &str, tensor: &Tensor, buffer: bool, persistent: bool) {
        let entry = Entry { name: self.full(name), tensor: tensor.clone(), buffer, persistent };
        self.store.entries.borrow_mut().push(entry);
    }
}
