//! Where numbers stop being finite: in tensors, and in the gradients that go through the nodes of a graph.

use super::ffi;
use crate::error::Result;
use crate::torch::{Tensor, from_message, out_of_memory};

/// What kinds of numbers a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Finite ones alone, or whole numbers.
    Finite,
    /// Infinities, and nothing that is no number.
    Infinite,
    /// Something that is no number.
    NotANumber,
}

/// What kinds of numbers a tensor holds. Waits for a GPU.
///
/// # Errors
/// `E0203` without memory.
pub fn content(t: &Tensor) -> Result<Content> {
    let mut what = 0;
    // SAFETY: a tensor that outlives the call.
    let done = ffi::checked(|e| unsafe { ffi::lathe_finite(t.0.as_ptr().cast(), &mut what, e) });
    done.map_err(|f| from_message("isfinite", &[t], &f.message))?;
    Ok(match what {
        0 => Content::Finite,
        1 => Content::Infinite,
        _ => Content::NotANumber,
    })
}

/// A look at the gradients that go through graphs, by the calls that made their nodes. Nodes that are looked at stay so as long as their graph lives.
#[derive(Debug)]
pub struct Gradients(*mut ffi::RawGradients);

impl Gradients {
    /// Looks at nothing yet.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn new() -> Result<Self> {
        // SAFETY: a new object or null.
        let raw = unsafe { ffi::lathe_gradients_new() };
        if raw.is_null() { Err(out_of_memory("backward", "a look at gradients")) } else { Ok(Gradients(raw)) }
    }

    /// From now on backward passes look at the gradients that go through the nodes which `t` was computed by: those that no earlier call has had looked
    /// at belong to `call`.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn look(&self, t: &Tensor, call: i64) -> Result<()> {
        // SAFETY: both outlive the call.
        let done = ffi::checked(|e| unsafe { ffi::lathe_gradients_look(self.0, t.0.as_ptr().cast(), call, e) });
        done.map_err(|f| from_message("backward", &[t], &f.message))
    }

    /// The first node that made gradients which are not finite of such as were, since this was asked last: the call that it belongs to, and its name,
    /// such as `LogBackward0`.
    pub fn lost(&self) -> Option<(i64, String)> {
        let (mut call, mut name) = (0, std::ptr::null_mut());
        // SAFETY: places for both; the name is taken over.
        let is_found = unsafe { ffi::lathe_gradients_lost(self.0, &mut call, &mut name) } != 0;
        is_found.then(|| (call, ffi::take_string(name)))
    }
}

impl Drop for Gradients {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once; nodes have a share of their own.
        unsafe { ffi::lathe_gradients_free(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    fn of(values: &[f32]) -> Tensor {
        Tensor::from_slice(values).unwrap()
    }

    #[test]
    fn what_is_in_a_tensor_is_told() {
        assert_eq!(content(&of(&[1.0, -3.0])).unwrap(), Content::Finite);
        assert_eq!(content(&of(&[1.0, f32::NEG_INFINITY])).unwrap(), Content::Infinite);
        assert_eq!(content(&of(&[f32::INFINITY, f32::NAN])).unwrap(), Content::NotANumber);
        assert_eq!(content(&of(&[])).unwrap(), Content::Finite);
        assert_eq!(content(&Tensor::full(&[2], 3.0, DType::Int64, Device::Cpu).unwrap()).unwrap(), Content::Finite);
    }

    #[test]
    fn the_first_node_that_loses_a_gradient_is_told_with_its_call() {
        let x = of(&[0.0, 4.0]).requires_grad_(true).unwrap();
        let gradients = Gradients::new().unwrap();
        let square = x.mul(&x).unwrap();
        gradients.look(&square, 1).unwrap();
        let root = square.sqrt().unwrap();
        gradients.look(&root, 2).unwrap();
        let loss = root.sum(&[0], false).unwrap();
        gradients.look(&loss, 3).unwrap();
        let other = Gradients::new().unwrap();
        other.look(&loss, 4).unwrap();
        assert_eq!(gradients.lost(), None);
        loss.backward().unwrap();
        assert_eq!(gradients.lost(), Some((2, "SqrtBackward0".to_owned())));
        assert_eq!(gradients.lost(), None, "told once");
        assert_eq!(other.lost(), Some((4, "SqrtBackward0".to_owned())), "each look has its own calls");
    }
}
