//! Numbers that depend on a sample alone: the same whatever thread, batch or rank draws it.

/// SplitMix64 (Steele, Lea, Flood 2014), one step on from `state`, with `value` in it.
fn mix(state: u64, value: u64) -> u64 {
    let mut z = state.wrapping_add(value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What is drawn for the sample at `position` in an epoch; `what` tells the uses apart.
pub(super) fn drawn(what: u64, seed: u64, epoch: u64, position: usize) -> u64 {
    mix(mix(mix(what, seed), epoch), position as u64)
}

/// Numbers that follow from one.
pub(super) struct Stream(pub(super) u64);

impl Stream {
    /// A whole number of `0..n`; 0 where there is none.
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = mix(self.0, 0);
        // The upper half of a product: each number has its share, but for a part in 2^64 / n.
        ((u128::from(self.0) * n as u128) >> 64) as usize
    }
}
