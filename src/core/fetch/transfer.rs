//! One file from one address: goes on where it stopped, tries again what may pass, and ends whole and proven, or not at all.

use super::failure::Failure;
use super::http::{Ask, Http, page, text};
use super::partial::{PIECE, Partial};
use crate::error::Error;
use crate::progress::Progress;
use crate::{files, interrupt, space};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often in a row nothing may come.
const TRIES: u32 = 5;
/// The pause before the first new try; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
const MB: u64 = 1_000_000;

/// What is to come.
pub(super) struct Job<'a> {
    pub label: &'a str,
    pub url: &'a str,
    pub token: Option<&'a str>,
    /// The mark of the file at that address, so that no half of one is joined to half of another.
    pub mark: Option<&'a str>,
    pub size: Option<u64>,
    /// The first digits of its SHA-256, or all of them, or none; and who says so.
    pub sha256: &'a str,
    pub says: &'a str,
    /// Where it lies until it is whole.
    pub partial: &'a Path,
}

/// Fetches it into the partial file, synced, and gives its SHA-256 and its size.
pub(super) fn run(http: &Http, job: &Job) -> Result<(String, u64), Failure> {
    let mut partial = Partial::open(job.partial)?;
    if let Some(size) = job.size {
        if partial.len > size {
            partial.restart()?;
        }
        partial.has_room(job.label, size)?;
    }
    let mut is_resumed = partial.len > 0;
    if is_resumed {
        space::say(&format!("going on with {} at {}", job.label, super::shown(partial.len)));
    }
    loop {
        whole(http, job, &mut partial)?;
        let sha256 = partial.sha256();
        if sha256.starts_with(job.sha256) {
            partial.sync()?;
            return Ok((sha256, partial.len));
        }
        // What a kill or another program left may be no beginning of it.
        if !is_resumed {
            files::remove(job.partial)?;
            return Err(changed(job.label, job.says, job.sha256, &sha256).into());
        }
        space::say(&format!("what was there of {} is no part of it: from the start", job.label));
        partial.restart()?;
        is_resumed = false;
    }
}

/// The content is not what somebody said that it is.
pub(super) fn changed(label: &str, says: &str, want: &str, got: &str) -> Error {
    let help = if says.ends_with(".lock") {
        "if the new one is meant: `lathe fetch --again` with the same name takes it, and writes its hash down; else somebody changed it"
    } else {
        "do not use it: get the file by another way and name it"
    };
    Error::fetch(format!("`{label}` has changed: its SHA-256 is {got}, and {says} says {want}")).help(help)
}

/// Tries until it is whole.
fn whole(http: &Http, job: &Job, partial: &mut Partial) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let before = partial.len;
        let (error, pause) = match piece(http, job, partial) {
            Err(Failure::Passing(error, pause)) => (error, pause),
            other => return other,
        };
        tries = if partial.len > before { 0 } else { tries + 1 };
        if tries >= TRIES {
            return Err(Failure::Passing(error, pause));
        }
        tracing::debug!("{error}; trying again");
        wait(pause.unwrap_or(PAUSE * 2_u32.pow(tries)))?;
    }
}

/// Waits, but not for somebody who wants to stop.
pub(super) fn wait(pause: Duration) -> Result<(), Failure> {
    let start = Instant::now();
    while start.elapsed() < pause {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(50).min(pause));
    }
    Ok(())
}

/// As much as one connection gives.
fn piece(http: &Http, job: &Job, partial: &mut Partial) -> Result<(), Failure> {
    if job.size == Some(partial.len) && partial.len > 0 {
        return Ok(());
    }
    let ask = Ask { label: job.label, url: job.url, token: job.token, from: partial.len, mark: job.mark };
    let response = http.get(&ask)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // 206 from another place than was asked for, or 416: what is there is of no use to this server.
    let begins = text(&headers, "content-range").and_then(|r| r.strip_prefix("bytes ")?.split('-').next()?.trim().parse::<u64>().ok());
    if status == 416 || status == 206 && begins != Some(partial.len) {
        partial.restart()?;
        return Err(Failure::Passing(
            Error::fetch(format!("`{}` is not fetched: the server gives another part of it than the one that is missing", job.label)),
            None,
        ));
    }
    if status == 200 {
        partial.restart()?;
    }
    let rest = text(&headers, "content-length").and_then(|n| n.parse::<u64>().ok());
    let size = job.size.or(rest.map(|n| n.saturating_add(partial.len)));
    if let Some(size) = size {
        partial.has_room(job.label, size)?;
    }
    let mut progress = Progress::new(job.label, "MB", partial.len / MB, size.unwrap_or(0).div_ceil(MB));
    let mut reader = response.into_body().into_reader();
    let mut buffer = vec![0; PIECE];
    let broken = |e: String| {
        let e = Error::fetch(format!("`{}` is not fetched: the connection broke: {e}", job.label));
        Failure::Passing(e.help("the same command goes on where it stopped"), None)
    };
    loop {
        interrupt::check()?;
        let n = reader.read(&mut buffer).map_err(|e| broken(e.to_string()))?;
        if n == 0 {
            break;
        }
        if partial.len == 0 && looks_like_page(&buffer[..n]) {
            return Err(page(job.label, "the server").into());
        }
        partial.add(job.label, &buffer[..n])?;
        if let Some(size) = size.filter(|size| partial.len > *size) {
            partial.restart()?;
            return Err(Error::fetch(format!("`{}` is not fetched: more than its {size} bytes came", job.label)).into());
        }
        progress.set(partial.len / MB, "");
    }
    match size {
        Some(size) if partial.len < size => Err(broken(format!("{} of {} came", super::shown(partial.len), super::shown(size)))),
        _ => Ok(()),
    }
}

/// Whether a file begins as a page of the web, as no weights do.
fn looks_like_page(start: &[u8]) -> bool {
    let text: String = start.iter().take(64).map(|b| char::from(b.to_ascii_lowercase())).collect();
    ["<!doctype html", "<html"].iter().any(|tag| text.trim_start().starts_with(tag))
}
