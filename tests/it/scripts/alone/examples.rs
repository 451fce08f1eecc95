//! The examples of the reference that seed the random generator; the others are run beside the code.

use crate::support::{alone, root};
use lathe::script::{Engine, EngineOptions, on_big_stack};

#[test]
fn examples_that_seed_the_generator_run() {
    alone(all_run);
}

fn all_run() {
    let (count, failures) = on_big_stack(|| {
        let engine = Engine::new(EngineOptions { stdlib: Some(root().join("stdlib")), ..EngineOptions::default() });
        let reference = engine.reference().unwrap();
        let examples = reference.items().flat_map(|item| item.doc.examples().into_iter().map(|example| (item.signature.as_str(), example)));
        let seeding: Vec<_> = examples.filter(|(_, example)| example.contains("manual_seed(")).collect();
        let fails = |(signature, example): &(&str, String)| Some(format!("{signature}\n{}", engine.eval(example).err()?.render(false)));
        (seeding.len(), seeding.iter().filter_map(fails).collect::<Vec<_>>())
    })
    .unwrap();
    assert!(count > 2, "only {count} examples were found");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
