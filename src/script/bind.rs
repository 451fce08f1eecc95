//! How a Rust function becomes a script function: one macro, [`api!`](crate::api), for every namespace.
//!
//! A registered function takes its arguments by name and type ([`super::value::FromArg`]), so that a wrong one is reported
//! as "conv2d: argument `weight` must be a tensor, got string"; it knows where in the script it was called; and it must have
//! a doc comment, from which `lathe doc` and docs/reference are made.

use super::callback;
use super::diagnose;
use super::host::Host;
use super::program::Program;
use super::source::id_of;
use super::stack::{self, Crossing};
use crate::error::{Diagnostic, Error, ErrorKind, Result, did_you_mean};
use rhai::{Dynamic, Engine, EvalAltResult, FnNamespace, FnPtr, FuncRegistration, Module, NativeCallContext, Position, RhaiFunc, Shared};
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// The result of a script call, as rhai wants it.
pub type ScriptResult = std::result::Result<Dynamic, Box<EvalAltResult>>;

/// A parameter of a registered function.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it must be.
    pub kind: &'static str,
    /// Whether it may be left out.
    pub optional: bool,
}

/// Where a function is found in a script.
#[derive(Debug, Clone, Copy)]
pub enum Receiver {
    /// `ns::name(..)`.
    Namespace(&'static str),
    /// `value.name(..)` on a value of that type; `get$x`, `set$x`, `index$get$` and operators as well.
    Method(&'static str, fn() -> TypeId, fn() -> &'static str),
    /// `name(..)` everywhere.
    Global,
}

/// What a registered function does.
pub type ApiCall = Rc<dyn Fn(&Cx, VecDeque<Dynamic>) -> Result<Dynamic>>;

/// A registered function: what it is called, takes, returns, says of itself and does.
#[derive(Clone)]
pub struct ApiFn {
    /// Its name, without the namespace.
    pub name: &'static str,
    /// Where it is found.
    pub receiver: Receiver,
    /// Its parameters; for a method, the receiver is the first.
    pub params: Vec<Param>,
    /// What it returns.
    pub returns: &'static str,
    /// Its doc comment, Markdown.
    pub doc: &'static str,
    /// What it does.
    pub call: ApiCall,
}

/// The call of a registered function: its name, its place in the script, and the host.
pub struct Cx<'a> {
    name: &'a str,
    host: &'a Host,
    ctx: &'a NativeCallContext<'a>,
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
        if !self.ctx.call_source().is_some_and(super::session::is_typed) {
            return Ok(None);
        }
        let all = || self.ctx.iter_namespaces().flat_map(Module::iter_script_fn_info).map(|(_, _, name, n, _)| (name, n));
        let has: Vec<usize> = all().filter(|(f, _)| *f == name).map(|(_, n)| n).collect();
        let usual = arities.map_or(has.first(), |a| a.iter().find(|n| has.contains(n)));
        if let Some(n) = usual {
            return FnPtr::new(name).map(|f| Some((f, *n))).map_err(|e| self.rust_error(e));
        }
        let counts: std::collections::BTreeSet<usize> = arities.unwrap_or_default().iter().copied().collect();
        let message = match has.first() {
            Some(n) => format!("`{name}` has {n} parameters, and {} are needed", super::known::counts(&counts)),
            None => format!("this prompt has no function `{name}`{}", did_you_mean(name, all().map(|(f, _)| f).filter(|f| !diagnose::is_closure(f)))),
        };
        let help = "type it first, or open its script with `lathe repl SCRIPT`: the script's functions are there by name";
        Err(Error::script(Diagnostic { help: Some(help.into()), ..Diagnostic::plain(diagnose::LINT, message) }))
    }

    /// The function `name` of the calling script as a pointer that always calls its newest version.
    ///
    /// # Errors
    /// `E0503` when the script has no function of that name.
    pub fn hot(&self, name: &str) -> Result<FnPtr> {
        if let Some((typed, _)) = self.typed(name, None)? {
            return Ok(typed);
        }
        let (program, unit) = (self.program()?, self.caller()?);
        program.require_any(&unit, name)?;
        callback::hot(&program, self.host, unit, name).map_err(|e| self.rust_error(e))
    }

    /// Loads every script anew from disk; nothing changes unless all of them are sound and have the required functions.
    ///
    /// # Errors
    /// What `lathe check` would say of the new texts.
    pub fn reload(&self) -> Result<super::Reloaded> {
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
            Some(program) => from_script(&program, self.ctx.call_source().unwrap_or_default(), e),
            None => Error::script(Diagnostic::plain(diagnose::RUNTIME, e.to_string())),
        }
    }
}

scoped_tls_hkt::scoped_thread_local!(
    /// The innermost call of a registered function.
    static CALLER: for<'a> &'a Cx<'a>
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

/// An [`Error`] as a script sees it in `catch (err)`: `err.message`, `err.code`, `err.help`.
#[derive(Clone)]
pub struct ErrorValue {
    /// The error.
    pub error: Rc<Error>,
    /// Where it arose: the source's tag and the place in it.
    pub(crate) place: Option<(String, Position)>,
}

impl std::fmt::Display for ErrorValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error)
    }
}

/// Exceptions on their way through Rust code, by ticket: the error that a native gets carries the ticket, and when it
/// comes back unchanged the script gets the very same exception, value and call chain. An error that Rust swallows leaves
/// its exception behind, so only the last few are kept; without it the diagnostic alone comes back, which has the places too.
const IN_FLIGHT: usize = 32;

#[derive(Default)]
struct InFlight {
    last: u64,
    list: VecDeque<(u64, Box<EvalAltResult>)>,
}

thread_local! {
    static EXCEPTIONS: RefCell<InFlight> = RefCell::default();
}

/// A script's exception as our error, with its ticket.
pub(crate) fn from_script(program: &Program, top: &str, e: Box<EvalAltResult>) -> Error {
    let error = program.explain(top, &e);
    let ErrorKind::Script(d) = error.kind() else { return error };
    let ticket = EXCEPTIONS.with_borrow_mut(|flight| {
        flight.last += 1;
        if flight.list.len() == IN_FLIGHT {
            flight.list.pop_front();
        }
        flight.list.push_back((flight.last, e));
        flight.last
    });
    Error::script(Diagnostic { ticket: Some(ticket), ..(**d).clone() })
}

/// Our error as an exception thrown at `position` of the source `tag`.
pub(crate) fn into_script(e: Error, tag: Option<&str>, position: Position) -> Box<EvalAltResult> {
    if e.is_interrupt() {
        return Box::new(EvalAltResult::ErrorTerminated(diagnose::INTERRUPTED.into(), position));
    }
    if let ErrorKind::Script(d) = e.kind()
        && e.contexts().is_empty()
        && let Some(original) = d.ticket.and_then(redeem)
    {
        return original;
    }
    let place = if position.is_none() { None } else { tag.map(|t| (t.to_owned(), position)) };
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(ErrorValue { error: Rc::new(e), place }), position))
}

fn redeem(ticket: u64) -> Option<Box<EvalAltResult>> {
    EXCEPTIONS.with_borrow_mut(|flight| {
        let at = flight.list.iter().position(|(t, _)| *t == ticket)?;
        flight.list.remove(at).map(|(_, e)| e)
    })
}

/// The name of a receiver's type as users know it.
pub(crate) fn shown_type(ty: &str) -> String {
    match ty {
        "i64" => "int".into(),
        "f64" => "float".into(),
        other => other.to_lowercase(),
    }
}

impl ApiFn {
    /// How many arguments it takes at least.
    pub fn required(&self) -> usize {
        self.params.iter().filter(|p| !p.optional).count()
    }

    /// `F::linear(x, weight, bias?)`.
    pub fn signature(&self) -> String {
        let names = |p: &[Param]| p.iter().map(|p| format!("{}{}", p.name, if p.optional { "?" } else { "" })).collect::<Vec<_>>().join(", ");
        match self.receiver {
            Receiver::Namespace(ns) => format!("{ns}::{}({})", self.name, names(&self.params)),
            Receiver::Global => format!("{}({})", self.name, names(&self.params)),
            Receiver::Method(ty, ..) => {
                let ty = shown_type(ty);
                let rest = names(self.params.get(1..).unwrap_or_default());
                match (self.name.strip_prefix("get$"), self.name.strip_prefix("set$")) {
                    (Some(p), _) => format!("{ty}.{p}"),
                    (_, Some(p)) => format!("{ty}.{p} = {rest}"),
                    _ if self.name == "index$set$" => {
                        format!("{ty}[{}] = {}", names(&self.params[1..2]), names(self.params.get(2..).unwrap_or_default()))
                    }
                    _ if self.name.starts_with("index$") => format!("{ty}[{rest}]"),
                    _ if !self.name.starts_with(|c: char| c.is_alphabetic()) => format!("{ty} {} {rest}", self.name),
                    _ => format!("{ty}.{}({rest})", self.name.trim_end_matches('$')),
                }
            }
        }
    }

    fn install(&self, module: &mut Module, host: &Host) {
        for n in self.required()..=self.params.len() {
            let mut types = vec![TypeId::of::<Dynamic>(); n];
            if let (Receiver::Method(_, id, _), Some(first)) = (self.receiver, types.first_mut()) {
                *first = id();
                // A number on the left of a tensor: this pair only, so that numbers among themselves keep rhai's operators.
                let number = id() == TypeId::of::<i64>() || id() == TypeId::of::<f64>();
                if let (true, 2, Some(p)) = (number, n, self.params.get(1))
                    && p.kind == <crate::torch::Tensor as super::value::FromArg>::NAME
                {
                    types[1] = TypeId::of::<crate::torch::Tensor>();
                }
            }
            let (call, host, name) = (self.call.clone(), host.clone(), self.name);
            // rhai asks an indexer for properties that have no getter: an indexer that takes no names fails then.
            let is_unnamed = name.starts_with("index$") && self.params.get(1).is_some_and(|p| p.kind != <String as super::value::FromArg>::NAME);
            let is_method = matches!(self.receiver, Receiver::Method(..));
            let fun = move |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| -> ScriptResult {
                let ctx = ctx.expect("registered with has_context");
                // rhai hands a copy of the first argument to functions that are not methods, so all of them may be taken; but an
                // indexer's receiver may be a part that rhai writes back afterwards, so receivers (cheap handles) are shared.
                let share = |i: usize| i == 0 && is_method;
                let take = |(i, a): (usize, &mut &mut Dynamic)| if share(i) { a.flatten_clone() } else { std::mem::take(*a).flatten() };
                let mut args: VecDeque<Dynamic> = args.iter_mut().enumerate().map(take).collect();
                args.iter_mut().for_each(|a| callback::bind(a, &ctx, &host));
                let property = args.get(1).filter(|_| is_unnamed).and_then(|a| a.clone().into_string().ok());
                let ty = property.as_ref().and(args.front()).map(super::value::type_name);
                let cx = Cx { name, host: &host, ctx: &ctx };
                // A panic must not unwind through rhai: here it still has a place in the script.
                let result =
                    catch_unwind(AssertUnwindSafe(|| CALLER.set(&cx, || call(&cx, args)))).unwrap_or_else(|panic| Err(stack::internal(&*panic)));
                // After `x.shape.len()` rhai writes the property back, and asks the indexer where it has no setter: this answer says
                // that there is nothing to write.
                if result.is_err() && name == "index$set$" && property.is_some() {
                    let text = format!("{} [{}]", ty.unwrap_or_default(), property.unwrap_or_default());
                    return Err(Box::new(EvalAltResult::ErrorIndexingType(text, ctx.call_position())));
                }
                let result = result.map_err(|e| match (property, ty, host.get::<Program>()) {
                    // Modules and runs look their parts up themselves and know what was meant.
                    (Some(property), Some(ty), Some(program)) if ty == "tensor" => diagnose::no_property(&program.known(), &ty, &property),
                    _ => e,
                });
                result.map_err(|e| into_script(e, ctx.call_source(), ctx.call_position()))
            };
            FuncRegistration::new(self.name).with_namespace(FnNamespace::Global).set_into_module_raw(
                module,
                types,
                RhaiFunc::Pure { func: Shared::new(fun), has_context: true, is_pure: true, is_volatile: true },
            );
        }
    }
}

/// Puts functions where scripts find them: namespaces become static modules, methods and globals the global module.
pub fn install(engine: &mut Engine, host: &Host, functions: &[ApiFn]) {
    let mut global = Module::new();
    let mut spaces: Vec<(&str, Module)> = Vec::new();
    for f in functions {
        match f.receiver {
            Receiver::Namespace(ns) => {
                let at = spaces.iter().position(|(n, _)| *n == ns).unwrap_or_else(|| {
                    spaces.push((ns, Module::new()));
                    spaces.len() - 1
                });
                f.install(&mut spaces[at].1, host);
            }
            Receiver::Method(name, _, path) => {
                engine.register_type_with_name_raw(path(), name.to_lowercase());
                f.install(&mut global, host);
            }
            Receiver::Global => f.install(&mut global, host),
        }
    }
    engine.register_global_module(global.into());
    for (ns, module) in spaces {
        engine.register_static_module(ns, module.into());
    }
}

/// Runs a body in which `?` and `return` end the body alone.
#[doc(hidden)] // Called by what the macro makes, in other crates too.
pub fn attempt<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    body()
}

/// Rejects arguments that no parameter took: the ones an optional parameter did not recognise.
#[doc(hidden)] // Called by what the macro makes, in other crates too.
pub fn no_more(cx: &Cx, args: &VecDeque<Dynamic>, params: &[Param]) -> Result<()> {
    let Some(d) = args.front() else { return Ok(()) };
    let kinds: Vec<&str> = params.iter().filter(|p| p.optional).map(|p| p.kind).collect();
    Err(Error::value(cx.name(), format!("an argument of type {} does not fit; expected {}", super::value::type_name(d), kinds.join(", "))))
}

/// Declares script functions. Each needs a doc comment: one sentence, `# Shapes`, `# Errors`, one `# Example`.
///
/// ```ignore
/// api! {
///     namespace "F";
///     /// Affine map `x @ weight.t() + bias`.
///     fn linear(x: Tensor, weight: Tensor, bias: Option<Tensor>) -> Tensor { x.linear(&weight, bias.as_ref()) }
///     /// Runs `f` without recording gradients.
///     fn no_grad[cx](f: FnPtr) -> Dynamic { no_grad(|| cx.call(&f, vec![])) }
/// }
/// ```
/// The header is `namespace "ns";`, `methods Type;` or `global;`. `fn add as "+"(..)` gives another name in scripts, as for
/// operators, getters (`"get$shape"`), setters (`"set$lr"`) and indexers (`"index$get$"`). The block makes
/// `pub fn functions() -> Vec<ApiFn>`; a second block in the same file is written `api! { fn more_functions; methods Tensor; .. }`.
#[macro_export]
macro_rules! api {
    (fn $list:ident; namespace $ns:literal; $($rest:tt)*) => {
        $crate::api!(@fns $list, $crate::script::Receiver::Namespace($ns), $($rest)*);
    };
    (fn $list:ident; methods $ty:ident; $($rest:tt)*) => {
        $crate::api!(@fns $list, $crate::script::Receiver::Method(stringify!($ty), std::any::TypeId::of::<$ty>, std::any::type_name::<$ty>), $($rest)*);
    };
    (fn $list:ident; global; $($rest:tt)*) => {
        $crate::api!(@fns $list, $crate::script::Receiver::Global, $($rest)*);
    };
    (@fns $list:ident, $receiver:expr, $(
        $(#[doc = $doc:literal])+
        fn $name:ident $(as $script:literal)? $([$cx:ident])? ($($arg:ident : $ty:ty),* $(,)?) -> $ret:ty $body:block
    )*) => {
        /// The functions of this block, for [`install`]($crate::script::bind::install).
        pub fn $list() -> Vec<$crate::script::ApiFn> {
            vec![$(
                $crate::script::ApiFn {
                    name: $crate::api!(@name $name $($script)?),
                    receiver: $receiver,
                    params: vec![$($crate::script::Param {
                        name: stringify!($arg),
                        kind: <$ty as $crate::script::value::FromArg>::NAME,
                        optional: <$ty as $crate::script::value::FromArg>::OPTIONAL,
                    }),*],
                    returns: <$ret as $crate::script::value::IntoScript>::NAME,
                    doc: concat!($($doc, "\n"),+),
                    call: {
                        let params: Vec<$crate::script::Param> = vec![$($crate::script::Param {
                            name: stringify!($arg),
                            kind: <$ty as $crate::script::value::FromArg>::NAME,
                            optional: <$ty as $crate::script::value::FromArg>::OPTIONAL,
                        }),*];
                        std::rc::Rc::new(move |cx: &$crate::script::Cx, #[allow(unused_mut)] mut args: std::collections::VecDeque<$crate::script::rhai::Dynamic>| {
                            $(#[allow(unused_mut)] let mut $arg = <$ty as $crate::script::value::FromArg>::take(cx, stringify!($arg), &mut args)?;)*
                            $crate::script::bind::no_more(cx, &args, &params)?;
                            $(let $cx = cx;)?
                            let value: $ret = $crate::script::bind::attempt(|| $body)?;
                            Ok($crate::script::value::IntoScript::into_script(value))
                        })
                    },
                }
            ),*]
        }
    };
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $script:literal) => { $script };
    ($($rest:tt)*) => { $crate::api!(fn functions; $($rest)*); };
}
