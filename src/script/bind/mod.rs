//! How a Rust function becomes a script function: one macro, [`api!`](crate::api), for every namespace.
//!
//! A registered function takes its arguments by name and type ([`crate::script::lang::value::FromArg`]), so that a wrong one is reported
//! as "conv2d: argument `weight` must be a tensor, got string"; it knows where in the script it was called; and it must have
//! a doc comment, from which `lathe doc` and docs/reference are made.

mod cx;
mod install;
mod model;

pub use cx::{Cx, with_caller};
pub use install::install;
pub use model::Model;

use crate::error::{Error, Result};
use crate::script::lang::function::Param;
use crate::script::lang::value::type_name;
use rhai::Dynamic;
use std::collections::VecDeque;

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
    Err(Error::value(cx.name(), format!("an argument of type {} does not fit; expected {}", type_name(d), kinds.join(", "))))
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
/// The header is `namespace "ns";`, `methods Type;`, `model Struct as "kind";` or `global;`. Behind `model` stand methods of modules whose struct is
/// `Struct`, which take a [`Model`]; other models may have methods of the same names. `fn add as "+"(..)` gives another name in scripts, as for
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
    (fn $list:ident; model $ty:ident as $kind:literal; $($rest:tt)*) => {
        $crate::api!(@fns $list, $crate::script::Receiver::Model($kind, |module| module.model::<$ty>().is_some()), $($rest)*);
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
                        kind: <$ty as $crate::script::lang::value::FromArg>::NAME,
                        optional: <$ty as $crate::script::lang::value::FromArg>::OPTIONAL,
                    }),*],
                    returns: <$ret as $crate::script::lang::value::IntoScript>::NAME,
                    doc: concat!($($doc, "\n"),+),
                    call: {
                        let params: Vec<$crate::script::Param> = vec![$($crate::script::Param {
                            name: stringify!($arg),
                            kind: <$ty as $crate::script::lang::value::FromArg>::NAME,
                            optional: <$ty as $crate::script::lang::value::FromArg>::OPTIONAL,
                        }),*];
                        std::rc::Rc::new(move |call: $crate::script::Call, #[allow(unused_mut)] mut args: std::collections::VecDeque<$crate::script::rhai::Dynamic>| {
                            let cx = &$crate::script::Cx::from(call);
                            $(#[allow(unused_mut)] let mut $arg = <$ty as $crate::script::lang::value::FromArg>::take(cx.name(), stringify!($arg), &mut args)?;)*
                            $crate::script::bind::no_more(cx, &args, &params)?;
                            $(let $cx = cx;)?
                            let value: $ret = $crate::script::bind::attempt(|| $body)?;
                            Ok($crate::script::lang::value::IntoScript::into_script(value))
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
