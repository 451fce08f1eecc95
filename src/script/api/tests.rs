//! Values against PyTorch, and what a language with operators must not get wrong.

use super::*;
use crate::script::{Engine, EngineOptions};

mod spaces;

fn engine() -> Engine {
    Engine::new(EngineOptions::default())
}

fn run(code: &str) {
    if let Err(e) = engine().eval(code) {
        panic!("{}", e.render(false));
    }
}

fn fails(code: &str, want: &str) {
    let e = engine().eval(code).expect_err(code);
    assert!(e.to_string().contains(want), "`{code}` says: {e}");
}

#[test]
fn every_example_runs() {
    let engine = engine();
    let mut bad = String::new();
    for f in all() {
        let Some((_, rest)) = f.doc.split_once("```rhai\n") else { continue };
        let code: String = rest.split("```").next().unwrap().lines().map(|l| l.strip_prefix(' ').unwrap_or(l).to_owned() + "\n").collect();
        if let Err(e) = engine.eval(&code) {
            bad += &format!("{}: {}\n", f.signature(), e.render(false));
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

#[test]
fn operators_take_tensors_and_numbers_on_either_side() {
    run(r#"
        let x = torch::tensor([1.0, 2.0]);
        assert_eq((x + 1).to_array(), [2.0, 3.0]);
        assert_eq((1 - x).to_array(), [0.0, -1.0]);
        assert_eq((1.0 / x).to_array(), [1.0, 0.5]);
        assert_eq((2 ** x).to_array(), [2.0, 4.0]);
        assert_eq((x ** 2.0).to_array(), [1.0, 4.0]);
        assert_eq((-x).to_array(), [-1.0, -2.0]);
        assert_eq((x * x - x / 2.0 + 3 % x).to_array(), [0.5, 4.0]);
        // `@` binds like `*`, from the left.
        assert_eq((x.view([1, 2]) @ x.view([2, 1]) * 2 + 1).item(), 11.0);
        // Int tensors keep their dtype with ints, as in PyTorch.
        let i = torch::tensor([7, -7]);
        assert_eq((i + 1).dtype, "i64");
        assert_eq((i * 0.5).dtype, "f32");
        assert_eq((i / 2).dtype, "f32");
        assert_eq((2 * i).dtype, "i64");
        assert_eq((i.byte() - 8).to_array(), [255, 241]);
        // Numbers among themselves keep rhai's operators.
        assert_eq(1 + 2.5, 3.5);
        assert(1 < 2.0 && [1, 2].contains(2) && ![1, 2].contains("a"));
        assert(!(1 == "a") && 1 != "a");
        assert_eq([3, 1, 2].reduce(|a, b| a + b, 0), 6);
        // Text.
        assert_eq("x: " + x, "x: tensor[2] f32 [1, 2]");
        assert_eq(`${x}`, "tensor[2] f32 [1, 2]");
        assert_eq(`${[x]}`, "[tensor[2] f32 [1, 2]]");
        // Op-assignment makes a new tensor.
        let y = x;
        y += 1;
        assert_eq(x.to_array(), [1.0, 2.0]);
        assert_eq(y.to_array(), [2.0, 3.0]);
    "#);
    fails("torch::ones([2, 3]) @ torch::ones([2, 3])", "matmul");
    fails("torch::ones([2]) + #{}", "`other` must be a tensor or a number, got map");
    fails("torch::ones([2]) * [1]", "`other` must be a tensor or a number, got array");
}

#[test]
fn equality_of_tensors_is_one_bool() {
    run(r#"
        let x = torch::tensor([1, 2]);
        assert(x == x && x == torch::tensor([1.0, 2.0]) && x != torch::tensor([1, 2, 3]) && x != () && x.grad == ());
        assert([torch::tensor([0]), x].contains(torch::tensor([1, 2])));
        assert(torch::tensor([5]) == 5 && 5 == torch::tensor([5]) && 5.0 != torch::tensor([4]));
        assert_eq((x > 1).to_array(), [false, true]);
        assert_eq((1.5 < x).to_array(), [false, true]);
        assert(!(torch::tensor([0.0]) / 0 == torch::tensor([0.0]) / 0), "NaN equals nothing");
    "#);
    fails("torch::ones([2]) == 1", "as a whole");
    fails("if torch::ones([2]) > 0 { print(1); }", "bool");
}

#[test]
fn indexing_reads_and_writes_the_first_dimension() {
    run(r#"
        let x = torch::arange(12).view([4, 3]);
        assert_eq(x[1].to_array(), [3, 4, 5]);
        assert_eq(x[-1][0].item(), 9);
        assert_eq(x[1..3].shape, [2, 3]);
        assert_eq(x[1..=2].shape, [2, 3]);
        assert_eq(x[-2..].shape, [2, 3]);
        assert_eq(x[0..-1].shape, [3, 3]);
        assert_eq(x[2..=-1].shape, [2, 3]);
        assert_eq(x[..2].shape, [2, 3]);
        assert_eq(x[[3, 0]].to_array(), [[9, 10, 11], [0, 1, 2]]);
        assert_eq(x[torch::tensor([[1], [2]])].shape, [2, 1, 3]);
        assert_eq(x[x > 9].to_array(), [10, 11]);
        x[0] = 7;
        x[1..3] = torch::tensor([1, 1, 1]);
        x[x > 9] = 0;
        x[[3]] = torch::tensor([[5, 5, 5]]);
        assert_eq(x.to_array(), [[7, 7, 7], [1, 1, 1], [1, 1, 1], [5, 5, 5]]);
        x[0][1] = 2;
        x[3] += 1;
        x[0].add_(1);
        assert_eq(x.to_array(), [[8, 3, 8], [1, 1, 1], [1, 1, 1], [6, 6, 6]]);
        let rows = 0;
        for row in x { rows += 1; assert_eq(row.shape, [3]); }
        assert_eq(rows, 4);
        assert_eq(x.shape[1], 3);
        // Writing through an entry of a leaf that records gradients does not happen behind one's back.
        let w = torch::ones([2, 2]).requires_grad_();
        assert_eq(w[0].sum().item(), 2.0);
    "#);
    fails("torch::ones([2])[2]", "out of range");
    fails("torch::ones([2])[\"a\"]", "an int, a range");
}

#[test]
fn copies_share_or_do_not_share_as_in_pytorch() {
    run(r#"
        let x = torch::zeros([2]);
        let same = x;
        let copy = x.clone();
        same.add_(1);
        assert_eq(x.to_array(), [1.0, 1.0]);
        assert_eq(copy.to_array(), [0.0, 0.0]);
        let w = torch::ones([2]).requires_grad_();
        (w.clone() * 3).sum().backward();
        assert_eq(w.grad.to_array(), [3.0, 3.0]);
        assert(!w.detach().requires_grad);
        w.detach().mul_(2);
        assert_eq(w.sum().item(), 4.0);
        // A method never takes the variable away.
        let y = x.abs();
        assert_eq(x.shape, [2]);
        // Twice through one graph.
        let loss = (w * w).sum();
        w.zero_grad();
        loss.backward(#{retain_graph: true});
        loss.backward();
        assert_eq(w.grad.to_array(), [8.0, 8.0]);
    "#);
    fails("let w = torch::ones([2]).requires_grad_(); let l = (w * w).sum(); l.backward(); l.backward();", "");
    fails("torch::ones([2]).requires_grad_().add_(1)", "leaf");
    fails("torch::ones([2]).sum().backward()", "grad");
}

/// METHOD 4's mapper: patch embedding, fixed 2-D sin-cos positions, plain pre-LN blocks, MLP of three linear layers.
const MAPPER: &str = r#"
fn mapper(o) {
    let m = nn::group();
    let xavier = #{init: "xavier"};
    m.patch_embed = nn::patch_embed(o.channels, o.width, o.patch, xavier);
    m.pos_embed = nn::buffer(nn::sincos_2d(o.width, o.grid, o.grid).unsqueeze(0));
    let blocks = [];
    for i in 0..o.depth { blocks.push(nn::transformer_block(o.width, o.heads, xavier)); }
    m.blocks = nn::list(blocks);
    m.mlp = nn::sequential([
        nn::linear(o.width, o.hidden, xavier), nn::activation("silu"),
        nn::linear(o.hidden, o.hidden, xavier), nn::activation("silu"),
        nn::linear(o.hidden, o.dim, xavier),
    ]);
    m.forward = |m, z| {
        let x = m.patch_embed.forward(z) + m.pos_embed;
        for block in m.blocks { x = block.forward(x); }
        m.mlp.forward(x)
    };
    m
}
"#;

#[test]
fn the_mapper_of_send_vae_is_written_in_a_script() {
    let code = r#"
        let big = mapper(#{channels: 32, width: 768, patch: 1, grid: 16, depth: 1, heads: 12, hidden: 2048, dim: 768});
        // 25_344 patch embedding + 7_087_872 block + 7_344_896 MLP.
        assert_eq(big.count(), 14_458_112);
        assert_eq(big.pos_embed.shape, [1, 256, 768]);

        let m = mapper(#{channels: 4, width: 48, patch: 2, grid: 4, depth: 2, heads: 4, hidden: 64, dim: 24});
        let z = torch::randn([3, 4, 8, 8]).requires_grad_();
        let y = m.forward(z);
        assert_eq(y.shape, [3, 16, 24]);
        (1 - F::cosine_similarity(y, torch::randn([3, 16, 24]), #{dim: -1})).mean().backward();
        for p in m.parameters() { assert(p.grad.is_finite() && p.grad.abs().sum() > 0 != false); }
        assert(z.grad.is_finite() && z.grad.abs().sum().item() > 0.0);
        assert(m.pos_embed.grad == ());

        let names = m.parameter_names();
        assert_eq(names[0], "patch_embed.proj.weight");
        assert(names.contains("blocks.1.attn.qkv.bias") && names.contains("mlp.4.weight"));
        assert_eq(m.state().keys().len(), names.len() + 1);
        assert(m.state().keys().contains("pos_embed"));

        // A state round trip through a file gives the same function; so does a copy, which keeps its own weights.
        let other = mapper(#{channels: 4, width: 48, patch: 2, grid: 4, depth: 2, heads: 4, hidden: 64, dim: 24});
        assert(other.forward(z) != y);
        let file = io::temp_dir() + "/mapper.safetensors";
        m.save(file);
        assert_eq(other.load(file), #{missing: [], unexpected: [], mismatched: []});
        assert(other.forward(z) == y);
        let copy = m.copy();
        torch::no_grad(|| m.mlp[4].weight.zero_());
        assert(copy.forward(z) == y && m.forward(z) != y);

        // The script's function as part of a sequence that Rust runs.
        let chain = nn::sequential([copy, nn::lambda(|x| x * 2), nn::layer_norm(24)]);
        assert_eq(chain.forward(z).shape, [3, 16, 24]);
        assert(chain[0] == copy && chain.child_names() == ["0", "1", "2"]);
    "#;
    run(&format!("{MAPPER}\n{code}"));
}

#[test]
fn groups_hold_modules_parameters_buffers_and_values() {
    run(r#"
        let m = nn::group(#{width: 8});
        m.head = nn::linear(8, 2);
        m.scale = nn::parameter(torch::ones([2]));
        m.steps = torch::tensor([0]);
        assert_eq(m.width, 8);
        assert_eq(m.parameter_names(), ["scale", "head.weight", "head.bias"]);
        assert_eq(m.count(), 20);
        // Through several levels, and in place.
        torch::no_grad(|| { m.head.bias[0] = 3; m.scale.mul_(2); });
        assert_eq(m.head.bias[0].item(), 3.0);
        m.steps[0] += 1;
        m.steps += 1;
        assert_eq(m.steps.item(), 2);
        m.forward = |m, x, gain| #{y: m.head.forward(x) * m.scale * gain};
        assert_eq(m.forward(torch::ones([1, 8]), 0.5).y.shape, [1, 2]);
        assert_eq(m.eval().is_training(), false);
        m.train();
        m.freeze();
        assert_eq(m.count(#{trainable: true}), 0);
        assert(m.has("head") && !m.has("tail"));
        assert_eq(m.to("f64").head.weight.dtype, "f64");
        assert_eq(m.steps.dtype, "i64");
        let shown = m.to_string();
        assert(shown.contains("group (20)") && shown.contains("  head: linear (18)") && shown.contains("    weight [2, 8] frozen"), shown);
        assert(shown.contains("  steps [1] buffer"), shown);
    "#);
    fails("let m = nn::group(); m.head = nn::linear(2, 2); m.haed", "there is no part `haed`, did you mean `head`?");
    fails("let m = nn::group(); m.forward = 3;", "`forward` must be a function");
    fails("let m = nn::group(); m.forward(torch::ones([1]))", "no forward function");
    fails("let m = nn::group(); m.a = m;", "part of itself");
    fails("let m = nn::linear(2, 2); m.extra = 1;", "cannot be added");
    fails("nn::linear(2, 2).forward(torch::ones([1, 3]))", "linear");
    fails("nn::linear(2, 2).forward(3)", "input 1 of `forward` must be a tensor, got int");
    fails("nn::linear(2, 0)", "`outputs` must be at least 1");
    fails("nn::linear(2, 2, #{bais: false})", "did you mean `bias`?");
    fails("nn::linear(2, 2).load(#{weight: torch::ones([2, 2])})", "missing");
    fails("nn::attention(10, 3)", "do not divide");
    fails("nn::sequential([nn::linear(2, 2), 3])", "array of modules");
    fails("let m = nn::sequential([nn::lambda(|x| 5)]); m.forward(torch::ones([1]))", "must return a tensor");
}
