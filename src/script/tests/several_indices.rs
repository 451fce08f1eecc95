//! `z[0, 1]`, `z[:, 1:3]`, `z[.., -1]`, `z[mask]`: tensors are indexed and assigned as in PyTorch.

use super::{Scripts, engine, rendered};
use rhai::Map;

fn run(text: &str) -> crate::error::Result<rhai::Dynamic> {
    engine().eval(text)
}

fn error(text: &str) -> String {
    run(text).unwrap_err().render(false)
}

/// `z` is `[2, 3, 4]`, counting from 0; each index with the shape and the sum of the part, as NumPy and PyTorch have them.
const CASES: &[(&str, &str, i64)] = &[
    ("z[0, 1]", "[4]", 22),
    ("z[1, 2, 3]", "[]", 23),
    ("z[-1, -1, -1]", "[]", 23),
    ("z[:]", "[2, 3, 4]", 276),
    ("z[..]", "[2, 3, 4]", 276),
    ("z[...]", "[2, 3, 4]", 276),
    ("z[:, 1:3]", "[2, 2, 4]", 216),
    ("z[:, :, 0]", "[2, 3]", 60),
    ("z[.., -1]", "[2, 3]", 78),
    ("z[..., -1]", "[2, 3]", 78),
    ("z[0, ..]", "[3, 4]", 66),
    ("z[0, .., 1]", "[3]", 15),
    ("z[1, :]", "[3, 4]", 210),
    ("z[1:, 2]", "[1, 4]", 86),
    ("z[:1, 2]", "[1, 4]", 38),
    ("z[:-1]", "[1, 3, 4]", 66),
    ("z[:, ::2]", "[2, 2, 4]", 184),
    ("z[:, 0:3:2, 1]", "[2, 2]", 44),
    ("z[::2]", "[1, 3, 4]", 66),
    ("z[0, 1::1, :2]", "[2, 2]", 26),
    ("z[:, 1:]", "[2, 2, 4]", 216),
    ("z[1:, :, 1:]", "[1, 3, 3]", 162),
    ("z[1:, :]", "[1, 3, 4]", 210),
    ("z[: , 1 :]", "[2, 2, 4]", 216),
    ("z[:, : :2]", "[2, 2, 4]", 184),
    ("z[0..1, 1]", "[1, 4]", 22),
    ("z[.., 0..2]", "[2, 3, 2]", 126),
    ("z[1.., 0]", "[1, 4]", 54),
    ("z[(), ..]", "[1, 2, 3, 4]", 276),
    ("z[.., ()]", "[2, 3, 4, 1]", 276),
    ("z[0, (), 1]", "[1, 4]", 22),
    ("z[[1, 0], 2]", "[2, 4]", 124),
    ("z[[0, 1], [0, 2]]", "[2, 4]", 92),
    ("z[:, [0, 2]]", "[2, 2, 4]", 184),
    ("z[:, [0, 2], [1, 3]]", "[2, 2]", 48),
    ("z[[0, 1], :, [1, 3]]", "[2, 3]", 72),
    ("z[torch::tensor([0, 1]), 1]", "[2, 4]", 92),
    ("z[torch::tensor(1), 0]", "[4]", 54),
    ("z[z.gt(20)]", "[3]", 66),
    ("z[:, torch::tensor([true, false, true])]", "[2, 2, 4]", 184),
    ("z[0, z[0].gt(8)]", "[3]", 30),
    ("z[z[.., 0].gt(5), 1:3]", "[4, 2]", 124),
    ("z[true, ..]", "[1, 2, 3, 4]", 276),
    ("z[[true, false], 0]", "[1, 4]", 6),
    ("z[if 1 > 0 { 1 } else { 0 }, 0]", "[4]", 54),
    ("z[/* a, b */ 0, // c]\n 1]", "[4]", 22),
    ("z[z[1, 0, 0].item() - 12, 1]", "[4]", 22),
    ("z[a + 1, b * 2]", "[4]", 86),
    ("z[#{k: 1}.k, [0, 1, 2].len() - 1]", "[4]", 86),
    ("z[0, 1][2]", "[]", 6),
    ("(z * 2)[0, 1]", "[4]", 44),
    ("z.permute([2, 0, 1])[0, 1]", "[3]", 48),
    ("[z][0][0, 1]", "[4]", 22),
    ("m.z[0, 1]", "[4]", 22),
];

#[test]
fn several_indices_read_as_in_pytorch() {
    for (index, shape, sum) in CASES {
        let text = format!(
            "let z = torch::arange(24).reshape([2, 3, 4]); let m = #{{z: z}}; let a = 0; let b = 1; let p = {index}; p.shape.to_string() + \" \" + p.sum().item().to_int()"
        );
        let got = run(&text).unwrap_or_else(|e| panic!("{index}: {}", e.render(false))).to_string();
        assert_eq!(got, format!("{shape} {sum}"), "{index}");
    }
}

#[test]
fn several_indices_assign_as_in_pytorch() {
    let cases: &[(&str, &str)] = &[
        ("z[0, 1] = 9", "[[0.0, 9.0, 0.0], [0.0, 0.0, 0.0]]"),
        ("z[:, 1:3] += 1.0", "[[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]"),
        ("z[.., -1] = torch::tensor([1.0, 2.0])", "[[0.0, 0.0, 1.0], [0.0, 0.0, 2.0]]"),
        ("z[:, 0] -= 2", "[[-2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]"),
        ("z[1, ::2] = torch::ones([1, 2])", "[[0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]"),
        ("z[z.eq(0)] = 3", "[[3.0, 3.0, 3.0], [3.0, 3.0, 3.0]]"),
        ("z[[0, 1], [2, 0]] = 4", "[[0.0, 0.0, 4.0], [4.0, 0.0, 0.0]]"),
        ("z[0, torch::tensor([true, false, true])] += 5", "[[5.0, 0.0, 5.0], [0.0, 0.0, 0.0]]"),
        ("z[:] = 1", "[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]"),
        ("z[.., [1]] = torch::tensor([[7], [8]])", "[[0.0, 7.0, 0.0], [0.0, 8.0, 0.0]]"),
        ("z[0, 0].add_(2)", "[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]"),
        ("m.z[1, 1] = 6", "[[0.0, 0.0, 0.0], [0.0, 6.0, 0.0]]"),
        ("a[0][1, 0] = 6", "[[0.0, 0.0, 0.0], [6.0, 0.0, 0.0]]"),
        ("let set = |i, j, v| { z[i, j] = v }; set.call(1, 2, 3)", "[[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]"),
    ];
    for (statement, want) in cases {
        let text = format!("let z = torch::zeros([2, 3]); let m = #{{z: z}}; let a = [z]; {statement}; z.to_array().to_string()");
        assert_eq!(run(&text).unwrap_or_else(|e| panic!("{statement}: {}", e.render(false))).to_string(), *want, "{statement}");
    }
}

#[test]
fn several_indices_work_in_modules_functions_closures_and_templates() {
    let scripts = Scripts::new(&[
        ("lib.rhai", "/// Doc.\nfn corner(z) { z[0, -1] }\n"),
        (
            "main.rhai",
            "import \"./lib\" as lib;\nfn part(z, i) { z[i, 1:] }\nfn main() {\n    let z = torch::arange(6).reshape([2, 3]);\n    let sums = [0, 1].map(|i| z[i, :2].sum().item());\n    `${lib::corner(z).item()} ${part(z, 1).to_array()} ${sums} ${z[:, 1][1].item()} ${[1, 2][1]}`\n}\n",
        ),
    ]);
    assert_eq!(scripts.run("main.rhai").unwrap().to_string(), "2 [4, 5] [1, 7] 4 2");
}

#[test]
fn other_values_keep_their_own_indexing() {
    let text = "let a = [[1, 2], [3, 4]]; let m = #{k: [5, 6]}; let s = \"abc\"; `${a[1][0]} ${a[-1]} ${m[\"k\"][1]} ${m.k[0]} ${s[1]} ${[7, 8][1]} ${5[0]}`";
    assert_eq!(run(text).unwrap().to_string(), "3 [3, 4] 6 5 b 8 true");
    for (text, word) in [
        ("let a = [[1, 2]]; a[0, 1]", "only a tensor takes several indices"),
        ("let m = #{a: 1}; m[\"a\", 0]", "only a tensor takes several indices"),
        ("let s = \"abc\"; s[0:2]", "only a tensor takes several indices"),
    ] {
        assert!(error(text).contains(word), "{}", error(text));
    }
}

#[test]
fn wrong_indices_are_told_with_their_place() {
    let cases = [
        ("z[0, 3]", "index 3 is out of bounds for dimension 0 with size 3"),
        ("z[0, 1, 2]", "too many indices: 3 for a tensor of 2 dimensions"),
        ("z[:, ::-1]", "the step of a slice must be at least 1, got -1"),
        ("z[0, 1.5]", "an int, a range or slice, an array of ints, a tensor, `..` or `()` is needed, got float"),
        ("z[:, \"a\"]", "got string"),
        ("z[.., ..]", "`..` can stand once"),
        ("z[0:1:2:1]", "two `:` at most"),
        ("z[0, , 1]", "nothing between two commas"),
        ("z[torch::ones([2]).gt(0), 0, 1]", "too many indices"),
        ("z[:, torch::ones([2]).gt(0)]", "a mask of shape [2] at dimension 1 does not fit a tensor of shape [2, 3]"),
        ("z[torch::ones([1]), 0]", "a tensor as index must be of dtype int64 or bool"),
        ("z[0, 1,]", "]"),
    ];
    for (index, word) in cases {
        let text = error(&format!("let z = torch::zeros([2, 3]);\n    let p = {index};"));
        assert!(text.contains(word) && text.contains("script:2:1"), "{index}: {text}");
    }
}

#[test]
fn places_behind_several_indices_stay_what_they_are() {
    let scripts = Scripts::new(&[("main.rhai", "fn main() {\n    let z = torch::zeros([2, 3]);\n    let y = z[:, 1:3] + z.sun();\n}\n")]);
    let e = scripts.run("main.rhai").unwrap_err();
    assert!(rendered(&e, &scripts).contains("main.rhai:3:27"), "{}", rendered(&e, &scripts));
    let engine = engine();
    engine.load_text("t", "fn main() { let x = torch::ones([2, 2]); x[0, 1] = missing; }").unwrap_err();
    let e = engine.load_text("t", "fn main() {\n  let x = torch::ones([2, 2]);\n  x[0, :] = missing;\n}").unwrap_err();
    assert!(e.render(false).contains("t:3:13"), "{}", e.render(false));
    assert_eq!(engine.load_text("t", "fn main() { let x = [1, 2]\n; x[0] }").and_then(|()| engine.run(Map::new())).unwrap().as_int(), Ok(1));
}
