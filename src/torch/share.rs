//! Random numbers of a batch that several processes share: each draws those of the whole batch and takes its rows, so that the numbers are
//! those that one process would draw.

use super::bridge::moving;
use super::draws::{Law, Wanted, generators};
use super::{Tensor, no_grad};
use crate::error::{Error, Result};
use std::cell::RefCell;

/// How a batch is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which process this is.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Samples of the batch that are here.
    pub rows: i64,
}

struct State {
    share: Share,
    /// The generators after the last draw.
    last: Vec<Vec<u8>>,
    /// Something else than these draws has moved a generator.
    is_moved: bool,
}

thread_local! {
    static STATE: RefCell<Option<State>> = const { RefCell::new(None) };
}

/// From now on a draw whose first size is the number of rows is one of a shared batch; `None`: of none.
///
/// # Errors
/// `E0201` when a generator has no state.
pub fn set_share(share: Option<Share>) -> Result<()> {
    let state = match share {
        Some(share) => {
            let was_moved = STATE.with_borrow(|s| s.as_ref().is_some_and(|s| s.is_moved));
            Some(State { share, last: generators()?, is_moved: was_moved })
        }
        None => None,
    };
    STATE.set(state);
    Ok(())
}

/// Whether something else was drawn, since it was last asked, than what is shared: dropout, an in-place draw, a sampling operator called by
/// name; or what looks like several draws for each sample, but does not have the number of samples first. Its numbers are not those that one
/// process would draw.
///
/// # Errors
/// `E0201` when a generator has no state.
pub fn take_moved() -> Result<bool> {
    let now = generators()?;
    Ok(STATE.with_borrow_mut(|s| match s {
        Some(s) => {
            let moved = s.last != now;
            s.last = now;
            std::mem::take(&mut s.is_moved) || moved
        }
        None => false,
    }))
}

/// Runs `f` with draws of its own, that are not of the batch; what it draws is not held against the script.
///
/// # Errors
/// What `f` returns, `E0201`.
pub fn unshared<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = STATE.take();
    let result = f();
    if let Some(before) = before {
        STATE.set(Some(State { last: generators()?, ..before }));
    }
    result
}

/// A fresh draw: that of `fresh`, or the rows of this process of one of the whole batch.
pub(super) fn draw(wanted: Wanted, fresh: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    let Some(share) = STATE.with_borrow(|s| s.as_ref().map(|s| s.share)) else { return moving(fresh) };
    let before = generators()?;
    let is_of_batch = wanted.law != Law::Permutation && wanted.shape.first() == Some(&share.rows);
    // Several draws for each sample, in a shape of their own: all ranks make the same ones.
    let is_near = |n: i64| share.rows > 1 && n > share.rows && n % share.rows == 0 && n / share.rows <= 8;
    let looks_like_it = !is_of_batch && (wanted.shape.first().is_some_and(|n| is_near(*n)) || wanted.shape.get(1) == Some(&share.rows));
    let value = if is_of_batch { moving(|| whole(wanted, share)) } else { moving(fresh) };
    let after = generators()?;
    STATE.with_borrow_mut(|s| {
        if let Some(s) = s {
            s.is_moved |= s.last != before || looks_like_it;
            s.last = after;
        }
    });
    value
}

/// The draw of the whole batch, of which every `size`-th row from `rank` on is given.
fn whole(wanted: Wanted, share: Share) -> Result<Tensor> {
    let Wanted { law, shape, dtype, device, bounds, like } = wanted;
    let size = i64::try_from(share.size).unwrap_or(1);
    let mut all = shape.to_vec();
    all[0] = all[0].checked_mul(size).ok_or_else(|| Error::value(law.name(), "the batch is too large"))?;
    let refused = |e: tch::TchError| super::refused(law.name(), &[], e);
    let drawn = match (law, like) {
        // In the layout that the tensor would have in one process.
        (Law::Normal | Law::Uniform, Some(like)) => {
            let like = no_grad(|| Tensor::cat(&vec![like; share.size], 0)?.to_dtype(dtype)?.to_device(device))?;
            if law == Law::Normal { like.0.f_randn_like() } else { like.0.f_rand_like() }
        }
        (Law::Normal, None) => tch::Tensor::f_randn(&all[..], (dtype, device)),
        (Law::Int, _) => tch::Tensor::f_randint_low(bounds.0, bounds.1, &all[..], (dtype, device)),
        _ => tch::Tensor::f_rand(&all[..], (dtype, device)),
    };
    let rank = i64::try_from(share.rank).unwrap_or(0);
    let mine = drawn.and_then(|all| all.f_slice(0, rank, None, size)).map_err(refused)?;
    // A copy of its own, in its own layout: the rest of the batch is let go.
    Tensor(mine).copy()
}
