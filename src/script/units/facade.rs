//! What an `import` yields: not the module itself but a facade of native functions.
//!
//! rhai looks functions up dynamically: with plain modules a helper of the same name in another file is called instead,
//! silently. A facade's functions each call the function in the *newest* version of its own unit, on that unit's functions
//! alone. So a module is isolated from its callers, and a running loop sees the reloaded module at its next call.

use super::callback;
use super::doubts::InSpite;
use super::program::Program;
use super::unit::Unit;
use crate::error::Result;
use crate::script::lang::exception::ScriptResult;
use crate::script::lang::host::Host;
use crate::script::lang::source::id_of;
use crate::script::lang::witness::{Seen, Witnesses};
use rhai::{Dynamic, EvalAltResult, FnNamespace, FuncRegistration, Module, ModuleResolver, NativeCallContext, Position, RhaiFunc, Shared};
use std::any::TypeId;

/// A facade of a unit's public functions and exported constants.
///
/// # Errors
/// What a constant's expression threw, of a script that runs from top to bottom.
pub(crate) fn facade(
    unit: &Unit,
    rhai: &rhai::Engine,
    functions: &[(String, usize)],
    exports: Vec<(String, Dynamic)>,
    program: &Program,
) -> Result<Shared<Module>> {
    let (id, host) = (&unit.id, program.host());
    let mut module = Module::new();
    module.set_id(id.as_str());
    for (name, mut value) in exports {
        callback::bind_to(&mut value, unit, rhai, program).map_err(|e| program.explain(&unit.tag, &e))?;
        module.set_var(name, value);
    }
    for (name, arity) in functions {
        let trampoline = trampoline(id.clone(), name.clone(), host.clone());
        FuncRegistration::new(name.as_str()).with_namespace(FnNamespace::Internal).set_into_module_raw(
            &mut module,
            vec![TypeId::of::<Dynamic>(); *arity],
            RhaiFunc::Pure { func: Shared::new(trampoline), has_context: true, is_pure: true, is_volatile: true },
        );
    }
    module.build_index();
    Ok(module.into())
}

fn trampoline(unit: String, name: String, host: Host) -> impl Fn(Option<NativeCallContext>, &mut [&mut Dynamic]) -> ScriptResult {
    move |ctx, args| {
        let ctx = ctx.expect("registered with has_context");
        let program = host.get::<Program>().expect("the program is put into the host before any script is loaded");
        let mut args: Vec<Dynamic> = args.iter_mut().map(|a| std::mem::take(*a)).collect();
        callback::bind_here(args.iter_mut(), &ctx, &program);
        let seen = Seen { name: &name, tag: ctx.call_source(), at: ctx.call_position(), is_native: false };
        let witnesses = Witnesses::before(&seen, args.iter());
        let result = call(&program, ctx.engine(), &unit, &name, args).map_err(|mut e| {
            if e.position().is_none() {
                e.set_position(ctx.call_position());
            }
            e
        });
        witnesses.after(&seen, result)
    }
}

/// Calls a function of another unit: callbacks in the result, and in what is thrown, stay bound to the unit they come from.
fn call(program: &Program, rhai: &rhai::Engine, unit: &str, name: &str, args: Vec<Dynamic>) -> ScriptResult {
    let mut result = program.call(rhai, None, unit, name, args);
    if let Some(value) = callback::leaving(&mut result)
        && callback::may_hold_functions(value)
        && let Some(u) = program.unit(unit)
    {
        callback::bind_to(value, &u, rhai, program)?;
    }
    result
}

/// Gives rhai the facades of the units that the program has loaded.
pub(crate) struct Resolver(pub Host);

impl ModuleResolver for Resolver {
    fn resolve(&self, _: &rhai::Engine, source: Option<&str>, path: &str, at: Position) -> std::result::Result<Shared<Module>, Box<EvalAltResult>> {
        let program = self.0.get::<Program>();
        let facade = program.and_then(|p| p.facade(source.map(id_of).unwrap_or_default(), path));
        // The check goes on where an import leads nowhere.
        let facade = facade.or_else(|| self.0.get_or_default::<InSpite>().0.get().then(|| Shared::new(Module::new())));
        facade.ok_or_else(|| Box::new(EvalAltResult::ErrorModuleNotFound(path.to_owned(), at)))
    }
}
