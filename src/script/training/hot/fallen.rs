//! A step that failed on some of several ranks: all wait for the save that mends it, and try it again together.

use super::Hot;
use super::together::Taken;
use crate::dist::{self, Dist, Word};
use crate::error::Result;
use crate::interrupt;
use crate::script::training::boundary::Boundary;
use crate::script::training::run::Run;
use crate::script::units::at::At;
use crate::train::{Fall, Retry, log};
use std::time::Duration;

/// Between two words while all wait.
const WAIT: Duration = Duration::from_millis(40);

impl Hot {
    /// A step failed on some ranks: the save that rank 0 sees next is waited for; in a replay the next edit is taken. Called by all ranks.
    ///
    /// # Errors
    /// An interrupt of any rank while they wait; `E0802` when one is gone.
    pub(crate) fn fell(&self, at: &Boundary, fall: &Fall) -> Result<Retry> {
        let (Some(run), Some(d)) = (at.run, dist::at_work()) else { return Ok(Retry::Stop) };
        run.run().arrive();
        if let Some(replay) = &self.replay {
            return replay
                .failed(at, &|prepared, settings| self.put(at, prepared, settings).map(|(reloaded, _)| self.say_waiting(at, &reloaded.waiting)));
        }
        self.tell(at, fall, d);
        self.waits.set(true);
        let retry = self.stand(at, run, d);
        self.waits.set(false);
        retry
    }

    /// Shows what failed where.
    fn tell(&self, at: &Boundary, fall: &Fall, d: &Dist) {
        match fall.error {
            Some(error) if d.world.rank == 0 => self.show(at, error),
            // On the terminal the first rank tells it.
            Some(error) => log::write(&format!("{}\n", error.render(false))),
            None => {}
        }
        let own = fall.errors.iter().find(|(rank, _)| *rank == d.world.rank).map(|(_, text)| text.as_str());
        // What every rank says is said once.
        let mut others: Vec<(&str, Vec<usize>)> = Vec::new();
        for (rank, text) in fall.errors.iter().filter(|(_, text)| own != Some(text.as_str())) {
            match others.iter_mut().find(|(said, _)| said == text) {
                Some((_, ranks)) => ranks.push(*rank),
                None => others.push((text, vec![*rank])),
            }
        }
        for (text, ranks) in others {
            at.say(&format!("on {}:\n{}", named(&ranks, d.world.size), text.trim_end()));
        }
        let ranks: Vec<usize> = fall.errors.iter().map(|(rank, _)| *rank).collect();
        let what = format!("`step` failed on {}", named(&ranks, d.world.size));
        if fall.has_changed_state {
            at.say(&format!("{what}, after weights or an optimizer were changed: when it is tried again, it goes on from there, on all ranks"));
        } else {
            at.say(&format!("{what}; all have what was before the step"));
        }
        at.say("all ranks try `step` again at the next save, with the same batch and random numbers; Ctrl-C stops");
    }

    /// Waits for the save, and answers attached prompts meanwhile.
    fn stand(&self, at: &Boundary, run: &Run, d: &Dist) -> Result<Retry> {
        self.again.set(false);
        loop {
            let is_first = run.run().is_owner();
            let guests = if is_first { run.guests() } else { dist::Guests::None };
            let edit = is_first && self.wants();
            let own = Word { stop: interrupt::pending(), edit, guests, again: self.again.get(), ..Word::default() };
            let word = d.say(own)?.hear()?;
            if word.stop {
                return Err(interrupt::stopped());
            }
            if word.again {
                self.again.set(false);
                return Ok(Retry::Again);
            }
            run.run().set_heard(word);
            if word.edit && !matches!(self.take_in(at, d)?, Taken::Nothing) {
                return Ok(Retry::Again);
            }
            self.report_late(at);
            run.answer(&At { rhai: at.rhai, program: at.program, host: at.program.host() }, true)?;
            std::thread::sleep(WAIT);
        }
    }
}

/// `rank 1`, `ranks 1, 3`, `all 4 ranks`.
pub(crate) fn named(ranks: &[usize], size: usize) -> String {
    match ranks {
        [one] => format!("rank {one}"),
        all if all.len() == size => format!("all {size} ranks"),
        some => format!("ranks {}", some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn ranks_are_named() {
        assert_eq!([named(&[1], 2), named(&[0, 1], 2), named(&[1, 3], 4)], ["rank 1", "all 2 ranks", "ranks 1, 3"]);
    }
}
