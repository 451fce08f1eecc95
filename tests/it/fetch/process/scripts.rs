//! Scripts whose weights are not there.

use super::super::hub::Hub;
use super::{W, lathe};
use crate::models::encoder_files::file;
use crate::support::process::{Place, ok, on_terminal, refused};
use crate::support::{TINY_VAE, root};

const ENCODER: &str = r#"
    let e = models::encoder("dinov1-vit-b", #{embed_dim: 16, depth: 2, heads: 2, patch: 4, native_grid: 4, pictures: 16});
    print(`tokens ${e.features(torch::zeros([1, 3, 16, 16])).shape}`);
"#;

/// A hub that has the small DINO of the fixtures under the name of the published one.
fn hub() -> Hub {
    let hub = Hub::new();
    hub.put("facebook/dino-vitb16/model.safetensors", std::fs::read(file("dinov1/model.safetensors")).unwrap());
    hub
}

#[test]
fn a_missing_model_is_fetched_by_name_with_the_flag_or_the_project_and_refused_without() {
    let hub = hub();
    let place = Place::new(&[("s.rhai", ENCODER)]);
    let words = ["E0301", "lathe fetch dinov1-vit-b", "--fetch", "dl.fbaipublicfiles.com"];
    refused(&mut lathe(&place, &hub, &["run", "s.rhai"]), &words);
    place.write("lathe.toml", "fetch = false\n");
    refused(&mut lathe(&place, &hub, &["run", "s.rhai"]), &words);
    assert!(hub.log().is_empty(), "nobody was asked");
    let said = ok(&mut lathe(&place, &hub, &["run", "s.rhai", "--fetch"]));
    for part in ["as --fetch says", "fetched hf://facebook/dino-vitb16/model.safetensors", "tokens [1, 16, 16]", "lathe.lock"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // From now on it is there.
    hub.log();
    let said = ok(lathe(&place, &hub, &["run", "s.rhai"]).env("HF_HUB_OFFLINE", "1"));
    assert!(said.contains("tokens [1, 16, 16]") && !said.contains("fetched") && hub.log().is_empty(), "{said}");
    // By the project's word, and with the command.
    std::fs::remove_dir_all(place.path("hf")).unwrap();
    place.write("lathe.toml", "fetch = true\n");
    let said = ok(&mut lathe(&place, &hub, &["run", "s.rhai"]));
    assert!(said.contains("as `fetch = true` in lathe.toml says"), "{said}");
    std::fs::remove_dir_all(place.path("hf")).unwrap();
    place.write("lathe.toml", "");
    ok(&mut lathe(&place, &hub, &["fetch", "dinov1-vit-b"]));
    ok(&mut lathe(&place, &hub, &["run", "s.rhai"]));
    // The lock holds a script to what was fetched first.
    hub.put("facebook/dino-vitb16/model.safetensors", vec![0; 4000]);
    std::fs::remove_dir_all(place.path("hf")).unwrap();
    refused(&mut lathe(&place, &hub, &["run", "s.rhai", "--fetch"]), &["E0303", "has changed", "lathe fetch --again"]);
}

#[test]
fn references_work_where_paths_of_weights_do() {
    let hub = Hub::new();
    let place = Place::new(&[]);
    let make = "io::make_dir(`exps`); let vae = models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 4}); vae.save(`exps/vae.safetensors`);";
    place.write("make.rhai", make);
    ok(&mut lathe(&place, &hub, &["run", "make.rhai"]));
    hub.put("a/b/w.safetensors", std::fs::read(place.path("exps/vae.safetensors")).unwrap());
    let body = r#"
        import "std/weights" as weights;
        fn params() { #{ vae_ckpt: arg("", "weights") } }
        fn main(cfg) {
            let o = #{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 4};
            let own = io::load("exps/vae.safetensors");
            let want = models::vae(o + #{ weights: own }).hash();
            assert_eq(models::vae(o + #{ weights: cfg.vae_ckpt }).hash(), want);
            assert_eq(weights::vae(cfg.vae_ckpt, #{ norm_groups: 4 }).hash(), want);
            assert_eq(weights::start_vae(#{ vae: "f8d4", vae_config: o, vae_ckpt: cfg.vae_ckpt }).hash(), want);
            let m = models::vae(o);
            m.load(cfg.vae_ckpt);
            assert_eq(m.hash(), want);
            assert_eq(models::vae_config(cfg.vae_ckpt, #{ norm_groups: 4 }).z_channels, 4);
            assert_eq(models::kinds(cfg.vae_ckpt), ["vae"]);
            assert_eq(io::load(cfg.vae_ckpt).keys(), own.keys());
            assert(!train::is_run(cfg.vae_ckpt));
            let path = models::weights(cfg.vae_ckpt);
            assert_eq(io::load(path).keys(), own.keys());
            print("all equal");
            try { io::save(path, own); } catch (e) { print(`not written: ${e.code}`); }
            try { io::load("SECRET"); } catch (e) { print(`not read: ${e.code}`); }
        }
    "#;
    // The cache lies where the script may not read.
    let cache = Place::new(&[("hf/secret.txt", "s")]);
    place.write("s.rhai", &body.replace("SECRET", &cache.at("hf/secret.txt")));
    refused(&mut lathe(&place, &hub, &["run", "s.rhai", "--vae-ckpt", W]), &["E0303", "are not here", &format!("lathe fetch {W}"), "s.rhai"]);
    let said = ok(lathe(&place, &hub, &["run", "s.rhai", "--vae-ckpt", W, "--fetch"]).env("HF_HOME", cache.path("hf")));
    for part in ["all equal", "not written: E0701", "not read: E0701"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn a_library_fetches_nothing_without_the_flag() {
    let hub = hub();
    let place = Place::new(&[
        ("lathe.toml", "fetch = true\n"),
        ("lab/recipe.toml", "name = \"lab\"\nversion = \"0.1.0\"\nlathe = \"*\"\n"),
        ("lab/eye.rhai", &format!("fn look() {{ {ENCODER} }}")),
        ("s.rhai", "import \"lab/eye\" as eye; eye::look();"),
    ]);
    ok(&mut lathe(&place, &hub, &["add", "lab", "--path", "lab"]));
    refused(
        &mut lathe(&place, &hub, &["run", "s.rhai"]),
        &["E0303", "the library `lab` wants the weights `dinov1-vit-b`", "lathe fetch dinov1-vit-b"],
    );
    assert!(hub.log().is_empty(), "nobody was asked");
    let said = ok(&mut lathe(&place, &hub, &["run", "--fetch", "s.rhai"]));
    assert!(said.contains("tokens [1, 16, 16]"), "{said}");
}

#[test]
fn somebody_at_the_terminal_is_asked() {
    let hub = hub();
    let place = Place::new(&[("s.rhai", ENCODER)]);
    for (answer, want) in [("n", "lathe fetch dinov1-vit-b"), ("y", "tokens [1, 16, 16]")] {
        let mut terminal = on_terminal(lathe(&place, &hub, &["run", "s.rhai"]));
        terminal.until("Fetch them (hf://facebook/dino-vitb16/model.safetensors)? [y/N]");
        terminal.line(answer);
        terminal.until(want);
        terminal.end();
    }
}

#[test]
fn train_sendvae_runs_on_a_cold_machine_with_a_hub_alone() {
    let hub = Hub::new();
    hub.put("facebook/dinov2-base/model.safetensors", std::fs::read(file("dinov2/model.safetensors")).unwrap());
    let place = Place::new(&[]);
    let script = |name: &str, flags: &[&str]| {
        let path = root().join(format!("scripts/{name}.rhai")).display().to_string();
        let mut c = lathe(&place, &hub, &["run", &path, "--device", "cpu", "--threads", "1"]);
        c.args(flags);
        c
    };
    let pictures = root().join("tests/data/avatars64").display().to_string();
    ok(&mut script("preprocess", &["--imagenet-path", &pictures, "--resolution", "32", "--max-images", "32", "--output-path", "exps/images"]));
    let eye = "embed_dim = 16, depth = 2, heads = 2, patch = 4, native_grid = 4, resolution = 16";
    place.write("eye.toml", &format!("enc_type = \"dinov2-vit-b\"\nenc_config = {{ {eye} }}\n"));
    let flags = [
        &["--config", "eye.toml", "--data-dir", "exps/images", "--output-dir", "exps", "--exp-name", "sendvae", "--perceptual", "none"][..],
        &["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--max-train-steps", "2", "--batch-size", "4"],
        &["--vae-config.z-channels", "4", "--vae-config.resolution", "32", "--log-every", "1"],
        TINY_VAE,
    ]
    .concat();
    refused(&mut script("train_sendvae", &flags), &["lathe fetch dinov2-vit-b"]);
    let said = ok(script("train_sendvae", &flags).arg("--fetch"));
    assert!(said.contains("fetched hf://facebook/dinov2-base/model.safetensors"), "{said}");
    assert_eq!(crate::support::saved(&place.path("exps/sendvae")).last(), Some(&2), "{said}");
}

#[test]
fn weights_in_several_files_are_fetched_by_name_and_by_their_list() {
    let hub = Hub::new();
    let place = Place::new(&[("lathe.toml", "")]);
    // As transformers writes large models: a list, and the files that it names.
    let all = lathe::torch::files::read_safetensors(&file("dinov2/model.safetensors")).unwrap().0;
    let (mut map, mut parts) = (serde_json::Map::new(), vec![lathe::nn::State::new(), lathe::nn::State::new()]);
    for (i, (name, tensor)) in all.iter().enumerate() {
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", i % 2 + 1).into());
        parts[i % 2].insert(name.clone(), tensor.clone());
    }
    for (i, part) in parts.iter().enumerate() {
        let path = place.path("part.safetensors");
        lathe::torch::files::write_safetensors(&path, part, &std::collections::HashMap::new()).unwrap();
        hub.put(&format!("facebook/dinov2-base/model-0000{}-of-00002.safetensors", i + 1), std::fs::read(path).unwrap());
    }
    let list = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    hub.put("facebook/dinov2-base/model.safetensors.index.json", list);
    let script = |weights: &str| ENCODER.replace("dinov1-vit-b", "dinov2-vit-b").replace("pictures: 16", &format!("pictures: 16{weights}"));
    place.write("s.rhai", &script(""));
    refused(&mut lathe(&place, &hub, &["run", "s.rhai"]), &["lathe fetch dinov2-vit-b"]);
    let said = ok(&mut lathe(&place, &hub, &["run", "s.rhai", "--fetch"]));
    assert!(said.contains("tokens [1, 16, 16]") && said.contains("fetched hf://facebook/dinov2-base/model-00002-of-00002.safetensors"), "{said}");
    assert_eq!(place.read("lathe.lock").matches("dinov2-base/model").count(), 3, "the list and both files are pinned");
    // By the list itself, which is what is printed; a file that has gone is fetched again, and one that has changed is not believed.
    hub.log();
    let by_list = "hf://facebook/dinov2-base/model.safetensors.index.json";
    let (code, out, _) = crate::support::process::parts(lathe(&place, &hub, &["fetch", by_list]).output().unwrap());
    let index = std::path::PathBuf::from(out.trim());
    assert!(code == 0 && index.ends_with("model.safetensors.index.json") && hub.log().is_empty(), "{out}");
    place.write("s.rhai", &script(&format!(", weights: \"{by_list}\"")));
    let second = index.with_file_name("model-00002-of-00002.safetensors");
    std::fs::remove_file(&second).unwrap();
    refused(&mut lathe(&place, &hub, &["run", "s.rhai"]), &["E0303", by_list]);
    ok(&mut lathe(&place, &hub, &["fetch", by_list]));
    ok(&mut lathe(&place, &hub, &["run", "s.rhai"]));
    std::fs::write(second.canonicalize().unwrap(), vec![0; 100]).unwrap();
    refused(&mut lathe(&place, &hub, &["run", "s.rhai"]), &["E0303", "is damaged"]);
}
