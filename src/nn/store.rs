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
    mode: Mode,
}

impl Store {
    /// Nothing in it, training.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where a model registers its parameters: f32 on `device`.
    pub fn root(&self, device: Device) -> Path {
        Path { store: self.clone(), prefix: String::new(), device }
    }

    /// A snapshot of all entries.
    pub fn entries(&self) -> Vec<Entry> {
        self.entries.borrow().clone()
    }

    /// Training or evaluating.
    pub fn mode(&self) -> &Mode {
        &self.mode
    }
}

/// A name prefix in a [`Store`]: `path.pp("attn").param("q.weight", ..)` makes `attn.q.weight`.
#[derive(Clone)]
pub struct Path {
    store: Store,
    prefix: String,
    device: Device,
}

impl Path {
    /// The path `self.name`.
    pub fn pp(&self, name: impl std::fmt::Display) -> Path {
        Path { store: self.store.clone(), prefix: self.full(&name.to_string()), device: self.device }
    }

    /// The store's mode, for layers that behave differently in training.
    pub fn mode(&self) -> Mode {
        self.store.mode.clone()
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
        init.fill(&t)?;
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

    fn add(&self, name: &str, tensor: &Tensor, buffer: bool, persistent: bool) {
        let entry = Entry { name: self.full(name), tensor: tensor.clone(), buffer, persistent };
        self.store.entries.borrow_mut().push(entry);
    }
}
