//! Linear algebra: what LAPACK is not asked.

use super::{Bound, refuse, within};
use crate::error::Result;
use crate::torch::bridge::call1;

/// Operators whose iterations do not end, or run out of their memory, with what is not finite.
pub(super) const SPECTRAL: &[&str] = &[
    "linalg_eig",
    "linalg_eigvals",
    "linalg_eigh",
    "linalg_eigvalsh",
    "_linalg_eigh",
    "_linalg_eigvals",
    "linalg_svd",
    "linalg_svdvals",
    "_linalg_svd",
    "svd",
    "linalg_lstsq",
    "linalg_pinv",
    "pinverse",
    "linalg_matrix_rank",
    "linalg_cond",
    "geqrf",
    "linalg_qr",
    "qr",
    "linalg_householder_product",
    "orgqr",
    "ormqr",
    "matrix_exp",
    "linalg_matrix_exp",
];

/// Norms of which some are found by a decomposition.
pub(super) const NORMS: &[&str] = &["linalg_norm", "linalg_matrix_norm", "nuclear_norm"];

/// The nuclear norm and the spectral ones are of finite matrices; the others are of anything.
pub(super) fn finite_if_decomposed(b: &Bound) -> Result<()> {
    let spectral = b.number("ord").is_some_and(|n| n.abs() == 2.0) && b.tensor("self").or_else(|| b.tensor("A")).is_some_and(|t| t.rank() >= 2);
    if b.op() == "nuclear_norm" || b.text("ord") == Some("nuc") || spectral { finite(b) } else { Ok(()) }
}

/// All matrices are finite.
pub(super) fn finite(b: &Bound) -> Result<()> {
    for (name, t) in b.all_tensors() {
        let finite = t.numel() == 0 || call1("all", &[t.isfinite()?.into()], &[])?.item()? != 0.0;
        if !finite {
            return Err(refuse(b, format!("`{name}` has elements that are not finite")));
        }
    }
    Ok(())
}

/// Rows that were exchanged, from 1 on; LAPACK reads there.
pub(super) fn pivots(b: &Bound) -> Result<()> {
    let matrix = ["LU", "LD", "self", "LU_data", "A"].into_iter().find_map(|n| b.tensor(n).filter(|t| t.rank() >= 2));
    let pivots = ["pivots", "LU_pivots"].into_iter().find_map(|n| b.tensor(n));
    let (Some(_), Some(pivots)) = (matrix, pivots) else { return Ok(()) };
    // `lu_solve` has the matrix second.
    let n = b.tensor("LU_data").or(matrix).map_or(Ok(0), |m| m.size(-2))?;
    if let Some(lu) = b.tensor("LU_data").filter(|lu| b.op() == "lu_unpack" && lu.rank() >= 2) {
        let mut wanted = lu.shape();
        wanted.truncate(lu.rank() - 2);
        wanted.push(lu.size(-1)?.min(n));
        if pivots.shape() != wanted {
            return Err(refuse(b, format!("`LU_pivots` must be {wanted:?} for {}, got {}", lu.describe(), pivots.describe())));
        }
    }
    if pivots.numel() == 0 || pivots.is_float() {
        return Ok(());
    }
    if b.op() == "linalg_ldl_solve" {
        // Below 0 where two rows were taken together.
        let magnitude = call1("abs", &[pivots.into()], &[])?;
        return within(b, "pivots", &magnitude.sub(1i64)?, n);
    }
    within(b, "pivots", &pivots.sub(1i64)?, n)
}

/// Both sides have the same batch.
pub(super) fn batches(b: &Bound) -> Result<()> {
    let (Some(a), Some(y)) = (b.tensor("self"), b.tensor("b")) else { return Ok(()) };
    let batch = |t: &crate::torch::Tensor| t.shape()[..t.rank() - 2].to_vec();
    if a.rank() == 2 && y.rank() == 1 && a.numel() > 0 && y.numel() > 0 {
        return Ok(());
    }
    if a.rank() < 2 || a.rank() != y.rank() || batch(a) != batch(y) || a.numel() == 0 || y.numel() == 0 {
        return Err(refuse(b, format!("[.., M, N] and [.., M, K] of one batch are needed, got {} and {}", a.describe(), y.describe())));
    }
    Ok(())
}
