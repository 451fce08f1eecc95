//! What the language itself does with our types.

use crate::nn::Module;
use crate::script::lang::exception::into_script;
use crate::script::lang::language::CALL;
use crate::torch::Tensor;
use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, NativeCallContext, Position};
use std::any::TypeId;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many arguments `f.call(..)` takes at most.
const MAX_ARGUMENTS: usize = 8;

/// Adds `for` over tensors, modules and loaders, and calls of what a variable holds.
pub fn configure(engine: &mut Engine) {
    calls(engine);
    comparisons(engine);
    sleeps(engine);
    super::data::loader::configure(engine);
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

/// `sort` and `dedup` with a function of the script: what it throws ends them, where rhai's own would go on with any order.
fn comparisons(engine: &mut Engine) {
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, |cx: NativeCallContext, array: &mut Array, compare: FnPtr| -> Result<(), Box<EvalAltResult>> {
            let mut sorted = array.clone();
            let mut failed = None;
            // An order that contradicts itself ends in a panic of the standard library's.
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                sorted.sort_by(|a, b| {
                    if failed.is_some() {
                        return Ordering::Equal;
                    }
                    let order = compare.call_raw(&cx, None, [a.clone(), b.clone()]).and_then(|v| ordering(&v, cx.call_position()));
                    order.unwrap_or_else(|e| {
                        failed = Some(e);
                        Ordering::Equal
                    })
                });
            }));
            if let Some(e) = failed {
                return Err(e);
            }
            let wrong = "the function given to `sort` contradicts itself: it must order any two elements the same way each time";
            attempt.map_err(|_| Box::new(EvalAltResult::ErrorRuntime(wrong.into(), cx.call_position())))?;
            *array = sorted;
            Ok(())
        });
    }
    engine.register_fn("dedup", |cx: NativeCallContext, array: &mut Array, same: FnPtr| -> Result<(), Box<EvalAltResult>> {
        let mut kept: Array = Array::new();
        for value in array.iter() {
            let is_same = match kept.last() {
                None => false,
                Some(last) => {
                    let answer = same.call_raw(&cx, None, [last.clone(), value.clone()])?;
                    answer.as_bool().map_err(|_| not("a bool", &answer, cx.call_position()))?
                }
            };
            if !is_same {
                kept.push(value.clone());
            }
        }
        *array = kept;
        Ok(())
    });
}

/// What a function that compares says: a number, or whether the first comes first.
fn ordering(answer: &Dynamic, at: Position) -> Result<Ordering, Box<EvalAltResult>> {
    if let Ok(first) = answer.as_bool() {
        return Ok(if first { Ordering::Less } else { Ordering::Greater });
    }
    let sign = answer.as_int().map(|i| i.cmp(&0)).or_else(|_| answer.as_float().map(|x| x.total_cmp(&0.0)));
    sign.map_err(|_| not("a number or a bool from the function that compares", answer, at))
}

fn not(wanted: &str, got: &Dynamic, at: Position) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorMismatchDataType(wanted.to_owned(), crate::script::lang::value::type_name(got), at))
}

/// `sleep` of exactly the language's types, which has a function of its own for them that cannot be stopped and panics at large numbers.
fn sleeps(engine: &mut Engine) {
    let sleep =
        |cx: &NativeCallContext, seconds: f64| super::global::sleep(seconds).map_err(|e| into_script(e, cx.call_source(), cx.call_position()));
    engine.register_fn("sleep", move |cx: NativeCallContext, seconds: f64| sleep(&cx, seconds));
    engine.register_fn("sleep", move |cx: NativeCallContext, seconds: i64| sleep(&cx, seconds as f64));
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
