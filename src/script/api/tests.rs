//! Values against PyTorch, and what a language with operators must not get wrong.

use crate::script::{Engine, EngineOptions};

mod grad;
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
        // A method of a property that cannot be written reads it.
        assert_eq(x.shape.len(), 2);
        assert(x.shape.contains(4) && x.shape.map(|n| n + 1) == [5, 4] && x.dtype.len() == 3);
        // Writing through an entry of a leaf that records gradients does not happen behind one's back.
        let w = torch::ones([2, 2]).requires_grad_();
        assert_eq(w[0].sum().item(), 2.0);
    "#);
    fails("torch::ones([2])[2]", "out of range");
    fails("torch::ones([2])[\"a\"]", "has no property `a`");
    fails("let x = torch::ones([2]); x.shap = [1];", "no property `shap`");
    fails("let x = torch::ones([2]); x.shape = [1];", "shape");
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
        // Another test may have put the random generator back to where the first one began.
        torch::no_grad(|| other.mlp[4].weight.add_(0.1));
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

#[test]
fn functions_agree_with_pytorch() {
    // Each value is what the PyTorch expression of the same name and options gives (torch 2.11, f32).
    run(r#"
        let x = torch::tensor([[[[1.0, 2.0], [3.0, 4.0]]]]);
        // From the documentation of torch.nn.Upsample.
        let up = F::interpolate(x, #{scale_factor: 2, mode: "bilinear"});
        assert_close(up[0][0][0], torch::tensor([1.0, 1.25, 1.75, 2.0]));
        assert_close(up[0][0][1], torch::tensor([1.5, 1.75, 2.25, 2.5]));
        let up = F::interpolate(x, #{scale_factor: 2, mode: "bilinear", align_corners: true});
        assert_close(up[0][0][1], torch::tensor([1.666667, 2.0, 2.333333, 2.666667]));
        assert_eq(F::interpolate(x, #{size: 3}).shape, [1, 1, 3, 3]);
        assert_close(F::interpolate(x, #{size: 1, mode: "area"}).item(), 2.5);
        // An even kernel pads one more below and on the right.
        let same = F::conv2d(torch::ones([1, 1, 3, 3]), torch::ones([1, 1, 2, 2]), #{padding: "same"});
        assert_eq(same[0][0].to_array(), [[4.0, 4.0, 2.0], [4.0, 4.0, 2.0], [2.0, 2.0, 1.0]]);

        // logits (1, 2, 3): log-probabilities -2.4076060, -1.4076060, -0.4076060.
        let logits = torch::tensor([[1.0, 2.0, 3.0]]);
        let two = torch::tensor([2]);
        assert_close(F::cross_entropy(logits, two).item(), 0.4076060, #{rtol: 1e-6});
        assert_close(F::cross_entropy(logits, two, #{label_smoothing: 0.1}).item(), 0.5076060, #{rtol: 1e-6});
        assert_close(F::nll_loss(logits.log_softmax(1), two).item(), 0.4076060, #{rtol: 1e-6});
        let pair = torch::cat([logits, logits], 0);
        let ignored = torch::tensor([2, -100]);
        assert_close(F::cross_entropy(pair, ignored).item(), 0.4076060, #{rtol: 1e-6});
        assert_eq(F::cross_entropy(pair, ignored, #{reduction: "none"}).shape, [2]);
        assert_close(F::bce_with_logits(torch::tensor([2.0]), torch::tensor([1.0]), #{pos_weight: torch::tensor([3.0])}).item(), 0.3807840, #{rtol: 1e-5});
        assert_close(F::huber_loss(torch::tensor([0.0, 3.0]), torch::zeros([2]), #{delta: 2.0, reduction: "sum"}).item(), 4.0);
        assert_close(F::smooth_l1_loss(torch::tensor([0.5, 3.0]), torch::zeros([2]), #{beta: 2.0, reduction: "none"}), torch::tensor([0.0625, 2.0]));
        // sum(p log(p / q)) of (.5, .5) from (.25, .75) is 0.1438410.
        let p = torch::tensor([[0.5, 0.5]]);
        let q = torch::tensor([[0.25, 0.75]]);
        assert_close(F::kl_div(q.log(), p, #{reduction: "batchmean"}).item(), 0.1438410, #{rtol: 1e-5});
        assert_close(F::kl_div(q.log(), p).item(), 0.0719205, #{rtol: 1e-5});

        assert_close(F::gelu(torch::tensor([1.0])).item(), 0.8413447, #{rtol: 1e-6});
        assert_close(F::gelu(torch::tensor([1.0]), #{approximate: "tanh"}).item(), 0.8411920, #{rtol: 1e-6});
        assert_close(F::softplus(torch::tensor([1.0]), #{beta: 2.0}).item(), 1.0634640, #{rtol: 1e-6});
        assert_eq(F::normalize(torch::zeros([1, 3])).sum().item(), 0.0);
        assert_eq(F::leaky_relu(torch::tensor([-2.0])).item(), torch::tensor([-0.02]).item());

        let y = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
        assert_close(y.var().item(), 1.6666667, #{rtol: 1e-6});
        assert_close(y.std(0, #{correction: 0}), torch::tensor([1.0, 1.0]));
        assert_close(y.norm().item(), 5.4772256, #{rtol: 1e-6});
        assert_eq(y.norm(1, 1).to_array(), [3.0, 7.0]);
        assert_eq(y.mean([0, 1], true).shape, [1, 1]);
        assert_eq(y.sum(#{keepdim: true}).shape, [1, 1]);
        assert_eq(torch::tensor([2.5, 3.5, -0.5]).round().to_array(), [2.0, 4.0, 0.0]);
        assert_eq(torch::tensor([1.0, 2.0, 3.0, 4.0]).median().item(), 2.0);
        assert_eq(torch::tensor([1.0, 2.0, 3.0, 4.0]).quantile(0.5).item(), 2.5);
        assert_eq(torch::tensor([5, 7]).clamp(6, 9).dtype, "i64");
    "#);
    fails("F::mse_loss(torch::ones([2, 1]), torch::ones([2]))", "differ in shape");
    fails("F::mse_loss(torch::ones([2]), torch::ones([2]), #{reduction: \"maen\"})", "did you mean `mean`?");
    fails("F::interpolate(torch::ones([1, 1, 2, 2]), #{})", "one of `size` and `scale_factor`");
    fails("F::interpolate(torch::ones([1, 1, 2, 2]), #{size: 0})", "at least 1 x 1");
    fails("F::interpolate(torch::ones([1, 1, 2, 2]), #{size: 2, mode: \"bicubik\"})", "did you mean `bicubic`?");
    fails("F::conv2d(torch::ones([1, 1, 3, 3]), torch::ones([1, 1, 2, 2]), #{strid: 2})", "did you mean `stride`?");
    fails("torch::ones([2]).sum(3)", "Dimension out of range");
    fails("torch::tensor([1, 2]).mean()", "mean");
    fails("torch::ones([2]).max(0.5)", "is not a dimension");
}

#[test]
fn pictures_and_charts_state_what_they_need() {
    run(r#"
        let dir = io::temp_dir();
        let x = torch::rand([5, 3, 8, 8]);
        assert_eq(viz::grid(x, #{nrow: 3, pad: 1, range: [0, 1]}).shape, [3, 19, 28]);
        assert_eq(viz::grid([x[0], x[1]], #{range: "auto"}).shape, [3, 12, 22]);
        assert_eq(viz::grid(torch::zeros([4, 4]).byte(), #{pad: 0}).shape, [3, 4, 4]);
        viz::save_png(dir + "/a.png", x, #{range: [0, 1]});
        viz::save_png(dir + "/b.png", viz::grid(x, #{range: [0, 1]}));
        viz::plot(dir + "/c.svg", #{a: torch::rand([20]), b: [1, 0.5, (), torch::tensor([0.2])], c: #{x: [0, 10], y: [0.1, 0.2]}}, #{title: "t", x: "step", y: "loss", log_y: true, smooth: 0.9});
        viz::plot(dir + "/d.svg", [1.0, 2.0]);
        viz::hist(dir + "/e.svg", torch::randn([100]), #{range: [-2, 2], bins: 10});
        show(x, #{dir: dir});
        show(x[0][0], #{dir: dir});
        let u = (x * 255).byte();
        assert_eq(eval::psnr(u, u, #{reduction: "none"}).shape, [5]);
        assert(eval::psnr(x, x * 0.9, #{range: [0, 1]}) > 20.0);
    "#);
    fails("viz::grid(torch::rand([1, 3, 4, 4]))", "float with a range");
    fails("viz::grid(torch::rand([1, 2, 4, 4]), #{range: [0, 1]})", "1 or 3 channels");
    fails("viz::grid(torch::zeros([1, 3, 4, 4]).byte(), #{range: [0, 1]})", "u8 pictures have 0 to 255");
    fails("viz::plot(\"a.png\", [1.0])", "charts are written as SVG");
    fails("viz::plot(\"a.svg\", [])", "nothing to draw");
    fails("viz::plot(\"a.svg\", [\"x\"])", "numbers are needed");
    fails("viz::plot(\"/nowhere/a.svg\", [1.0])", "cannot create");
    fails("viz::plot(\"a.svg\", [1.0], #{titel: \"t\"})", "did you mean `title`?");
    fails("eval::psnr(torch::ones([3, 4, 4]), torch::ones([3, 4, 4]))", "float with a range");
}
