//! An engine that keeps the variables of the places that are watched, for [`super::post_mortem`].

use crate::error::Label;
use crate::script::lang::source::id_of;
use rhai::debugger::{DebuggerCommand, DebuggerEvent};
use rhai::{ASTNode, Dynamic, Engine, EvalContext, Position};
use std::cell::RefCell;

thread_local! {
    static WATCHED: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// A place that an error names: the statement there, and its variables when it was begun last.
pub(super) struct Frame {
    /// The place.
    pub label: Label,
    /// The id of its text.
    pub unit: String,
    /// The lines of the statement.
    pub lines: std::ops::RangeInclusive<usize>,
    /// The newest first.
    pub variables: Option<Vec<(String, Dynamic)>>,
}

/// Lets an engine keep the variables of the places that are watched.
pub(super) fn install(rhai: &mut Engine) {
    #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
    rhai.register_debugger(
        |_, debugger| debugger,
        |cx: EvalContext, event: DebuggerEvent, _: ASTNode, source: Option<&str>, at: Position| {
            if matches!(event, DebuggerEvent::Start | DebuggerEvent::Step)
                && let Some(line) = at.line()
            {
                let unit = source.map(id_of).unwrap_or_default();
                WATCHED.with_borrow_mut(|frames| {
                    for frame in frames.iter_mut().filter(|f| f.unit == unit && f.lines.contains(&line)) {
                        let all = cx.scope().iter_raw().map(|(name, _, value)| (name.to_owned(), value.clone()));
                        frame.variables = Some(all.collect());
                    }
                });
            }
            Ok(DebuggerCommand::StepInto)
        },
    );
}

/// Runs `f` and gives back the frames with what an engine made by [`install`] saw there.
pub(super) fn watching<T>(frames: Vec<Frame>, f: impl FnOnce() -> T) -> (T, Vec<Frame>) {
    WATCHED.replace(frames);
    let value = f();
    (value, WATCHED.take())
}
