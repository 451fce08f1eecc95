//! Which rank is gone, and why: what survivors say, and what a rank that fails tells them.

use super::{Dist, current};
use crate::error::{Error, ErrorKind, Result};
use crate::interrupt;
use std::time::{Duration, Instant};

/// How long survivors wait for each other's words.
const WORDS: Duration = Duration::from_secs(2);
/// How long the store may take for one answer.
const ANSWER: Duration = Duration::from_secs(4);

/// Words of c10d, Gloo and NCCL in an error of libtorch, where another process is gone.
const SIGNS: &[&str] = &["third_party/gloo", "ProcessGroup", "Connection closed by peer", "Connection reset by peer", "NCCL error"];
/// What a rank that was interrupted tells the others.
const INTERRUPTED: &str = "E0901";

/// The error of this rank as the user should see it. A collective that failed because another rank is gone is told with that rank's name; a
/// failure of this rank is told to the others, and so is that it was stopped.
pub fn explain(error: Error) -> Error {
    let Some(d) = current().filter(|d| d.world.size > 1) else { return error };
    if !is_of_others(&error) {
        let text = if error.is_asked() { INTERRUPTED.to_owned() } else { first_line(&error.to_string()) };
        // Whoever hears it not ends as well: this process ends.
        let _ = d.post(format!("failed/{}", d.world.rank), text.into_bytes(), ANSWER);
        return error;
    }
    if interrupt::pending() {
        return Error::interrupted();
    }
    if let ErrorKind::Lost { message } = error.kind()
        && message.starts_with("rank ")
    {
        return error;
    }
    let who = who(d, &error).unwrap_or_else(|e| e.to_string());
    if who == INTERRUPTED {
        return Error::interrupted();
    }
    let why = first_line(&error.to_string());
    Error::lost(format!("{who} (rank {}: {why})", d.world.rank)).help("what was saved last is whole: the same command goes on from there")
}

/// Whether an error comes of what another rank did.
pub(super) fn is_of_others(error: &Error) -> bool {
    let text = error.to_string();
    error.code() == "E0802" || (error.code() == "E0201" && SIGNS.iter().any(|sign| text.contains(sign)))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Asks who is still there: all that are say so. Stops at the first fault of the store, which would write a trace for each further call.
fn who(d: &'static Dist, error: &Error) -> Result<String> {
    d.post(format!("here/{}", d.world.rank), first_line(&error.to_string()).into_bytes(), ANSWER)?;
    let end = Instant::now() + WORDS;
    loop {
        let mut silent = Vec::new();
        for rank in (0..d.world.size).filter(|r| *r != d.world.rank) {
            if let Some(why) = d.peek(format!("failed/{rank}"), ANSWER)? {
                let why = String::from_utf8_lossy(&why).into_owned();
                return Ok(if why == INTERRUPTED { why } else { format!("rank {rank} failed: {why}") });
            }
            if d.peek(format!("here/{rank}"), ANSWER)?.is_none() {
                silent.push(rank.to_string());
            }
        }
        match (silent.is_empty(), Instant::now() > end) {
            (true, _) => return Ok("every rank still answers, but they did not come to the same place in time".to_owned()),
            (false, true) if silent.len() == 1 => return Ok(format!("rank {} is gone, or hangs", silent[0])),
            (false, true) => return Ok(format!("ranks {} are gone, or hang", silent.join(", "))),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Tells a launcher how this rank ended: torchrun shows the first such failure as the root cause.
pub fn report(error: &Error) {
    if current().is_some() || std::env::var_os("TORCHELASTIC_ERROR_FILE").is_some() {
        super::launch::report_failure(&error.render(false));
    }
}
