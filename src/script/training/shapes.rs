//! What the calls of one step return: shapes, for an editor.

use crate::error::Result;
use crate::script::lang::source::id_of;
use crate::script::lang::tensors;
use crate::script::lang::witness::{Called, Seen, Witness};
use crate::script::units::program::Program;
use crate::torch::{self, Tensor};
use rhai::Dynamic;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// More places than any step calls from; what comes behind them is left out.
const MOST_PLACES: usize = 20_000;
/// Tensors of one value that are told.
const MOST_TENSORS: usize = 4;

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The id of the script: `train.rhai`.
    pub unit: String,
    /// The line of the call, from 1.
    pub line: usize,
    /// Its column, in characters, from 1.
    pub column: usize,
    /// The function.
    pub call: String,
    /// `[4, 3, 32, 32] f32 cpu`; with a name before each where a map or an array was returned.
    pub shown: String,
}

/// What was returned at the places of calls: when, by which function, and what.
type Returned = HashMap<(String, usize, usize), (u64, String, String)>;

/// Looks at what calls return.
#[derive(Default)]
struct Look {
    returned: RefCell<Returned>,
    count: Cell<u64>,
}

/// Calls are being looked at, as long as this lives.
pub(crate) struct Shapes {
    look: Rc<Look>,
    _called: Called,
}

impl Shapes {
    /// Looks at this thread's calls from now on.
    pub(crate) fn begin() -> Self {
        let look = Rc::new(Look::default());
        Shapes { _called: Called::new(look.clone()), look }
    }

    /// What was returned since, by calls of the scripts as they are now: in the order in which the places were last returned to.
    pub(crate) fn end(self, program: &Program) -> Vec<Shape> {
        let mut found: Vec<(u64, Shape)> = Vec::new();
        for ((tag, line, column), (when, call, shown)) in self.look.returned.take() {
            let unit = id_of(&tag);
            if program.unit(unit).is_some_and(|u| *u.tag == *tag) {
                found.push((when, Shape { unit: unit.to_owned(), line, column, call, shown }));
            }
        }
        found.sort_by_key(|(when, _)| *when);
        found.into_iter().map(|(_, shape)| shape).collect()
    }
}

/// `[4, 3] f32 cpu`.
fn shown(t: &Tensor) -> String {
    format!("{:?} {} {}", t.shape(), torch::dtype_name(t.dtype()), torch::device_name(t.device()))
}

impl Witness for Look {
    fn before(&self, _: &Seen, _: &mut dyn Iterator<Item = &Dynamic>) {}

    fn after(&self, seen: &Seen, value: Option<&Dynamic>) -> Result<()> {
        let (Some(value), Some(tag), Some(line)) = (value, seen.tag, seen.at.line()) else { return Ok(()) };
        let (mut parts, mut more) = (Vec::new(), 0);
        tensors::each(value, &mut |at, t| match at.trim_start_matches('.') {
            _ if parts.len() == MOST_TENSORS => more += 1,
            "" => parts.push(shown(t)),
            at => parts.push(format!("{at} {}", shown(t))),
        });
        if parts.is_empty() {
            return Ok(());
        }
        if more > 0 {
            parts.push(format!("{more} more"));
        }
        let mut all = self.returned.borrow_mut();
        let when = self.count.replace(self.count.get() + 1);
        let key = (tag.to_owned(), line, seen.at.position().unwrap_or(1));
        if all.len() < MOST_PLACES || all.contains_key(&key) {
            all.insert(key, (when, seen.written().to_owned(), parts.join(", ")));
        }
        Ok(())
    }
}
