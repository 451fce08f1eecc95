//! Values that are typed at an attached prompt and that the script sets again in every step: said at once where the text of the script
//! tells it, and after the next step where only that shows it.

use super::marks::marks;
use crate::script::training::run::Run;
use crate::script::units::program::Program;
use rhai::{AST, ASTNode, Expr, Position, Stmt};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What was typed and must last over the next step.
#[derive(Default)]
pub(super) struct Overwritten {
    expected: RefCell<Vec<Expected>>,
    notes: RefCell<Vec<String>>,
}

struct Expected {
    /// The step that was next when it was typed.
    step: u64,
    /// `opt.lr`, `run.cfg.dropout`.
    name: String,
    value: String,
}

impl Overwritten {
    /// Keeps what a line changed; what is to be said at once.
    pub(super) fn typed(&self, program: &Program, run: &Run, before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Option<String> {
        let changed = after.iter().filter(|(name, value)| lasts(name) && before.get(*name) != Some(*value));
        let mut said = None;
        for (name, value) in changed {
            let mut expected = self.expected.borrow_mut();
            expected.retain(|e| e.name != *name);
            if let Some(setter) = setter(program, run, name) {
                said.get_or_insert(format!("this lasts until the next step: {setter}"));
            } else {
                expected.push(Expected { step: run.run().step(), name: name.clone(), value: value.clone() });
            }
        }
        said
    }

    /// After a step: whether what was typed is still there.
    pub(super) fn look(&self, program: &Program, run: &Run) {
        let step = run.run().step();
        if !self.expected.borrow().iter().any(|e| e.step < step) {
            return;
        }
        let now = marks(run);
        let (due, later): (Vec<Expected>, Vec<Expected>) = self.expected.take().into_iter().partition(|e| e.step < step);
        self.expected.replace(later);
        for Expected { name, value, .. } in due {
            let Some(found) = now.get(&name).filter(|found| **found != value) else { continue };
            let setter = setter(program, run, &name).unwrap_or_else(|| "the script sets it in every step".into());
            let text = format!("`{name}` was typed as {value}, but the next step made it {found}: {setter}");
            run.run().say(&text);
            self.notes.borrow_mut().push(text);
        }
    }

    /// What was noticed since the last line.
    pub(super) fn take_notes(&self) -> Option<String> {
        let notes = self.notes.take();
        (!notes.is_empty()).then(|| notes.join("\n"))
    }

    /// Forgets all of it.
    pub(super) fn clear(&self) {
        self.expected.take();
        self.notes.take();
    }
}

/// What a step is not expected to change: settings, and the rates of optimizers.
fn lasts(name: &str) -> bool {
    name.starts_with("run.cfg.") || name.ends_with(".lr") || name.ends_with(".weight_decay")
}

/// Where the scripts assign a value, and the setting that they take it from.
fn setter(program: &Program, run: &Run, name: &str) -> Option<String> {
    let (object, property) = name.rsplit_once('.')?;
    let object = object.rsplit('.').next().and_then(|o| o.split('[').next())?;
    let current = program.current();
    let mut units: Vec<_> = current.units.values().collect();
    units.sort_by_key(|u| u.id != current.entry);
    let (unit, (at, keys)) = units.into_iter().find_map(|u| Some((u, assigned(&u.ast, object, property)?)))?;
    let shown = unit.shown.rsplit('/').next().unwrap_or(&unit.shown);
    let settings = run.settings();
    let key = keys.into_iter().find(|k| settings.contains_key(k.as_str()));
    let remedy = key.map_or_else(|| "edit that line".to_owned(), |k| format!("set `run.cfg.{k}` instead"));
    Some(format!("{shown}:{} sets `{object}.{property}` in every step; {remedy}", at.line().unwrap_or(1)))
}

/// The first assignment to `object.property` in a function, and the settings that its value names, in their order.
fn assigned(ast: &AST, object: &str, property: &str) -> Option<(Position, Vec<String>)> {
    let mut found: Vec<(Position, Vec<String>)> = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(x))) = path.last() {
            let names = chain(&x.1.lhs);
            if let [.., o, p] = names.as_slice()
                && o == object
                && p == property
            {
                found.push((x.1.lhs.start_position(), settings(&x.1.rhs)));
            }
        }
        true
    });
    found.sort_by_key(|(at, _)| (at.line(), at.position()));
    found.into_iter().next()
}

/// The names in `run.opt.lr`.
fn chain(e: &Expr) -> Vec<String> {
    match e {
        Expr::Variable(x, ..) => vec![x.1.to_string()],
        Expr::Property(p, _) => vec![p.2.to_string()],
        Expr::Dot(x, ..) => chain(&x.lhs).into_iter().chain(chain(&x.rhs)).collect(),
        _ => vec![String::new()],
    }
}

/// The names behind `cfg.` in an expression.
fn settings(e: &Expr) -> Vec<String> {
    let mut keys = Vec::new();
    e.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(dot @ Expr::Dot(..))) = path.last() {
            let names = chain(dot);
            keys.extend(names.iter().position(|n| n == "cfg").and_then(|i| names.get(i + 1)).cloned());
        }
        true
    });
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_behind_an_assignment_is_found() {
        let text = "fn step(run, batch) {\n  let cfg = run.cfg;\n  run.opt.lr = cfg.learning_rate * f(cfg.warmup, run.step);\n  run.disc.lr = run.cfg.disc_rate;\n}";
        let ast = crate::script::lang::reading::parse(&crate::script::lang::language::lenient(), text).unwrap();
        let (at, keys) = assigned(&ast, "opt", "lr").unwrap();
        assert_eq!((at.line(), keys[0].as_str()), (Some(3), "learning_rate"));
        assert_eq!(assigned(&ast, "disc", "lr").unwrap().1[0], "disc_rate");
        assert!(assigned(&ast, "opt", "weight_decay").is_none() && assigned(&ast, "vae", "lr").is_none());
    }
}
