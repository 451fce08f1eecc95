//! What stops being finite is named with its line and call; what is infinite on purpose is not.

use super::{Scripts, engine, rendered};
use rhai::Map;

/// What the search says of a script, or nothing where the script runs to its end.
fn found(files: &[(&str, &str)]) -> Option<String> {
    let scripts = Scripts::new(files);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    let _looking = engine.find_nan().unwrap();
    engine.run(Map::new()).err().map(|e| rendered(&e, &scripts))
}

fn of(body: &str) -> Option<String> {
    found(&[("main.rhai", &format!("fn main() {{\n{body}\n}}\n"))])
}

fn says(text: Option<String>, wanted: &[&str]) {
    let text = text.expect("something is found");
    for want in wanted {
        assert!(text.contains(want), "no `{want}` in:\n{text}");
    }
}

#[test]
fn the_first_result_that_is_not_finite_is_named() {
    says(
        of("    let x = torch::tensor([1.0, -1.0]);\n    let y = x * 2.0 + x.log();\n    y.mean()"),
        &["error[E0601]: `log` gave NaN: tensor [2] f32; everything that it was given is finite", "main.rhai:3:25", "^^^"],
    );
    says(of("    let x = torch::tensor([0.0]);\n    x.log()"), &["`log` gave infinities: tensor [1] f32", "main.rhai:3:7"]);
    says(of("    let x = torch::tensor([0.0, 2.0]);\n    x.mul_(3.0).div_(0.0);"), &["`div_` gave NaN", "main.rhai:3:17"]);
    // Of an infinity that was wanted, what must not come.
    says(
        of("    let m = torch::full([2], 1.0 / 0.0);\n    m - m"),
        &["`-` gave NaN", "argument 1, tensor [2] f32, has infinities in it", "infinities less infinities"],
    );
    // In a list, in a map.
    says(of("    let x = torch::tensor([-1.0, 1.0]);\n    torch::no_grad(|| [#{ root: x.sqrt() }])"), &["`sqrt` gave NaN", "main.rhai:3:35"]);
}

#[test]
fn a_module_is_looked_into() {
    let helper = "fn deep(x) {\n    let y = x - 3.0;\n    y.sqrt()\n}\n";
    let main = "import \"./lib/helper\" as helper;\nfn main() {\n    helper::deep(torch::ones([2]))\n}\n";
    says(
        found(&[("lib/helper.rhai", helper), ("main.rhai", main)]),
        &["`sqrt` gave NaN: tensor [2] f32", "lib/helper.rhai:3:7", "main.rhai:3:", "called here"],
    );
}

#[test]
fn what_came_in_is_told_from_what_was_made() {
    let weights =
        "    let net = nn::linear(2, 1);\n    torch::no_grad(|| net.weight.fill_(0.0 / 0.0));\n    let x = torch::ones([3, 2]);\n    net.forward(x)";
    says(of(weights), &["`forward` gave NaN: tensor [3, 1] f32", "of its parameters `weight`", "main.rhai:5:"]);
    let given = "    let x = torch::full([2], 0.0 / 0.0);\n    x + 1.0";
    says(of(given), &["`+` gave NaN", "argument 1, tensor [2] f32, has NaN in it already", "it came with a batch"]);
}

#[test]
fn a_gradient_is_followed_to_the_call_that_lost_it() {
    let body = "    let net = nn::linear(2, 1);\n    let x = torch::zeros([4, 2]);\n    torch::no_grad(|| net.bias.fill_(0.0));\n    let y = net.forward(x);\n    let root = y.square().sqrt();\n    let loss = root.mean();\n    loss.backward();";
    says(
        of(body),
        &[
            "error[E0601]: the gradient of `sqrt` is not finite, and the loss is: `SqrtBackward0` was given finite gradients",
            "main.rhai:6:",
            "main.rhai:8:",
            "parameters with such gradients: `weight`, `bias`",
        ],
    );
}

#[test]
fn an_optimizer_that_breaks_weights_is_named() {
    let body = "    let net = nn::linear(2, 1);\n    let opt = optim::sgd(net, #{ lr: 1e38 });\n    net.forward(torch::ones([4, 2]) * 1e4).sum().backward();\n    opt.step();";
    says(of(body), &["`step` left weights that are not finite: `", "main.rhai:5:"]);
}

#[test]
fn what_is_wanted_is_left_alone() {
    let mask = "    let scores = torch::zeros([2, 2]);\n    let mask = torch::tensor([[true, false], [false, true]]);\n    let masked = scores.masked_fill(mask, -1.0 / 0.0);\n    let moved = masked.reshape([4]) * 2.0;\n    masked.softmax(-1).sum().item()";
    assert_eq!(of(mask), None);
    assert_eq!(of("    let x = torch::empty([1000]);\n    x.zero_()"), None);
    assert_eq!(of("    let x = torch::tensor([1, 2]);\n    x + 1"), None);
    // Caught by the script before: the same as any other error.
    let scaler = "    let net = nn::linear(2, 1);\n    let opt = optim::sgd(net, #{ lr: 0.1 });\n    let scaler = optim::grad_scaler();\n    let y = (net.forward(torch::zeros([4, 2])) * 0.0).sqrt().sum();\n    scaler.scale(y).backward();\n    scaler.step(opt);\n    scaler.update();";
    assert_eq!(of(scaler), None);
}

#[test]
fn nothing_is_looked_for_afterwards() {
    let scripts = Scripts::new(&[("main.rhai", "fn main() { torch::tensor([-1.0]).log() }")]);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    let looking = engine.find_nan().unwrap();
    engine.run(Map::new()).unwrap_err();
    drop(looking);
    let _ = engine.run(Map::new()).unwrap();
}
