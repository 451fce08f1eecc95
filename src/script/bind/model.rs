//! Methods of models: functions of one name on modules, told apart by the Rust struct behind the module.

use super::cx::Cx;
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::script::lang::function::{ApiFn, Receiver};
use crate::script::lang::host::Host;
use crate::script::lang::value::FromArg;
use rhai::{Dynamic, FnPtr};
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

/// The struct behind a module, as the receiver of its methods: `fn encode(vae: Model<AutoencoderKl>, x: Tensor)`.
pub struct Model<T>(Rc<T>);

impl<T> Deref for Model<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: 'static> FromArg for Model<T> {
    const NAME: &'static str = <Module as FromArg>::NAME;
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        d.read_lock::<Module>()?.model().map(Model)
    }
}

/// The methods of one name, one for each model that has it.
type Same = Rc<RefCell<Vec<ApiFn>>>;

/// The methods of models by name, among the host's values.
#[derive(Default)]
struct Methods(RefCell<BTreeMap<&'static str, Same>>);

/// The one function on modules that stands for `f` and for the methods of its name of other models.
pub(super) fn dispatcher(host: &Host, f: &ApiFn) -> ApiFn {
    let same: Same = host.get_or_default::<Methods>().0.borrow_mut().entry(f.name).or_default().clone();
    let is_other = |other: &ApiFn| kind(other) != kind(f);
    same.borrow_mut().retain(is_other);
    same.borrow_mut().push(f.clone());
    let (longest, required) = {
        let all = same.borrow();
        let longest = all.iter().map(|f| &f.params).max_by_key(|p| p.len()).cloned().unwrap_or_default();
        (longest, all.iter().map(ApiFn::required).min().unwrap_or_default())
    };
    let params = longest.iter().cloned().enumerate().map(|(i, mut p)| {
        p.optional |= i >= required;
        p
    });
    let call = move |call: crate::script::lang::function::Call, mut args: std::collections::VecDeque<Dynamic>| {
        let Some(module) = args.front().and_then(Module::from_dynamic) else {
            return Err(Error::value(call.name, format!("a method of {}", <Module as FromArg>::NAME)));
        };
        let fits = |f: &&ApiFn| matches!(f.receiver, Receiver::Model(_, fits) if fits(&module));
        let found = same.borrow().iter().find(fits).map(|f| f.call.clone());
        match found {
            Some(found) => found(call, args),
            None => {
                args.pop_front();
                // Options that are left out.
                if args.back().is_some_and(Dynamic::is_unit) {
                    args.pop_back();
                }
                // A copy: what runs below may make another engine, which adds to the list.
                let kinds: Vec<&str> = same.borrow().iter().map(kind).collect();
                own(&Cx::from(call), &module, args.into(), &kinds)
            }
        }
    };
    ApiFn {
        receiver: Receiver::Method("Module", TypeId::of::<Module>, std::any::type_name::<Module>),
        params: params.collect(),
        call: Rc::new(call),
        ..f.clone()
    }
}

fn kind(f: &ApiFn) -> &'static str {
    if let Receiver::Model(kind, _) = f.receiver { kind } else { "" }
}

/// The group's own method or property of the called name: a group may bring the method itself, as a function that it holds under that name
/// and that gets the group first, so that a network written in a script can stand where a built-in one is expected.
fn own(cx: &Cx, m: &Module, args: Vec<Dynamic>, kinds: &[&str]) -> Result<Dynamic> {
    let (name, property) = cx.name().strip_prefix("get$").map_or((cx.name(), false), |n| (n, true));
    if let Some(value) = m.attribute::<Dynamic>(name) {
        match FnPtr::from_dynamic(&value) {
            Some(f) if !property => return cx.call(&f, std::iter::once(Dynamic::from(m.clone())).chain(args).collect()),
            _ => return Ok(Rc::unwrap_or_clone(value)),
        }
    }
    if let Some(part) = m.child(name).filter(|_| property) {
        return Ok(Dynamic::from(part));
    }
    if let Some(tensor) = m.param(name).filter(|_| property) {
        return Ok(Dynamic::from(tensor));
    }
    let have = match &kinds.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>()[..] {
        [one] => format!("{one} has"),
        [first @ .., last] => format!("{} and {last} have", first.join(", ")),
        [] => "no model has".to_owned(),
    };
    Err(Error::value(name, format!("a module of kind `{}` has no `{name}`; {have}", m.kind())))
}
