//! Progress with rate and ETA: a bar on a terminal, one line now and then otherwise. Never both.
#![expect(clippy::disallowed_macros, reason = "who prints beside a bar must take it away first")]

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The bar on the terminal now, for whoever prints beside it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

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
    label: String,
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
        let label = label.into();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_position(first);
        let template = format!("  {{prefix}}  {{bar:24}} {{done}}/{{all}} {unit}  {{per_sec}}  eta {{eta}}  {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            // Where nobody reads the bar there is nothing to be said about it.
            let style = style.with_key("done", |s: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&grouped(s.pos(), ' '));
            });
            let style = style.with_key("all", |s: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&grouped(s.len().unwrap_or(0), ' '));
            });
            bar.set_style(style);
        }
        bar.set_prefix(label.clone());
        if terminal {
            *shown() = Some(bar.clone());
        }
        let now = Instant::now();
        Progress { bar, terminal, label, total, done: first, start: now, first, last_line: now, every: Duration::from_secs(10) }
    }

    /// Says that `done` things are ready, with a remark such as the last metrics.
    pub fn set(&mut self, done: u64, message: &str) {
        self.done = done;
        self.bar.set_position(done);
        self.bar.set_message(message.to_owned());
        if !self.terminal && self.last_line.elapsed() >= self.every {
            self.last_line = Instant::now();
            self.line(message);
        }
    }

    /// Says that `done` things are ready; the remark stays.
    pub fn advance(&mut self, done: u64) {
        self.done = done;
        self.bar.set_position(done);
    }

    /// Changes how many things there are.
    pub fn set_total(&mut self, total: u64) {
        self.total = total;
        self.bar.set_length(total);
    }

    /// Things a second since the start.
    pub fn rate(&self) -> f64 {
        (self.done - self.first) as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    /// Seconds until the end at the present rate.
    pub fn eta(&self) -> Option<f64> {
        let rate = self.rate();
        (rate > 0.0).then(|| self.total.saturating_sub(self.done) as f64 / rate)
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
        crate::space::say(&format!(
            "  {}  {}/{}  {:.1}/s{eta}  {message}",
            self.label,
            grouped(self.done, ' '),
            grouped(self.total, ' '),
            self.rate()
        ));
    }

    /// Takes the bar away; without a terminal, prints the last line.
    pub fn finish(&mut self, message: &str) {
        self.bar.finish_and_clear();
        if !self.terminal && !message.is_empty() {
            self.line(message);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            self.bar.finish_and_clear();
            *shown() = None;
        }
    }
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
    use super::{digits, grouped};

    #[test]
    fn figures_have_four_digits() {
        let of = |x: f64| digits(x, 4);
        assert_eq!([0.123456, 1.0 / 3.0, 12345.678, 0.5, 2.0, 1e-5, 0.0].map(of), ["0.1235", "0.3333", "1.235e4", "0.5", "2", "1e-5", "0"]);
        assert_eq!([-0.00012345, 9999.6, f64::NAN, 1234.5].map(of), ["-0.0001234", "1e4", "NaN", "1234"]);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!((grouped(7, ' '), grouped(1240, '_'), grouped(1_000_000, ' ')), ("7".into(), "1_240".into(), "1 000 000".into()));
    }
}
