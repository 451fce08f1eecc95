//! Pointers that always call the newest version of a function, with the moment before each call as a boundary between two steps.

use super::hot::Hot;
use crate::error::Result;
use crate::script::bind::Cx;
use crate::script::lang::host::Host;
use crate::script::units::callback::at_home;
use crate::script::units::program::Program;
use rhai::{Dynamic, FnPtr, NativeCallContext};

/// The function `name` of the calling script as a pointer that always calls its newest version.
///
/// # Errors
/// `E0503` when the script has no function of that name.
pub(crate) fn hot(cx: &Cx, name: &str) -> Result<FnPtr> {
    if let Some((typed, _)) = cx.typed(name, None)? {
        return Ok(typed);
    }
    let (program, unit) = (cx.program()?, cx.caller()?);
    program.require_any(&unit, name)?;
    newest(&program, cx.host(), unit, name).map_err(|e| cx.rust_error(e))
}

/// A pointer that calls the newest version of a unit's function.
fn newest(program: &Program, host: &Host, unit: String, name: &str) -> Result<FnPtr, Box<rhai::EvalAltResult>> {
    debug_assert!(program.require_any(&unit, name).is_ok());
    let host = host.clone();
    // For as long as the pointer lives.
    let root = program.root(&unit, name);
    #[allow(deprecated)]
    FnPtr::from_fn(name, move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
        at_home(&cx, host.id())?;
        let args: Vec<Dynamic> = args.iter_mut().map(|a| std::mem::take(*a)).collect();
        let program = host.get::<Program>().expect("the program is put into the host before any script is loaded");
        let _work = program.at_work(&cx);
        let (unit, target) = &*root;
        let call = |args| program.call(cx.engine(), Some(&cx), unit, target, args);
        match host.get::<Hot>() {
            Some(hot) => hot.call(&program, cx.engine(), unit, args, &call),
            None => call(args),
        }
    })
}
