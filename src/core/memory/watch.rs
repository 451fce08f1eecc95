//! The watch over memory that nobody asks for before it is filled: values of scripts, caches, what a library allocates.

use super::{HELP, OVER, in_use, in_use_after_release, limit, shown};
use crate::error::Diagnostic;
use crate::interrupt;
use std::time::Duration;

/// Between two looks. Memory is filled at some GB a second.
const EVERY: Duration = Duration::from_millis(50);

/// How far over the limit the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Over {
    /// Within it, or so little over it that it may be chance.
    Not,
    /// The run stops at its next boundary.
    Some,
    /// It stops in the middle of a step.
    More,
    /// The process ends.
    Far,
}

/// What is said when the process has to end at once, by the one that knows how to say and keep it.
pub type Watched = fn(&str);

/// Watches from now on. Over the limit everything is asked to stop, as Ctrl-C does, with the reason; what grows on all the same ends the
/// process, after `last` was called with the reason. Without a limit nothing is watched, until there is one.
pub fn watch(last: Watched) {
    let look = move || {
        let mut asked: Option<(Over, u64)> = None;
        loop {
            std::thread::sleep(EVERY);
            let Some(limit) = limit() else { continue };
            let mut used = in_use();
            if over(used, limit) > Over::Not && asked.is_none_or(|(_, at)| used > at) {
                used = in_use_after_release();
            }
            let over = over(used, limit);
            if over == Over::Far {
                last(&text(used, limit));
                signal_hook::low_level::exit(1);
            }
            // A prompt whose variables fill the memory must be able to drop them: only what grows is stopped again.
            let is_news = asked.is_none_or(|(then, at)| over > then || used > at + limit / 100);
            if over > Over::Not && is_news {
                asked = Some((over, used));
                let help = Some(HELP.to_owned());
                interrupt::request_because(Diagnostic { help, ..Diagnostic::plain("E0203", text(used, limit)) }, over == Over::More);
            } else if used < limit - limit / 20 {
                asked = None;
            }
        }
    };
    // A process that can start no thread will not run a script either.
    let _ = std::thread::Builder::new().name("memory".into()).spawn(look);
}

fn over(used: u64, limit: u64) -> Over {
    let beyond = |share: u64, least: u64| used > limit.saturating_add((limit / share).max(least << 20));
    if beyond(16, 192) {
        Over::Far
    } else if beyond(24, 96) {
        Over::More
    } else if beyond(64, 32) {
        Over::Some
    } else {
        Over::Not
    }
}

fn text(used: u64, limit: u64) -> String {
    format!("{} are in use, {OVER} {}", shown(used), shown(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_further_over_the_sooner_it_ends() {
        let at = |mib: u64| over(mib << 20, 1024 << 20);
        assert_eq!([at(1024), at(1050), at(1060), at(1130), at(1220)], [Over::Not, Over::Not, Over::Some, Over::More, Over::Far]);
        let at = |gib: f64| over((gib * 1024.0) as u64 * (1 << 20), 64 << 30);
        assert_eq!([at(64.5), at(65.5), at(67.0), at(68.5)], [Over::Not, Over::Some, Over::More, Over::Far]);
        assert_eq!(over(u64::MAX, u64::MAX), Over::Not);
    }
}
