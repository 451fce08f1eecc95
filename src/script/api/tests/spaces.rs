//! `torch::`, `io::` and `optim::` beyond their examples.

use super::{fails, run};

#[test]
fn tensors_are_made_as_in_pytorch() {
    run(r#"
        assert_eq(torch::tensor(3).shape, []);
        assert_eq(torch::tensor([1, 2.5]).dtype, "f32");
        assert_eq(torch::tensor([true, false]).dtype, "bool");
        assert_eq(torch::tensor([]).shape, [0]);
        assert_eq(torch::tensor([[], []]).shape, [2, 0]);
        assert_eq(torch::tensor([1, 2], #{ dtype: "u8" }).dtype, "u8");
        assert_eq(torch::tensor([9007199254740993]).item(), 9007199254740993);
        let w = torch::tensor([1.0], #{ requires_grad: true });
        assert(w.requires_grad && !torch::tensor(w).requires_grad);
        assert_eq(torch::tensor([torch::tensor(1.5), 2]).to_array(), [1.5, 2.0]);
        assert_eq(torch::full([2], true).dtype, "bool");
        assert_eq(torch::full([2], 1.5).dtype, "f32");
        assert_eq(torch::full([], 2, #{ dtype: "f64" }).item(), 2.0);
        assert_eq(torch::zeros(3).shape, [3]);
        assert_eq(torch::zeros([2], #{ dtype: () }).dtype, "f32");
        assert_eq(torch::arange(2, 8, 3).to_array(), [2, 5]);
        assert_eq(torch::arange(3.0).dtype, "f32");
        assert_eq(torch::arange(3, #{ dtype: "f64" }).dtype, "f64");
        assert_eq(torch::linspace(1.0, 0.0, 3, #{ dtype: "f64" }).to_array(), [1.0, 0.5, 0.0]);
        assert_eq(torch::randint(3, 4, [2, 2]).to_array(), [[3, 3], [3, 3]]);
        assert_eq(torch::where(torch::tensor([true, false]), 1, torch::tensor([5, 6])).to_array(), [1, 6]);
        assert_eq(torch::where(torch::tensor([true, false]), 0.5, torch::tensor([5, 6])).dtype, "f32");
    "#);
    fails("torch::tensor([[1, 2], [3]])", "ragged");
    fails("torch::tensor([1, [2]])", "ragged");
    fails("torch::tensor([[1], 2])", "ragged");
    fails(r#"torch::tensor(["a"])"#, "no number");
    fails(r#"torch::zeros([2], #{ dtyp: "f32" })"#, "did you mean `dtype`");
    fails(r#"torch::zeros([2], #{ dtype: "f23" })"#, "unknown dtype");
    fails(r#"torch::zeros([2], #{ device: "cuda:99" })"#, "not available");
    fails("torch::zeros([-1])", "negative");
    fails("torch::zeros([1000000000, 1000000000])", "zeros");
    fails(r#"torch::randint(5, 5, [1])"#, "randint");
    fails(r#"let a = []; for i in 0..100 { a = [a]; } torch::tensor(a)"#, "deep");
}

#[test]
fn guards_end_when_the_function_throws() {
    run(r#"
        let w = torch::ones([2, 2]).requires_grad_();
        try { torch::no_grad(|| { throw "inside"; }); } catch (e) { assert_eq(e, "inside"); }
        assert((w * 2).requires_grad);
        try { torch::autocast("bf16", || { throw "inside"; }); } catch (e) { assert_eq(e, "inside"); }
        assert_eq((w @ w).dtype, "f32");
        assert_eq(torch::no_grad(|| torch::autocast("bf16", || w @ w)).dtype, "bf16");
        assert_eq(torch::autocast("no", || w @ w).dtype, "f32");
        assert_eq(torch::autocast("bf16", || torch::autocast("fp32", || w @ w)).dtype, "f32");
        // What was converted without gradients is converted again with them.
        let loss = torch::autocast("bf16", || { torch::no_grad(|| w @ w); (w @ w).sum() });
        loss.backward();
        assert(w.grad() != ());
    "#);
    fails(r#"torch::autocast("f16", || 1, #{ device: "cpu" })"#, "f16 on the CPU");
    fails(r#"torch::autocast("i64", || 1)"#, "bf16");
}

#[test]
fn operators_by_name() {
    run(r#"
        let x = torch::tensor([[1.0, 5.0], [7.0, 2.0]]);
        let r = torch::op("max.dim", [x, 1]);
        assert_eq(r[1].to_array(), [1, 0]);
        assert_eq(torch::op("mean", [x], #{ dtype: "f64" }).dtype, "f64");
        assert_eq(torch::op("add", [x, 1]).sum().item(), 19.0);
        assert_eq(torch::op("index", [x, [(), torch::tensor([1])]]).shape, [2, 1]);
        assert_eq(torch::op("is_floating_point", [x]), true);
        assert(torch::op("_foreach_norm", [[x, x]]).len() == 2);
    "#);
    fails(r#"torch::op("adddd", [])"#, "did you mean");
    fails(r#"torch::op("set_", [torch::zeros([1])])"#, "not for scripts");
    fails(r#"torch::op("relu", [|| 1])"#, "cannot be an argument");
    fails(r#"torch::op("relu", [torch::zeros([1])], #{ inplace: true })"#, "unknown option `inplace`");
    fails(r#"torch::op_schema("no_such_thing_at_all")"#, "no operator");
    fails(r#"let a = []; for i in 0..100 { a = [a]; } torch::op("relu", [a])"#, "nested too deeply");
}

#[test]
fn optimizers_take_modules_arrays_and_maps() {
    run(r#"
        let w = torch::tensor([2.0], #{ requires_grad: true });
        let l = nn::linear(2, 1);
        for params in [l, l.parameters(), [l, w], #{ head: l, scale: w }, [w]] {
            let opt = optim::adamw(params, #{ lr: 0.1, betas: [0.9, 0.95] });
            opt.zero_grad();
            (l.forward(torch::ones([1, 2])) * w).sum().backward();
            optim::clip_grad_norm(params, 1.0);
            opt.step();
        }
        let opt = optim::adamw(#{ head: l, scale: w });
        (l.forward(torch::ones([1, 2])) * w).sum().backward();
        opt.step();
        assert_eq(opt.state().keys().filter(|k| k.starts_with("head.weight")).len(), 3);
        opt.lr = 1;
        assert_eq(opt.lr, 1.0);
        let other = optim::adamw(#{ head: l, scale: w });
        other.load(opt.state());
        assert_eq([other.lr, other.state()["scale.step"].item()], [1.0, 1.0]);
    "#);
    run(r#"
        let a = nn::linear(2, 1);
        let b = nn::linear(1, 1);
        let opt = optim::sgd([#{ params: a, lr: 0.1 }, #{ params: #{ b: b }, weight_decay: 0.5 }], #{ lr: 0.2, momentum: 0.9 });
        b.forward(a.forward(torch::ones([1, 2]))).sum().backward();
        opt.step();
        assert_eq(opt.groups.map(|g| g.names()), [["0.weight", "0.bias"], ["1.b.weight", "1.b.bias"]]);
        assert_eq(opt.state()["1.b.weight.momentum_buffer"].shape, [1, 1]);
        opt.lr = 0.4;
        assert_eq(opt.groups.map(|g| g.lr), [0.2, 0.4]);
        opt.groups[0].lr = 0.3;
        opt.groups[1].weight_decay = 0.25;
        assert_eq(opt.groups.map(|g| [g.lr, g.weight_decay]), [[0.3, 0.0], [0.4, 0.25]]);
        assert_eq(`${opt}`, "sgd (4 tensors, 5 parameters, lr 0.4, 2 groups)");
        let other = optim::sgd([#{ params: a }, #{ params: #{ b: b } }], #{ momentum: 0.9 });
        other.load(opt.state());
        assert_eq(other.groups.map(|g| [g.lr, g.weight_decay]), [[0.3, 0.0], [0.4, 0.25]]);
    "#);
    fails("optim::adamw([#{ lr: 1 }])", "group 0 has no `params`");
    fails("optim::adamw([#{ params: nn::linear(1, 1), beta: [0, 0] }])", "unknown option `beta`");
    fails("optim::adamw([#{ params: nn::linear(1, 1) }, nn::linear(1, 1)])", "array of groups");
    fails("optim::sgd(nn::linear(1, 1), #{ nesterov: true })", "`nesterov` needs a `momentum`");
    fails("optim::adamw([])", "no parameters");
    fails("optim::adamw([1])", "argument `params` must be a module");
    fails("optim::adamw([torch::ones([1])])", "frozen");
    fails("optim::adamw([torch::ones([1]).requires_grad_()], #{ learning_rate: 1 })", "unknown option");
    fails("optim::adamw([torch::ones([1]).requires_grad_()], #{ betas: [0.9] })", "two numbers");
    fails("optim::adamw([torch::ones([1]).requires_grad_()]).load(#{ x: 1 })", "must be a tensor");
    fails("optim::ema(nn::linear(1, 1), 2)", "from 0 to 1");
    fails("optim::grad_scaler().update()", "before any `step`");
    fails("optim::clip_grad_norm([torch::ones([1])], -1)", "above 0");
}

#[test]
fn files_by_extension() {
    let data = |name: &str| format!("{}/tests/data/pt/{name}", env!("CARGO_MANIFEST_DIR"));
    run(&format!(
        r#"
        let c = io::load("{}");
        assert_eq(c.steps, 1234);
        assert_eq(c.args.model, "SiT-XL/2");
        assert_eq(c.args.betas, [0.9, 0.999]);
        assert_eq(c.ema["fc.weight"].shape, [2, 3]);
        assert_eq(c.opt.state["0"].step.item(), 1.0);
        assert_eq(c.big, 1208925819614629174706176.0);
        let ema = io::load("{}", #{{ key: "ema" }});
        assert_eq(ema["bn.weight"].to_array(), io::load("{}", #{{ weights: true }})["bn.weight"].to_array());
        assert_eq(io::load("{}")["w"].shape, [4]);
        assert_eq(io::load("{}").a.shape, [2, 3]);
        let d = io::temp_dir();
        io::save(d + "/n.safetensors", #{{ a: #{{ w: torch::ones([2]) }}, b: torch::zeros([1], #{{ dtype: "bf16" }}) }});
        assert_eq(io::load(d + "/n.safetensors")["a.w"].to_array(), [1.0, 1.0]);
        io::save(d + "/s.json", #{{ t: torch::tensor([[1, 2]]), x: torch::tensor(0.5), s: "a", n: () }});
        assert_eq(io::load(d + "/s.json"), #{{ t: [[1, 2]], x: 0.5, s: "a", n: () }});
        io::save(d + "/s.txt", "hello");
        assert_eq(io::load(d + "/s.txt"), "hello");
    "#,
        data("checkpoint.pt"),
        data("checkpoint.pt"),
        data("checkpoint_legacy.pth"),
        data("evil.pt"),
        data("arrays.npz"),
    ));
    let picture = format!("{}/tests/data/avatars64", env!("CARGO_MANIFEST_DIR"));
    let first = walkdir::WalkDir::new(picture).into_iter().filter_map(Result::ok).find(|e| e.path().extension().is_some_and(|x| x == "png"));
    run(&format!(r#"let x = io::load("{}"); assert_eq([x.dtype, x.shape], ["u8", [3, 64, 64]]);"#, first.unwrap().path().display()));
    fails(&format!(r#"io::load("{}", #{{ key: "emaa" }})"#, data("checkpoint.pt")), "did you mean `ema`");
    fails(r#"io::load("x.safetensor")"#, "did you mean `safetensors`");
    fails(r#"io::load("/no/such.npy")"#, "cannot open");
    fails(r#"io::save("/no/such/folder/x.npy", torch::zeros([1]))"#, "cannot create");
    fails(r#"io::save(io::temp_dir() + "/x.npz", #{ a: torch::zeros([1], #{ dtype: "bf16" }) })"#, "bf16");
    fails(r#"io::save(io::temp_dir() + "/x.safetensors", #{ a: 1 })"#, "must be a tensor");
    fails(r#"io::save(io::temp_dir() + "/x.onnx", #{})"#, "not known");
    fails(r#"let w = io::npz_writer(io::temp_dir() + "/x.npz"); w.begin("a", [2], "f32"); w.finish()"#, "lacks 2 rows");
    fails(&format!(r#"io::load("{}")"#, data("script.pt")), "TorchScript");
}
