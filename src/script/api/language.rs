//! What the language itself does with our types.

use crate::nn::Module;
use crate::script::lang::exception::into_script;
use crate::script::lang::language::CALL;
use crate::torch::Tensor;
use rhai::{Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, Position};
use std::any::TypeId;

/// How many arguments `f.call(..)` takes at most.
const MAX_ARGUMENTS: usize = 8;

/// Adds `for` over tensors, modules and loaders, and calls of what a variable holds.
pub fn configure(engine: &mut Engine) {
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

/// `f.call(a, b)` of function pointers, and `x.call(f, a)`, which calls `f` with `x` as `this`.
fn calls(engine: &mut Engine) {
    let wrong = |d: &Dynamic, at: Position| {
        let (want, got) = ("a function or a module".to_owned(), crate::script::lang::value::type_name(d));
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
