//! Functions that the host holds follow their newest version, or the reload says which do not, where and why.
//!
//! One script holds an object of each kind of the table, all of them are edited in one save, and the edit is taken back: under a watch,
//! after SIGHUP, from an attached prompt, and in a replay.

use super::place::{Job, Place};
use crate::support::text;
use serde_json::Value;

/// An edit of the table.
struct Row {
    name: &'static str,
    /// What makes the object and gives it to the run, before and after: the body of a function that `main` calls.
    make: [&'static str; 2],
    /// Functions beside, before and after.
    beside: [&'static str; 2],
    /// The value of a step, before and after.
    value: [f64; 2],
    /// What the reload says of it: `line of the object`'s reason, when the old body runs on.
    waits: Option<&'static str>,
}

fn row(name: &'static str, make: [&'static str; 2], value: [f64; 2]) -> Row {
    Row { name, make, beside: ["", ""], value, waits: None }
}

fn with(beside: [&'static str; 2], row: Row) -> Row {
    Row { beside, ..row }
}

fn waits(why: &'static str, row: Row) -> Row {
    Row { waits: Some(why), ..row }
}

/// `keep("name", f)` gives a function to the run; a step calls it with 2.0.
fn table() -> Vec<Row> {
    let group = "let m = nn::group(#{}); m.forward = |m, x| x * 1.0; keep(|x| m.forward(x));";
    vec![
        row("forward_of_a_group", [group, "let m = nn::group(#{}); m.forward = |m, x| x * 3.0; keep(|x| m.forward(x));"], [2.0, 6.0]),
        row(
            "forward_with_a_captured_number",
            [
                "let k = 3.0; let m = nn::group(#{}); m.forward = |m, x| x * k; keep(m);",
                "let k = 3.0; let m = nn::group(#{}); m.forward = |m, x| x * k + 1.0; keep(m);",
            ],
            [6.0, 7.0],
        ),
        row(
            "nested_groups",
            [
                "let a = nn::group(#{}); a.forward = |m, x| x + 1.0; let b = nn::group(#{a: a}); b.forward = |m, x| m.a.forward(x) * 2.0; keep(b);",
                "let a = nn::group(#{}); a.forward = |m, x| x + 5.0; let b = nn::group(#{a: a}); b.forward = |m, x| m.a.forward(x) * 2.0; keep(b);",
            ],
            [6.0, 14.0],
        ),
        with(
            ["fn both(f, x) { f.call(x) + f.call(x) }", "fn both(f, x) { f.call(x) + f.call(x) }"],
            row("closure_in_a_closure", ["keep(|x| both(|y| y + x, 1.0));", "keep(|x| both(|y| y - x, 1.0));"], [6.0, -2.0]),
        ),
        with(
            ["fn helper(x) { x + 1.0 }", "fn helper(x) { x + 2.0 }"],
            row("closure_that_calls_an_edited_function", ["keep(|x| helper(x));", "keep(|x| helper(x));"], [3.0, 4.0]),
        ),
        row("closures_in_an_array", ["let f = [|x| x, |x| x + 1.0]; keep_all(f);", "let f = [|x| x, |x| x + 2.0]; keep_all(f);"], [5.0, 6.0]),
        row("closures_in_a_map", ["keep_all(#{a: |x| x, b: #{c: |x| x}});", "keep_all(#{a: |x| x * 10.0, b: #{c: |x| x}});"], [4.0, 22.0]),
        row("curried", ["let f = |k, x| k * x; keep(f.curry(3.0));", "let f = |k, x| k * x + 1.0; keep(f.curry(3.0));"], [6.0, 7.0]),
        row(
            "curried_and_captured",
            ["let c = 0.5; let f = |k, x| k * x + c; keep(f.curry(3.0));", "let c = 0.5; let f = |k, x| k * x - c; keep(f.curry(3.0));"],
            [6.5, 5.5],
        ),
        row("lambda", ["keep(nn::lambda(|x| x.relu()));", "keep(nn::lambda(|x| x.relu() + 1.0));"], [2.0, 3.0]),
        row(
            "lambdas_in_a_sequence",
            [
                "keep(nn::sequential([nn::lambda(|x| x + 1.0), nn::lambda(|x| x * 2.0)]));",
                "keep(nn::sequential([nn::lambda(|x| x + 2.0), nn::lambda(|x| x * 2.0)]));",
            ],
            [6.0, 8.0],
        ),
        row(
            "recursion",
            [
                "let f = (); f = |n| if n < 1.0 { 1.0 } else { let g = f; 2.0 * g.call(n - 1.0) }; keep(f);",
                "let f = (); f = |n| if n < 1.0 { 1.0 } else { let g = f; 3.0 * g.call(n - 1.0) }; keep(f);",
            ],
            [4.0, 9.0],
        ),
        row(
            "a_closure_that_it_took_with_it",
            ["let g = |x| x + 1.0; keep(|x| g.call(x) * 2.0);", "let g = |x| x + 3.0; keep(|x| g.call(x) * 2.0);"],
            [6.0, 10.0],
        ),
        row(
            "made_in_a_loop",
            [
                "let all = []; for i in 1..4 { let k = i.to_float(); all.push(|x| x * k); } keep_all(all);",
                "let all = []; for i in 1..4 { let k = i.to_float(); all.push(|x| x * k + 1.0); } keep_all(all);",
            ],
            [12.0, 15.0],
        ),
        row("moved_to_another_line", ["keep(|x| x * 7.0);", "// A comment,\n    // and another.\n    keep(|x|\n        x * 7.0);"], [14.0, 14.0]),
        row("takes_less_with_it", ["let k = 3.0; keep(|x| x * k);", "let k = 3.0; keep(|x| x);"], [6.0, 2.0]),
        row(
            "takes_the_same_in_another_order",
            ["let a = 3.0; let b = 1.0; keep(|x| a * x + b);", "let a = 3.0; let b = 1.0; keep(|x| b * x + a);"],
            [7.0, 5.0],
        ),
        row("parameter_of_another_name", ["keep(|x| x * 3.0);", "keep(|y| y * 4.0);"], [6.0, 8.0]),
        row("variable_written_by_a_closure", ["let n = 0.0; keep(|x| { n = x; n });", "let n = 0.0; keep(|x| { n = x; n + 1.0 });"], [2.0, 3.0]),
        row(
            "bodies_exchanged",
            [
                "let m = #{}; m.a = |x| x + 1.0; m.b = |x| x * 10.0; keep_all([m.a, m.a, m.b]);",
                "let m = #{}; m.a = |x| x * 10.0; m.b = |x| x + 1.0; keep_all([m.a, m.a, m.b]);",
            ],
            [26.0, 43.0],
        ),
        with(["fn named(x) { x }", "fn named(x) { x * 5.0 }"], row("function_by_name", ["keep(named);", "keep(named);"], [2.0, 10.0])),
        with(
            ["fn pair(k, x) { k + x }", "fn pair(k, x) { k - x }"],
            row("curried_function_by_name", ["keep(Fn(\"pair\").curry(1.0));", "keep(Fn(\"pair\").curry(1.0));"], [3.0, -1.0]),
        ),
        row("closure_of_a_module", ["keep(lib::times(3.0));", "keep(lib::times(3.0));"], [6.0, 7.0]),
        row("forward_of_a_group_of_a_module", ["keep(lib::block());", "keep(lib::block());"], [2.0, 22.0]),
        row("constant_closure_of_a_module", ["keep(lib::ACT);", "keep(lib::ACT);"], [3.0, 4.0]),
        row("closure_through_a_module", ["keep(lib::through(|x| x + 1.0));", "keep(lib::through(|x| x + 2.0));"], [3.0, 4.0]),
        row("closure_that_a_closure_of_a_module_gives", ["keep(lib::apply(|k| |x| x + k));", "keep(lib::apply(|k| |x| x - k));"], [3.0, 1.0]),
        waits(
            "it uses `w` now, which it did not take with it",
            row("takes_more_with_it", ["let w = 3.0; keep(|x| x);", "let w = 3.0; keep(|x| x * w);"], [2.0, 2.0]),
        ),
        waits("it is gone from there", row("closure_that_is_gone", ["keep(|x| x);", "keep(nn::lambda(|x, y| x)); let f = 3.0;"], [2.0, 2.0])),
        with(["fn lost(x) { x }", ""], waits("something still holds it", row("function_that_is_gone", ["keep(lost);", "keep(3.0);"], [2.0, 2.0]))),
        waits(
            "is used only by what has run already",
            row("built_with_the_old_code", ["let k = 3.0; keep(|x| x * k);", "let k = 4.0; keep(|x| x * k);"], [6.0, 6.0]),
        ),
        waits(
            "is used only by what has run already",
            row(
                "closure_that_main_has_called",
                ["let k = [1.0].map(|v| v + 1.0)[0]; keep(|x| x * k);", "let k = [1.0].map(|v| v + 3.0)[0]; keep(|x| x * k);"],
                [4.0, 4.0],
            ),
        ),
    ]
}

const LIB: [&str; 2] = [
    "export const ACT = |x| x + 1.0;\nfn times(k) { |x| x * k }\nfn block() { let m = nn::group(#{}); m.forward = |m, x| inner(x); m }\nfn inner(x) { x }\n\
     fn through(f) { |x| f.call(x) }\nfn apply(f) { f.call(1.0) }\n",
    "export const ACT = |x| x + 2.0;\nfn times(k) { |x| x * k + 1.0 }\nfn block() { let m = nn::group(#{}); m.forward = |m, x| inner(x); m }\nfn inner(x) { x + 20.0 }\n\
     fn through(f) { |x| f.call(x) }\nfn apply(f) { f.call(1.0) }\n",
];

/// The script with all rows, each function made by one of its own.
fn script(rows: &[Row], version: usize) -> String {
    let mut text = String::from(
        "import \"./lib\" as lib;\nfn params() { #{output_dir: \"exps\", exp_name: \"try1\", seed: 1, steps: 100_000, wait: 10} }\n\
         fn main(cfg) {\n    let run = train::run(cfg);\n    let held = #{};\n",
    );
    for r in rows {
        text += &format!("    held[\"{}\"] = make_{}();\n", r.name, r.name);
    }
    text += "    run.set(\"held\", held);\n    train::fit(run, (), \"step\", #{steps: cfg.steps, log_every: 1, save_every: 10, keep: 2});\n}\n\
             fn step(run, batch) {\n    sleep(run.cfg.wait / 1000.0);\n    let log = #{noise: torch::rand([1])};\n    \
             for name in run.held.keys() { log[name] = total(run.held[name]); }\n    log\n}\n\
             fn total(f) {\n    if type_of(f) == \"array\" { return f.reduce(|sum, g| sum + total(g), 0.0); }\n    \
             if type_of(f) == \"map\" { return total(f.values()); }\n    if type_of(f) == \"module\" { return f.forward(torch::full([1], 2.0)).item(); }\n    \
             let y = f.call(2.0);\n    if type_of(y) == \"tensor\" { y.item() } else { y }\n}\n\
             fn keep_all(x) { x }\n";
    for r in rows {
        if !r.beside[version].is_empty() {
            text += &format!("{}\n", r.beside[version]);
        }
        text += &format!("fn make_{}() {{\n    {}\n}}\n", r.name, r.make[version].replace("keep(", "return (").replace("keep_all(", "return ("));
    }
    text
}

fn value(steps: &[Value], name: &str) -> f64 {
    steps.last().and_then(|l| l[name].as_f64()).unwrap_or(f64::NAN)
}

/// The row whose function has a line.
fn row_at<'a>(rows: &'a [Row], script: &str, line: usize) -> &'a str {
    // What stands beside stands before.
    let lines: Vec<&str> = script.lines().collect();
    let own = lines[..line].iter().rposition(|l| l.starts_with("fn ")).unwrap_or(0);
    let head = lines[own..].iter().find_map(|l| l.strip_prefix("fn make_"));
    let name = head.and_then(|l| l.split('(').next()).unwrap_or_default();
    rows.iter().find(|r| r.name == name).map_or("", |r| r.name)
}

/// Saves the edit, has it taken in by `reload`, and looks at every row.
fn edit(job: &mut Job, rows: &[Row], reload: &dyn Fn(&mut Job)) {
    let texts = [script(rows, 0), script(rows, 1)];
    job.until_more(2);
    for r in rows {
        assert_eq!(value(&job.place.steps("try1"), r.name), r.value[0], "{} before the edit", r.name);
    }
    job.place.write("lib.rhai", LIB[1]);
    job.place.write("train.rhai", &texts[1]);
    reload(job);
    job.until_said("reloaded ");
    job.until_more(3);
    let steps = job.place.steps("try1");
    let wrong: Vec<String> = rows
        .iter()
        .filter(|r| value(&steps, r.name) != r.value[1])
        .map(|r| format!("{}: {} instead of {}", r.name, value(&steps, r.name), r.value[1]))
        .collect();
    let said = job.said();
    assert!(wrong.is_empty(), "{wrong:#?}\n{said}");
    // What does not follow is named, and nothing else.
    let mut told: Vec<(&str, String)> = Vec::new();
    for line in job.place.edit(job.place.edits("try1").last().unwrap())["at_restart"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        let place: usize = line.strip_prefix("train.rhai:").and_then(|l| l.split(':').next()?.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let of = if line.contains("still runs the old body") { &texts[0] } else { &texts[1] };
        told.push((row_at(rows, of, place), line.to_owned()));
        assert!(line.ends_with("takes effect at restart"), "{line}");
    }
    for r in rows {
        let lines: Vec<&str> = told.iter().filter(|(name, _)| *name == r.name).map(|(_, l)| l.as_str()).collect();
        match r.waits {
            Some(why) => assert!(lines.iter().any(|l| l.contains(why)), "{}: {lines:?} in\n{said}", r.name),
            None => assert!(lines.is_empty(), "{}: {lines:?}", r.name),
        }
    }
    assert!(told.iter().all(|(name, _)| !name.is_empty()), "{told:#?}");
    assert!(said.contains("in effect only after a restart)") && said.lines().last().unwrap().contains("[stale: train.rhai:"), "{said}");
    // Taken back, all is as it was.
    job.place.write("lib.rhai", LIB[0]);
    job.place.write("train.rhai", &texts[0]);
    reload(job);
    job.until_said("nothing waits for a restart any more");
    job.until_more(3);
    let steps = job.place.steps("try1");
    for r in rows {
        assert_eq!(value(&steps, r.name), r.value[0], "{} after the edit was taken back", r.name);
    }
    assert!(!job.said().lines().last().unwrap().contains("[stale"), "{}", job.said());
}

fn replayed(place: &Place) {
    let out = place.output(&["replay", "exps/try1"]);
    assert!(
        out.status.success() && [&out.stdout, &out.stderr].iter().any(|o| text(o).contains("bit for bit")),
        "{}{}",
        text(&out.stdout),
        text(&out.stderr)
    );
}

/// Every row of the table, edited and taken back in a job with those flags, and the run trained again.
fn follows(flags: &[&str], reload: &dyn Fn(&mut Job)) {
    let rows = table();
    assert!(rows.len() >= 25);
    let place = Place::with(&[("train.rhai", &script(&rows, 0)), ("lib.rhai", LIB[0])]);
    let mut job = place.start(flags);
    edit(&mut job, &rows, reload);
    assert_eq!(job.stop().code(), Some(130));
    replayed(&place);
}

#[test]
fn every_kind_of_function_follows_a_save_under_a_watch() {
    follows(&["--watch"], &|_| {});
}

#[test]
fn every_kind_of_function_follows_a_signal() {
    follows(&[], &|job| job.signal("-HUP"));
}

#[test]
fn every_kind_of_function_follows_an_attached_reload() {
    follows(&[], &|job| {
        let out = job.place.output(&["attach", "exps/try1", "-e", ":reload"]);
        assert!(out.status.success(), "{}", text(&out.stderr));
    });
}

const OWN: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "try1", seed: 1, steps: 100_000} }
fn main(cfg) {
    let run = train::run(cfg);
    let scale = 1.0;
    run.set("net", nn::group(#{}));
    run.set("seen", 0.0);
    run.net.forward = |m, x| x * scale;
    train::fit(run, (), "step", #{steps: cfg.steps, log_every: 1, save_every: 5, keep: 2, on_log: |run, values| run.set("seen", 1.0)});
    finish(run);
}
fn step(run, batch) {
    sleep(0.01);
    #{loss: run.net.forward(torch::ones([1])).item() + common(), seen: run.seen}
}
fn finish(run) { print(`finish ${common()}`); }
fn common() { 0.0 }
"#;

#[test]
fn what_main_runs_itself_takes_effect_at_the_restart_and_is_replayed_so() {
    let place = Place::with(&[("train.rhai", OWN)]);
    let mut job = place.start(&["--watch"]);
    job.until_more(3);
    // A function that both the loop and the rest of `main` call, one that only `main` calls, and `main` itself.
    place.sh("sed -i -e 's/fn common() { 0.0 }/fn common() { 2.0 }/' -e 's/let scale = 1.0/let scale = 5.0/' -e 's/`finish /`end /' -e 's/\"seen\", 1.0/\"seen\", 3.0/' train.rhai");
    job.until_said("reloaded train.rhai");
    job.until_more(3);
    let said = job.said();
    for want in [
        "train.rhai:5: `main` is running and goes on as it began; takes effect at restart",
        "`finish` is used only by what has run already or goes on as it began; takes effect at restart",
        "`common` is in effect for the loop, and called in its old version by what goes on as it began; takes effect at restart",
    ] {
        assert_eq!(said.matches(want).count(), 1, "{want}\n{said}");
    }
    let last = place.steps("try1").pop().unwrap();
    assert_eq!((last["loss"].as_f64(), last["seen"].as_f64()), (Some(3.0), Some(3.0)), "{said}");
    assert_eq!(job.stop().code(), Some(130));
    // The same text is on disk, and another one takes effect: an edit of its own.
    let edits = place.edits("try1").len();
    let mut job = place.start(&["--watch"]);
    job.until_said("what waited for a restart is in effect now");
    job.until_more(3);
    assert_eq!(place.steps("try1").pop().unwrap()["loss"].as_f64(), Some(7.0));
    assert!(!job.said().lines().last().unwrap().contains("[stale"));
    assert_eq!(job.stop().code(), Some(130));
    assert_eq!(place.edits("try1").len(), edits + 1);
    replayed(&place);
}

#[test]
fn a_function_typed_at_the_prompt_stays_and_the_edit_of_what_it_replaced_is_told() {
    let place = Place::with(&[("train.rhai", OWN)]);
    let mut job = place.start(&["--watch"]);
    job.until_more(3);
    let out = place.output(&["attach", "exps/try1", "-e", "run.net.forward = |m, x| x * 9.0"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    job.until_more(3);
    place.sh("sed -i 's/x [*] scale/x * scale * 2.0/' train.rhai");
    job.until_said("(1 function changed, in effect only after a restart); recorded in");
    job.until_more(3);
    assert_eq!(place.steps("try1").pop().unwrap()["loss"].as_f64(), Some(9.0));
    let said = job.said();
    assert!(
        said.contains("train.rhai:8: `run.net.forward` is used only by what has run already or goes on as it began; takes effect at restart"),
        "{said}"
    );
    assert_eq!(job.stop().code(), Some(130));
    replayed(&place);
}

#[test]
fn a_loop_of_the_scripts_own_follows_hot_functions_and_tells_of_the_rest() {
    let text = "fn params() { #{output_dir: \"exps\", exp_name: \"try1\", seed: 1} }\n\
        fn main(cfg) {\n    let run = train::run(cfg);\n    let step = hot(\"step\");\n    loop {\n        let loss = step.call(run) + beside();\n        \
        print(`loss ${loss}`);\n    }\n}\nfn step(run) { sleep(0.01); inner() }\nfn inner() { 1.0 }\nfn beside() { 10.0 }\n";
    let place = Place::with(&[("train.rhai", text)]);
    let mut job = place.start(&["--watch"]);
    job.until_said("loss 11.0");
    place.sh("sed -i -e 's/fn inner() { 1.0 }/fn inner() { 2.0 }/' -e 's/fn beside() { 10.0 }/fn beside() { 20.0 }/' train.rhai");
    job.until_said("loss 12.0");
    let said = job.said();
    assert!(said.contains("train.rhai:12: `beside` is used only by what has run already or goes on as it began; takes effect at restart"), "{said}");
    assert!(!said.contains("`inner` is"), "{said}");
    job.stop();
}
