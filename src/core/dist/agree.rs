//! What ranks tell each other beside tensors: texts, and that one of them is done.

use super::{ALONE, Dist, World, together};
use crate::error::{Error, Result};
use crate::torch::Tensor;
use crate::torch::bridge::dist::Reduce;
use crate::torch::{DType, Device};
use std::time::{Duration, Instant};

/// Between two looks whether rank 0 is done.
const LOOK: Duration = Duration::from_millis(25);
/// How long the store may take to answer such a look.
const ANSWER: Duration = Duration::from_secs(30);

/// How many numbers [`call_numbers`] gives.
pub(super) const CALL: usize = 4;

/// A call as numbers whose largest over all ranks tell whether all of them made it: what it is for, and the how-manieth it is, each with both signs.
pub(super) fn call_numbers(what: &str, turn: u64) -> [i64; CALL] {
    let turn = i64::try_from(turn).unwrap_or(0);
    let kind = what.bytes().fold(0i64, |hash, b| (hash * 31 + i64::from(b)) % 1_000_003);
    [turn, -turn, kind, -kind]
}

/// Whether the largest numbers are those of one call.
pub(super) fn is_one_call(heard: &[i64]) -> bool {
    heard[0] == -heard[1] && heard[2] == -heard[3]
}

impl Dist {
    /// What each rank says, by rank.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        let length = Tensor::from_vec(&[bytes.len() as i64], &[1])?;
        let lengths = self.control().all_gather(&length)?.iter().map(|t| Ok(t.to_vec_i64()?[0])).collect::<Result<Vec<i64>>>()?;
        let most = lengths.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return Ok(vec![Vec::new(); lengths.len()]);
        }
        let mut padded = bytes.to_vec();
        padded.resize(usize::try_from(most).unwrap_or(0), 0);
        let all = self.control().all_gather(&Tensor::from_bytes(&padded, &[most], DType::Uint8)?)?;
        let cut = |(t, n): (&Tensor, &i64)| {
            let mut bytes = t.to_bytes()?;
            bytes.truncate(usize::try_from(*n).unwrap_or(0));
            Ok(bytes)
        };
        all.iter().zip(&lengths).map(cut).collect()
    }

    /// What rank `root` says; what the others give is not looked at.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn said_by(&self, root: usize, bytes: &[u8]) -> Result<Vec<u8>> {
        let length = Tensor::from_vec(&[bytes.len() as i64], &[1])?;
        self.control().broadcast(&length, root)?.wait()?;
        let n = length.to_vec_i64()?[0];
        if n == 0 {
            return Ok(Vec::new());
        }
        let text =
            if self.world.rank == root { Tensor::from_bytes(bytes, &[n], DType::Uint8)? } else { Tensor::zeros(&[n], DType::Uint8, Device::Cpu)? };
        self.control().broadcast(&text, root)?.wait()?;
        text.to_bytes()
    }

    /// Whether it is so on every rank.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn all(&self, here: bool) -> Result<bool> {
        self.all_of([here]).map(|[all]| all)
    }

    /// Whether each of several things is so on every rank.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn all_of<const N: usize>(&self, here: [bool; N]) -> Result<[bool; N]> {
        let word = Tensor::from_vec(&here.map(i64::from), &[N as i64])?;
        self.control().all_reduce(std::slice::from_ref(&word), Reduce::Min)?.wait()?;
        let heard = word.to_vec_i64()?;
        Ok(std::array::from_fn(|i| heard[i] == 1))
    }

    /// Fails where ranks differ in `text`; `what` it is: `settings`, say, and `show` tells the difference between rank 0's and another's.
    ///
    /// # Errors
    /// `E0803` on every rank; `E0802` when another rank is gone.
    pub fn same(&self, what: &str, text: &[u8], show: impl Fn(&[u8], &[u8]) -> String) -> Result<()> {
        let all = self.gather(text)?;
        let Some((rank, other)) = all.iter().enumerate().find(|(_, t)| **t != all[0]) else { return Ok(()) };
        Err(Error::disagree(format!("rank {rank} has other {what} than rank 0:{}", show(&all[0], other)))
            .help("start every rank with the same command, and give them the same files"))
    }

    /// Fails where ranks do not wait for the same: a call that one of them makes alone would set all later ones apart.
    pub(super) fn same_turn(&self, what: &str, turn: u64) -> Result<()> {
        let numbers = Tensor::from_vec(&call_numbers(what, turn), &[CALL as i64])?;
        self.control().all_reduce(std::slice::from_ref(&numbers), Reduce::Max)?.wait()?;
        if is_one_call(&numbers.to_vec_i64()?) {
            return Ok(());
        }
        Err(Error::disagree(format!("`{what}` is the work of all ranks, and not all of them are there"))
            .help("`train::run`, `run.resume`, `run.save`, `run.finish` and `fit` belong to every rank: not behind `if dist::get_rank() == 0`"))
    }

    /// Asks the store, whose calls do not end where the network is cut.
    fn asked<T: Send + 'static>(&'static self, ask: impl FnOnce(&'static Self) -> Result<T> + Send + 'static, wait: Duration) -> Result<T> {
        let (tell, told) = crossbeam_channel::bounded(1);
        let spawned = std::thread::Builder::new().name("ask".into()).spawn(move || tell.send(ask(self)));
        spawned.map_err(|e| Error::run(format!("cannot start a thread: {e}")))?;
        told.recv_timeout(wait).unwrap_or_else(|_| Err(self.silent(wait)))
    }

    /// The store does not answer.
    pub(super) fn silent(&self, wait: Duration) -> Error {
        let World { address, port, .. } = &self.world;
        Error::lost(format!(
            "the store at {address}:{port} does not answer for {} s: the machine of rank 0, or the network to it, is gone",
            wait.as_secs()
        ))
    }

    /// The text of a name, as soon as it has one, however long that takes.
    fn awaited(&'static self, key: String) -> Result<Vec<u8>> {
        loop {
            let since = Instant::now();
            if let Some(found) = self.peek(key.clone(), self.options.timeout.min(ANSWER))? {
                return Ok(found);
            }
            std::thread::sleep(LOOK.saturating_sub(since.elapsed()));
        }
    }

    /// The text of a name, if it has one, from a store that may be gone.
    pub(super) fn peek(&'static self, key: String, wait: Duration) -> Result<Option<Vec<u8>>> {
        self.asked(move |d| if d.store.has(&key)? { d.store.get(&key, wait).map(Some) } else { Ok(None) }, wait)
    }

    /// Says something in the store, which may be gone.
    pub(super) fn post(&'static self, key: String, text: Vec<u8>, wait: Duration) -> Result<()> {
        self.asked(move |d| d.store.set(&key, &text), wait)
    }
}

/// What came of the work of rank 0 on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone<T> {
    /// This rank did it.
    Done(T),
    /// Rank 0 did it.
    Waited,
}

/// Ends the time alone, whatever happens in it.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        ALONE.set(false);
    }
}

/// Runs `f` on rank 0 alone, while the others wait for it however long it takes: samples, checkpoints. A process alone just runs it, and so
/// does what is inside of another such call.
///
/// # Errors
/// What `f` returned, on rank 0; on the others an `E0802` that tells it.
pub fn alone<T>(what: &str, f: impl FnOnce() -> Result<T>) -> Result<Alone<T>> {
    let d = if ALONE.get() { None } else { together(what)? };
    let Some(d) = d else { return f().map(Alone::Done) };
    let turn = d.next_wait();
    d.same_turn(what, turn)?;
    let key = format!("alone/{turn}");
    if d.world.rank == 0 {
        ALONE.set(true);
        let back = Back;
        let result = f();
        drop(back);
        let text = result.as_ref().err().map_or_else(|| "ok".to_owned(), |e| format!("{}\n{e}", e.code()));
        d.store.set(&key, text.as_bytes())?;
        return result.map(Alone::Done);
    }
    let text = String::from_utf8_lossy(&d.awaited(key)?).into_owned();
    match text.split_once('\n') {
        None => Ok(Alone::Waited),
        Some(("E0901", _)) => Err(Error::interrupted()),
        Some((_, why)) => Err(Error::lost(format!("rank 0 failed: {why}"))),
    }
}
