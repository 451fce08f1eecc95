//! The call of a registered function, as its body sees it.

use crate::error::{Diagnostic, Error, Result, did_you_mean};
use crate::script::lang::codes::{LINT, RUNTIME};
use crate::script::lang::diagnose::is_closure;
use crate::script::lang::exception::from_script;
use crate::script::lang::function::Call;
use crate::script::lang::host::Host;
use crate::script::lang::known::counts;
use crate::script::lang::source::{id_of, is_typed};
use crate::script::lang::stack::Crossing;
use crate::script::units::changes::Reloaded;
use crate::script::units::program::Program;
use rhai::{Dynamic, EvalAltResult, FnPtr, Module, NativeCallContext, Position};
use std::rc::Rc;

/// The call of a registered function: its name, its place in the script, and the host.
pub struct Cx<'a> {
    name: &'a str,
    host: &'a Host,
    ctx: &'a NativeCallContext<'a>,
}

impl<'a> From<Call<'a>> for Cx<'a> {
    fn from(Call { name, host, ctx }: Call<'a>) -> Self {
        Cx { name, host, ctx }
    }
}

impl Cx<'_> {
    /// The function's name, for messages.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The host's values.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Where it was called.
    pub fn position(&self) -> Position {
        self.ctx.call_position()
    }

    /// rhai's own call context.
    pub fn native(&self) -> &NativeCallContext<'_> {
        self.ctx
    }

    /// The unit (file) it was called from, if known: `train.rhai`, `std/flow`.
    pub fn source(&self) -> Option<&str> {
        self.ctx.call_source().map(id_of)
    }

    /// Calls a script function that was handed in.
    ///
    /// # Errors
    /// Whatever the function threw, with its own position and call chain.
    pub fn call(&self, f: &FnPtr, args: Vec<Dynamic>) -> Result<Dynamic> {
        let _crossing = Crossing::enter()?;
        f.call_raw(self.ctx, None, args).map_err(|e| self.rust_error(e))
    }

    /// Calls the function `name` of the calling script, as it is in the newest version of that script.
    ///
    /// # Errors
    /// `E0503` when the script has no such function; whatever the function threw.
    pub fn call_named(&self, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.call_in(&self.caller()?, name, args)
    }

    /// Calls the function `name` of the unit `unit`, as it is in its newest version.
    ///
    /// # Errors
    /// `E0503` when the unit has no such function; whatever the function threw.
    pub fn call_in(&self, unit: &str, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.program()?.call(self.ctx.engine(), Some(self.ctx), unit, name, args).map_err(|e| self.rust_error(e))
    }

    /// Makes sure that the calling script has a function `name` with `arity` parameters, now and after every reload.
    ///
    /// # Errors
    /// `E0503` naming the script and the nearest function.
    pub fn require(&self, name: &str, arity: usize) -> Result<()> {
        self.program()?.require(&self.caller()?, name, arity)
    }

    /// The function `name` that a prompt has, typed there or from a script that it sees, as a pointer that calls its newest version,
    /// with its number of parameters; `None` when it is no prompt that calls.
    ///
    /// # Errors
    /// `E0503` when the prompt has no function of that name with one of these numbers of parameters, or with any.
    pub(crate) fn typed(&self, name: &str, arities: Option<&[usize]>) -> Result<Option<(FnPtr, usize)>> {
        if !self.ctx.call_source().is_some_and(is_typed) {
            return Ok(None);
        }
        let all = || self.ctx.iter_namespaces().flat_map(Module::iter_script_fn_info).map(|(_, _, name, n, _)| (name, n));
        let has: Vec<usize> = all().filter(|(f, _)| *f == name).map(|(_, n)| n).collect();
        let usual = arities.map_or(has.first(), |a| a.iter().find(|n| has.contains(n)));
        if let Some(n) = usual {
            return FnPtr::new(name).map(|f| Some((f, *n))).map_err(|e| self.rust_error(e));
        }
        let wanted: std::collections::BTreeSet<usize> = arities.unwrap_or_default().iter().copied().collect();
        let message = match has.first() {
            Some(n) => format!("`{name}` has {n} parameters, and {} are needed", counts(&wanted)),
            None => format!("this prompt has no function `{name}`{}", did_you_mean(name, all().map(|(f, _)| f).filter(|f| !is_closure(f)))),
        };
        let help = "type it first, or open its script with `lathe repl SCRIPT`: the script's functions are there by name";
        Err(Error::script(Diagnostic { help: Some(help.into()), ..Diagnostic::plain(LINT, message) }))
    }

    /// Loads every script anew from disk; nothing changes unless all of them are sound and have the required functions.
    ///
    /// # Errors
    /// What `lathe check` would say of the new texts.
    pub fn reload(&self) -> Result<Reloaded> {
        self.program()?.reload(self.ctx.engine())
    }

    /// The scripts of this engine.
    pub(crate) fn program(&self) -> Result<Rc<Program>> {
        self.host.get::<Program>().ok_or_else(|| Error::value(self.name, "this engine has no scripts"))
    }

    /// The unit that called, for functions that come back to it by name.
    pub(crate) fn caller(&self) -> Result<String> {
        let no_source = || Error::value(self.name, "cannot tell which script called it").help("call it from a function of a script file");
        self.source().map(str::to_owned).ok_or_else(no_source)
    }

    /// A script's exception as our error; [`into_script`] turns it back into the very same exception.
    pub(crate) fn rust_error(&self, e: Box<EvalAltResult>) -> Error {
        match self.host.get::<Program>() {
            Some(program) => from_script(program.explain(self.ctx.call_source().unwrap_or_default(), &e), e),
            None => Error::script(Diagnostic::plain(RUNTIME, e.to_string())),
        }
    }
}

scoped_tls_hkt::scoped_thread_local!(
    /// The innermost call of a registered function.
    pub(super) static CALLER: for<'a> &'a Cx<'a>
);

/// Runs `f` with the innermost call of a registered function: for Rust code that must call a script's function and was not
/// handed a [`Cx`], such as a group's forward function inside a Rust model.
///
/// # Errors
/// `E0202` when no script is running; otherwise what `f` returns.
pub fn with_caller<T>(f: impl FnOnce(&Cx) -> Result<T>) -> Result<T> {
    if !CALLER.is_set() {
        return Err(Error::value("callback", "a script's function can be called only while a script runs"));
    }
    CALLER.with(|cx| f(cx))
}
