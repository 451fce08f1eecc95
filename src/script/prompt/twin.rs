//! A second engine with the same language, for statements that call functions typed at a prompt.
//!
//! Such functions see the prompt's variables, which rhai allows by a hook alone that it asks at every use of every variable: with it
//! a loop of a script takes a quarter longer. So only this engine has the hook, and it is made when somebody types a function.

use super::{evaluation, watched};
use std::cell::OnceCell;

/// The second engine, among the host's values.
pub(crate) struct Twin {
    /// Makes one more engine of the same kind.
    make: Box<dyn Fn() -> rhai::Engine>,
    made: OnceCell<rhai::Engine>,
    debugger: OnceCell<rhai::Engine>,
}

impl Twin {
    pub(crate) fn new(make: impl Fn() -> rhai::Engine + 'static) -> Self {
        Twin { make: Box::new(make), made: OnceCell::new(), debugger: OnceCell::new() }
    }

    /// The engine, made on first use.
    pub(super) fn engine(&self) -> &rhai::Engine {
        self.made.get_or_init(|| self.another())
    }

    /// One more, which looks at every statement: for what is run again to see where it fails.
    pub(super) fn debugger(&self) -> &rhai::Engine {
        self.debugger.get_or_init(|| {
            let mut rhai = self.another();
            watched::install(&mut rhai);
            rhai
        })
    }

    fn another(&self) -> rhai::Engine {
        let mut rhai = (self.make)();
        // What a function typed at a prompt does not have itself it takes from there.
        #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
        rhai.on_var(|name, _, cx| Ok(evaluation::variable(name, cx.scope())));
        rhai
    }
}
