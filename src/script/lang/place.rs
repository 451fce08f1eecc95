//! Where a script is: the last function of ours that it called, for whoever ends the process from another thread.

use super::source::id_of;
use rhai::Position;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Tags of scripts that were seen, in the order in which they were.
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// The number of a script from 1, a line and a column of it.
static AT: AtomicU64 = AtomicU64::new(0);

/// What rhai has room for in a line's and a column's number.
const MOST: u64 = 0xffff;

thread_local! {
    /// The script that this thread called from last, and its number.
    static LAST: RefCell<(String, u64)> = const { RefCell::new((String::new(), 0)) };
}

/// Takes note of a call. Costs a comparison of two short texts.
pub(crate) fn mark(tag: Option<&str>, position: Position) {
    let (Some(tag), Some(line)) = (tag, position.line()) else { return };
    let number = LAST.with_borrow_mut(|(last, number)| {
        if last != tag {
            tag.clone_into(last);
            *number = number_of(tag);
        }
        *number
    });
    let column = position.position().unwrap_or(1);
    AT.store(number << 32 | (line as u64).min(MOST) << 16 | (column as u64).min(MOST), Ordering::Relaxed);
}

fn number_of(tag: &str) -> u64 {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let at = names.iter().position(|n| n == tag).unwrap_or_else(|| {
        names.push(tag.to_owned());
        names.len() - 1
    });
    at as u64 + 1
}

/// The script, by its tag, and the place in it of the last call in the process.
pub(crate) fn last() -> Option<(String, Position)> {
    let at = AT.load(Ordering::Relaxed);
    // The thread that holds the names may be what hangs.
    let names = NAMES.try_lock().ok()?;
    let tag = names.get(usize::try_from(at >> 32).ok()?.checked_sub(1)?)?;
    let number = |n: u64| u16::try_from(n & MOST).unwrap_or(u16::MAX).max(1);
    Some((tag.clone(), Position::new(number(at >> 16), number(at))))
}

/// `train.rhai:14`, of the last call in the process.
pub(crate) fn shown() -> Option<String> {
    last().map(|(tag, at)| format!("{}:{}", id_of(&tag), at.line().unwrap_or(0)))
}
