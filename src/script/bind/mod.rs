//! How a Rust function becomes a script function: one macro, [`api!`](crate::api), for every namespace.
//!
//! A registered function takes its arguments by name and type ([`crate::script::lang::value::FromArg`]), so that a wrong one is reported
//! as "conv2d: argument `weight` must be a tensor, got string"; it knows where in the script it was called; and it must have
//! a doc comment, from which `lathe doc` and docs/reference are made.

mod cx;
mod install;
mod model;
mod options;

pub use cx::{Cx, with_caller};
pub use install::install;
pub use model::Model;

use crate::error::{Error, Result};
use crate::script::lang::function::Param;
use crate::script::lang::given::Given;
use crate::script::lang::value::type_name;
use rhai::{Dynamic, Map};
use std::collections::VecDeque;

/// Runs a body in which `?` and `return` end the body alone.
#[doc(hidden)] // Called by what the macro makes, in other crates too.
pub fn attempt<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    body()
}

/// The map of options behind the arguments, of a function that has any.
#[doc(hidden)] // Called by what the macro makes, in other crates too.
pub fn given<'a>(cx: &'a Cx, args: &mut VecDeque<Dynamic>, has_options: bool) -> Result<Given<'a>> {
    if has_options { Given::take(cx.name(), args) } else { Ok(Given::new(cx.name(), Map::new())) }
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
///     /// Drawn anew.
///     fn noised(x: Tensor;
///         /// deviation of the noise
///         std: f64[0.0..] = 1.0,
///         /// what is drawn
///         law: String["normal", "uniform"] = "normal".into(),
///         /// what is added
///         mean: Option<Tensor>,
///         /// how often
///         times: i64,
///         adamw: AdamWOptions,
///     ) -> Tensor { .. }
/// }
/// ```
/// The header is `namespace "ns";`, `methods Type;`, `model Struct as "kind";` or `global;`. Behind `model` stand methods of modules whose struct is
/// `Struct`, which take a [`Model`]; other models may have methods of the same names. `fn add as "+"(..)` gives another name in scripts, as for
/// operators, getters (`"get$shape"`), setters (`"set$lr"`) and indexers (`"index$get$"`). The block makes
/// `pub fn functions() -> Vec<ApiFn>`; a second block in the same file is written `api! { fn more_functions; methods Tensor; .. }`.
///
/// Behind `;` stand the options, which a script gives as a map, `noised(x, #{std: 0.1, times: 2})`: the type, in brackets bounds or
/// choices, the default. One without a default is required, but for an `Option`, and for a struct bound by
/// [`options!`](crate::options), whose fields are options each. The body sees them as variables.
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
        fn $name:ident $(as $script:literal)? $([$cx:ident])? ($($arg:ident : $ty:ty),* $(,)? $(;
            $($(#[doc = $option_doc:literal])* $option:ident : $option_ty:ty $([ $($limit:tt)+ ])? $(= $default:expr)?),* $(,)?
        )?) -> $ret:ty $body:block
    )*) => {
        /// The functions of this block, for [`install`]($crate::script::bind::install).
        pub fn $list() -> Vec<$crate::script::ApiFn> {
            vec![$({
                let has_options = false $(|| <$ty as $crate::script::lang::value::FromArg>::BY_NAME)* $($(|| !stringify!($option).is_empty())*)?;
                let options: fn() -> Vec<$crate::script::lang::given::OptionSpec> = || {
                    #[allow(unused_mut)]
                    let mut all = Vec::new();
                    $(<$ty as $crate::script::lang::value::FromArg>::by_name(stringify!($arg), &mut all);)*
                    $($(<$option_ty as $crate::script::lang::options::FromOptions>::describe(
                        &$crate::api!(@declared stringify!($option), [$($option_doc)*] $(, $($limit)+)?), $crate::api!(@default $($default)?), &mut all,
                    );)*)?
                    all
                };
                let own: Vec<$crate::script::Param> = vec![$($crate::script::Param::of::<$ty>(stringify!($arg), options)),*];
                let params: std::sync::Arc<[$crate::script::Param]> =
                    own.into_iter().chain(has_options.then(|| $crate::script::Param::options(options))).collect();
                $crate::script::ApiFn {
                    name: $crate::api!(@name $name $($script)?),
                    receiver: $receiver,
                    params: params.clone(),
                    returns: <$ret as $crate::script::lang::value::IntoScript>::NAME,
                    doc: concat!($($doc, "\n"),+),
                    call: std::rc::Rc::new(move |call: $crate::script::Call, #[allow(unused_mut)] mut args: std::collections::VecDeque<$crate::script::rhai::Dynamic>| {
                        let cx = &$crate::script::Cx::from(call);
                        $(#[allow(unused_mut)] let mut $arg = <$ty as $crate::script::lang::value::FromArg>::take(cx.name(), stringify!($arg), &mut args)?;)*
                        #[allow(unused_mut)]
                        let mut given = $crate::script::bind::given(cx, &mut args, has_options)?;
                        $(<$ty as $crate::script::lang::value::FromArg>::settle(&mut $arg, stringify!($arg), &mut given)?;)*
                        $($(#[allow(unused_mut)] let mut $option = <$option_ty as $crate::script::lang::options::FromOptions>::read(
                            &mut given, &$crate::api!(@declared stringify!($option), [] $(, $($limit)+)?), $crate::api!(@default $($default)?),
                        )?;)*)?
                        given.done(options)?;
                        $crate::script::bind::no_more(cx, &args, &params)?;
                        $(let $cx = cx;)?
                        let value: $ret = $crate::script::bind::attempt(|| $body)?;
                        Ok($crate::script::lang::value::IntoScript::into_script(value))
                    }),
                }
            }),*]
        }
    };
    (@name $name:ident) => { stringify!($name) };
    (@name $name:ident $script:literal) => { $script };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    (@declared $name:expr, [$($doc:literal)*] $(, $($limit:tt)+)?) => {
        $crate::script::lang::given::Declared { name: $name, doc: concat!($($doc, "\n"),*), limits: $crate::api!(@limits $($($limit)+)?) }
    };
    (@limits) => { $crate::script::lang::option_limits::Limits::None };
    (@limits $first:literal, $($more:literal),+) => { $crate::script::lang::option_limits::Limits::OneOf(&[$first, $($more),+]) };
    (@limits $range:expr) => { $crate::script::lang::option_limits::Limits::within($range) };
    ($($rest:tt)*) => { $crate::api!(fn functions; $($rest)*); };
}
