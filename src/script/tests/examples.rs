//! Every registered function and every public function of the standard library is documented, and the examples run.

use super::engine;
use crate::script::api;
use crate::script::docs::{Comment, Item, Kind, PageKind, Reference};
use crate::script::lang::function::{ApiFn, Receiver};
use crate::script::{Engine, EngineOptions};
use std::path::Path;

fn stdlib() -> Engine {
    Engine::new(EngineOptions { stdlib: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib")), ..EngineOptions::default() })
}

/// How an item shows in a script: what its example must hold.
fn written(item: &Item) -> String {
    match (item.kind, item.name.as_str()) {
        (Kind::Property, name) => format!(".{name}"),
        (Kind::Operator, "[]" | "[]=") => "[".into(),
        (_, name) => name.to_owned(),
    }
}

/// Whether a function takes or gives tensors, so that shapes must be told.
fn has_tensors(f: &ApiFn) -> bool {
    let receiver = matches!(f.receiver, Receiver::Method("Tensor", ..)) && !matches!(f.returns, "()" | "a string");
    let kinds = f.params.iter().skip(usize::from(f.receiver.is_method())).map(|p| p.kind).chain([f.returns]);
    receiver || kinds.into_iter().any(|k| k.contains("tensor"))
}

/// Reading a plain property cannot fail, and turning into text neither.
fn cannot_fail(item: &Item) -> bool {
    (item.kind == Kind::Property && item.params.is_empty()) || item.name == "to_string"
}

/// Whether all that an example checks is an error message.
fn is_error_only(example: &str) -> bool {
    let mut checks = example.lines().filter(|l| l.contains("assert")).peekable();
    checks.peek().is_some() && checks.all(|l| l.contains("message.contains("))
}

/// What a function's documentation lacks.
fn lacks(f: &ApiFn) -> Vec<String> {
    let item = Item::of(f);
    let doc = &item.doc;
    let mut missing = Vec::new();
    let mut need = |ok: bool, what: &str| {
        if !ok {
            missing.push(what.to_owned());
        }
    };
    let ends = doc.summary.ends_with(['.', ':']) || doc.summary.ends_with(".)");
    need(doc.summary.len() >= 5 && ends, "a first sentence that ends with a full stop");
    need(doc.summary.to_lowercase().trim_end_matches('.') != item.name, "a first sentence that says more than the name");
    need(!has_tensors(f) || doc.section("Shapes").is_some_and(|s| !s.is_empty()), "`# Shapes`");
    need(cannot_fail(&item) || doc.section("Errors").is_some_and(|s| !s.is_empty()), "`# Errors`");
    let example = doc.section("Example").map(|text| Comment { body: text.to_owned(), ..Comment::default() }.examples()).unwrap_or_default();
    need(!example.is_empty(), "`# Example` with a ```rhai block");
    need(
        example.is_empty()
            || example.iter().any(|e| e.contains(&written(&item)) || (item.name == "to_string" && (e.contains("print(") || e.contains("${")))),
        "an example that uses it",
    );
    // An error message says how a function refuses, not what it is for.
    need(example.is_empty() || !is_error_only(&example[0]), "a first example that shows what it is for, not an error");
    need(
        doc.sections.iter().all(|(title, _)| ["Shapes", "Errors", "Example", "Formula", "Notes"].contains(&title.as_str())),
        "known sections only: Shapes, Errors, Example, Formula, Notes",
    );
    missing
}

#[test]
fn every_function_is_documented() {
    let missing: Vec<String> = api::all()
        .iter()
        .filter_map(|f| {
            let lacks = lacks(f);
            (!lacks.is_empty()).then(|| format!("{}: {}", f.signature(), lacks.join("; ")))
        })
        .collect();
    assert!(missing.is_empty(), "{} functions are not documented as they must be:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn what_a_comment_lacks_is_seen() {
    crate::api! {
        fn bad; namespace "bad";
        /// Adds
        fn add(x: crate::torch::Tensor) -> crate::torch::Tensor { Ok(x) }
        /// Adds one.
        ///
        /// # Shapes
        /// - any -> the same
        /// # Errors
        /// None.
        /// # Example
        /// ```rhai
        /// try { bad::other() } catch (e) { assert(e.message.contains("other")); }
        /// ```
        /// # Remarks
        /// x
        fn more(x: crate::torch::Tensor) -> crate::torch::Tensor { Ok(x) }
    }
    let list = bad();
    assert_eq!(lacks(&list[0]).len(), 4, "{:?}", lacks(&list[0]));
    assert_eq!(lacks(&list[1]).len(), 3, "{:?}", lacks(&list[1]));
}

#[test]
fn every_page_says_what_it_is_about() {
    let reference = stdlib().reference().unwrap();
    let missing: Vec<&str> = reference.pages().iter().filter(|p| p.summary().is_empty()).map(|p| p.name.as_str()).collect();
    assert!(missing.is_empty(), "pages without a text: add a line to ABOUT in script/docs, or a `//!` head to the module: {missing:?}");
}

#[test]
fn every_public_function_of_the_standard_library_has_a_comment() {
    let reference = stdlib().reference().unwrap();
    let modules: Vec<_> = reference.pages().iter().filter(|p| p.kind == PageKind::Module).collect();
    assert!(modules.len() >= 5, "the standard library was found");
    let bare: Vec<&str> = modules.iter().flat_map(|p| &p.items).filter(|i| i.doc.summary.len() < 5).map(|i| i.id.as_str()).collect();
    assert!(bare.is_empty(), "without a `///` comment: {bare:?}");
}

/// Whether an example counts on what the process's random generator draws next: tests/it/scripts/alone runs those.
fn draws_alone(example: &str) -> bool {
    example.contains("manual_seed(")
}

/// Runs every other example, beginning with the one of that number: two tests, side by side, are quicker than one.
fn examples_run(first: usize) {
    let engine = stdlib();
    let reference: Reference = engine.reference().unwrap();
    let all: Vec<(&str, String)> =
        reference.items().flat_map(|item| item.doc.examples().into_iter().map(|example| (item.signature.as_str(), example))).collect();
    let mut failures = Vec::new();
    for (signature, example) in all.iter().filter(|(_, example)| !draws_alone(example)).skip(first).step_by(2) {
        if let Err(e) = engine.eval(example) {
            failures.push(format!("{signature}\n{}", e.render(false)));
        }
    }
    assert!(all.len() > 400, "only {} examples were found", all.len());
    assert!(failures.is_empty(), "{} examples fail:\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_example_runs_the_first_half() {
    examples_run(0);
}

#[test]
fn every_example_runs_the_second_half() {
    examples_run(1);
}

/// The language's own functions keep working in the engine that runs the examples.
#[test]
fn examples_do_not_disturb_each_other() {
    let engine = engine();
    assert_eq!(engine.eval("fn f(x) { x + 1 } f(1)").unwrap().as_int(), Ok(2));
    assert!(engine.eval("f(1)").is_err(), "functions of one example are not seen by the next");
}
