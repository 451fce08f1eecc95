//! What ranks share out among them (ZeRO-1: Rajbhandari et al. 2020, arXiv 1910.02054): each tensor belongs to one rank, and all get it from there.

use super::Dist;
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, dtype_name, parse_dtype};
use std::collections::VecDeque;

/// So many bytes are sent as one.
const CHUNK: usize = 32 << 20;

/// Which of `ranks` each of several things belongs to, so that all have about as much: the largest first, to whoever has least.
pub fn owners(sizes: &[usize], ranks: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..sizes.len()).collect();
    by_size.sort_by_key(|i| std::cmp::Reverse(sizes[*i]));
    let (mut loads, mut owners) = (vec![0usize; ranks.max(1)], vec![0; sizes.len()]);
    for i in by_size {
        let least = (0..loads.len()).min_by_key(|r| loads[*r]).unwrap_or(0);
        loads[least] = loads[least].saturating_add(sizes[i]);
        owners[i] = least;
    }
    owners
}

/// Tensors of one dtype and device that go as one.
struct Parcel<'a>(Vec<&'a Tensor>);

impl Parcel<'_> {
    fn numel(&self) -> i64 {
        self.0.iter().map(|t| t.numel() as i64).sum()
    }

    fn pack(&self) -> Result<Tensor> {
        let flat = self.0.iter().map(|t| t.detach()?.contiguous()?.reshape(&[-1])).collect::<Result<Vec<_>>>()?;
        if let [only] = &flat[..] { Ok(only.clone()) } else { Tensor::cat(&flat, 0) }
    }

    fn unpack(&self, flat: &Tensor) -> Result<()> {
        let mut at = 0;
        for t in &self.0 {
            let n = t.numel() as i64;
            t.copy_(&flat.narrow(0, at, n)?.reshape(&t.shape())?)?;
            at += n;
        }
        Ok(())
    }
}

/// The parcels of each rank.
fn parcels(tensors: &[(usize, Tensor)], ranks: usize) -> Vec<VecDeque<Parcel<'_>>> {
    let mut all: Vec<VecDeque<Parcel>> = (0..ranks).map(|_| VecDeque::new()).collect();
    for (owner, t) in tensors.iter().filter(|(_, t)| t.numel() > 0) {
        let Some(queue) = all.get_mut(*owner) else { continue };
        let bytes = |t: &Tensor| t.numel() * t.dtype().elt_size_in_bytes();
        let fits = |p: &&mut Parcel| {
            let kind = p.0.first().is_some_and(|f| f.dtype() == t.dtype() && f.device() == t.device());
            kind && p.0.iter().map(|t| bytes(t)).sum::<usize>() + bytes(t) <= CHUNK
        };
        match queue.back_mut().filter(fits) {
            Some(parcel) => parcel.0.push(t),
            None => queue.push_back(Parcel(vec![t])),
        }
    }
    all
}

impl Dist {
    /// Writes each tensor's values of the rank that it belongs to into those of all others. Called by all, with tensors of the same shapes; gradients are
    /// not recorded where the caller sees to it.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn share(&self, tensors: &[(usize, Tensor)]) -> Result<()> {
        let mut queues = parcels(tensors, self.world.size);
        loop {
            // One of each rank is on its way at a time: all send, and little waits in memory.
            let mut begun = Vec::new();
            for (owner, queue) in queues.iter_mut().enumerate() {
                let Some(parcel) = queue.pop_front() else { continue };
                let Some(first) = parcel.0.first() else { continue };
                let is_own = owner == self.world.rank;
                let flat = if is_own { parcel.pack()? } else { Tensor::empty(&[parcel.numel()], first.dtype(), first.device())? };
                let work = self.group_of(&flat)?.broadcast(&flat, owner)?;
                begun.push((is_own, parcel, flat, work));
            }
            if begun.is_empty() {
                return Ok(());
            }
            for (is_own, parcel, flat, work) in begun {
                work.wait()?;
                if !is_own {
                    parcel.unpack(&flat)?;
                }
            }
        }
    }

    /// What the other ranks have, by name and on the CPU, on rank 0; nothing on the others. Called by all.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn collect(&self, own: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let broken = |e: serde_json::Error| Error::run(format!("a state cannot be sent: {e}"));
        let form: Vec<(&String, Vec<i64>, &str)> = own.iter().map(|(name, t)| (name, t.shape(), dtype_name(t.dtype()))).collect();
        let forms = self.gather(&serde_json::to_vec(&form).map_err(broken)?)?;
        let mut out = Vec::new();
        for (rank, form) in forms.iter().enumerate().skip(1) {
            let form: Vec<(String, Vec<i64>, String)> = serde_json::from_slice(form).map_err(broken)?;
            for (i, (name, shape, dtype)) in form.into_iter().enumerate() {
                let dtype: DType = parse_dtype(&dtype)?;
                let t = match own.get(i).filter(|_| rank == self.world.rank) {
                    Some((_, t)) => t.detach()?.to_device(Device::Cpu)?.contiguous()?,
                    None => Tensor::empty(&shape, dtype, Device::Cpu)?,
                };
                if t.numel() > 0 {
                    self.control().broadcast(&t, rank)?.wait()?;
                }
                if self.world.rank == 0 {
                    out.push((name, t));
                }
            }
        }
        Ok(out)
    }

    /// Fails where not all ranks call this.
    ///
    /// # Errors
    /// `E0803` on every rank that does; `E0802` when another rank is gone.
    pub fn called_by_all(&self, what: &str) -> Result<()> {
        self.same_turn(what, self.next_wait())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ranks_get_about_as_much() {
        assert_eq!(owners(&[1, 8, 3, 4, 2], 2), [0, 0, 1, 1, 1]);
        assert_eq!(owners(&[5, 5, 5], 4), [0, 1, 2]);
        assert!(owners(&[], 3).is_empty());
        // As in a transformer: many of a few sizes.
        let sizes: Vec<usize> = (0..28).flat_map(|_| [3981, 1327, 5308, 5308, 7962]).chain([1152, 90]).collect();
        for ranks in [2, 3, 8] {
            let mut loads = vec![0; ranks];
            owners(&sizes, ranks).iter().zip(&sizes).for_each(|(r, n)| loads[*r] += n);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most - least <= 7962 && most * 10 < least * 12, "{ranks}: {loads:?}");
        }
    }

    #[test]
    fn parcels_hold_what_can_go_as_one() {
        let t = |n: i64, dtype| Tensor::zeros(&[n], dtype, Device::Cpu).unwrap();
        let large = (CHUNK / 4) as i64;
        let all = [
            (0, t(3, DType::Float)),
            (1, t(2, DType::Float)),
            (0, t(4, DType::Float)),
            (0, t(5, DType::Double)),
            (1, t(0, DType::Float)),
            (1, t(large, DType::Float)),
        ];
        let sizes: Vec<Vec<i64>> = parcels(&all, 3).iter().map(|q| q.iter().map(Parcel::numel).collect()).collect();
        assert_eq!(sizes, [vec![7, 5], vec![2, large], vec![]]);
    }

    #[test]
    fn what_is_packed_comes_out_whatever_its_layout() {
        let a = Tensor::arange(0.0, 6.0, 1.0, DType::Float, Device::Cpu).unwrap().reshape(&[2, 3]).unwrap().transpose(0, 1).unwrap();
        let b = Tensor::full(&[2], 9.0, DType::Float, Device::Cpu).unwrap();
        let (x, y) = (a.zeros_like().unwrap(), b.zeros_like().unwrap());
        Parcel(vec![&x, &y]).unpack(&Parcel(vec![&a, &b]).pack().unwrap()).unwrap();
        assert_eq!((x.to_vec_f64().unwrap(), y.to_vec_f64().unwrap()), (a.to_vec_f64().unwrap(), vec![9.0, 9.0]));
    }
}
