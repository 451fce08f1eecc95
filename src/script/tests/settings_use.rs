//! Settings that a script reads and does not have.

use super::{Scripts, engine, rendered};

const PARAMS: &str =
    "fn params() { #{learning_rate: 0.1, mapper: #{depth: 1, inner: #{wide: 2}}, extra: #{}, sizes: [1, 2], fixed: arg(#{a: 1}, \"\")} }\n";

fn faults(body: &str) -> Vec<String> {
    let engine = engine();
    engine.load_text("s.rhai", &format!("{PARAMS}{body}")).unwrap();
    match engine.params() {
        Ok(_) => Vec::new(),
        Err(e) => {
            let text = e.render(false);
            let lines: Vec<&str> = text.lines().collect();
            let starts = lines.iter().enumerate().filter(|(_, l)| l.starts_with("error["));
            starts.map(|(i, l)| format!("{} @{}", l, lines.get(i + 1).map_or("", |p| p.trim().trim_start_matches("--> ")))).collect()
        }
    }
}

#[test]
fn a_setting_that_does_not_exist_is_found() {
    for (body, want) in [
        ("fn main(cfg) { cfg.learnin_rate }", "no setting `learnin_rate`, did you mean `learning_rate`? @s.rhai:2:20"),
        ("fn main(c) {\n  let x = c.mapper.depht;\n}", "no setting `mapper.depht`, did you mean `depth`? @s.rhai:3:13"),
        ("fn main(cfg) { cfg.mapper.inner.wid }", "no setting `mapper.inner.wid`, did you mean `wide`?"),
        ("fn main(cfg) { step(1, cfg) }\nfn step(a, cfg) { cfg.sise }", "no setting `sise`"),
        ("fn main(cfg) { a(cfg) }\nfn a(c) { b(c) }\nfn b(c) { if true { print(c.nothing_near); } }", "no setting `nothing_near` @s.rhai:4:29"),
        ("fn main(cfg) { cfg.size[0] }", "no setting `size`, did you mean `sizes`?"),
    ] {
        let found = faults(body);
        assert!(found.len() == 1 && found[0].contains(want), "{body}: {found:?}");
    }
    // Two faults, both told.
    assert_eq!(faults("fn main(cfg) { cfg.aaaa; cfg.bbbb }").len(), 2);
}

#[test]
fn what_may_be_right_is_left_alone() {
    for body in [
        "fn main(cfg) { cfg.learning_rate + cfg.mapper.depth + cfg.mapper.inner.wide + cfg.sizes[0]; cfg.device + cfg.dtype }",
        // A map that is empty by default takes anything, and one inside `arg` is a value.
        "fn main(cfg) { cfg.extra.anything; cfg.fixed.b }",
        "fn main(cfg) { cfg.added = 1; cfg.added }",
        "fn main(cfg) { if \"maybe\" in cfg { cfg.maybe } }",
        // Also where the map goes on with it.
        "fn main(cfg) { cfg.tag = 1; other(cfg) }\nfn other(c) { c.tag }",
        "fn main(cfg) { if \"maybe\" in cfg { other(cfg) } }\nfn other(c) { c.maybe }",
        "fn main(cfg) { cfg += #{more: 1}; cfg.more }",
        "fn main(cfg) { cfg.mixin(#{more: 1}); cfg.more }",
        "fn main(cfg) { let cfg = #{other: 1}; cfg.other }",
        "fn main(cfg) { cfg?.perhaps }",
        // Another map of the same name.
        "fn main(cfg) { other(#{a: 1}) }\nfn other(cfg) { cfg.a }",
        "fn main() { 1 }\nfn other(cfg) { cfg.a }",
        // Calls that go in a circle end.
        "fn main(cfg) { a(cfg) }\nfn a(c) { b(c) }\nfn b(c) { a(c); c.learning_rate }",
    ] {
        assert_eq!(faults(body), Vec::<String>::new(), "{body}");
    }
}

/// What is said of a script with modules beside it.
fn faults_of(files: &[(&str, &str)]) -> String {
    let scripts = Scripts::new(files);
    let engine = engine();
    engine.load(scripts.path("s.rhai")).unwrap();
    engine.params().err().map(|e| rendered(&e, &scripts)).unwrap_or_default()
}

#[test]
fn settings_are_followed_into_modules() {
    let script = format!("import \"./a\" as a;\nimport \"std/weights\" as weights;\n{PARAMS}fn main(cfg) {{ a::start(3, cfg) }}\n");
    let a = "import \"./lib/b\" as b;\nfn start(n, c) {\n    b::build(c);\n    c.learning_rate\n}\n";
    let said = faults_of(&[("s.rhai", &script), ("a.rhai", a), ("lib/b.rhai", "fn build(cfg) {\n    cfg.mapper.depht\n}\n")]);
    assert!(said.contains("no setting `mapper.depht`, did you mean `depth`?") && said.contains("--> lib/b.rhai:2:9"), "{said}");
    // What is right, what a module asks for first, and what is another map, is left alone.
    let fine =
        "fn build(cfg) {\n    if \"extra_one\" in cfg { cfg.extra_one } else { other(#{ x: 1 }) + cfg.mapper.depth }\n}\nfn other(cfg) { cfg.x }\n";
    assert_eq!(faults_of(&[("s.rhai", &script), ("a.rhai", a), ("lib/b.rhai", fine)]), "");
    // A module of the standard library that needs settings which the script does not declare.
    let script = format!("import \"std/weights\" as weights;\n{PARAMS}fn main(cfg) {{ weights::start_vae(cfg) }}\n");
    let said = faults_of(&[("s.rhai", &script)]);
    assert!(said.contains("the script has no setting `vae_ckpt`") && said.contains("--> std/weights"), "{said}");
}
