//! Checkpoints as others write them, each kind made here of the networks of `joint.pt`.

use super::{bad, good};

/// `base` and `ema`, two autoencoders as maps of tensors, and `same(module, map)`.
const VAES: &str = r#"
    let base = models::vae(vae_config).state();
    let ema = models::vae(vae_config).state();
    fn same(m, want) {
        let state = m.state();
        assert_eq(state.len(), want.len());
        for name in want.keys() { assert(state[name] == want[name], name); }
    }
"#;

#[test]
fn vavae_lightning() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        &format!(
            r#"{VAES}
            let state = base + #{{"foundation_model.model.cls_token": torch::zeros([1, 1, 8]), "linear_proj.weight": torch::zeros([8, 2, 1, 1]),
                "loss.logvar": torch::zeros([1]), "loss.perceptual_loss.lin0.model.1.weight": torch::zeros([1, 64, 1, 1])}};
            io::save(`${{dir}}/vavae.ckpt`, #{{epoch: 3, global_step: 777, state_dict: state, optimizer_states: [#{{state: #{{"0": #{{exp_avg: torch::zeros([3])}}}}}}]}});
            same(models::vae(vae_config, #{{weights: `${{dir}}/vavae.ckpt`}}), base);
            // What is missing or misspelt within the autoencoder is still an error, and so is another kind of autoencoder.
            io::save(`${{dir}}/odd.ckpt`, #{{state_dict: state + #{{"encoder.extra.weight": torch::zeros([1])}}}});
            io::save(`${{dir}}/vq.ckpt`, #{{state_dict: state + #{{"quantize.embedding.weight": torch::zeros([4, 2])}}}});
        "#
        ),
    );
    bad(dir.path(), "models::vae(vae_config, #{weights: `${dir}/odd.ckpt`})", &["E0401", "1 unexpected", "encoder.extra.weight"]);
    bad(dir.path(), "models::vae(vae_config, #{weights: `${dir}/vq.ckpt`})", &["E0401", "1 unexpected", "quantize.embedding.weight"]);
}

#[test]
fn ldm_litema() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        &format!(
            r#"{VAES}
            fn flat(state) {{
                let out = #{{"model_ema.decay": torch::tensor(0.9999), "model_ema.num_updates": torch::tensor(5)}};
                for name in state.keys() {{ let word = name; word.replace(".", ""); out[`model_ema.${{word}}`] = state[name]; }}
                out
            }}
            io::save(`${{dir}}/both.ckpt`, #{{state_dict: base + flat(ema)}});
            io::save(`${{dir}}/average.ckpt`, #{{state_dict: flat(ema)}});
            io::save(`${{dir}}/flat.safetensors`, base + flat(ema));
            same(models::vae(vae_config, #{{weights: `${{dir}}/both.ckpt`}}), base);
            same(models::vae(vae_config, #{{weights: `${{dir}}/both.ckpt`, key: "model_ema"}}), ema);
            same(models::vae(vae_config, #{{weights: `${{dir}}/average.ckpt`}}), ema);
            same(models::vae(vae_config, #{{weights: `${{dir}}/flat.safetensors`}}), base);
            same(models::vae(vae_config, #{{weights: `${{dir}}/flat.safetensors`, key: "model_ema"}}), ema);
            // A layer without an import of its own.
            let m = nn::linear(2, 3);
            io::save(`${{dir}}/linear.pt`, m.state() + #{{"ema.decay": torch::tensor(0.9), "ema.num_updates": torch::tensor(1), "ema.weight": m.weight, "ema.bias": m.bias}});
            nn::linear(2, 3).load(`${{dir}}/linear.pt`);
        "#
        ),
    );
}

#[test]
fn inner_wrappers() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        &format!(
            r#"{VAES}
            fn wrapped(state, word) {{
                let out = #{{}};
                for name in state.keys() {{
                    let parts = name.split(".");
                    let made = parts[0];
                    if parts.len() > 2 {{ made += "." + word; }}
                    for i in 1..parts.len() {{ made += "." + parts[i]; }}
                    out[made] = state[name];
                }}
                out
            }}
            for word in ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module", "_orig_mod._checkpoint_wrapped_module"] {{
                for before in ["", "module.", "_orig_mod.module."] {{
                    let state = #{{}};
                    let inner = wrapped(base, word);
                    for name in inner.keys() {{ state[before + name] = inner[name]; }}
                    io::save(`${{dir}}/x.pt`, #{{model: state}});
                    same(models::vae(vae_config, #{{weights: `${{dir}}/x.pt`}}), base);
                }}
            }}
            let sit = models::sit(sit_config);
            let state = #{{}};
            for name in sit.state().keys() {{
                let made = name;
                if name.starts_with("blocks.0.") {{ made.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module."); }}
                state[made] = sit.state()[name];
            }}
            io::save(`${{dir}}/sit.pt`, #{{ema: state}});
            same(models::sit(sit_config, #{{weights: `${{dir}}/sit.pt`}}), sit.state());
            // A group of one's own, wrapped at its parts and as a whole.
            let group = nn::group();
            group.body = nn::linear(2, 3);
            io::save(`${{dir}}/group.pt`, #{{"module.body._orig_mod.weight": group.body.weight, "module.body._orig_mod.bias": group.body.bias}});
            group.load(`${{dir}}/group.pt`);
            // A part that is called like a wrapper keeps its name.
            let own = nn::group();
            own.module = nn::linear(2, 3);
            own.save(`${{dir}}/own.pt`);
            own.load(`${{dir}}/own.pt`);
        "#
        ),
    );
}

#[test]
fn no_quant_conv() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        &format!(
            r#"{VAES}
            let flux = base + #{{}};
            for name in base.keys() {{ if "quant_conv" in name {{ flux.remove(name); }} }}
            io::save(`${{dir}}/flux.safetensors`, flux);
            let vae = models::vae(vae_config, #{{weights: `${{dir}}/flux.safetensors`}});
            same(vae, flux);
            // Without the convolutions the encoder's output are the moments, and the decoder takes the latent as it is.
            vae.eval();
            let x = torch::rand([1, 3, 8, 8]);
            assert_eq(vae.moments(x).shape, [1, 4, 4, 4]);
            let identity = base + #{{}};
            identity["quant_conv.weight"] = torch::eye(4).view([4, 4, 1, 1]);
            identity["quant_conv.bias"] = torch::zeros([4]);
            identity["post_quant_conv.weight"] = torch::eye(2).view([2, 2, 1, 1]);
            identity["post_quant_conv.bias"] = torch::zeros([2]);
            let full = models::vae(vae_config, #{{weights: identity}});
            full.eval();
            assert_close(full.moments(x), vae.moments(x), #{{atol: 1e-5}});
            assert_close(full.decode(x.narrow(1, 0, 2)), vae.decode(x.narrow(1, 0, 2)), #{{atol: 1e-5}});
            // As a map, with a prefix, and as an architecture of one's own.
            same(models::vae(vae_config, #{{weights: flux}}), flux);
            assert_eq(models::vae(vae_config + #{{use_quant_conv: false, use_post_quant_conv: false}}).state().len(), flux.len());
            assert_eq(models::vae_config(`${{dir}}/flux.safetensors`, #{{norm_groups: 2}}).use_quant_conv, false);
            let sd3 = models::vae("f8d16").state();
            assert_eq(sd3["encoder.conv_out.weight"].shape[0], 32);
            assert(!("quant_conv.weight" in sd3), "FLUX and Stable Diffusion 3 have none");
        "#
        ),
    );
    bad(
        dir.path(),
        "models::vae(vae_config + #{use_quant_conv: true}, #{weights: `${dir}/flux.safetensors`})",
        &["E0401", "2 missing", "`quant_conv.weight`"],
    );
    bad(dir.path(), "models::vae(vae_config + #{use_quant_conv: false, embed_dim: 3})", &["E0202", "embed_dim 3 must be z_channels 2"]);
}

#[test]
fn sit_without_bn_counters() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        r#"
        let state = models::sit(sit_config).state();
        state.remove("bn.num_batches_tracked");
        io::save(`${dir}/counters.pt`, #{ema: state});
        let sit = models::sit(sit_config, #{weights: `${dir}/counters.pt`});
        assert_eq(sit.state()["bn.num_batches_tracked"].item(), 0);
        // The counters of a discriminator, whose norms have weights.
        let disc = models::discriminator(disc_config).state();
        for name in disc.keys() { if name.ends_with("num_batches_tracked") { disc.remove(name); } }
        models::discriminator(disc_config + #{weights: disc});
        // REPA's: no statistics of the latents at all.
        state.remove("bn.running_mean");
        state.remove("bn.running_var");
        io::save(`${dir}/repa.pt`, #{ema: state});
        let sit = models::sit(sit_config);
        let report = sit.load(`${dir}/repa.pt`, #{optional: ["bn."]});
        assert_eq(report.missing, ["bn.running_mean", "bn.running_var", "bn.num_batches_tracked"]);
        sit.init_bn(torch::full([2], 2.0), torch::full([2], 1.0));
        assert_eq(sit.latent_stats().scale.flatten().to_array(), [2.0, 2.0]);
        state.remove("pos_embed");
        io::save(`${dir}/less.pt`, #{ema: state});
    "#,
    );
    bad(
        dir.path(),
        "models::sit(sit_config, #{weights: `${dir}/repa.pt`})",
        &["E0401", "3 missing", "`bn.running_mean`", "--latents-stats", "init_bn"],
    );
    bad(dir.path(), "models::sit(sit_config).load(`${dir}/less.pt`, #{optional: [\"bn.\"]})", &["E0401", "1 missing", "`pos_embed`"]);
}

/// A tensor of a type that nobody knows is no matter where nobody reads it, and named where somebody does.
#[test]
fn foreign_dtype_beside() {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path(), &format!("{VAES} io::save(`${{dir}}/vae.safetensors`, base);"));
    let bytes = std::fs::read(dir.path().join("vae.safetensors")).unwrap();
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    let write = |name: &str, change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>), more: &[u8]| {
        let mut header = header.clone();
        change(&mut header);
        let text = serde_json::to_vec(&header).unwrap();
        std::fs::write(dir.path().join(name), [&(text.len() as u64).to_le_bytes()[..], &text, &bytes[8 + n..], more].concat()).unwrap();
    };
    let end = bytes.len() - 8 - n;
    let odd = serde_json::json!({"dtype": "F4_E2M1", "shape": [3], "data_offsets": [end, end + 2]});
    write("beside.safetensors", &|h| drop(h.insert("model.diffusion_model.x".into(), odd.clone())), &[1, 2]);
    write("needed.safetensors", &|h| h["encoder.conv_in.weight"]["dtype"] = "F4_E2M1".into(), &[]);
    good(dir.path(), "models::vae(vae_config, #{weights: `${dir}/beside.safetensors`});");
    bad(
        dir.path(),
        "models::vae(vae_config, #{weights: `${dir}/needed.safetensors`})",
        &["E0302", "`encoder.conv_in.weight` (F4_E2M1)", "not known", "bf16"],
    );
}

#[test]
fn a_distributed_checkpoint_loads_like_a_file() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        r#"
        let m = nn::group();
        m.rows = nn::parameter(torch::zeros([5, 3]));
        m.columns = nn::parameter(torch::zeros([5, 3]));
        m.whole = nn::parameter(torch::zeros([3]));
        m.load(`${data}/distributed`);
        assert_eq(m.whole.to_array(), [100.0, 101.0, 102.0]);
        m.load(`${data}/distributed`, #{key: "model"});
        assert_eq(m.rows.to_array()[4], [12.0, 13.0, 14.0]);
        assert_eq(m.columns.to_array()[4], [24.0, 26.0, 28.0]);
        assert_eq(io::load(`${data}/distributed`).model.rows.shape, [5, 3]);
    "#,
    );
}

#[test]
fn sizes_are_read_from_the_weights() {
    let dir = tempfile::tempdir().unwrap();
    good(
        dir.path(),
        r#"
        let path = `${data}/joint.pt`;
        let sizes = models::sit_config(path);
        for name in ["depth", "hidden", "patch", "input_size", "in_channels", "num_classes", "z_dims", "projector_dim"] {
            assert_eq(sizes[name], sit_config[name], name);
        }
        assert(!("heads" in sizes), "no published network has these sizes");
        models::sit(sizes + #{heads: 2}, #{weights: path});
        models::vae(models::vae_config(path, #{norm_groups: 2}), #{weights: path});
        assert_eq(models::kinds(path), ["vae", "sit", "discriminator"]);
        assert_eq(models::sit_config(#{"x_embedder.proj.weight": [384, 4, 2, 2], "pos_embed": [1, 256, 384], "blocks.0.mlp.fc1.weight": [1536, 384],
            "y_embedder.embedding_table.weight": [1001, 384]}).num_classes, 1000);
    "#,
    );
    bad(dir.path(), "models::sit_config(`${data}/state.pt`)", &["E0401", "holds no SiT"]);
}
