//! In which order a backward pass comes to parameters.

use super::{checked, pointer};
use crate::error::Result;
use crate::torch::Tensor;
use crate::torch::bridge::ffi::{self, RawOrder};
use std::ptr::null_mut;

/// Notes which gradients come, until it is asked.
pub struct Order {
    raw: *mut RawOrder,
    count: usize,
}

impl Order {
    /// Of these parameters, leaves that want gradients, from now on.
    ///
    /// # Errors
    /// `E0802` when libtorch refuses.
    pub fn of<'a>(params: impl IntoIterator<Item = &'a Tensor>) -> Result<Order> {
        let (list, mut raw) = (params.into_iter().map(pointer).collect::<Vec<_>>(), null_mut());
        // SAFETY: tensors that outlive the call; on success `raw` is a new object, taken over here.
        checked("the order of gradients", |e| unsafe { ffi::lathe_order_begin(list.as_ptr(), list.len() as i64, &mut raw, e) })?;
        Ok(Order { raw, count: list.len() })
    }

    /// The numbers of the parameters in the order in which their gradients were whole: first those that came, then the others, the last first.
    ///
    /// # Errors
    /// `E0802` when libtorch refuses.
    pub fn end(self) -> Result<Vec<usize>> {
        let (mut numbers, mut n) = (vec![0i64; self.count], self.count as i64);
        // SAFETY: room for as many numbers as there are parameters; each is written once at most.
        checked("the order of gradients", |e| unsafe { ffi::lathe_order_end(self.raw, numbers.as_mut_ptr(), &mut n, e) })?;
        numbers.truncate(usize::try_from(n).unwrap_or(0));
        let mut order: Vec<usize> = numbers.into_iter().filter_map(|i| usize::try_from(i).ok()).collect();
        let came: std::collections::HashSet<usize> = order.iter().copied().collect();
        order.extend((0..self.count).rev().filter(|i| !came.contains(i)));
        Ok(order)
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        // SAFETY: made above, and freed once.
        unsafe { ffi::lathe_order_free(self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    #[test]
    fn gradients_come_from_the_end_of_the_forward_pass_however_parameters_are_registered() {
        let leaf = || Tensor::ones(&[2, 2], DType::Float, Device::Cpu).unwrap().requires_grad_(true).unwrap();
        let (first, second, third, unused, twice) = (leaf(), leaf(), leaf(), leaf(), leaf());
        let params = [third.clone(), unused.clone(), first.clone(), second.clone(), twice.clone()];
        let order = Order::of(&params).unwrap();
        // `twice` is used at the end and at the start: its gradient is whole at the end of the backward pass.
        let y = twice.matmul(&first).unwrap().matmul(&second).unwrap().matmul(&third).unwrap().matmul(&twice).unwrap();
        y.sum(&[], false).unwrap().backward().unwrap();
        let came = order.end().unwrap();
        assert_eq!((came[..2].to_vec(), came[4]), (vec![0, 3], 1), "{came:?}");
        let mut last = came[2..4].to_vec();
        last.sort_unstable();
        assert_eq!(last, [2, 4]);
    }
}
