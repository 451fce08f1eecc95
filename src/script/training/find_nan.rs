//! `lathe run --find-nan`: the first call whose result stops being finite, and the first whose gradient does.
//!
//! Forwards, what every call returns is looked at. Backwards, each node of the graph belongs to the call that made it, and tells when it is given
//! finite gradients and makes others. Infinities that are wanted (a mask filled with `-inf`) are told from those that come about: they stand in the
//! call as a number, or were among what it was given.

use crate::error::{Diagnostic, Error, Result};
use crate::nn::Module;
use crate::script::lang::tensors;
use crate::script::lang::witness::{Called, Seen, Witness};
use crate::script::training::run::{Run, WeakRun};
use crate::script::units::program::Program;
use crate::torch::Tensor;
use crate::torch::bridge::{Content, Gradients, content};
use crate::train::optim::{GradScaler, Optimizer};
use rhai::{Dynamic, FnPtr, Position};
use std::cell::RefCell;
use std::rc::Rc;

/// As a loss that is not finite, which ends a run as well.
const CODE: &str = "E0601";
/// With a gradient scaler these tell of gradients that it will skip.
const OF_GRADIENTS: &[&str] = &["grad", "get$grad", "clip_grad_norm", "clip_grad_norm_", "step"];
/// What these return was never written.
const UNWRITTEN: &[&str] = &["empty", "empty_like", "new_empty", "empty_strided"];
/// Networks whose parameters can be named: the last that calls were given.
const MOST_MODULES: usize = 64;
/// Names in a message.
const MOST_NAMES: usize = 4;

/// Looks for what stops being finite.
pub struct FindNan {
    program: Rc<Program>,
    gradients: Gradients,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Calls under way.
    calls: Vec<Given>,
    /// Places of calls whose results have a history: nodes of graphs know them by number.
    places: Vec<Place>,
    modules: Vec<Module>,
    run: Option<WeakRun>,
    /// A gradient scaler skips steps with infinite gradients, and is there for that.
    scales: bool,
}

#[derive(PartialEq)]
struct Place {
    tag: String,
    at: Position,
    name: String,
}

/// What a call was given.
struct Given {
    tensors: Vec<(String, Tensor, Option<Content>)>,
    /// Whether an infinity or a NaN stands in it as a number, or it hands on what a function of the script makes.
    wants_it: bool,
    modules: Vec<Module>,
    optimizers: Vec<Optimizer>,
    receiver: Option<Dynamic>,
}

impl FindNan {
    /// Looks at the calls of this thread from now on, until what it returns is dropped.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub(crate) fn begin(program: &Rc<Program>) -> Result<Looking> {
        let look = FindNan { program: program.clone(), gradients: Gradients::new()?, state: RefCell::default() };
        Ok(Looking { _called: Called::new(Rc::new(look)) })
    }

    fn take_note(&self, args: &mut dyn Iterator<Item = &Dynamic>, changes: bool) -> Given {
        let mut given = Given { tensors: Vec::new(), wants_it: false, modules: Vec::new(), optimizers: Vec::new(), receiver: None };
        let mut state = self.state.borrow_mut();
        for (i, arg) in args.enumerate() {
            tensors::each(arg, &mut |at, t| {
                // Afterwards it is too late to look at what is changed in place.
                let before = if changes { content(t).ok() } else { None };
                given.tensors.push((format!("argument {}{at}", i + 1), t.clone(), before));
            });
            // What a function gives back was judged where it was made.
            given.wants_it |= arg.is::<FnPtr>() || tensors::holds_endless_number(arg);
            if i == 0 && changes {
                given.receiver = Some(arg.clone());
            }
            if let Some(module) = arg.read_lock::<Module>() {
                given.modules.push(module.clone());
                state.modules.retain(|m| !m.is_same(&module));
                state.modules.push(module.clone());
                if state.modules.len() > MOST_MODULES {
                    state.modules.remove(0);
                }
            } else if let Some(optimizer) = arg.read_lock::<Optimizer>() {
                given.optimizers.push(optimizer.clone());
            } else if let Some(run) = arg.read_lock::<Run>() {
                state.run = Some(run.downgrade());
            }
            state.scales |= arg.is::<GradScaler>();
        }
        given
    }

    /// Looks at what a call returned or changed.
    fn look_at_result(&self, seen: &Seen, given: &Given, value: &Dynamic) -> Result<()> {
        let mut found: Vec<(String, Tensor)> = Vec::new();
        let results = given.receiver.iter().chain([value]);
        results.for_each(|v| tensors::each(v, &mut |at, t| found.push((at.to_owned(), t.clone()))));
        for (at, t) in &found {
            let made = content(t)?;
            if made != Content::Finite {
                self.judge(seen, given, at, t, made)?;
            }
        }
        if found.iter().any(|(_, t)| t.requires_grad() && !t.is_leaf()) {
            let number = self.number_of(seen);
            for (_, t) in found.iter().filter(|(_, t)| t.requires_grad()) {
                self.gradients.look(t, number)?;
            }
        }
        Ok(())
    }

    fn judge(&self, seen: &Seen, given: &Given, at: &str, made: &Tensor, what: Content) -> Result<()> {
        if given.wants_it {
            return Ok(());
        }
        let mut was = Vec::new();
        for (name, t, before) in &given.tensors {
            was.push((name, t, before.map_or_else(|| content(t), Ok)?));
        }
        let is_nan = what == Content::NotANumber;
        let kind = if is_nan { "NaN" } else { "infinities" };
        let place = if at.is_empty() { String::new() } else { format!(" in `{}`", at.trim_start_matches('.')) };
        let gave = format!("`{}` gave {kind}{place}: tensor {}", seen.written(), made.describe());
        if let Some((name, t, _)) = was.iter().find(|(.., c)| *c == Content::NotANumber).filter(|_| is_nan) {
            let help = "no call of the script made it so: it came with a batch, a file or weights, or was asked for as a number";
            return Err(fault(format!("{gave}; {name}, tensor {}, has NaN in it already", t.describe()), help));
        }
        // What is infinite stays so: only what comes about is a fault.
        if !is_nan && was.iter().any(|(.., c)| *c != Content::Finite) {
            return Ok(());
        }
        if let Some(name) = bad_names(given.modules.iter().flat_map(Module::named_parameters)) {
            let help = "a network is given finite tensors and has a weight that is not: it was loaded or set so";
            return Err(fault(format!("{gave}; of its parameters {name}"), help));
        }
        let infinite = was.iter().find(|(.., c)| *c == Content::Infinite);
        match infinite {
            Some((name, t, _)) => Err(fault(
                format!("{gave}; {name}, tensor {}, has infinities in it", t.describe()),
                "infinities less infinities, or times 0, are NaN",
            )),
            None if was.is_empty() && given.modules.is_empty() => Err(fault(gave, "it was given no tensor: what it reads or draws is not finite")),
            None => {
                Err(fault(format!("{gave}; everything that it was given is finite"), "look at the values with `breakpoint()` on the line before"))
            }
        }
    }

    fn number_of(&self, seen: &Seen) -> i64 {
        let place = Place { tag: seen.tag.unwrap_or_default().to_owned(), at: seen.at, name: seen.written().to_owned() };
        let places = &mut self.state.borrow_mut().places;
        let i = places.iter().position(|p| *p == place).unwrap_or_else(|| {
            places.push(place);
            places.len() - 1
        });
        i as i64
    }

    /// Looks whether a backward pass in the call lost a gradient.
    fn look_at_gradients(&self) -> Result<()> {
        let Some((number, node)) = self.gradients.lost() else { return Ok(()) };
        let state = self.state.borrow();
        if state.scales {
            return Ok(());
        }
        let Some(place) = usize::try_from(number).ok().and_then(|i| state.places.get(i)) else { return Ok(()) };
        let message = format!("the gradient of `{}` is not finite, and the loss is: `{node}` was given finite gradients", place.name);
        let label = self.program.sources.label(&place.tag, place.at, format!("the gradient of this call, `{node}`"));
        let objects = state.run.as_ref().and_then(WeakRun::upgrade).map(|run| run.objects()).unwrap_or_default();
        let named = objects.iter().filter_map(|(name, o)| Some((format!("{name}."), o.read_lock::<Module>()?.clone())));
        let of_run: Vec<(String, Module)> = named.collect();
        let others = state.modules.iter().filter(|m| !of_run.iter().any(|(_, r)| r.is_same(m))).map(|m| (String::new(), m.clone()));
        let gradients =
            of_run.iter().cloned().chain(others).flat_map(|(prefix, m)| {
                m.named_parameters().into_iter().filter_map(move |(name, t)| Some((format!("{prefix}{name}"), t.grad().ok()??)))
            });
        let help = match bad_names(gradients) {
            Some(names) => format!("parameters with such gradients: {names}"),
            None => "no parameter of a network that was seen has such a gradient".into(),
        };
        let labels = label.into_iter().collect();
        Err(Error::script(Diagnostic { help: Some(help), labels, ..Diagnostic::plain(CODE, message) }))
    }

    /// Looks whether an optimizer's step left weights that are not finite.
    fn look_at_weights(seen: &Seen, given: &Given) -> Result<()> {
        if seen.name.contains('$') {
            return Ok(());
        }
        match bad_names(given.optimizers.iter().flat_map(Optimizer::params)) {
            Some(names) => {
                let message = format!("`{}` left weights that are not finite: {names}", seen.written());
                Err(fault(message, "the loss and the gradients were finite: a lower learning rate, or clipping, keeps the weights so"))
            }
            None => Ok(()),
        }
    }
}

/// While it lives, calls are looked at.
pub struct Looking {
    _called: Called,
}

fn fault(message: String, help: &str) -> Error {
    Error::script(Diagnostic { help: Some(help.to_owned()), ..Diagnostic::plain(CODE, message) })
}

/// The names of those that are not finite: `a`, `b` and 3 more.
fn bad_names(all: impl Iterator<Item = (String, Tensor)>) -> Option<String> {
    let bad: Vec<String> = all.filter(|(_, t)| content(t).is_ok_and(|c| c != Content::Finite)).map(|(name, _)| format!("`{name}`")).collect();
    let more = bad.len().saturating_sub(MOST_NAMES);
    let names = bad.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    match (bad.len(), more) {
        (0, _) => None,
        (_, 0) => Some(names),
        _ => Some(format!("{names} and {more} more")),
    }
}

/// Whether a function changes what it is called on.
fn changes(name: &str) -> bool {
    name.starts_with("set$") || name == "index$set$" || (name.ends_with('_') && !name.starts_with('_'))
}

impl Witness for FindNan {
    fn before(&self, seen: &Seen, args: &mut dyn Iterator<Item = &Dynamic>) {
        if seen.is_native {
            let given = self.take_note(args, changes(seen.name));
            self.state.borrow_mut().calls.push(given);
        }
    }

    fn after(&self, seen: &Seen, value: Option<&Dynamic>) -> Result<()> {
        if !seen.is_native {
            return Ok(());
        }
        let given = self.state.borrow_mut().calls.pop();
        let (Some(given), Some(value)) = (given, value) else { return Ok(()) };
        if UNWRITTEN.contains(&seen.name) {
            return Ok(());
        }
        self.look_at_gradients()?;
        if OF_GRADIENTS.contains(&seen.name) && self.state.borrow().scales {
            return Ok(());
        }
        self.look_at_result(seen, &given, value)?;
        Self::look_at_weights(seen, &given)
    }
}
