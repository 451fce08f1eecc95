//! What the sizes of networks may be: an error that names the option comes before any memory is used.

use crate::error::{Error, Result};
use crate::memory;
use crate::torch::{Device, default_device};

/// More than any network is wide; products of three sizes still fit an `i64`.
pub const WIDEST: i64 = 1 << 20;
/// More blocks, layers or heads than any network has.
pub const DEEPEST: i64 = 1024;

/// Fails unless every size is from 1 to `most`.
///
/// # Errors
/// `E0202` naming the first that is not.
pub fn within(op: &str, sizes: &[(&str, i64)], most: i64) -> Result<()> {
    let Some((name, n)) = sizes.iter().find(|(_, n)| !(1..=most).contains(n)) else { return Ok(()) };
    let wanted = if *n < 1 { "at least 1".to_owned() } else { format!("at most {most}") };
    Err(Error::value(op, format!("`{name}` must be {wanted}, got {n}")))
}

/// The side of the square of so many cells; none where they make no square, or there is no cell.
pub fn square_side(cells: i64) -> Option<i64> {
    let side = (cells.max(0) as f64).sqrt().round() as i64;
    (cells > 0 && side.checked_mul(side) == Some(cells)).then_some(side)
}

/// Fails when weights of so many numbers would not be within the limit of memory.
///
/// # Errors
/// `E0203` with what they take.
pub fn room_for_weights(op: &str, numbers: f64) -> Result<()> {
    // On a GPU they are its memory's, which libtorch watches itself.
    if default_device() != Device::Cpu {
        return Ok(());
    }
    let bytes = 4.0 * numbers;
    memory::room(op, bytes as usize).map_err(|e| e.context(format!("`{op}` with weights of {}", memory::shown(bytes as u64))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_out_of_bounds_is_named_with_its_bound() {
        within("sit", &[("depth", 1), ("heads", DEEPEST)], DEEPEST).unwrap();
        for (n, want) in [(0, "sit: `depth` must be at least 1, got 0"), (i64::MAX, "sit: `depth` must be at most 1024, got 9223372036854775807")] {
            assert_eq!(within("sit", &[("heads", 1), ("depth", n)], DEEPEST).unwrap_err().to_string(), want);
        }
    }
}
