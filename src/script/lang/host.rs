//! What a script's functions share with the host program.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// A bag of host values by type, one for each engine: the open run, the permissions, the units of the program.
/// An embedding program puts its own state here and reads it in its own functions.
#[derive(Clone, Default)]
pub struct Host(Rc<RefCell<HashMap<TypeId, Rc<dyn Any>>>>);

impl Host {
    /// An empty bag.
    pub fn new() -> Self {
        Self::default()
    }

    /// What tells this bag from all others that are alive.
    pub(crate) fn id(&self) -> i64 {
        Rc::as_ptr(&self.0) as usize as i64
    }

    /// Stores a value, replacing the one of the same type.
    pub fn put<T: 'static>(&self, value: T) -> Rc<T> {
        let value = Rc::new(value);
        self.0.borrow_mut().insert(TypeId::of::<T>(), value.clone());
        value
    }

    /// The value of that type, if there is one.
    pub fn get<T: 'static>(&self) -> Option<Rc<T>> {
        let value = self.0.borrow().get(&TypeId::of::<T>()).cloned()?;
        value.downcast().ok()
    }

    /// The value of that type, made on first use.
    pub fn get_or_default<T: Default + 'static>(&self) -> Rc<T> {
        self.get().unwrap_or_else(|| self.put(T::default()))
    }

    /// Lets go of every value. Those that hold the bag themselves would keep each other otherwise.
    pub(crate) fn clear(&self) {
        // They may look into the bag as they go.
        let values = self.0.take();
        drop(values);
    }

    /// Takes the value of that type out.
    pub fn remove<T: 'static>(&self) -> Option<Rc<T>> {
        self.0.borrow_mut().remove(&TypeId::of::<T>())?.downcast().ok()
    }
}
