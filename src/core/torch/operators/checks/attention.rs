//! Attention.

use super::{Bound, refuse};
use crate::error::{Error, Result};
use crate::torch::Tensor;

/// Each key has a value, as wide as the queries are: libtorch's kernel takes the number of values for that of the keys, and divides by that of the heads.
///
/// # Errors
/// `E0202` with the three.
pub(in crate::torch) fn pairs(op: &str, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<()> {
    if [q, k, v].iter().any(|t| t.rank() < 2) || k.size(-2)? != v.size(-2)? || q.size(-1)? != k.size(-1)? {
        let message = format!("queries {}, keys {} and values {} do not go together: [.., N, D] each", q.describe(), k.describe(), v.describe());
        return Err(Error::value(op, message));
    }
    match [q, k, v].into_iter().find(|t| t.numel() == 0) {
        Some(t) => Err(Error::value(op, format!("nothing attends to nothing: {} is empty", t.describe()))),
        None => Ok(()),
    }
}

/// What belongs together, and with grouped queries the heads divide each other.
pub(super) fn grouped(b: &Bound) -> Result<()> {
    let (Some(q), Some(k), Some(v)) = (b.tensor("query"), b.tensor("key"), b.tensor("value")) else { return Ok(()) };
    pairs(b.op(), q, k, v)?;
    if !b.flag("enable_gqa") {
        return Ok(());
    }
    if [q, k, v].iter().any(|t| t.rank() < 3) {
        return Err(refuse(b, "queries, keys and values need heads: [.., H, N, D]"));
    }
    let heads = [q.size(-3)?, k.size(-3)?, v.size(-3)?];
    let divides = |n: i64| n > 0 && heads[0] % n == 0;
    if divides(heads[1]) && divides(heads[2]) {
        return Ok(());
    }
    Err(refuse(b, format!("{} query heads are no multiple of {} key and {} value heads", heads[0], heads[1], heads[2])))
}
