//! What the language itself needs to know of our types.

use crate::nn::Module;
use crate::script::bind::into_script;
use crate::torch::Tensor;
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, Position, Token};
use std::any::TypeId;
use std::cell::Cell;

/// What `x.call(..)` is called inside: see [`words`].
pub(crate) const CALL: &str = "call$";

/// What `m.eval()` is called inside.
pub(crate) const EVAL: &str = "eval$";

/// How many arguments `f.call(..)` takes at most.
const MAX_ARGUMENTS: usize = 8;

/// Adds the operator `@`, `for` over tensors and modules, and PyTorch's names that rhai keeps for itself.
pub fn configure(engine: &mut Engine) {
    // As tight as `*`, like Python's.
    engine.register_custom_operator("@", 180).expect("`@` is a reserved symbol without a meaning of its own");
    words(engine);
    calls(engine);
    super::data::configure(engine);
    let mut iteration = rhai::Module::new();
    iteration.set_iter_result(TypeId::of::<Tensor>(), |x| match x.cast::<Tensor>().unbind(0) {
        Ok(rows) => Box::new(rows.into_iter().map(|row| Ok(Dynamic::from(row)))),
        Err(e) => Box::new(std::iter::once(Err(into_script(e, None, Position::NONE)))),
    });
    iteration.set_iter(TypeId::of::<Module>(), |m| {
        let children = m.cast::<Module>().children();
        Box::new(children.into_iter().map(|(_, child)| Dynamic::from(child)))
    });
    engine.register_global_module(iteration.into());
}

/// Lets `var`, `eval` and `call` be methods and `module` a property. rhai reserves `var` and `module` without a use for them; it refuses `x.eval()` and `eval::psnr`, and keeps
/// `x.call(..)` for function pointers, so `eval` and `call` get other names inside, under which modules have them, and function
/// pointers the latter. The function `eval` stays what it is.
fn words(engine: &mut Engine) {
    let after_dot = Cell::new(false);
    #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
    engine.on_parse_token(move |token, _, _| {
        let method = after_dot.replace(matches!(token, Token::Period | Token::Elvis));
        match token {
            // The last result of a prompt.
            Token::Underscore if crate::script::session::underscore_is_name() => Token::Identifier(Box::new("_".into())),
            Token::Reserved(word) if *word == "var" => Token::Identifier(word),
            Token::Reserved(word) if method && *word == "module" => Token::Identifier(word),
            Token::Reserved(word) if method && *word == "call" => Token::Identifier(Box::new(CALL.into())),
            Token::Reserved(word) if *word == "eval" => Token::Identifier(if method { Box::new(EVAL.into()) } else { word }),
            other => other,
        }
    });
}

/// `f.call(a, b)` of function pointers, and `x.call(f, a)`, which calls `f` with `x` as `this`.
fn calls(engine: &mut Engine) {
    let wrong = |d: &Dynamic, at: Position| {
        let (want, got) = ("a function or a module".to_owned(), crate::script::value::type_name(d));
        Box::new(EvalAltResult::ErrorMismatchDataType(want, got, at))
    };
    for n in 0..=MAX_ARGUMENTS {
        let mut types = vec![TypeId::of::<Dynamic>(); n + 1];
        #[allow(deprecated)]
        engine.register_raw_fn(CALL, &types, move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
            let Some((this, rest)) = args.split_first_mut() else { return Ok(Dynamic::UNIT) };
            let Some((f, rest)) = rest.split_first_mut() else { return Err(wrong(this, cx.call_position())) };
            let Some(f) = f.read_lock::<FnPtr>().map(|f| f.clone()) else { return Err(wrong(this, cx.call_position())) };
            let rest: Vec<Dynamic> = rest.iter_mut().map(|a| std::mem::take(*a)).collect();
            f.call_raw(&cx, Some(this), rest)
        });
        types[0] = TypeId::of::<FnPtr>();
        #[allow(deprecated)]
        engine.register_raw_fn(CALL, &types, move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
            let Some((f, rest)) = args.split_first_mut() else { return Ok(Dynamic::UNIT) };
            let Some(f) = f.read_lock::<FnPtr>().map(|f| f.clone()) else { return Err(wrong(f, cx.call_position())) };
            let rest: Vec<Dynamic> = rest.iter_mut().map(|a| std::mem::take(*a)).collect();
            f.call_raw(&cx, None, rest)
        });
    }
}
