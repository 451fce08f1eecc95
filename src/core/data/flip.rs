//! Horizontal flips: which samples are mirrored, and mirroring them.

use super::batch::Batch;
use super::draws::drawn;
use crate::error::Result;
use crate::torch::{DType, Tensor};

/// Whether the sample at `position` is mirrored in an epoch: half of them, by the seed, the epoch and the position alone.
pub(super) fn is_flipped(seed: u64, epoch: u64, position: usize) -> bool {
    drawn(0x666c_6970, seed, epoch, position) >> 63 == 1
}

/// The batch with the rows of `images` mirrored that `flips` names, and `flipped` u8 `[B]`, which says so.
pub(super) fn flipped(batch: Batch, flips: &[bool]) -> Result<Batch> {
    let images = batch.get("images")?;
    let rows: Vec<u8> = flips.iter().map(|f| u8::from(*f)).collect();
    let rows = Tensor::from_vec(&rows, &[flips.len() as i64])?;
    let mirrored = match (flips.contains(&true), flips.contains(&false)) {
        (false, _) => images.clone(),
        (true, false) => images.flip(&[3])?.contiguous()?,
        (true, true) => images.flip(&[3])?.where_(&rows.to_dtype(DType::Bool)?.view(&[-1, 1, 1, 1])?, images)?,
    };
    Ok(batch.with("images", mirrored).with("flipped", rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_are_flipped_and_each_epoch_and_seed_others() {
        let of = |seed, epoch| (0..10_000).map(|p| is_flipped(seed, epoch, p)).collect::<Vec<_>>();
        let a = of(0, 0);
        let share = |v: &[bool]| v.iter().filter(|f| **f).count();
        assert!((4_800..5_200).contains(&share(&a)));
        for b in [of(0, 1), of(1, 0)] {
            let alike: Vec<bool> = a.iter().zip(&b).map(|(a, b)| a == b).collect();
            assert!((4_800..5_200).contains(&share(&alike)));
        }
        // A stream that runs go on with: it must not change between versions.
        let first: Vec<u8> = a[..12].iter().map(|f| u8::from(*f)).collect();
        assert_eq!(first, [0, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0]);
    }

    #[test]
    fn rows_are_mirrored() {
        let x: Vec<u8> = (0..2 * 3 * 2 * 2).collect();
        let batch = Batch::default().with("images", Tensor::from_vec(&x, &[2, 3, 2, 2]).unwrap());
        let out = flipped(batch, &[false, true]).unwrap();
        let pixels = out.get("images").unwrap().to_bytes().unwrap();
        assert_eq!(pixels[..12], x[..12]);
        assert_eq!(pixels[12..], [13, 12, 15, 14, 17, 16, 19, 18, 21, 20, 23, 22]);
        assert_eq!(out.get("flipped").unwrap().to_bytes().unwrap(), [0, 1]);
    }
}
