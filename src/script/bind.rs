//! How a Rust function becomes a script function: one macro, [`api!`](crate::api), for every namespace.
//!
//! A registered function takes its arguments by name and type ([`super::value::FromArg`]), so that a wrong one is reported
//! as "conv2d: argument `weight` must be a tensor, got string"; it knows where in the script it was called; and it must have
//! a doc comment, from which `lathe doc` and docs/reference are made.

use super::host::Host;
use crate::error::{Error, ErrorKind, Result};
use rhai::{Dynamic, Engine, EvalAltResult, FnNamespace, FnPtr, FuncRegistration, Module, NativeCallContext, Position, RhaiFunc, Shared};
use std::any::TypeId;
use std::collections::VecDeque;
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
    Method(&'static str, fn() -> TypeId),
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

    /// The unit (file) it was called from, if known.
    pub fn source(&self) -> Option<&str> {
        self.ctx.call_source()
    }

    /// Calls a script function that was handed in.
    ///
    /// # Errors
    /// Whatever the function threw, with its own position.
    pub fn call(&self, f: &FnPtr, args: Vec<Dynamic>) -> Result<Dynamic> {
        f.call_raw(self.ctx, None, args).map_err(from_script)
    }
}

/// A script's exception that passes through Rust code and back into the script: keeps rhai's own call chain.
pub struct Thrown(pub Box<EvalAltResult>);

/// An [`Error`] as a script sees it in `catch (err)`: `err.message`, `err.code`, `err.help`.
#[derive(Clone)]
pub struct ErrorValue(pub Rc<Error>);

thread_local! {
    /// The exception behind the last error that crossed from a script into Rust, so that the way back loses nothing.
    static CROSSING: std::cell::RefCell<Option<Box<EvalAltResult>>> = const { std::cell::RefCell::new(None) };
}

/// A script's exception as our error; [`into_script`] turns it back into the very same exception.
pub fn from_script(e: Box<EvalAltResult>) -> Error {
    if let EvalAltResult::ErrorTerminated(..) = e.unwrap_inner() {
        return Error::interrupted();
    }
    let message = e.to_string();
    CROSSING.with(|c| *c.borrow_mut() = Some(e));
    Error::new(ErrorKind::Script(Box::new(crate::error::Diagnostic::plain("E0501", message))))
}

/// Our error as an exception thrown at `position`.
pub fn into_script(e: Error, position: Position) -> Box<EvalAltResult> {
    if e.is_interrupt() {
        return Box::new(EvalAltResult::ErrorTerminated("interrupted".into(), position));
    }
    if let ErrorKind::Script(_) = e.kind()
        && let Some(original) = CROSSING.with(|c| c.borrow_mut().take())
    {
        return original;
    }
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(ErrorValue(Rc::new(e))), position))
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
            Receiver::Method(ty, _) => {
                let ty = ty.to_lowercase();
                let rest = names(self.params.get(1..).unwrap_or_default());
                match (self.name.strip_prefix("get$"), self.name.strip_prefix("set$")) {
                    (Some(p), _) => format!("{ty}.{p}"),
                    (_, Some(p)) => format!("{ty}.{p} = {rest}"),
                    _ if self.name.starts_with("index$") => format!("{ty}[{rest}]"),
                    _ if !self.name.starts_with(|c: char| c.is_alphabetic()) => format!("{ty} {} {rest}", self.name),
                    _ => format!("{ty}.{}({rest})", self.name),
                }
            }
        }
    }

    fn install(&self, module: &mut Module, host: &Host) {
        for n in self.required()..=self.params.len() {
            let mut types = vec![TypeId::of::<Dynamic>(); n];
            if let (Receiver::Method(_, id), Some(first)) = (self.receiver, types.first_mut()) {
                *first = id();
            }
            let (call, host, name) = (self.call.clone(), host.clone(), self.name);
            let fun = move |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| -> ScriptResult {
                let ctx = ctx.expect("registered with has_context");
                // The first argument may be the variable itself: share it. The others are already copies.
                let args = args.iter_mut().enumerate().map(|(i, a)| if i == 0 { a.flatten_clone() } else { std::mem::take(*a).flatten() }).collect();
                let cx = Cx { name, host: &host, ctx: &ctx };
                call(&cx, args).map_err(|e| into_script(e, ctx.call_position()))
            };
            FuncRegistration::new(self.name).with_namespace(FnNamespace::Global).with_volatility(true).with_purity(true).set_into_module_raw(
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
            Receiver::Method(..) | Receiver::Global => f.install(&mut global, host),
        }
    }
    engine.register_global_module(global.into());
    for (ns, module) in spaces {
        engine.register_static_module(ns, module.into());
    }
}

/// Rejects arguments that no parameter took: the ones an optional parameter did not recognise.
pub(crate) fn no_more(cx: &Cx, args: &VecDeque<Dynamic>, params: &[Param]) -> Result<()> {
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
        $crate::api!(@fns $list, $crate::script::Receiver::Method(stringify!($ty), std::any::TypeId::of::<$ty>), $($rest)*);
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
                        std::rc::Rc::new(move |cx: &$crate::script::Cx, #[allow(unused_mut)] mut args: std::collections::VecDeque<rhai::Dynamic>| {
                            $(#[allow(unused_mut)] let mut $arg = <$ty as $crate::script::value::FromArg>::take(cx, stringify!($arg), &mut args)?;)*
                            $crate::script::bind::no_more(cx, &args, &params)?;
                            $(let $cx = cx;)?
                            let value: $ret = (|| -> $crate::error::Result<$ret> { $body })()?;
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
