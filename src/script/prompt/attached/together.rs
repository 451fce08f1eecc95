//! Prompts that are attached to a job of several ranks. The first rank hears them; what only looks it answers by itself, and a line all ranks
//! evaluate at the same step, each on its own objects with its own variables.

use super::{Asked, Attached, Evaluated, Got, How, MAX_LIMIT, Want, evaluated, line, prompt, read, record};
use crate::dist::{self, Dist, Guests, trial};
use crate::error::{Error, Result};
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::marks::marks;
use crate::script::training::boundary::Boundary;
use crate::script::training::hot::Hot;
use crate::script::training::hot::fallen::named;
use crate::script::training::hot::together::Taken;
use crate::script::training::run::Run;
use crate::script::units::at::At;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What all ranks do.
#[derive(Debug, Serialize, Deserialize)]
enum Item {
    /// A client has left.
    Gone(u64),
    /// A line of a client.
    Line { client: u64, text: String, mode: Mode, color: bool, seconds: u64 },
    /// `:reload`
    Reload,
}

/// What a line came to on one rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Word {
    error: Option<String>,
    /// It was ended before it was done.
    is_stopped: bool,
    changes: Vec<String>,
}

fn broken(e: &serde_json::Error) -> Error {
    Error::run(format!("a line cannot be sent: {e}"))
}

impl Attached {
    /// Between two steps of several ranks. `now`: also before there is a batch.
    pub(super) fn between_ranks(&self, at: At, run: &Run, now: bool) -> Result<()> {
        self.overwritten.look(at.program, run);
        if self.is_busy.get() {
            return Ok(());
        }
        self.is_busy.set(true);
        let result = self.round(at, run, now);
        self.is_busy.set(false);
        result
    }

    fn round(&self, at: At, run: &Run, now: bool) -> Result<()> {
        self.take_requests(at, run);
        let heard = run.run().heard().guests;
        self.is_heard.set(heard != Guests::None);
        if heard != Guests::Wait {
            self.is_deferred.set(false);
            return Ok(());
        }
        // As in one process, and on all ranks alike: the first line waits for a step with a batch.
        if !now && self.batch.borrow().is_none() && !self.is_deferred.replace(true) {
            return Ok(());
        }
        let Some(d) = dist::at_work() else { return Ok(()) };
        self.all(at, run, d)?;
        self.let_go();
        Ok(())
    }

    /// Answers what needs no other rank, and keeps what does. In a loop of a script's own no boundary is one of all ranks.
    fn take_requests(&self, at: At, run: &Run) {
        let Some(server) = self.events() else { return };
        let has_prompt = |client: &u64| self.sessions.borrow().contains_key(client);
        self.gone.borrow_mut().extend(server.take_gone().into_iter().filter(has_prompt));
        for request in server.take() {
            let Some(asked) = read(at, run, request) else { continue };
            let is_of_all = matches!(asked.want, Want::Eval { .. } | Want::Ask(Ask::Reload));
            let is_behind = self.waiting.borrow().iter().any(|a| a.request.client == asked.request.client);
            if is_of_all && !run.run().is_training() {
                let why =
                    "several ranks work on this run, who evaluate a line together between two steps of `train::fit`: this loop is the script's own";
                asked.request.reply(line(asked.id, prompt(at, run), Got::Error(why.into())));
            } else if is_of_all || is_behind {
                self.waiting.borrow_mut().push(asked);
            } else {
                // What is of all ranks is refused in it.
                dist::apart(|| self.answer_read(at, run, asked));
                self.let_go();
            }
        }
    }

    /// What waits, done by all ranks.
    fn all(&self, at: At, run: &Run, d: &'static Dist) -> Result<()> {
        let mut asked: Vec<Option<Asked>> = Vec::new();
        let mut items = Vec::new();
        for client in self.gone.take() {
            items.push(Item::Gone(client));
            asked.push(None);
        }
        if run.run().is_owner() {
            for one in self.waiting.take() {
                let client = one.request.client;
                match &one.want {
                    // Its client is gone, or wants it no more.
                    Want::Eval { color, .. } if one.request.cancelled.load(Ordering::SeqCst) => {
                        let answer = Answer::failed(&Error::interrupted(), *color);
                        one.request.reply(line(one.id, prompt(at, run), Got::Answer(answer)));
                        continue;
                    }
                    Want::Eval { text, mode, color, seconds } => {
                        items.push(Item::Line { client, text: text.clone(), mode: *mode, color: *color, seconds: *seconds });
                    }
                    Want::Ask(Ask::Reload) => items.push(Item::Reload),
                    _ => {
                        dist::apart(|| self.answer_read(at, run, one));
                        continue;
                    }
                }
                asked.push(Some(one));
            }
        }
        let text = d.said_by(0, &serde_json::to_vec(&items).map_err(|e| broken(&e))?)?;
        let items: Vec<Item> = serde_json::from_slice(&text).map_err(|e| broken(&e))?;
        let mut asked = asked.into_iter();
        for item in items {
            let asked = asked.next().flatten();
            let got = match item {
                Item::Gone(client) => {
                    self.forget(at, client);
                    continue;
                }
                Item::Reload => reload(at, run, d)?,
                Item::Line { client, text, mode, color, seconds } => {
                    let how = How { mode, color, time: Duration::from_secs(seconds).min(MAX_LIMIT), seconds };
                    if let Some(a) = &asked {
                        a.request.tell(line(a.id, prompt(at, run), Got::Begun));
                    }
                    let cancelled = asked.as_ref().map(|a| a.request.cancelled.clone());
                    Got::Answer(self.line_of_all(at, run, d, client, &text, how, cancelled)?)
                }
            };
            if let Some(Asked { request, id, .. }) = asked {
                request.reply(line(id, prompt(at, run), got));
            }
        }
        Ok(())
    }

    /// A line on all ranks; the answer of this one, with what is other on others.
    #[expect(clippy::too_many_arguments, reason = "where, who, and what of one line")]
    fn line_of_all(
        &self,
        at: At,
        run: &Run,
        d: &'static Dist,
        client: u64,
        text: &str,
        how: How,
        cancelled: Option<Arc<AtomicBool>>,
    ) -> Result<Answer> {
        let before = marks(run);
        let tried = trial(d, how.time, cancelled, |stop| {
            let done = self.with(at, run, client, |session| evaluated(at, run, session, text, how, stop.clone(), before));
            // One that was stopped because its time was up is one that was stopped.
            let is_stopped = done.answer.interrupted || done.answer.error.as_ref().is_some_and(|e| e.starts_with("stopped after"));
            let word = Word { error: done.answer.error.clone(), is_stopped, changes: done.changes.clone() };
            let is_well = word.error.is_none();
            (done, serde_json::to_vec(&word).unwrap_or_default(), is_well)
        })?;
        let words: Vec<Word> = tried.words.iter().map(|w| serde_json::from_slice(w).map_err(|e| broken(&e))).collect::<Result<_>>()?;
        let mut done: Evaluated = tried.value;
        let first = words.first().cloned().unwrap_or_default();
        let is_alike = words.iter().all(|w| *w == first);
        let has_changed = words.iter().any(|w| !w.changes.is_empty());
        let mut notes = Vec::new();
        if !is_alike {
            notes.extend(differences(&words));
        }
        // Ranks that were stopped have not come equally far.
        if has_changed && (!is_alike || words.iter().any(|w| w.is_stopped)) {
            run.run().spread(d, 0)?;
            notes.push("what the run tracks is that of rank 0 on all ranks; settings and other values are as each rank has them".to_owned());
        }
        if !first.changes.is_empty() {
            notes.push(record(run, text, &first.changes));
        }
        if done.answer.error.is_none()
            && let Some((rank, why)) = words.iter().enumerate().find_map(|(rank, w)| Some((rank, w.error.as_ref()?)))
        {
            done.answer.error = Some(format!("error: rank {rank} failed, and rank 0 did not: {}", brief(why)));
        }
        Ok(self.noted(at, run, done, notes))
    }
}

/// What other ranks came to that rank 0 did not, each with the ranks.
fn differences(words: &[Word]) -> Vec<String> {
    let first = words.first().cloned().unwrap_or_default();
    let mut others: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (rank, word) in words.iter().enumerate().filter(|(_, w)| **w != first) {
        let how = match &word.error {
            _ if word.is_stopped => "was stopped".to_owned(),
            Some(e) if e.contains("E0802") => "waited for the others, and gave up when one of them had failed".to_owned(),
            Some(e) if word.error != first.error => format!("ended with: {}", brief(e)),
            None if first.error.is_some() => "ended without an error".to_owned(),
            _ if word.changes.is_empty() => "changed nothing".to_owned(),
            _ => format!("changed {}", word.changes.join(", ")),
        };
        others.entry(how).or_default().push(rank);
    }
    others.into_iter().map(|(how, ranks)| format!("{} {how}", named(&ranks, words.len()))).collect()
}

/// The first line of an error, without colors.
fn brief(error: &str) -> String {
    let mut rest = error.lines().next().unwrap_or_default();
    let mut text = String::new();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Takes in what is on disk, on all ranks.
fn reload(at: At, run: &Run, d: &Dist) -> Result<Got> {
    let Some(hot) = at.host.get::<Hot>() else { return Ok(Got::Text("this program reloads by itself".into())) };
    let taken = hot.take_in(&Boundary { program: at.program, rhai: at.rhai, run: Some(run) }, d)?;
    let again = if hot.waits() && !matches!(taken, Taken::Nothing) { "; the failed step is tried again" } else { "" };
    Ok(match taken {
        Taken::New(done) => {
            hot.try_again();
            Got::Text(format!("reloaded in {:.0} ms on all ranks: {} scripts changed{again}", 1e3 * done.seconds, done.changed.len()))
        }
        Taken::Same => {
            hot.try_again();
            Got::Text(format!("nothing differs from what runs{again}"))
        }
        Taken::Nothing => Got::Error(hot.refused().unwrap_or_else(|| "nothing was taken in: the scripts are still being written".into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_with_its_ranks() {
        let ok = Word::default();
        let failed = Word { error: Some("error: no\nmore".into()), ..Word::default() };
        let changed = Word { changes: vec!["opt.lr 1 -> 2".into()], ..Word::default() };
        assert!(differences(&[ok.clone(), ok.clone()]).is_empty());
        assert_eq!(
            differences(&[ok.clone(), failed.clone(), changed, failed.clone()]),
            ["rank 2 changed opt.lr 1 -> 2", "ranks 1, 3 ended with: error: no"]
        );
        assert_eq!(brief("\u{1b}[1m\u{1b}[91merror\u{1b}[0m: no\nmore"), "error: no");
        assert_eq!(differences(&[failed, ok]), ["rank 1 ended without an error"]);
    }
}
