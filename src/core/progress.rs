//! Progress with rate and ETA: a bar on a terminal, one line now and then otherwise. Never both.
#![expect(clippy::disallowed_macros, reason = "who prints beside a bar must take it away first")]

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The bar on the terminal now, for whoever prints beside it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Numbers those that programs show.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `print`, which writes to the terminal, with the bar out of the way.
pub fn beside<T>(print: impl FnOnce() -> T) -> T {
    let bar = shown().clone();
    match bar {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// Prints a line on stderr with the bar out of the way.
pub fn line(line: &str) {
    beside(|| eprintln!("{line}"));
}

/// Shows a picture in the terminal: by the protocols of kitty and iTerm or as sixels where the environment tells that the terminal
/// knows them, else in half blocks. Without a terminal, nothing. Asking the terminal itself would hang where none answers.
pub fn picture(path: &std::path::Path) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let Ok(image) = image::open(path) else { return };
    let has = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let is = |name: &str, words: &[&str]| std::env::var(name).is_ok_and(|v| words.iter().any(|w| v.to_lowercase().contains(w)));
    let is_plain = has("TMUX") || has("NO_COLOR");
    let use_kitty = !is_plain && (has("KITTY_WINDOW_ID") || is("TERM", &["kitty", "ghostty"]) || is("TERM_PROGRAM", &["ghostty", "wezterm"]));
    let use_iterm = !is_plain && is("TERM_PROGRAM", &["iterm"]);
    let use_sixel = !is_plain && is("TERM", &["sixel", "foot", "mlterm"]);
    // A pixel is half a cell high: a small picture is shown as it is, a large one fills the width.
    let width = Some(image.width().min(96));
    let config = viuer::Config { absolute_offset: false, width, use_kitty, use_iterm, use_sixel, ..viuer::Config::default() };
    // The file is there and its path is printed: a terminal that cannot show it loses nothing.
    beside(|| drop(viuer::print(&image, &config)));
}

/// The progress of one long call.
pub struct Progress {
    bar: ProgressBar,
    terminal: bool,
    /// Its number, where a program shows it instead of a terminal.
    watched: Option<u64>,
    label: String,
    unit: String,
    message: String,
    total: u64,
    done: u64,
    start: Instant,
    first: u64,
    last_line: Instant,
    every: Duration,
}

impl Progress {
    /// Starts at `first` of `total` things, say `images`.
    pub fn new(label: impl Into<String>, unit: &str, first: u64, total: u64) -> Self {
        let terminal = !crate::space::has_sink() && std::io::stderr().is_terminal();
        let watched = crate::space::has_bars().then(|| NEXT.fetch_add(1, Ordering::Relaxed));
        let label = label.into();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(first);
        let now = Instant::now();
        if let Some(style) = style(unit, first, now) {
            bar.set_style(style);
        }
        bar.set_prefix(label.clone());
        if terminal {
            *shown() = Some(bar.clone());
        }
        let (unit, message) = (unit.to_owned(), String::new());
        let every = Duration::from_secs(10);
        let progress = Progress { bar, terminal, watched, label, unit, message, total, done: first, start: now, first, last_line: now, every };
        progress.tell(false);
        progress
    }

    /// Says that `done` things are ready, with a remark such as the last metrics.
    pub fn set(&mut self, done: u64, message: &str) {
        self.done = done;
        self.bar.set_position(done);
        self.bar.set_message(message.to_owned());
        if self.watched.is_some() {
            message.clone_into(&mut self.message);
            return self.tell(false);
        }
        if !self.terminal && self.last_line.elapsed() >= self.every {
            self.last_line = Instant::now();
            self.line(message);
        }
    }

    /// Says that `done` things are ready; the remark stays.
    pub fn advance(&mut self, done: u64) {
        self.done = done;
        self.bar.set_position(done);
        self.tell(false);
    }

    /// Tells the program that shows it how far it is.
    fn tell(&self, is_finished: bool) {
        let Some(id) = self.watched else { return };
        let (label, unit, message) = (self.label.as_str(), self.unit.as_str(), self.message.as_str());
        crate::space::bar(&crate::space::Bar { id, label, unit, done: self.done, total: self.total, left: self.eta(), message, is_finished });
    }

    /// Changes how many things there are.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        self.bar.set_length(total);
    }

    /// Things a second since the start: what was done before it does not count.
    pub fn rate(&self) -> f64 {
        rate(self.first, self.done, self.start.elapsed())
    }

    /// Seconds until the end at the present rate.
    pub fn eta(&self) -> Option<f64> {
        eta(self.done, self.total, self.rate())
    }

    /// Prints a line without disturbing the bar.
    pub fn println(&self, line: &str) {
        if self.terminal {
            self.bar.suspend(|| eprintln!("{line}"));
        } else {
            crate::space::say(line);
        }
    }

    fn line(&self, message: &str) {
        let eta = self.eta().map_or(String::new(), |s| format!("  eta {}", human(s)));
        let (done, total) = (grouped(self.done, ' '), grouped(self.total, ' '));
        crate::space::say(format!("  {}  {done}/{total}  {}{eta}  {message}", self.label, a_second(self.rate())).trim_end());
    }

    /// Takes the bar away; without a terminal, prints the last line.
    pub fn finish(&mut self, message: &str) {
        self.bar.finish_and_clear();
        if self.watched.is_some() {
            message.clone_into(&mut self.message);
            self.tell(true);
            self.watched = None;
            return;
        }
        if !self.terminal && !message.is_empty() {
            self.line(message);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.tell(true);
        if self.terminal {
            self.bar.finish_and_clear();
            *shown() = None;
        }
    }
}

/// Things a second between `first` and `done`.
fn rate(first: u64, done: u64, elapsed: Duration) -> f64 {
    done.saturating_sub(first) as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// Seconds until the end.
fn eta(done: u64, total: u64, rate: f64) -> Option<f64> {
    (rate > 0.0).then(|| total.saturating_sub(done) as f64 / rate)
}

/// `12.3/s`, or `7.1 s each` where one takes more than a second.
fn a_second(rate: f64) -> String {
    if rate >= 1.0 || rate <= 0.0 { format!("{rate:.1}/s") } else { format!("{:.1} s each", 1.0 / rate) }
}

/// The bar's line. Its own rate and time left count what was done before the start: these do not.
fn style(unit: &str, first: u64, start: Instant) -> Option<ProgressStyle> {
    // A terminal that takes no more text is no reason to stop.
    let say = |w: &mut dyn Write, text: &str| {
        let _ = w.write_str(text);
    };
    let now = move |s: &ProgressState| rate(first, s.pos(), start.elapsed());
    let template = format!("  {{prefix}}  {{bar:24}} {{done}}/{{all}} {unit}  {{rate}}  eta {{left}}  {{msg}}");
    let style = ProgressStyle::with_template(&template).ok()?;
    let style = style
        .with_key("done", move |s: &ProgressState, w: &mut dyn Write| say(w, &grouped(s.pos(), ' ')))
        .with_key("all", move |s: &ProgressState, w: &mut dyn Write| say(w, &grouped(s.len().unwrap_or(s.pos()), ' ')))
        .with_key("rate", move |s: &ProgressState, w: &mut dyn Write| say(w, &a_second(now(s))))
        .with_key("left", move |s: &ProgressState, w: &mut dyn Write| {
            say(w, &eta(s.pos(), s.len().unwrap_or(s.pos()), now(s)).map_or("-".to_owned(), human));
        });
    Some(style)
}

/// A number in groups of three digits: `1 240 091`.
pub fn grouped(n: u64, separator: char) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    out
}

/// A number in so many digits, as short as it can be said: `0.1235`, `1.2e-5`, `1235`, `1.235e7`.
pub fn digits(x: f64, n: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return x.to_string();
    }
    let text = format!("{x:.*e}", n.saturating_sub(1));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |t: &str| if t.contains('.') { t.trim_end_matches('0').trim_end_matches('.').to_owned() } else { t.to_owned() };
    if exponent < -4 || exponent >= i32::try_from(n).unwrap_or(i32::MAX).max(1) {
        return format!("{}e{exponent}", trimmed(mantissa));
    }
    let decimals = usize::try_from(i32::try_from(n).unwrap_or(i32::MAX) - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{x:.decimals$}"))
}

/// Four significant digits, or two and an exponent for very large and very small numbers.
pub fn short(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if !x.is_finite() => format!("{x}"),
        _ if size == 0.0 => "0".into(),
        _ if !(1e-4..1e5).contains(&size) => digits(x, 4),
        _ => {
            let before = size.log10().floor() as i32;
            format!("{x:.*}", usize::try_from(3 - before).unwrap_or(0).min(6))
        }
    }
}

/// `1.9 it/s`, or `7.1 s/it` where a step takes more than a second.
pub fn speed(rate: f64) -> String {
    if rate >= 1.0 || rate <= 0.0 { format!("{rate:.1} it/s") } else { format!("{:.1} s/it", 1.0 / rate) }
}

/// `12 us`, `3.1 ms`, `2.05 s`, `3m 20s`.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2} s"),
        s => human(s),
    }
}

/// `1h 02m`, `3m 20s`, `12s`.
pub fn human(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_digits() {
        let of = |x: f64| digits(x, 4);
        assert_eq!([0.123456, 1.0 / 3.0, 12345.678, 0.5, 2.0, 1e-5, 0.0].map(of), ["0.1235", "0.3333", "1.235e4", "0.5", "2", "1e-5", "0"]);
        assert_eq!([-0.00012345, 9999.6, f64::NAN, 1234.5].map(of), ["-0.0001234", "1e4", "NaN", "1234"]);
    }

    #[test]
    fn what_was_done_before_the_start_is_no_speed() {
        let minute = Duration::from_secs(60);
        assert_eq!(rate(29_000, 29_720, minute), 12.0);
        assert_eq!(eta(29_720, 30_440, 12.0), Some(60.0));
        assert_eq!((rate(5, 5, Duration::ZERO), rate(5, 0, minute), eta(5, 9, 0.0)), (0.0, 0.0, None));
        assert_eq!((a_second(12.0), a_second(0.14), a_second(0.0)), ("12.0/s".into(), "7.1 s each".into(), "0.0/s".into()));
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 0.0412345, -1.0, 12.3456, 99999.4, 1e5, 3e-7, f64::NAN, f64::NEG_INFINITY].iter().map(|x| short(*x)).collect();
        assert_eq!(shown, ["0", "0.04123", "-1.000", "12.35", "99999", "1e5", "3e-7", "NaN", "-inf"]);
        assert_eq!((speed(1.94), speed(0.14)), ("1.9 it/s".into(), "7.1 s/it".into()));
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!((grouped(7, ' '), grouped(1240, '_'), grouped(1_000_000, ' ')), ("7".into(), "1_240".into(), "1 000 000".into()));
    }
}
