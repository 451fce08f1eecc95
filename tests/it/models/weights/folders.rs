//! Folders of diffusers, pipelines, shards.

use super::{bad, golden, good};
use serde_json::{Value, json};
use std::path::Path;

/// A folder as `AutoencoderKL.save_pretrained` writes it, from the fixture.
fn diffusers(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::copy(golden("loader_diffusers_weights.safetensors"), folder.join("diffusion_pytorch_model.safetensors")).unwrap();
    let io: Value = serde_json::from_str(&std::fs::read_to_string(golden("loader_io.json")).unwrap()).unwrap();
    std::fs::write(folder.join("config.json"), io["diffusers_config"].to_string()).unwrap();
}

/// The fixture's input through the autoencoder `vae`, against the numbers of the reference.
const NUMBERS: &str = r#"
    let io_ = io::load(`${golden}/vae/loader_io.safetensors`);
    fn check(vae, io_) {
        vae.eval();
        assert_close(torch::no_grad(|| vae.moments(io_.x)), io_.moments, #{rtol: 0.0, atol: 1e-5 * max(1.0, io_.moments.abs().max().item())});
    }
"#;

#[test]
fn a_folder_gives_architecture_and_weights() {
    let dir = tempfile::tempdir().unwrap();
    diffusers(&dir.path().join("vae-alone"));
    diffusers(&dir.path().join("pipeline/vae"));
    std::fs::create_dir_all(dir.path().join("pipeline/scheduler")).unwrap();
    good(
        dir.path(),
        &format!(
            r#"{NUMBERS}
            check(models::vae(`${{dir}}/vae-alone`), io_);
            check(models::vae(`${{dir}}/pipeline`), io_);
            // As weights of an architecture that is given.
            let config = #{{ch: 32, ch_mult: [1, 2], num_res_blocks: 1, attn_resolutions: [16], resolution: 32}};
            check(models::vae(config, #{{weights: `${{dir}}/pipeline`}}), io_);
            check(models::vae(config, #{{weights: `${{dir}}/pipeline`, key: "vae"}}), io_);
            let vae = models::vae(config);
            vae.load(`${{dir}}/vae-alone`);
            check(vae, io_);
            assert_eq(io::load(`${{dir}}/vae-alone`).len(), vae.state().len());
            assert_eq(io::load(`${{dir}}/pipeline`).vae.len(), vae.state().len());
            // The same as a .bin, and as shards of both formats.
            let all = io::load(`${{dir}}/vae-alone`);
            io::save(`${{dir}}/pytorch.bin`, all);
            vae.load(`${{dir}}/pytorch.bin`);
            check(vae, io_);
            {SHARDS}
        "#
        ),
    );
}

const SHARDS: &str = r#"
    for ending in ["safetensors", "bin"] {
        let halves = [#{}, #{}];
        let map = #{};
        let i = 0;
        for name in all.keys() {
            halves[i % 2][name] = all[name];
            map[name] = `part-${i % 2}.${ending}`;
            i += 1;
        }
        for k in 0..2 { io::save(`${dir}/part-${k}.${ending}`, halves[k]); }
        io::save(`${dir}/all.${ending}.index.json`, #{metadata: #{}, weight_map: map});
        vae.load(`${dir}/all.${ending}.index.json`);
        check(vae, io_);
        assert_eq(io::load(`${dir}/all.${ending}.index.json`).len(), all.len());
    }
"#;

#[test]
fn folders_that_cannot_be_used_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::create_dir(dir.join("empty")).unwrap();
    bad(dir, "models::vae(`${dir}/empty`)", &["E0302", "config.json"]);
    bad(dir, "models::vae(\"f8d4\", #{weights: `${dir}/empty`})", &["E0302", "diffusion_pytorch_model.safetensors"]);
    diffusers(&dir.join("hf"));
    let path = dir.join("hf/config.json");
    let whole: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let with = |key: &str, value: Value| {
        let mut config = whole.clone();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
    };
    let load = "models::vae(`${dir}/hf`)";
    for (key, value, words) in [
        ("_class_name", json!("AutoencoderDC"), ["AutoencoderDC", "config.json"]),
        ("mid_block_add_attention", json!(false), ["mid_block_add_attention", "config.json"]),
        ("block_out_channels", json!([32, 48]), ["48", "no multiple"]),
        ("block_out_channels", json!([]), ["block_out_channels", "1 to 8"]),
        ("block_out_channels", json!([1e300]), ["block_out_channels", "1 to 8"]),
        ("latent_channels", json!(-4), ["latent_channels", "no size"]),
        ("layers_per_block", json!(1_000_000_000), ["layers_per_block", "no size"]),
        ("up_block_types", json!(["UpDecoderBlock2D", "UpDecoderBlock2D"]), ["different levels", "decoder"]),
        ("down_block_types", json!(["DownEncoderBlock2D"]), ["1 entries", "2 levels"]),
        ("act_fn", json!("gelu"), ["gelu", "silu"]),
        ("layers_per_block", json!(2), ["E0401", "missing"]),
        ("norm_num_groups", json!(5), ["E0202", "norm_groups"]),
    ] {
        with(key, value);
        bad(dir, load, &words);
    }
    std::fs::write(&path, "{").unwrap();
    bad(dir, load, &["E0302", "config.json"]);
    // Two variants and no plain file; an index that lies.
    std::fs::write(&path, whole.to_string()).unwrap();
    let plain = dir.join("hf/diffusion_pytorch_model.safetensors");
    std::fs::copy(&plain, dir.join("hf/diffusion_pytorch_model.fp16.safetensors")).unwrap();
    std::fs::rename(&plain, dir.join("hf/diffusion_pytorch_model.ema.safetensors")).unwrap();
    bad(dir, load, &["several variants", "fp16"]);
    std::fs::remove_file(dir.join("hf/diffusion_pytorch_model.ema.safetensors")).unwrap();
    good(dir, load);
    let index = |map: Value| std::fs::write(dir.join("x.index.json"), json!({ "weight_map": map }).to_string()).unwrap();
    let load = "models::vae(\"f8d4\", #{weights: `${dir}/x.index.json`})";
    index(json!({ "a": "gone.safetensors" }));
    bad(dir, load, &["shard `gone.safetensors` is missing"]);
    index(json!({ "a": "../x.safetensors" }));
    bad(dir, load, &["no name of a file beside the index"]);
    index(json!({ "a": "hf" }));
    bad(dir, load, &["shard `hf` is missing"]);
    std::fs::copy(golden("loader_ldm_weights.safetensors"), dir.join("y.safetensors")).unwrap();
    index(json!({ "a": "y.safetensors" }));
    bad(dir, load, &["`a` is not in the shard"]);
    std::fs::write(dir.join("x.index.json"), "[]").unwrap();
    bad(dir, load, &["weight_map"]);
}
