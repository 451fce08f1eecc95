//! What a run says: lines, numbers, pictures.

use super::OpenRun;
use crate::error::{Error, Result};
use crate::files;
use crate::torch::Tensor;
use crate::train::console::Console;
use crate::train::metrics::Metrics;
use crate::train::{images, log, metrics};
use std::cell::RefCell;
use std::path::PathBuf;

impl OpenRun {
    /// Says a line to the user and in `log.txt`.
    pub fn say(&self, line: &str) {
        // A message of several lines is not a line of the log.
        let line = if line.contains('\n') { line.to_owned() } else { format!("{line}{}", self.stale_mark()) };
        let line = line.as_str();
        match &*self.0.console.borrow() {
            Some(console) => console.say(line),
            None => crate::space::say(line),
        }
        log::write(&format!("{line}\n"));
    }

    /// Shows an error to the user, and in `log.txt`, although the run goes on.
    pub fn show(&self, error: &Error, color: bool) {
        match &*self.0.console.borrow() {
            Some(console) => console.say(&error.render(color)),
            None => crate::progress::line(&error.render(color)),
        }
        log::write(&format!("{}\n", error.render(false)));
    }

    /// Warns the user, also in `log.txt`.
    pub fn warn(&self, line: &str) {
        self.say(&format!("warning: {line}"));
    }

    pub(in crate::train) fn console(&self) -> &RefCell<Option<Console>> {
        &self.0.console
    }

    /// The step under which something is logged: steps done, counting the one being done.
    pub(super) fn log_step(&self) -> u64 {
        self.step() + u64::from(self.0.in_step.get())
    }

    /// Logs values at once: a line in `metrics.jsonl` and scalars for TensorBoard. Reads every tensor.
    ///
    /// # Errors
    /// `E0202` naming a metric that is not one number, `E0301` when the system refuses.
    pub fn log(&self, values: &Metrics) -> Result<()> {
        let values: Vec<(String, f64)> = metrics::read_all(values)?.into_iter().collect();
        if self.0.since.get().is_none() {
            self.0.early.borrow_mut().push(values);
            return Ok(());
        }
        self.write(&values)?;
        // `fit` tells the table of runs itself.
        if self.0.console.borrow().is_none() { self.tell_loss(&values) } else { Ok(()) }
    }

    /// Tells the table of runs what a loop of the script's own logged, and how fast it is.
    pub(super) fn tell_loss(&self, values: &[(String, f64)]) -> Result<()> {
        let now = (self.step(), self.seconds());
        let before = self.0.logged.replace(Some(now));
        let rate = before.filter(|b| now.0 > b.0 && now.1 > b.1).map(|b| (now.0 - b.0) as f64 / (now.1 - b.1));
        let loss = values.iter().find(|(name, _)| name == "loss").map(|(_, x)| *x);
        self.update_status(|s| (s.loss, s.rate) = (loss.or(s.loss), rate.or(s.rate)))
    }

    pub(in crate::train) fn write(&self, values: &[(String, f64)]) -> Result<()> {
        let step = self.log_step();
        if let Some(log) = &mut *self.0.metrics.borrow_mut() {
            log.append(step, self.seconds(), values)?;
        }
        if let Some(events) = &mut *self.0.events.borrow_mut() {
            events.scalars(step, values)?;
        }
        crate::space::metrics(step, values);
        Ok(())
    }

    /// Adds numbers to the TensorBoard file alone.
    pub(in crate::train) fn write_events(&self, values: &[(String, f64)]) -> Result<()> {
        match &mut *self.0.events.borrow_mut() {
            Some(events) => events.scalars(self.log_step(), values),
            None => Ok(()),
        }
    }

    /// Saves a grid of pictures as `samples/step-0000500-NAME.png` and for TensorBoard; returns the path.
    /// `[B, C, H, W]`, `[C, H, W]` or `[H, W]`: u8, or float in [-1, 1].
    ///
    /// # Errors
    /// `E0202` for a tensor that is no picture or a name that is no file name, `E0301` when the system refuses.
    pub fn image(&self, name: &str, x: &Tensor) -> Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) || name.len() > 100 {
            return Err(Error::value("image", format!("`{name}` is no file name")));
        }
        let png = images::grid(x)?;
        let folder = self.dir().join("samples");
        let path = folder.join(format!("step-{:07}-{name}.png", self.log_step()));
        if !self.is_owner() {
            return Ok(path);
        }
        files::create_dir(&folder)?;
        files::write(&path, &png.bytes)?;
        if let Some(events) = &mut *self.0.events.borrow_mut() {
            events.image(self.log_step(), name, png.width, png.height, &png.bytes)?;
        }
        Ok(path)
    }
}
