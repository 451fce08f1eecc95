//! Several ranks that make the shards of one data set: each makes one in turn, and the first writes down which are done.

use crate::dist::{self, Dist};
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The ranks, or this process alone.
pub(super) struct Ranks(Option<&'static Dist>);

fn broken(e: &serde_json::Error) -> Error {
    Error::run(format!("what was preprocessed cannot be sent: {e}"))
}

impl Ranks {
    pub fn here() -> Ranks {
        Ranks(dist::at_work())
    }

    /// Whether this one writes what is not a shard.
    pub fn is_first(&self) -> bool {
        self.0.is_none_or(|d| d.world.rank == 0)
    }

    /// Threads of this rank, where `workers` of 0 asks for one for each core: its share of the machine's.
    pub fn threads(&self, workers: usize) -> usize {
        match self.0 {
            Some(d) if workers == 0 => {
                let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                (cores / d.world.local_size.max(1)).max(1)
            }
            _ => workers,
        }
    }

    /// Fails where ranks would make other data sets.
    pub fn agree(&self, plan: &impl Serialize) -> Result<()> {
        let Some(d) = self.0 else { return Ok(()) };
        let text = serde_json::to_vec(plan).map_err(|e| broken(&e))?;
        d.same("pictures or options", &text, |_, _| " every rank must see the same folder".to_owned())
    }

    /// What the first rank comes to by `f`; the others wait for it.
    pub fn first<T: Serialize + DeserializeOwned>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(d) = self.0 else { return f() };
        let mut own = None;
        let mut text = Vec::new();
        if self.is_first() {
            let value = f()?;
            text = serde_json::to_vec(&value).map_err(|e| broken(&e))?;
            own = Some(value);
        }
        let text = d.said_by(0, &text)?;
        own.map_or_else(|| serde_json::from_slice(&text).map_err(|e| broken(&e)), Ok)
    }

    /// The next parts: one of each rank, as far as there are `all`, in order, with whether each was made here. `make` makes one.
    pub fn next<T: Serialize + DeserializeOwned>(&self, done: usize, all: usize, make: impl FnOnce(usize) -> Result<T>) -> Result<Vec<(T, bool)>> {
        let Some(d) = self.0 else { return Ok(vec![(make(done)?, true)]) };
        let k = done + d.world.rank;
        let own = if k < all { Some(make(k)?) } else { None };
        let text = serde_json::to_vec(&own).map_err(|e| broken(&e))?;
        let made = d.gather(&text)?.iter().map(|t| serde_json::from_slice(t).map_err(|e| broken(&e))).collect::<Result<Vec<Option<T>>>>()?;
        Ok(made.into_iter().enumerate().filter_map(|(rank, part)| Some((part?, rank == d.world.rank))).collect())
    }
}
