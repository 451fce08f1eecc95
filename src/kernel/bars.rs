//! How far long calls are: shown once and changed in place, at most four times a second.

use super::iopub::IoPub;
use crate::progress::{grouped, human};
use crate::space::Bar;
use maud::html;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// The least time between two changes.
const EVERY: Duration = Duration::from_millis(250);

/// The bars of a kernel's cells.
#[derive(Default)]
pub(super) struct Bars {
    shown: RefCell<HashSet<u64>>,
    last: RefCell<Option<Instant>>,
}

impl Bars {
    /// Shows how far one is, or how it ended.
    pub(super) fn tell(&self, iopub: &IoPub, bar: &Bar) {
        let is_early = self.last.borrow().is_some_and(|last| last.elapsed() < EVERY);
        let is_shown = self.shown.borrow().contains(&bar.id);
        if is_early && !(bar.is_finished && is_shown) {
            return;
        }
        *self.last.borrow_mut() = Some(Instant::now());
        let kind = if is_shown { "update_display_data" } else { "display_data" };
        if bar.is_finished {
            self.shown.borrow_mut().remove(&bar.id);
        } else {
            self.shown.borrow_mut().insert(bar.id);
        }
        iopub.tell(kind, &json!({ "data": data(bar), "metadata": {}, "transient": { "display_id": format!("lathe-bar-{}", bar.id) } }));
    }
}

fn data(bar: &Bar) -> Value {
    let rest = match bar.left {
        Some(seconds) if !bar.is_finished => format!("  eta {}", human(seconds)),
        _ => String::new(),
    };
    let text = format!("{}/{} {}{rest}  {}", grouped(bar.done, ' '), grouped(bar.total, ' '), bar.unit, bar.message);
    let text = text.trim_end();
    let page = html! {
        div { (bar.label) " " progress max=(bar.total.max(1)) value=(bar.done.min(bar.total)) style="width: 24em; vertical-align: middle" {} " " (text) }
    };
    json!({ "text/plain": format!("{}  {text}", bar.label), "text/html": page.into_string() })
}
