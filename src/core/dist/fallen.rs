//! A step that failed on some ranks while the others are in the middle of it, or have done it: how all come to the same place again.
//!
//! Where a step fails, the others may wait for that rank in any collective: of the script, of autograd, of the `Reducer`. So it says in the
//! store that it failed, and ends its connections; theirs then fail as if it had died, they look into the store, and follow. A step that goes
//! well costs nothing of this.

use super::lost::is_of_others;
use super::{Dist, together};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the store may take for one answer.
const ANSWER: Duration = Duration::from_secs(4);

/// What a rank says of a step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fell {
    /// What it failed with here; `None` where another rank's failure ended it.
    pub error: Option<String>,
    /// Whether it had changed what a checkpoint holds.
    pub has_changed: bool,
    /// Whether that was something that no other rank has.
    pub has_changed_part: bool,
    /// The step.
    pub step: u64,
}

impl Dist {
    /// Whether `error` is that of a step that all ranks can try again: one of its own, which the others then hear of, or what the failure of
    /// another rank has made of the step here. `None` for that of a rank that is lost.
    ///
    /// # Errors
    /// `E0802` when the store does not answer.
    pub fn fell(&'static self, error: &Error) -> Result<Option<bool>> {
        let key = format!("fell/{}", self.groups().number);
        if is_of_others(error) {
            return Ok(self.peek(key, ANSWER)?.map(|_| false));
        }
        self.post(key.clone(), self.world.rank.to_string().into_bytes(), ANSWER)?;
        // It is there before the others look.
        self.peek(key, ANSWER)?;
        Ok(Some(true))
    }

    /// Meets the other ranks in new groups after [`Dist::fell`]; what each says, by rank.
    ///
    /// # Errors
    /// `E0802` when a rank does not come, or has gone on to another step.
    pub fn meet_again(&self, own: &Fell) -> Result<Vec<Fell>> {
        together("a step")?;
        self.renew()?;
        let broken = |e: serde_json::Error| Error::run(format!("what failed cannot be sent: {e}"));
        let all = self.gather(&serde_json::to_vec(own).map_err(broken)?)?;
        let all = all.iter().map(|text| serde_json::from_slice(text).map_err(broken)).collect::<Result<Vec<Fell>>>()?;
        match all.iter().position(|f| f.step != own.step) {
            Some(rank) => Err(Error::lost(format!("rank {rank} is at step {}, and this one at {}", all[rank].step, own.step))
                .help("what was saved last is whole: the same command goes on from there")),
            None => Ok(all),
        }
    }
}
