//! Numbers that a script names: an error that names the option comes before any memory is used.

use super::engine;
use std::time::{Duration, Instant};

/// Each fails at once with these words.
fn refused(cases: &[(&str, &str)]) {
    for (code, wanted) in cases {
        let start = Instant::now();
        let e = engine().eval(code).map(|v| v.to_string()).expect_err(code);
        assert!(e.to_string().contains(wanted), "{code}: {e}");
        assert!(!e.to_string().contains("internal error"), "{code}: {e}");
        // It would take minutes to make them.
        assert!(start.elapsed() < Duration::from_secs(20), "{code}: {:?}", start.elapsed());
    }
}

#[test]
fn empty_rows_without_number_make_no_arrays_texts_or_lists() {
    refused(&[
        ("torch::zeros([1073741824, 0]).to_array()", "[1073741824, 0] f32 is too large for an array"),
        ("torch::zeros([1]).expand([4611686018427387904, 0]).to_array()", "is too large for an array"),
        ("torch::zeros([4, 1 << 40, 0, 3]).to_array()", "is too large for an array"),
        ("io::save(io::temp_dir() + \"/x.json\", #{ a: torch::zeros([1073741824, 0]) })", "is too large for JSON"),
        ("io::save(io::temp_dir() + \"/x.json\", [torch::zeros([1 << 40, 0]).bool()])", "is too large for JSON"),
        ("for x in torch::zeros([1073741824, 0]) { print(x); }", "1073741824 parts"),
        ("torch::zeros([1073741824, 0]).unbind()", "1073741824 parts"),
        ("torch::zeros([1073741824, 0]).split(1)", "1073741824 parts"),
        ("torch::zeros([1073741824, 0]).chunk(1 << 30)", "1073741824 parts"),
    ]);
    // What is small stays possible, and printing never needs more than the shape.
    for (code, want) in [
        ("`${torch::zeros([2, 0]).to_array()}`", "[[], []]"),
        ("`${torch::zeros([1073741824, 0])}`", "tensor[1073741824, 0] f32 empty"),
        ("torch::zeros([1073741824, 0]).to_debug()", "tensor[1073741824, 0] f32 empty"),
        ("`${torch::zeros([6, 0]).chunk(3).len()}`", "3"),
    ] {
        assert_eq!(engine().eval(code).unwrap().to_string(), want, "{code}");
    }
}

#[test]
fn numbers_of_parts_and_rows_take_no_memory_before_there_is_any() {
    refused(&[
        ("torch::in_parts(1 << 40, 1 << 40, |i| torch::zeros([1]).randn_like())", "1099511627776 parts are more than 1048576 in all"),
        (
            "torch::in_parts(1 << 19, 1 << 19, |i| torch::in_parts(4, 4, |j| torch::randn([1])))",
            "4 parts of each of 524288 are more than 1048576 in all",
        ),
        ("torch::seeded_rows(0, torch::arange(2), || torch::rand([2, 1 << 55]))", "not enough memory"),
    ]);
}

#[test]
fn sizes_of_empty_tensors_overflow_nowhere() {
    refused(&[
        (
            "F::conv2d(torch::ones([1, 1, 4, 4]), torch::ones([1, 1, 3, 3]), #{ padding: \"same\", dilation: [4611686018427387905, 1] })",
            "`dilation` 4611686018427387905 of a window of [1, 1, 3, 3]",
        ),
        (
            "models::sit_config(#{ \"x_embedder.proj.weight\": [8, 4, 2, 2], \"pos_embed\": [1, 9223372036854775807, 1],\n\
             \"y_embedder.embedding_table.weight\": [2, 8], \"blocks.0.mlp.fc1.weight\": [2, 8] })",
            "its 9223372036854775807 positions are no square",
        ),
        (
            "models::sit_config(#{ \"x_embedder.proj.weight\": [1, 1, 4611686018427387904, 1], \"pos_embed\": [1, 4611686018427387904, 1],\n\
             \"y_embedder.embedding_table.weight\": [2, 8], \"blocks.0.mlp.fc1.weight\": [2, 8] })",
            "2147483648 patches of 4611686018427387904 in a row are too many",
        ),
        ("probe::components(torch::zeros([0, 9223372036854775807, 1]))", "9223372036854775807 tokens are no square grid"),
        ("probe::components(torch::zeros([1, 0, 1, 1]).expand([1099511627776, 0, 1048576, 1048576]))", "components of 0 channels"),
        ("io::save(io::temp_dir() + \"/x.pt\", #{ a: torch::zeros([0, 1, 1]).expand([0, 4611686018427387904, 8]) })", "no file holds the sizes"),
        (
            "let s = torch::op(\"as_strided\", [torch::zeros([0]), [2, 0, 4611686018427387904, 4], [1, 9000000000000000000, 4, 1]]);\n\
             torch::in_parts(2, 4, |i| s.randn_like())",
            "Stride calculation overflowed",
        ),
        (
            "let s = torch::op(\"as_strided\", [torch::zeros([0]), [0, 4611686018427387904, 4], [9000000000000000000, 4, 1]]);\n\
             optim::sgd([s.requires_grad_(), torch::ones([1]).requires_grad_()]); throw \"the end\"",
            "the end",
        ),
    ]);
}

#[test]
fn what_is_nested_too_deep_for_its_file_is_refused_before_it_is_written() {
    let deep = "let deep = 1; for i in 0..70 { deep = #{ a: deep }; }\n";
    let run = "let run = train::run(#{ output_dir: io::temp_dir(), exp_name: \"r\" });\n";
    for (code, name) in [
        (format!("{deep}{run}run.track(\"v\", deep);"), "`v`"),
        (format!("{deep}{run}run.track(\"v\", 1); run.v = [deep]; run.save();"), "`v`"),
        (format!("{deep}train::run(#{{ output_dir: io::temp_dir(), exp_name: \"r\", deep: deep }});"), "`deep`"),
        (format!("{deep}data::sample_writer(io::temp_dir() + \"/s\", #{{ total: 1, settings: #{{ a: deep }} }});"), "`a`"),
        (
            format!("{deep}data::latent_writer(io::temp_dir() + \"/l\", #{{ channels: 4, size: [8, 8], vae: \"none\", settings: #{{ b: deep }} }});"),
            "`b`",
        ),
    ] {
        refused(&[(&code, &format!("{name} is nested more than 48 deep"))]);
    }
    // What is as deep as is allowed comes back.
    let dir = tempfile::tempdir().unwrap();
    for (value, steps) in [("deep", 2), ("()", 3)] {
        let code = format!(
            "let deep = 1; for i in 0..48 {{ deep = #{{ a: deep }}; }}\n\
             let run = train::run(#{{ output_dir: {:?}, exp_name: \"r\", deep: deep }}); run.track(\"v\", {value});\n\
             train::fit(run, (), |r, b| #{{ loss: 1.0 }}, #{{ steps: {steps} }});\n\
             assert(`${{run.v}}` == `${{deep}}` && `${{run.cfg.deep}}` == `${{deep}}`);",
            dir.path()
        );
        drop(engine().eval(&code).unwrap());
    }
}

#[test]
fn names_of_the_lines_own_keys_are_no_metrics() {
    let run = "let run = train::run(#{ output_dir: io::temp_dir(), exp_name: \"r\" });\n";
    for name in ["step", "time", "edit"] {
        refused(&[
            (
                &format!("{run}train::fit(run, (), |r, b| #{{ loss: 1.0, {name}: 7.0 }}, #{{ steps: 3 }});"),
                &format!("no metric can be called `{name}`"),
            ),
            (&format!("{run}run.resume(); run.log(#{{ {name}: 7.0 }});"), &format!("no metric can be called `{name}`")),
        ]);
    }
    drop(engine().eval(&format!("{run}train::fit(run, (), |r, b| {{ r.step = 10; #{{ loss: 0.5 }} }}, #{{ steps: 3, log_every: 1 }});")).unwrap());
}

#[test]
fn sizes_of_networks_are_bounded_and_named() {
    refused(&[
        ("models::vae(#{ num_res_blocks: 1000000000 })", "`num_res_blocks` must be at most 1024, got 1000000000"),
        ("models::vae(#{ ch: 1 << 60 })", "`ch` must be at most"),
        ("models::vae(#{ ch_mult: [1, 1 << 40] })", "`ch_mult` must be at most"),
        ("models::vae(#{ ch: 1 << 19, ch_mult: [1, 4] })", "`ch * ch_mult` must be at most"),
        ("let m = []; for i in 0..100 { m.push(1); } models::vae(#{ ch_mult: m })", "`ch_mult` must have 1 to 16 levels, got 100"),
        ("models::vae(#{ z_channels: 1 << 40 })", "`z_channels` must be at most"),
        ("models::vae(#{ z_channels: 0 })", "`z_channels` must be at least 1, got 0"),
        ("models::vae(#{ resolution: 1 << 62 })", "`resolution` must be at most"),
        ("models::sit(#{ depth: 1 << 40, hidden: 64, heads: 4 })", "`depth` must be at most 1024"),
        ("models::sit(#{ depth: 2, hidden: 1 << 40, heads: 4 })", "`hidden` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 1 << 40 })", "`heads` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, mlp_ratio: 1e300 })", "`hidden * mlp_ratio` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, input_size: 1 << 40, patch: 1 })", "`input_size` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, patch: 0 })", "`patch` must be at least 1, got 0"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, num_classes: 1 << 50 })", "`num_classes` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, z_dims: [1 << 50] })", "`z_dims` must be at most"),
        ("models::sit(#{ depth: 2, hidden: 64, heads: 4, projector_dim: 1 << 50 })", "`projector_dim` must be at most"),
        ("models::discriminator(#{ ndf: 1 << 60 })", "`ndf` must be at most"),
        ("models::discriminator(#{ layers: 1 << 60 })", "layers 1 to 16"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, depth: 1 << 40 })", "`depth` must be at most 1024"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, embed_dim: 1 << 40 })", "`embed_dim` must be at most"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, heads: 1 << 40 })", "`heads` must be at most"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, pos_grid: 1 << 40 })", "`pos_grid` must be at most"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, registers: 1 << 40 })", "`registers` must be"),
        ("models::encoder(\"dinov2-vit-b\", #{ pretrained: false, resolution: 14 << 40 })", "resolution"),
        ("nn::linear(1 << 62, 2)", "`inputs` must be at most"),
        ("nn::conv2d(2, 2, [1 << 40, 1 << 40])", "`kernel_size` must be at most"),
        ("nn::conv2d(1 << 40, 2, 1)", "`inputs` must be at most"),
        ("nn::layer_norm(1 << 50)", "`dim` must be at most"),
        ("nn::group_norm(1, 1 << 50)", "`channels` must be at most"),
        ("nn::batch_norm2d(1 << 50)", "`channels` must be at most"),
        ("nn::embedding(1 << 50, 4)", "`rows` must be at most"),
        ("nn::attention(1 << 60, 1)", "`dim` must be at most"),
        ("nn::mlp(4, 1 << 60)", "`hidden` must be at most"),
        ("nn::patch_embed(3, 4, 1 << 60)", "`patch` must be at most"),
        ("nn::transformer_block(64, 4, #{ mlp_ratio: 1e300 })", "`dim * mlp_ratio` must be at most"),
        ("nn::transformer_block(1 << 60, 4)", "`dim` must be at most"),
        ("nn::sincos_2d(1 << 40, 4, 4)", "`dim` must be at most"),
        ("nn::sincos_2d(4, 1 << 60, 4)", "`height` must be at most"),
    ]);
}
