//! The right part of a checkpoint, and refusals.

use super::{bad, good};

#[test]
fn each_network_finds_its_part_of_a_joint_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    // Tensor i of a network holds base + i: the values tell which part was taken, and that names were not mixed up.
    good(
        dir.path(),
        r#"
        let shapes = io::load(`${data}/joint.json`);
        for file in ["joint.pt", "joint_legacy.pth"] {
            let path = `${data}/${file}`;
            let vae = models::vae(vae_config, #{weights: path});
            assert(vae.state()["quant_conv.bias"][0].item() >= 2000.0 && vae.state()["quant_conv.bias"][0].item() < 3000.0);
            let disc = models::discriminator(disc_config + #{weights: path});
            assert(disc.state()["main.0.weight"].min().item() >= 3000.0);
            let sit = models::sit(sit_config, #{weights: path});
            let average = sit.state()["bn.running_mean"][0].item();
            assert(average >= 1000.0 && average < 2000.0, "the moving average, not the last step");
            let raw = models::sit(sit_config, #{weights: path, key: "model"});
            assert_close(average - raw.state()["bn.running_mean"][0].item(), 1000.0);
            // Every tensor of every part, against the file as data.
            let all = io::load(path);
            for pair in [["vae", vae], ["ema", sit], ["model", raw], ["discriminator", disc]] {
                let state = pair[1].state();
                assert_eq(state.len(), all[pair[0]].len());
                for name in state.keys() { assert(state[name] == all[pair[0]][name], name); }
            }
            assert_eq(all.args.model, "SiT-XL/1");
            assert_eq(all.steps, 400000);
            assert_eq(all.opt.state["0"].exp_avg.shape, all.opt.state["0"].exp_avg_sq.shape);
            assert_eq(all.opt.param_groups[0].lr, 0.0001);
            // The method: a key, a part that is another network's, a part that is not there.
            let report = vae.load(path, #{key: "vae"});
            assert_eq(report.missing + report.unexpected + report.mismatched, []);
        }
    "#,
    );
}

#[test]
fn refusals_show_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let joint = "let path = `${data}/joint.pt`;";
    bad(
        dir,
        &format!("{joint} models::vae(vae_config + #{{ch: 6}}, #{{weights: path, key: \"vae\"}})"),
        &["E0401", "of another shape", "is [6, 3, 3, 3] here and [4, 3, 3, 3] in the file"],
    );
    bad(
        dir,
        &format!("{joint} models::vae(vae_config + #{{num_res_blocks: 2}}, #{{weights: path}})"),
        &["E0401", "missing", "encoder.down.0.block.1", "tensors, the weights are"],
    );
    bad(
        dir,
        &format!("{joint} models::vae(vae_config + #{{attn_resolutions: []}}, #{{weights: path}})"),
        &["E0401", "unexpected", "encoder.down.1.attn.0.norm"],
    );
    bad(dir, &format!("{joint} models::sit(sit_config, #{{weights: path, key: \"vae\"}})"), &["E0401", "missing", "unexpected", "more"]);
    bad(
        dir,
        &format!("{joint} models::sit(sit_config, #{{weights: path, key: \"emma\"}})"),
        &["E0302", "no weights at `emma`", "did you mean `ema`", "`discriminator` ("],
    );
    bad(
        dir,
        &format!("{joint} nn::linear(3, 4).load(path)"),
        &["E0401", "none of its parts", "`model` (", "`ema` (", "`vae` (", "`discriminator` ("],
    );
    // Nothing changes on refusal, and what fits is taken without `strict`.
    good(
        dir,
        &format!(
            r#"{joint}
            let sit = models::sit(sit_config + #{{num_classes: 5}});
            let before = sit.state()["bn.running_var"].clone();
            let message = "";
            try {{ sit.load(path); }} catch (e) {{ message = `${{e.message}}`; }}
            assert(message.contains("y_embedder.embedding_table.weight"), message);
            assert(sit.state()["bn.running_var"] == before);
            let report = sit.load(path, #{{strict: false}});
            assert_eq(report.mismatched, ["y_embedder.embedding_table.weight"]);
            assert(sit.state()["bn.running_var"].min().item() >= 1000.0);
        "#
        ),
    );
}

#[test]
fn two_that_fit_are_an_error_unless_one_is_the_average() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    good(
        dir,
        r#"
        let a = models::vae(vae_config);
        let b = models::vae(vae_config);
        io::save(`${dir}/two.pt`, #{first: a.state(), second: b.state(), steps: 3});
        io::save(`${dir}/average.pt`, #{state_dict: a.state(), ema_state_dict: b.state()});
        let flat = #{};
        for name in a.state().keys() { flat[`vae.${name}`] = a.state()[name]; flat[`other.${name}`] = b.state()[name]; }
        io::save(`${dir}/flat.safetensors`, flat);
        let wrapped = #{};
        for name in a.state().keys() { wrapped[`module._orig_mod.${name}`] = a.state()[name]; }
        io::save(`${dir}/wrapped.pt`, #{model: wrapped});
        let disc = models::discriminator(disc_config);
        let ldm = #{};
        for name in a.state().keys() { ldm[`first_stage_model.${name}`] = a.state()[name]; }
        for name in disc.state().keys() { ldm[`loss.discriminator.${name}`] = disc.state()[name]; }
        io::save(`${dir}/ldm.ckpt`, #{state_dict: ldm, epoch: 1});
        let linear = nn::linear(3, 4);
        io::save(`${dir}/linear.pth`, #{state_dict: #{"module.weight": linear.weight, "module.bias": linear.bias}});
        nn::linear(3, 4).load(`${dir}/linear.pth`);

        let at = |m, name| m.state()[name];
        let first = "encoder.conv_in.weight";
        assert(at.call(models::vae(vae_config, #{weights: `${dir}/two.pt`, key: "second"}), first) == at.call(b, first));
        assert(at.call(models::vae(vae_config, #{weights: `${dir}/average.pt`}), first) == at.call(b, first));
        assert(at.call(models::vae(vae_config, #{weights: `${dir}/flat.safetensors`, key: "vae"}), first) == at.call(a, first));
        assert(at.call(models::vae(vae_config, #{weights: `${dir}/wrapped.pt`}), first) == at.call(a, first));
        assert(at.call(models::vae(vae_config, #{weights: `${dir}/ldm.ckpt`}), first) == at.call(a, first));
        assert(models::discriminator(disc_config + #{weights: `${dir}/ldm.ckpt`}).state()["main.0.weight"] == disc.state()["main.0.weight"]);
        a.save(`${dir}/a.pt`);
        assert(models::vae(vae_config, #{weights: `${dir}/a.pt`}).state()[first] == a.state()[first]);
    "#,
    );
    bad(dir, "models::vae(vae_config, #{weights: `${dir}/two.pt`})", &["E0401", "more than once", "`first` (", "`second` (", "key: \"first\""]);
    bad(dir, "models::vae(vae_config, #{weights: `${dir}/flat.safetensors`})", &["E0401", "more than once", "`vae.`", "`other.`"]);
    bad(dir, "models::vae(vae_config, #{weights: `${dir}/none.pt`})", &["E0301", "none.pt"]);
}
