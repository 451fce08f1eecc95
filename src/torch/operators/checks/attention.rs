//! Attention.

use super::{Bound, refuse};
use crate::error::Result;

/// Each key has a value, and with grouped queries the heads divide each other: libtorch's kernel takes the length of one for the other.
pub(super) fn grouped(b: &Bound) -> Result<()> {
    let (Some(q), Some(k), Some(v)) = (b.tensor("query"), b.tensor("key"), b.tensor("value")) else { return Ok(()) };
    if [q, k, v].iter().any(|t| t.rank() < 2) {
        return Err(refuse(b, "queries, keys and values must be [.., N, D]"));
    }
    if k.size(-2)? != v.size(-2)? || q.size(-1)? != k.size(-1)? {
        return Err(refuse(b, format!("queries {}, keys {} and values {} do not go together", q.describe(), k.describe(), v.describe())));
    }
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
