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
        ("torch::in_parts(1 << 40, 1 << 41, |i| throw \"the first part\")", "the first part"),
        ("torch::seeded_rows(0, torch::arange(2), || torch::rand([2, 1 << 55]))", "not enough memory"),
    ]);
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
