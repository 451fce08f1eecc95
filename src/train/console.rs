//! What people see of a run: a bar on a terminal, one dense line for each log step otherwise. Never both.

use crate::progress::{Progress, digits, grouped, human};
use std::io::IsTerminal;

/// The progress of one fit.
pub struct Console {
    name: String,
    steps: u64,
    bar: Option<Progress>,
}

/// What one line tells.
pub struct Report<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps a second since the last line.
    pub rate: f64,
    /// Seconds to the last step, where known.
    pub eta: Option<f64>,
    /// The values.
    pub values: &'a [(String, f64)],
    /// What stands at the end of the line: that the text on disk is not the code that runs.
    pub mark: &'a str,
}

impl Console {
    /// Starts at step `first` of `steps`.
    pub fn new(name: &str, first: u64, steps: u64) -> Self {
        let is_terminal = !crate::space::has_sink() && std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| Progress::new(name, "steps", first, steps));
        Console { name: name.to_owned(), steps, bar }
    }

    /// Changes the number of steps in all.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
        if let Some(bar) = &mut self.bar {
            bar.set_total(steps);
        }
    }

    /// Moves the bar on; the values of the last log step stay.
    pub fn advance(&mut self, step: u64) {
        if let Some(bar) = &mut self.bar {
            bar.advance(step);
        }
    }

    /// Reports the values of a log step; returns the dense line, for the log file.
    pub fn report(&mut self, r: &Report) -> String {
        let line = format!(
            "  {}  step {}/{}  {}  {}{}{}",
            self.name,
            grouped(r.step, ' '),
            grouped(self.steps, ' '),
            speed(r.rate),
            r.eta.map_or(String::new(), |s| format!("eta {}  ", human(s))),
            values(r.values),
            r.mark
        );
        match &mut self.bar {
            Some(bar) => bar.set(r.step, &(values(r.values) + r.mark)),
            None => crate::space::say(&line),
        }
        line
    }

    /// Says a line without disturbing the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => crate::space::say(line),
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let Some(bar) = &mut self.bar {
            bar.finish("");
        }
    }
}

/// `loss 0.0412  grad_norm 1.3`, the loss first.
pub fn values(values: &[(String, f64)]) -> String {
    let (loss, rest): (Vec<_>, Vec<_>) = values.iter().partition(|(name, _)| name == "loss");
    loss.into_iter().chain(rest).map(|(name, x)| format!("{name} {}", short(*x))).collect::<Vec<_>>().join("  ")
}

/// Four significant digits, with an exponent for very large and very small numbers.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 0.0412345, -1.0, 12.3456, 99999.4, 1e5, 3e-7, f64::NAN, f64::NEG_INFINITY].iter().map(|x| short(*x)).collect();
        assert_eq!(shown, ["0", "0.04123", "-1.000", "12.35", "99999", "1e5", "3e-7", "NaN", "-inf"]);
        assert_eq!((speed(1.94), speed(0.14)), ("1.9 it/s".into(), "7.1 s/it".into()));
    }

    #[test]
    fn the_dense_line_has_the_loss_first() {
        let mut c = Console { name: "try1".into(), steps: 100_091, bar: None };
        let given = [("align".to_owned(), 0.412), ("loss".to_owned(), 0.041)];
        let line = c.report(&Report { step: 1240, rate: 1.9, eta: Some(50_400.0), values: &given, mark: "  [stale: a.rhai:3]" });
        assert_eq!(line, "  try1  step 1 240/100 091  1.9 it/s  eta 14h 00m  loss 0.04100  align 0.4120  [stale: a.rhai:3]");
    }
}
