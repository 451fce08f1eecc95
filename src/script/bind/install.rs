//! Putting registered functions into an engine.

use super::cx::{CALLER, Cx};
use super::model;
use crate::files;
use crate::script::lang::diagnose;
use crate::script::lang::exception::{ScriptResult, into_script};
use crate::script::lang::function::{ApiFn, Call, Receiver};
use crate::script::lang::host::Host;
use crate::script::lang::indices;
use crate::script::lang::place;
use crate::script::lang::stack;
use crate::script::lang::value::{FromArg, type_name};
use crate::script::lang::witness::{Seen, Witnesses};
use crate::script::units::callback;
use crate::script::units::program::Program;
use crate::torch::Tensor;
use rhai::{Dynamic, Engine, EvalAltResult, FnNamespace, FuncRegistration, Module, NativeCallContext, RhaiFunc, Shared};
use std::any::TypeId;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
                install_one(f, &mut spaces[at].1, host);
            }
            Receiver::Method(name, _, path) => {
                engine.register_type_with_name_raw(path(), name.to_lowercase());
                install_one(f, &mut global, host);
            }
            Receiver::Model(..) => install_one(&model::dispatcher(host, f), &mut global, host),
            Receiver::Global => install_one(f, &mut global, host),
        }
    }
    engine.register_global_module(global.into());
    for (ns, module) in spaces {
        engine.register_static_module(ns, module.into());
    }
}

/// Registers one function with every number of arguments that it takes.
fn install_one(f: &ApiFn, module: &mut Module, host: &Host) {
    for n in f.required()..=f.params.len() {
        let mut types = vec![TypeId::of::<Dynamic>(); n];
        if let (Receiver::Method(_, id, _), Some(first)) = (f.receiver, types.first_mut()) {
            *first = id();
            // A number on the left of a tensor: this pair only, so that numbers among themselves keep rhai's operators.
            let number = id() == TypeId::of::<i64>() || id() == TypeId::of::<f64>();
            if let (true, 2, Some(p)) = (number, n, f.params.get(1))
                && p.kind == <Tensor as FromArg>::NAME
            {
                types[1] = TypeId::of::<Tensor>();
            }
        }
        let (call, host, name) = (f.call.clone(), host.clone(), f.name);
        // rhai asks an indexer for properties that have no getter: an indexer that takes no names fails then.
        let is_unnamed = name.starts_with("index$") && f.params.get(1).is_some_and(|p| p.kind != <String as FromArg>::NAME);
        let is_method = matches!(f.receiver, Receiver::Method(..));
        let fun = move |ctx: Option<NativeCallContext>, args: &mut [&mut Dynamic]| -> ScriptResult {
            let ctx = ctx.expect("registered with has_context");
            place::mark(ctx.call_source(), ctx.call_position());
            // rhai hands a copy of the first argument to functions that are not methods, so all of them may be taken; but an
            // indexer's receiver may be a part that rhai writes back afterwards, so receivers (cheap handles) are shared.
            let share = |i: usize| i == 0 && is_method;
            let take = |(i, a): (usize, &mut &mut Dynamic)| if share(i) { a.flatten_clone() } else { std::mem::take(*a).flatten() };
            let mut args: VecDeque<Dynamic> = args.iter_mut().enumerate().map(take).collect();
            if args.iter().any(callback::may_hold_functions)
                && let Some(program) = host.get::<Program>()
            {
                callback::bind_here(args.iter_mut(), &ctx, &program);
            }
            let seen = Seen { name, tag: ctx.call_source(), at: ctx.call_position(), is_native: true };
            let witnesses = Witnesses::before(&seen, args.iter());
            let property = args.get(1).filter(|a| is_unnamed && !indices::is_mark(a)).and_then(|a| a.clone().into_string().ok());
            let ty = property.as_ref().and(args.front()).map(type_name);
            // What the call checks holds until it is over.
            let _checked = files::pass::scope();
            let made = Call { name, host: &host, ctx: &ctx };
            let cx = Cx::from(made);
            // A panic must not unwind through rhai: here it still has a place in the script.
            let result =
                catch_unwind(AssertUnwindSafe(|| CALLER.set(&cx, || call(made, args)))).unwrap_or_else(|panic| Err(stack::internal(&*panic)));
            // After `x.shape.len()` rhai writes the property back, and asks the indexer where it has no setter: this answer says
            // that there is nothing to write.
            if result.is_err() && name == "index$set$" && property.is_some() {
                let text = format!("{} [{}]", ty.unwrap_or_default(), property.unwrap_or_default());
                return witnesses.after(&seen, Err(Box::new(EvalAltResult::ErrorIndexingType(text, ctx.call_position()))));
            }
            let result = result.map_err(|e| match (property, ty, host.get::<Program>()) {
                // Modules and runs look their parts up themselves and know what was meant.
                (Some(property), Some(ty), Some(program)) if ty == "tensor" => diagnose::no_property(&program.known(), &ty, &property),
                _ => e,
            });
            witnesses.after(&seen, result.map_err(|e| into_script(e, ctx.call_source(), ctx.call_position())))
        };
        FuncRegistration::new(f.name).with_namespace(FnNamespace::Global).set_into_module_raw(
            module,
            types,
            RhaiFunc::Pure { func: Shared::new(fun), has_context: true, is_pure: true, is_volatile: true },
        );
    }
}
