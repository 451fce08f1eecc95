//! A chart as a value.

use crate::api;
use crate::error::{Error, Result};
use crate::files;
use crate::script_handle;
use std::path::Path;
use std::rc::Rc;

/// A chart as scripts hold it: its SVG.
#[derive(Clone)]
pub struct Drawing(pub(super) Rc<str>);
script_handle!(Drawing, "a drawing");

impl Drawing {
    /// Writes it as a file, which appears whole or not at all.
    ///
    /// # Errors
    /// `E0202` for a name that does not end in `.svg`, `E0301` when it cannot be written.
    pub(super) fn write(&self, op: &str, path: &str) -> Result<()> {
        let path = Path::new(path);
        if path.extension().is_none_or(|e| e != "svg") {
            let e = Error::value(op, format!("`{}`: charts are written as SVG", path.display()));
            return Err(e.help("use a name that ends in `.svg`; browsers show it"));
        }
        files::write(path, self.0.as_bytes())
    }
}

api! {
    fn methods;
    methods Drawing;

    /// The chart as SVG.
    ///
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(viz::chart([1.0, 0.5]).svg().contains("<svg"));
    /// ```
    fn svg(drawing: Drawing) -> String { Ok(drawing.0.to_string()) }

    /// Writes the chart as an SVG file, which appears whole or not at all.
    ///
    /// # Errors
    /// `E0202` for a name that does not end in `.svg`; `E0301` when it cannot be written.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/chart.svg";
    /// viz::chart([1.0, 0.5]).write(path);
    /// assert(io::exists(path));
    /// ```
    fn write[cx](drawing: Drawing, path: String) -> () {
        cx.writable(&path)?;
        drawing.write("write", &path)
    }

    /// The chart in a word.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(viz::chart([1.0, 0.5]).to_string(), "a drawing");
    /// ```
    fn to_string(drawing: Drawing) -> String {
        drop(drawing);
        Ok("a drawing".into())
    }
}
