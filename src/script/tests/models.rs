//! Methods of modules, told apart by the struct behind them.

use super::{Scripts, engine};
use crate::api;
use crate::error::Result;
use crate::nn::{Built, Module};
use crate::script::bind::{Model, install};
use crate::script::docs::{Found, Reference};
use crate::script::lang::function::ApiFn;
use crate::torch::{Device, Tensor};

struct Doubler;
struct Adder(f64);

fn module<T: 'static>(kind: &str, model: fn() -> T) -> Result<Module> {
    Module::build(kind, Device::Cpu, move |_| Ok(Built::model(model())))
}

api! {
    fn constructors;
    global;
    /// A module of the first kind.
    fn doubler() -> Module { module("doubler 7", || Doubler) }
    /// A module of the second kind.
    fn adder() -> Module { module("adder", || Adder(1.0)) }
    /// Makes another engine with the same methods, as a prompt does when the first function is typed.
    fn another_engine[cx]() -> () {
        install(&mut rhai::Engine::new(), cx.host(), &doublers());
        Ok(())
    }
}

api! {
    fn doublers;
    model Doubler as "doubler";
    /// Twice `x`.
    fn changed(_of: Model<Doubler>, x: Tensor) -> Tensor { x.mul(2.0) }
    /// What it does.
    fn factor as "get$factor"(_of: Model<Doubler>) -> f64 { Ok(2.0) }
}

api! {
    fn adders;
    model Adder as "adder";
    /// `x` and more, so many times.
    fn changed(of: Model<Adder>, x: Tensor, times: Option<i64>, twice: Option<bool>) -> Tensor { x.add(of.0 * (times.unwrap_or(1) * if twice == Some(true) { 2 } else { 1 }) as f64) }
}

fn lists() -> [Vec<ApiFn>; 3] {
    [constructors(), doublers(), adders()]
}

fn eval(code: &str) -> Result<String> {
    let mut engine = engine();
    // One after the other, as a program that embeds the engine adds kinds of its own.
    lists().into_iter().for_each(|list| engine.register(list));
    engine.eval(code).map(|v| v.to_string())
}

#[test]
fn a_group_s_own_method_may_make_another_engine() {
    let code = "let g = nn::group(); g.changed = |m, x| { another_engine(); x + 1 }; g.changed(2)";
    assert_eq!(eval(code).unwrap(), "3");
    // What is left out is not handed on.
    let code = "let g = nn::group(); g.changed = |m, x, y| x + y; g.changed(1, 2, ())";
    assert_eq!(eval(code).unwrap(), "3");
}

#[test]
fn kinds_may_have_methods_of_one_name() {
    let code = "
        let x = torch::tensor([3.0]);
        [doubler().changed(x).item(), adder().changed(x).item(), adder().changed(x, 4).item(), doubler().factor]";
    assert_eq!(eval(code).unwrap(), "[6.0, 4.0, 7.0, 2.0]");
    let group = "
        let g = nn::group();
        g.changed = |g, x, more| x - more + g.base;
        g.base = 10.0;
        g.factor = 5;
        [g.changed(1, 2), g.factor]";
    assert_eq!(eval(group).unwrap(), "[9.0, 5]");
    // The attempt of the wrong number of arguments is that of the kind that is there.
    let e = eval("doubler().changed(torch::ones([1]), 4)").unwrap_err().to_string();
    assert!(e.contains("argument"), "{e}");
}

#[test]
fn a_module_without_the_method_says_what_it_is_and_who_has_it() {
    let e = eval("nn::linear(1, 1).changed(torch::ones([1]))").unwrap_err().to_string();
    assert!(e.contains("a module of kind `linear` has no `changed`; `doubler` and `adder` have"), "{e}");
    let e = eval("adder().factor").unwrap_err().to_string();
    assert!(e.contains("a module of kind `adder` has no `factor`; `doubler` has"), "{e}");
}

#[test]
fn the_lint_and_the_reference_know_them() {
    let scripts = Scripts::new(&[("a.rhai", "fn main() { adder().changed(); }")]);
    let mut engine = engine();
    lists().into_iter().for_each(|list| engine.register(list));
    let e = engine.load(scripts.path("a.rhai")).unwrap_err().render(false);
    assert!(
        e.contains("the method `changed` takes 1 to 3 arguments") && e.contains("`doubler.changed(x) or adder.changed(x, times?, twice?)`"),
        "{e}"
    );

    let reference = Reference::new(engine.functions(), []).unwrap();
    let Found::Items(items) = reference.find("changed").unwrap() else { panic!("a page") };
    assert_eq!(items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), ["adder.changed", "doubler.changed"]);
    for (name, found) in [("encode", "vae.encode"), ("sit.tokens", "sit.tokens"), ("module.encode", "vae.encode")] {
        let Found::Items(items) = reference.find(name).unwrap() else { panic!("a page") };
        assert_eq!(items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>(), [found]);
    }
}
