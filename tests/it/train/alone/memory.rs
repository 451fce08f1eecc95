//! CPU tensors under the limit of memory: what is counted, what is refused, and that tensors are as before.

use crate::support::alone;
use lathe::memory;
use lathe::torch::bridge::{Value, bound_memory, call};
use lathe::torch::{DType, Device, Tensor};

const MIB: u64 = 1 << 20;

fn empty(mib: i64) -> lathe::error::Result<Tensor> {
    Tensor::empty(&[mib, 1 << 20], DType::Uint8, Device::Cpu)
}

#[test]
fn large_tensors_are_counted_as_they_come_and_go() {
    alone(|| {
        bound_memory().unwrap();
        bound_memory().unwrap();
        let before = memory::in_use();
        // Nothing was written to it yet: the system does not count it.
        let large = empty(3000).unwrap();
        assert!(memory::in_use() >= 3000 * MIB, "{}", memory::in_use());
        let view = large.clone();
        drop(large);
        assert!(memory::in_use() >= 3000 * MIB, "a second handle keeps it");
        drop(view);
        assert!(memory::in_use() < before + 200 * MIB, "{} after {before}", memory::in_use());
        // So much that what the process gives back meanwhile does not matter.
        memory::set_limit(Some(memory::in_use() + 5000 * MIB));
        let e = empty(6000).unwrap_err();
        assert!(e.is_memory() && e.to_string().contains("5.9 GiB are asked for"), "{e}");
        assert!(e.help_text().unwrap().contains("--max-memory"), "{e:?}");
        // Together they are too much, one by one they are not; what goes makes room.
        for _ in 0..5 {
            let first = empty(3000).unwrap();
            assert!(empty(3000).unwrap_err().is_memory());
            drop(first);
        }
        // Our own memory asks as well.
        assert!(memory::room("test", 6000 << 20).unwrap_err().is_memory());
        memory::room("test", 100 << 20).unwrap();
        memory::set_limit(None);
        drop(empty(6000).unwrap());
    });
}

#[test]
fn tensors_are_as_before_under_the_allocator_that_asks() {
    alone(|| {
        let old = Tensor::full(&[1 << 20], 2.0, DType::Float, Device::Cpu).unwrap();
        bound_memory().unwrap();
        let new = Tensor::full(&[1 << 20], 3.0, DType::Float, Device::Cpu).unwrap();
        let sum = |t: &Tensor| t.sum(&[], false).unwrap().item().unwrap();
        assert_eq!([sum(&old), sum(&new.copy().unwrap()), sum(&old.add(&new).unwrap())], [2_097_152.0, 3_145_728.0, 5_242_880.0]);
        // Grown and shrunk in place, by the allocator that its storage knows: the one before and this one.
        for t in [&old, &new] {
            for n in [1_i64 << 22, 16, 1 << 21] {
                call("resize_", &[Value::Tensor(t.clone()), Value::List(vec![n.into()])], &[]).unwrap();
                assert_eq!(t.fill_(1.0).unwrap().numel() as i64, n);
                assert_eq!(sum(t), n as f64);
            }
        }
        // From other threads, which allocate and free what others made.
        let threads: Vec<_> =
            (0..4).map(|i| std::thread::spawn(move || (0..200).map(|j| empty(1 + (i + j) % 5).unwrap().numel()).sum::<usize>())).collect();
        assert!(threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>() > 0);
        drop((old, new));
    });
}
