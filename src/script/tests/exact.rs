//! Ints keep all of their digits on the way into a tensor, out of it and through a comparison, and what has no place in a dtype is an error.

use super::engine;

#[test]
fn ints_keep_their_digits() {
    let most = "9223372036854775807";
    // The first int that f64 does not hold.
    let odd = "9007199254740993";
    for n in [most, odd, "-9007199254740993"] {
        for code in [
            format!("torch::where(torch::tensor([false]), torch::tensor([1]), {n})"),
            format!("torch::tensor([1]).where(torch::tensor([false]), {n})"),
            format!("torch::tensor([1]).scatter(0, torch::tensor([0]), {n})"),
            format!("torch::tensor([1]).fill_({n})"),
            format!("torch::tensor([1]).full_like({n})"),
            format!("torch::full([1], {n})"),
            format!("torch::tensor([torch::tensor({n})])"),
            format!("let y = torch::tensor([1]); y[0] = {n}; y"),
            format!("let y = torch::tensor([1]); y[[0]] = {n}; y"),
            format!("let y = torch::tensor([1]); y[y > 0] = {n}; y"),
            format!("torch::tensor([1]).masked_fill(torch::tensor([true]), {n})"),
        ] {
            let got = engine().eval(&format!("let made = {{ {code} }}; `${{made.dtype}} ${{made.to_array()}} ${{made}}`")).unwrap();
            assert_eq!(got.to_string(), format!("i64 [{n}] tensor[1] i64 [{n}]"), "{code}");
        }
    }
    let e = engine().eval("assert_eq(torch::tensor([9007199254740992]), torch::tensor([9007199254740993]))").unwrap_err();
    assert!(e.to_string().contains("9007199254740993"), "{e}");
    drop(engine().eval("assert_eq(torch::tensor([9007199254740993]), torch::tensor([9007199254740993]))").unwrap());
}

#[test]
fn scalars_in_arrays_keep_their_kind() {
    for (code, want) in [
        ("torch::tensor([torch::tensor(16777217), 2])", "tensor[2] i64 [16777217, 2]"),
        ("torch::tensor([torch::tensor(true), false])", "tensor[2] bool [true, false]"),
        ("torch::tensor([torch::tensor(true), 2])", "tensor[2] i64 [1, 2]"),
        ("torch::tensor([torch::tensor(1.5), torch::tensor(2)])", "tensor[2] f32 [1.5, 2]"),
    ] {
        assert_eq!(engine().eval(&format!("`${{{code}}}`")).unwrap().to_string(), want, "{code}");
    }
}

#[test]
fn ints_that_a_dtype_does_not_have_are_refused() {
    for code in [
        "torch::tensor([300, -1], #{ dtype: \"u8\" })",
        "torch::tensor([1, 128], #{ dtype: \"i8\" })",
        "torch::tensor(1 << 31, #{ dtype: \"i32\" })",
        "let u = torch::tensor([1, 2], #{ dtype: \"u8\" }); u[[0]] = 300; u",
        "let u = torch::tensor([1, 2], #{ dtype: \"u8\" }); u[0] = 300; u",
        "torch::tensor([1, 2], #{ dtype: \"u8\" }).fill_(300)",
    ] {
        let e = engine().eval(code).map(|v| v.to_string()).expect_err(code);
        assert!(["E0201", "E0202"].contains(&e.code()), "{code}: {e}");
    }
    assert_eq!(engine().eval("`${torch::tensor([255, -1], #{ dtype: \"u8\" })}`").unwrap().to_string(), "tensor[2] u8 [255, 255]");
}

#[test]
fn features_and_points_of_any_scale_have_figures_or_an_error() {
    for scale in ["1.0", "1e19", "1e-25"] {
        let code = format!(
            "let x = (torch::rand([50, 4], #{{ dtype: \"f64\" }}) + 1.0) * {scale}; let r = eval::precision_recall(x, x); `${{r.precision}} ${{r.recall}}`"
        );
        assert_eq!(engine().eval(&code).unwrap().to_string(), "1.0 1.0", "{scale}");
    }
    let e = engine()
        .eval("let x = torch::rand([50, 4], #{ dtype: \"f64\" }) * 1e200; eval::precision_recall(x, x, #{ precision: \"f64\" })")
        .unwrap_err();
    assert!(e.to_string().contains("have no squared distances in f64"), "{e}");
    for scale in ["1e20", "1e-25"] {
        let code = format!("probe::tsne(torch::randn([40, 3]) * {scale}, #{{ perplexity: 2, epochs: 30 }}).isfinite().all().item()");
        assert!(engine().eval(&code).unwrap().as_bool().unwrap(), "{scale}");
    }
}
