//! What calls returned, for an editor, as the calls of one step show it.

use super::{Scripts, engine};
use crate::script::training::shapes::Shapes;
use rhai::Map;

#[test]
fn every_place_tells_what_was_returned_there_last() {
    let helper = "fn twice(x) { x * 2.0 }\n";
    let main = "import \"./helper\" as helper;\nfn main() {\n    let x = torch::zeros([2, 3]);\n    for i in 1..3 {\n        let y = torch::ones([i, 4]).to(\"f64\");\n    }\n    let n = x.numel();\n    let m = helper::twice(x);\n    helper::twice(x).sum()\n}\n";
    let scripts = Scripts::new(&[("helper.rhai", helper), ("main.rhai", main)]);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    let shapes = Shapes::begin();
    let _ = engine.run(Map::new()).unwrap();
    let found = shapes.end(engine.program());
    let at = |unit: &str, line: usize| -> Vec<String> {
        found.iter().filter(|s| s.unit == unit && s.line == line).map(|s| format!("{} {}", s.call, s.shown)).collect()
    };
    assert_eq!(at("main.rhai", 3), ["zeros [2, 3] f32 cpu"]);
    assert_eq!(at("main.rhai", 5), ["ones [2, 4] f32 cpu", "to [2, 4] f64 cpu"]);
    assert!(at("main.rhai", 7).is_empty(), "a number has no shape: {found:?}");
    assert_eq!(at("main.rhai", 9), ["twice [2, 3] f32 cpu", "sum [] f32 cpu"]);
    assert_eq!(at("helper.rhai", 1), ["* [2, 3] f32 cpu"]);
    // Of another version of the text nothing is told.
    let shapes = Shapes::begin();
    let _ = engine.run(Map::new()).unwrap();
    scripts.write("main.rhai", &main.replace("2, 3", "5, 3"));
    engine.reload().unwrap();
    assert!(shapes.end(engine.program()).iter().all(|s| s.unit == "helper.rhai"));
}
