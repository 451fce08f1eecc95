//! Recorded random draws: what a piece of code draws can be kept, and given to it again in place of fresh draws.
//!
//! Generators of other devices, versions and frameworks give other numbers from the same seed. A draw that is kept as a tensor
//! is the same everywhere: so a step can be compared with another implementation, or a strange one looked at again and again.

use super::bridge::{moved_elsewhere, rng_state};
use super::rows::Rows;
use super::{DType, Device, Tensor, default_device, share};
use crate::error::{Error, Result, did_you_mean};
use std::cell::RefCell;
use std::collections::VecDeque;

/// What is drawn, by the name of PyTorch's function; `.._like` counts as the function without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// N(0, 1): `randn`.
    Normal,
    /// U(0, 1): `rand`.
    Uniform,
    /// Ints from an interval: `randint`.
    Int,
    /// A permutation: `randperm`.
    Permutation,
}

impl Law {
    const NAMES: [(&'static str, Law); 4] = [("randn", Law::Normal), ("rand", Law::Uniform), ("randint", Law::Int), ("randperm", Law::Permutation)];

    /// The function's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|n| n.1 == self).map_or("", |n| n.0)
    }

    /// `randn`, `randn_like`, `rand`, `rand_like`, `randint`, `randperm`.
    ///
    /// # Errors
    /// `E0202` for another name.
    pub fn parse(name: &str) -> Result<Law> {
        let bare = name.strip_suffix("_like").unwrap_or(name);
        let known = || Self::NAMES.iter().map(|n| n.0);
        Self::NAMES.iter().find(|n| n.0 == bare).map(|n| n.1).ok_or_else(|| {
            Error::value("draws", format!("unknown kind of draw `{name}`{}", did_you_mean(name, known())))
                .help(format!("one of: {}", known().collect::<Vec<_>>().join(", ")))
        })
    }
}

/// One draw.
#[derive(Debug, Clone)]
pub struct Draw {
    /// What was drawn.
    pub law: Law,
    /// What came of it.
    pub value: Tensor,
}

/// Where draws come from or go to.
enum Frame {
    Replay {
        left: VecDeque<Draw>,
        total: usize,
    },
    Record(Vec<Draw>),
    /// Fresh draws come from these streams.
    Rows(Rows),
}

thread_local! {
    /// The innermost last: a recording inside a replay keeps what is replayed.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Takes its frame away again, whatever happens in between.
struct Open(usize);

impl Open {
    fn new(frame: Frame) -> Open {
        FRAMES.with_borrow_mut(|f| {
            f.push(frame);
            Open(f.len() - 1)
        })
    }

    fn close(self) -> Option<Frame> {
        FRAMES.with_borrow_mut(|f| if f.len() > self.0 { f.drain(self.0..).next() } else { None })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        FRAMES.with_borrow_mut(|f| f.truncate(self.0));
    }
}

/// Whether draws are recorded, replayed or made row by row here.
pub(super) fn framed() -> bool {
    FRAMES.with_borrow(|f| !f.is_empty())
}

/// Runs `f` and keeps every draw it makes, in order.
///
/// # Errors
/// What `f` returns; `E0203` without memory.
pub fn record<T>(f: impl FnOnce() -> Result<T>) -> Result<(T, Vec<Draw>)> {
    let open = Open::new(Frame::Record(Vec::new()));
    let value = f()?;
    match open.close() {
        Some(Frame::Record(draws)) => Ok((value, draws)),
        _ => Err(Error::value("record_draws", "the recording was ended by something else")),
    }
}

/// Runs `f`, whose draws are taken from `draws` in order, moved to the device and converted to the dtype that it asks for. Each must be
/// of the kind and shape that was recorded, and none may be left. What no draw can stand for (dropout, `uniform_`, sampling operators
/// called by name) moves the random generator, and is an error as well: the result would not be the recorded one.
///
/// # Errors
/// `E0202` with the number of the draw that does not fit; what `f` returns.
pub fn replay<T>(draws: Vec<Draw>, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = Moment::now()?;
    let total = draws.len();
    let open = Open::new(Frame::Replay { left: draws.into(), total });
    let value = f()?;
    if let Some(Frame::Replay { left, .. }) = open.close()
        && let Some(next) = left.front()
    {
        let message = format!("{} of {total} recorded draws were not used; the next is {}", left.len(), shown(next.law, &next.value.shape()));
        return Err(Error::value(REPLAY, message));
    }
    same_generators(&before, REPLAY, "is not replayed")?;
    Ok(value)
}

/// Runs `f` with draws whose row `j` depends on `seed`, `numbers[j]` and how many draws came before alone: not on which rows are drawn together,
/// the device or the number of threads. The first size of every draw must be the number of rows.
///
/// # Errors
/// `E0202` for a draw without these rows, for something else that was drawn (dropout, `uniform_`, sampling operators called by name), for a
/// negative number, and inside another such function; what `f` returns.
pub fn seeded_rows<T>(seed: i64, numbers: &[i64], f: impl FnOnce() -> Result<T>) -> Result<T> {
    let number = |n: &i64| u64::try_from(*n).map_err(|_| Error::value(ROWS, format!("rows are numbered from 0, got {n}")));
    let numbers = numbers.iter().map(number).collect::<Result<Vec<u64>>>()?;
    if FRAMES.with_borrow(|f| f.iter().any(|f| matches!(f, Frame::Rows(_)))) {
        return Err(Error::value(ROWS, "it is called inside another `seeded_rows`"));
    }
    let before = Moment::now()?;
    let _open = Open::new(Frame::Rows(Rows::new(seed as u64, &numbers)));
    let value = f()?;
    same_generators(&before, ROWS, "is not row by row")?;
    Ok(value)
}

const ROWS: &str = "seeded_rows";

/// The generators at one moment. They are the process's: another thread may draw meanwhile, for another runtime.
struct Moment {
    states: Vec<Vec<u8>>,
    elsewhere: u64,
}

impl Moment {
    fn now() -> Result<Self> {
        let elsewhere = moved_elsewhere();
        Ok(Moment { states: generators()?, elsewhere })
    }
}

/// Fails when a random generator has moved, unless another thread has moved one: then nothing can be told.
fn same_generators(before: &Moment, what: &'static str, fault: &str) -> Result<()> {
    let now = Moment::now()?;
    if now.states.iter().zip(&before.states).all(|(a, b)| a == b) || now.elsewhere != before.elsewhere {
        return Ok(());
    }
    let message = format!("something was drawn that {fault}: dropout, an in-place draw, or a sampling operator called by name");
    Err(Error::value(what, message).help("put the module into evaluation mode, or draw with `torch::rand` and `torch::randn`"))
}

const REPLAY: &str = "replay_draws";

/// The states of the generators that code here draws from.
pub(super) fn generators() -> Result<Vec<Vec<u8>>> {
    devices().map(|d| rng_state(d)?.to_bytes()).collect()
}

/// The devices of those generators.
pub(super) fn devices() -> impl Iterator<Item = Device> {
    std::iter::once(Device::Cpu).chain((default_device() != Device::Cpu).then(default_device))
}

fn shown(law: Law, shape: &[i64]) -> String {
    format!("{} {shape:?}", law.name())
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// From which distribution.
    pub law: Law,
    /// Of the tensor.
    pub shape: &'a [i64],
    /// Of its elements.
    pub dtype: DType,
    /// Where it lies, and whose generator draws.
    pub device: Device,
    /// Of ints: the lowest, and the first that is too high.
    pub bounds: (i64, i64),
    /// Whose layout in memory it gets, which decides where each number goes.
    pub like: Option<&'a Tensor>,
}

/// A draw: the next recorded one where draws are replayed, else a fresh one.
///
/// # Errors
/// `E0202` where the recorded draw is not of this law and shape, and what `fresh` fails with.
pub fn draw(wanted: Wanted, fresh: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
    let depth = FRAMES.with_borrow(Vec::len);
    if depth == 0 { share::draw(wanted, fresh) } else { at(depth, wanted, Box::new(fresh)) }
}

fn at<'a>(depth: usize, wanted: Wanted, fresh: Box<dyn FnOnce() -> Result<Tensor> + 'a>) -> Result<Tensor> {
    let Some(index) = depth.checked_sub(1) else { return share::draw(wanted, fresh) };
    if let Some(next) = FRAMES.with_borrow_mut(|f| match f.get_mut(index) {
        Some(Frame::Replay { left, total }) => Some(take(left, *total, wanted)),
        _ => None,
    }) {
        return next;
    }
    let rows = FRAMES.with_borrow_mut(|f| match f.get_mut(index) {
        Some(Frame::Rows(rows)) => Some(rows.next()),
        _ => None,
    });
    if let Some(rows) = rows {
        return at(index, wanted, Box::new(move || rows.draw(wanted)));
    }
    let value = at(index, wanted, fresh)?;
    // A copy: the code may go on to change its draw in place.
    let kept = Draw { law: wanted.law, value: value.copy()? };
    FRAMES.with_borrow_mut(|f| {
        if let Some(Frame::Record(list)) = f.get_mut(index) {
            list.push(kept);
        }
    });
    Ok(value)
}

fn take(left: &mut VecDeque<Draw>, total: usize, wanted: Wanted) -> Result<Tensor> {
    let asked = shown(wanted.law, wanted.shape);
    let Some(next) = left.pop_front() else {
        return Err(Error::value(REPLAY, format!("{asked} is asked for, but all {total} recorded draws are used")));
    };
    if next.law != wanted.law || next.value.shape() != wanted.shape {
        let number = total - left.len();
        let message = format!("draw {number} of {total} is {}, but {asked} is asked for", shown(next.law, &next.value.shape()));
        return Err(Error::value(REPLAY, message).help("the code draws in another order, or of another size, than where the draws were recorded"));
    }
    next.value.to_device(wanted.device)?.to_dtype(wanted.dtype)?.copy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Result<Vec<f64>> {
        let a = Tensor::randn(&[2, 3], DType::Float, Device::Cpu)?;
        let b = Tensor::rand(&[4], DType::Double, Device::Cpu)?.add_(1.0)?;
        let c = a.randn_like()?;
        let d = Tensor::randint(0, 9, &[5], Device::Cpu)?;
        Ok([a, b, c, d].iter().map(|t| t.to_vec_f64()).collect::<Result<Vec<_>>>()?.concat())
    }

    #[test]
    fn what_was_recorded_comes_again() {
        let (first, draws) = record(code).unwrap();
        assert_eq!(draws.iter().map(|d| d.law.name()).collect::<Vec<_>>(), ["randn", "rand", "randn", "randint"]);
        assert!(draws[1].value.max().unwrap().item().unwrap() < 1.0, "a copy of the draw, not of what became of it");
        assert_ne!(code().unwrap(), first);
        let (again, inner) = replay(draws.clone(), || record(code)).unwrap();
        assert_eq!(again, first);
        assert_eq!(inner.len(), 4);
    }

    #[test]
    fn another_order_size_or_number_is_refused() {
        let (_, draws) = record(code).unwrap();
        let fails = |draws: Vec<Draw>, want: &str| {
            let e = replay(draws, code).unwrap_err().to_string();
            assert!(e.contains(want), "{e}");
        };
        fails(draws[1..].to_vec(), "draw 1 of 3 is rand [4], but randn [2, 3] is asked for");
        fails(draws[..2].to_vec(), "randn [2, 3] is asked for, but all 2 recorded draws are used");
        fails([draws.clone(), draws.clone()].concat(), "4 of 8 recorded draws were not used; the next is randn [2, 3]");
        // A draw of another test at the same moment hides it.
        let in_place = || replay(vec![], || Tensor::zeros(&[3], DType::Float, Device::Cpu)?.uniform_(0.0, 1.0));
        let e = (0..10_000).find_map(|_| in_place().err()).unwrap();
        assert!(e.to_string().contains("not replayed"), "{e}");
        // An error inside leaves nothing behind.
        assert_ne!(code().unwrap(), code().unwrap());
        assert!(Law::parse("rnadn").unwrap_err().to_string().contains("did you mean `randn`"));
    }
}
