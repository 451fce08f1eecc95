//! Random numbers of a batch that several processes share, or that is taken in parts: each draws those of the whole batch and takes its rows, so that
//! the numbers are those that one process would draw at once.

use super::bridge::{moving, rng_state, set_rng_state};
use super::draws::{Law, Wanted, devices, generators};
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

/// More parts of a batch are a mistake.
const MOST_PARTS: usize = 1 << 20;

/// Runs `f` for each of `parts` parts of a batch that has `rows` samples here; part i has every `parts`-th of them from i on. The generators are where they were
/// before each part, and what a part draws for its samples are its rows of what is drawn for all: in the end the numbers are those of the whole batch. With `puts_back` the generators are in the end where they were at first.
///
/// # Errors
/// `E0202` when the parts are not of one size or too many, or a part draws what has no rows of a batch (as [`take_moved`] says), and what `f` returns.
pub fn in_parts<T>(parts: usize, rows: i64, puts_back: bool, mut f: impl FnMut(usize) -> Result<T>) -> Result<Vec<T>> {
    if parts == 1 && !puts_back {
        return Ok(vec![f(0)?]);
    }
    let size = i64::try_from(parts).unwrap_or(i64::MAX);
    if parts == 0 || rows < size || rows % size != 0 {
        return Err(Error::value("in_parts", format!("{rows} samples do not divide into {parts} parts of one size")));
    }
    let (first, ranks) = STATE.with_borrow(|s| s.as_ref().map_or((0, 1), |s| (s.share.rank, s.share.size)));
    // What a part draws is drawn for all of them.
    if ranks.checked_mul(parts).is_none_or(|all| all > MOST_PARTS) {
        let of = if ranks > 1 { format!(" of each of {ranks}") } else { String::new() };
        return Err(Error::value("in_parts", format!("{parts} parts{of} are more than {MOST_PARTS} in all")));
    }
    let outer = STATE.take();
    let mut run = || {
        let before = devices().map(|d| Ok((d, rng_state(d)?))).collect::<Result<Vec<_>>>()?;
        let rewind = || before.iter().try_for_each(|(device, state)| set_rng_state(*device, state));
        let mut all = Vec::new();
        for part in 0..parts {
            rewind()?;
            STATE.set(None);
            set_share(Some(Share { rank: first + ranks * part, size: ranks * parts, rows: rows / size }))?;
            all.push(f(part)?);
            if take_moved()? {
                let message = "a part of a batch drew what is not drawn for each sample: dropout, an in-place draw, a sampling operator called by name, or a \
                               draw whose first size is not the number of samples; its numbers would not be those of the whole batch";
                return Err(Error::value("in_parts", message)
                    .help("switch it off, draw it before the batch is divided, or take the batch at once (`--accumulate 1`)"));
            }
        }
        if puts_back {
            rewind()?;
        }
        Ok(all)
    };
    let all = run();
    STATE.set(match outer {
        Some(outer) => Some(State { last: generators()?, ..outer }),
        None => None,
    });
    all
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
            let like = no_grad(|| repeated(like, share.size)?.to_dtype(dtype)?.to_device(device))?;
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

/// So many of a tensor behind one another, in its own layout: a batch whose samples lie turned in memory is so as a whole.
fn repeated(like: &Tensor, size: usize) -> Result<Tensor> {
    let (strides, rank) = (like.strides(), like.shape().len());
    let mut order: Vec<usize> = (1..rank).collect();
    order.sort_by_key(|d| std::cmp::Reverse(strides[*d]));
    order.insert(0, 0);
    let turned = like.permute(&order.iter().map(|d| *d as i64).collect::<Vec<_>>())?;
    let places = turned.shape().into_iter().zip(turned.strides()).rev();
    // Whether it lies without gaps; sides of 1 have a stride of their own.
    let (is_dense, _) = places.fold((true, 1), |(is_dense, next), (n, stride)| (is_dense && (n == 1 || stride == next), next.saturating_mul(n)));
    if !is_dense {
        return Tensor::cat(&vec![like; size], 0);
    }
    let mut back = vec![0; rank];
    order.iter().enumerate().for_each(|(i, d)| back[*d] = i as i64);
    Tensor::cat(&vec![&turned; size], 0)?.permute(&back)
}
