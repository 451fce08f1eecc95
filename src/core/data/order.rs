//! The order of an epoch: the same for the same seed, on every machine and in every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// The positions `0..len` in the order of this epoch: shuffled by ChaCha8 keyed with seed and epoch, or as they are.
pub fn epoch_order(len: usize, shuffle: bool, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    if shuffle {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&epoch.to_le_bytes());
        key[16..].copy_from_slice(b"lathe epoch v1..");
        let mut random = ChaCha8Rng::from_seed(key);
        for i in (1..len).rev() {
            // Multiply-shift instead of a library's range sampling, whose stream may change between its versions.
            let j = ((u128::from(random.next_u64()) * (i as u128 + 1)) >> 64) as usize;
            order.swap(i, j);
        }
    }
    order
}

/// This rank's share of an epoch's order: every `world`-th position from `rank` on, as many for every rank.
///
/// What does not divide evenly is dropped with `drop_last`, and otherwise filled up from the start of the order.
pub(crate) fn share(order: &[usize], rank: usize, world: usize, drop_last: bool) -> Vec<usize> {
    let each = share_len(order.len(), world, drop_last);
    (0..each).map(|i| order[(i * world + rank) % order.len()]).collect()
}

pub(crate) fn share_len(len: usize, world: usize, drop_last: bool) -> usize {
    if drop_last { len / world } else { len.div_ceil(world) }
}
