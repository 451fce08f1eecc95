//! `progress(label, total)`: how far a script's own loop is.

use crate::api;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::script_handle;
use std::cell::RefCell;
use std::rc::Rc;

/// The bar as scripts hold it.
#[derive(Clone)]
pub struct Bar(Rc<RefCell<Progress>>);
script_handle!(Bar, "a progress bar");

fn count(what: &str, n: i64) -> Result<u64> {
    u64::try_from(n).map_err(|_| Error::value("progress", format!("{what} must not be negative, got {n}")))
}

api! {
    global;

    /// Shows how far a loop is: a bar with rate and time left on a terminal, a line every ten seconds otherwise.
    ///
    /// # Errors
    /// `E0202` for a negative number.
    /// # Example
    /// ```rhai
    /// let bar = progress("encode", 3, #{unit: "pictures"});
    /// for i in 0..3 { bar.set(i + 1); }
    /// bar.finish();
    /// ```
    fn progress(label: String, total: i64;
        /// what is counted
        unit: String = "items".into(),
        /// how many are done already
        first: i64 = 0,
    ) -> Bar {
        let first = count("`first`", first)?;
        Ok(Bar(Rc::new(RefCell::new(Progress::new(label, &unit, first, count("the total", total)?)))))
    }
}

api! {
    fn methods;
    methods Bar;

    /// Says that `done` things are ready, with a remark if there is one.
    ///
    /// # Errors
    /// `E0202` for a negative number.
    /// # Example
    /// ```rhai
    /// let bar = progress("encode", 8);
    /// bar.set(2, "2 skipped");
    /// bar.finish();
    /// ```
    fn set(bar: Bar, done: i64, remark: Option<String>) -> () {
        bar.0.borrow_mut().set(count("the number", done)?, &remark.unwrap_or_default());
        Ok(())
    }

    /// Takes the bar away.
    ///
    /// # Errors
    /// None: a second call does nothing.
    /// # Example
    /// ```rhai
    /// progress("encode", 8).finish();
    /// ```
    fn finish(bar: Bar) -> () {
        bar.0.borrow_mut().finish("");
        Ok(())
    }
}
