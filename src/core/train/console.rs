//! What people see of a run: one dense line for each log step, which stays, and on a terminal a bar below.

use crate::progress::{Progress, grouped, human, short, speed};
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
        let bar = (is_terminal || crate::space::has_bars()).then(|| Progress::new(name, "steps", first, steps));
        Console { name: name.to_owned(), steps, bar }
    }

    /// Changes the number of steps in all.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
        if let Some(bar) = &mut self.bar {
            bar.set_total(steps);
        }
    }

    /// Moves the bar on.
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
        if let Some(bar) = &mut self.bar {
            bar.set(r.step, r.mark.trim_start());
        }
        self.say(&line);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dense_line_has_the_loss_first() {
        let mut c = Console { name: "try1".into(), steps: 100_091, bar: None };
        let given = [("align".to_owned(), 0.412), ("loss".to_owned(), 0.041)];
        let line = c.report(&Report { step: 1240, rate: 1.9, eta: Some(50_400.0), values: &given, mark: "  [stale: a.rhai:3]" });
        assert_eq!(line, "  try1  step 1 240/100 091  1.9 it/s  eta 14h 00m  loss 0.04100  align 0.4120  [stale: a.rhai:3]");
    }
}
