//! Attention.

use super::{Bound, refuse};
use crate::error::Result;

/// With grouped queries libtorch divides the number of query heads by that of the key heads.
pub(super) fn grouped(b: &Bound) -> Result<()> {
    let (Some(q), Some(k), Some(v)) = (b.tensor("query"), b.tensor("key"), b.tensor("value")) else { return Ok(()) };
    if !b.flag("enable_gqa") {
        return Ok(());
    }
    if [q, k, v].iter().any(|t| t.rank() < 3) {
        return Err(refuse(b, "queries, keys and values need heads: [.., H, N, D]"));
    }
    let heads = [q.size(-3)?, k.size(-3)?, v.size(-3)?];
    let divides = |n: i64| n > 0 && heads[0] % n == 0;
    if divides(heads[1]) && divides(heads[2]) {
        Ok(())
    } else {
        Err(refuse(b, format!("{} query heads are no multiple of {} key and {} value heads", heads[0], heads[1], heads[2])))
    }
}
