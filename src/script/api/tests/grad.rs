//! `torch::grad` against `torch.autograd.grad`: tests/data/autograd holds PyTorch's values, and the script that wrote them.

use super::{fails, run};

const SETUP: &str = r#"
    let x = torch::tensor([0.5, -1.25, 2.0]).requires_grad_();
    let w = torch::tensor([[0.5, 0.25, -0.125], [0.75, -0.5, 0.25]]).requires_grad_();
    let hidden = || (w @ x).tanh();
    let want = io::load("tests/data/autograd/expected.json");
    let same = |got, want| {
        assert_eq(got.len(), want.len());
        // float32, a handful of operations.
        for i in 0..got.len() { if want[i] == () { assert_eq(got[i], ()); } else { assert_close(got[i], torch::tensor(want[i]), #{ rtol: 1e-5, atol: 1e-7 }); } }
    };
"#;

#[test]
fn gradients_are_pytorch_s() {
    run(&format!(
        "{SETUP}{}",
        r#"
        same.call(torch::grad(hidden.call().square().sum(), [x, w]), want.scalar);
        same.call(torch::grad(hidden.call(), [x, w], #{ grad_outputs: torch::tensor([1.5, -2.0]) }), want.vector);
        same.call(torch::grad([hidden.call(), (x * x).sum()], x, #{ grad_outputs: [torch::tensor([1.0, 3.0]), ()] }), want.two_outputs);
        let unused = torch::ones([2]).requires_grad_();
        same.call(torch::grad(hidden.call().sum(), [x, unused], #{ allow_unused: true }), want.unused);
        let first = torch::grad(hidden.call().sum(), x, #{ create_graph: true })[0];
        same.call(torch::grad(first.square().sum(), [x, w]), want.second);
        assert_eq(x.grad, ());
        assert_eq(w.grad, ());
    "#
    ));
}

#[test]
fn a_graph_is_kept_where_it_is_asked_for() {
    run(r#"
        let w = torch::tensor([3.0]).requires_grad_();
        let y = (w * w).sum();
        assert_eq(torch::grad(y, w, #{ retain_graph: true })[0].item(), 6.0);
        assert_eq(torch::grad(y, w)[0].item(), 6.0);
        // Of what lies between, too, and not only of leaves.
        let h = w * 2;
        assert_eq(torch::grad((h * h).sum(), h)[0].item(), 12.0);
    "#);
    let once = "let w = torch::ones([1]).requires_grad_(); let y = (w * w).sum(); torch::grad(y, w); ";
    fails(&format!("{once} torch::grad(y, w);"), "second time");
}

#[test]
fn what_cannot_be_is_refused() {
    let w = "let w = torch::ones([2]).requires_grad_(); ";
    fails(&format!("{w} torch::grad(w * w, w)"), "scalar");
    fails(&format!("{w} torch::grad(w.sum(), torch::ones([2]))"), "not require grad");
    fails(&format!("{w} torch::grad(w.sum(), torch::ones([2]).requires_grad_())"), "allow_unused");
    fails(&format!("{w} torch::grad(torch::ones([]), w)"), "grad");
    fails(&format!("{w} torch::grad(w.sum(), w, #{{ grad_outputs: [(), ()] }})"), "1 outputs, but 2 of their gradients");
    fails(&format!("{w} torch::grad(w.sum(), w, #{{ retain_grap: true }})"), "unknown option `retain_grap`, did you mean `retain_graph`?");
    fails(&format!("{w} torch::grad(w.sum(), [])"), "");
    fails(&format!("{w} torch::grad(w.sum(), 3)"), "a tensor or an array of tensors");
}
