//! Scripts that ask for vision models.

use crate::models::encoder_files::file;
use crate::support::process::{lathe, ok, said};
use crate::support::{path, root};

#[test]
fn missing_weights_say_where_to_get_them_and_where_to_put_them() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("s.rhai");
    let run = |body: &str| {
        std::fs::write(&script, body).unwrap();
        let mut lathe = lathe(folder.path(), &["run", path(&script)]);
        let out = lathe.env("LATHE_WEIGHTS", folder.path()).env("LATHE_CACHE", folder.path().join("cache")).output().unwrap();
        (out.status.code(), said(&out))
    };
    let (code, text) = run(r#"models::encoder("dinov2-vit-b");"#);
    assert_eq!(code, Some(1), "{text}");
    for part in
        ["E0301", "dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth", "huggingface.co/facebook/dinov2-base", "cache/weights"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    // Put there, under the official name or as a folder of Hugging Face, they are found.
    let body = r#"
        let e = models::encoder("dinov1-vit-b", #{embed_dim: 16, depth: 2, heads: 2, patch: 4, native_grid: 4, pictures: 16});
        print(`${e.dim} ${e.grid} ${e.resolution} ${e.features(torch::zeros([1, 3, 16, 16])).shape}`);
    "#;
    for (from, to) in [("dino_full.pth", "dino_vitbase16_pretrain.pth"), ("dinov1/model.safetensors", "dinov1-vit-b/model.safetensors")] {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file(from), &to).unwrap();
        let (code, text) = run(body);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("16 4 16 [1, 16, 16]"), "{text}");
        std::fs::remove_file(to).unwrap();
    }
}

#[test]
fn scripts_make_encoders_of_any_size_from_maps_of_tensors_and_programs() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("s.rhai");
    let body = r#"
        let want = io::load("FOLDER/expected.safetensors");
        let sizes = #{embed_dim: 16, depth: 2, heads: 2, patch: 4, native_grid: 4, resolution: 16};
        let e = models::encoder(#{name: "dinov2reg-vit-l", registers: 3} + sizes, #{weights: io::load("FOLDER/dinov2_registers/model.safetensors")});
        assert_close(e.features(want.x, #{preprocessed: true}), want["dinov2_registers.tokens"], #{atol: 1e-5, rtol: 0.0});
        let swiglu = models::encoder("dinov2-vit-b", sizes + #{ffn: "swiglu", weights: "FOLDER/dinov2_swiglu"});
        assert_close(swiglu.features(want.x, #{preprocessed: true}), want["dinov2_swiglu.tokens"], #{atol: 1e-5, rtol: 0.0});
        let t = models::encoder("torchscript:FOLDER/pair.pt", #{resolution: 16, output: 1, mean: [0, 0, 0], std: [1, 1, 1]});
        print(`${t.dim} ${t.grid} ${t.resolution} ${t.features(torch::zeros([1, 3, 16, 16])).shape}`);
        try { models::encoder("dinov2-vit-b", sizes + #{registrs: 2}) } catch (e) { print(e.message); }
    "#;
    std::fs::write(&script, body.replace("FOLDER", &file("").display().to_string())).unwrap();
    let text = ok(&mut lathe(root(), &["run", path(&script), "--allow-torchscript"]));
    assert!(text.contains("6 4 16 [1, 16, 6]") && text.contains("did you mean `registers`?"), "{text}");
}
