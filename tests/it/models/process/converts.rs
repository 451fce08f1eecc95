//! `lathe convert` as a process.

use crate::models::weights::{golden, good};
use crate::support::process::{lathe, parts};
use crate::support::root;
use lathe::torch::files::{Named, read_pt, read_safetensors};
use std::path::Path;

/// Exit code, stdout, stderr.
fn convert(dir: &Path, args: &[&str]) -> (i32, String, String) {
    parts(lathe(dir, &["convert"]).args(args).output().unwrap())
}

fn done(dir: &Path, args: &[&str]) -> String {
    let (code, out, err) = convert(dir, args);
    assert_eq!(code, 0, "{args:?}: {err}");
    out
}

fn state(path: &Path) -> Named {
    if path.extension().is_some_and(|e| e == "safetensors") { read_safetensors(path).unwrap().0 } else { read_pt(path).unwrap().tensors().unwrap() }
}

fn same(a: &Named, b: &Named) {
    assert_eq!(a.len(), b.len());
    for (name, t) in a {
        let other = b.get(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((t.shape(), t.dtype(), t.to_bytes().unwrap()), (other.shape(), other.dtype(), other.to_bytes().unwrap()), "{name}");
    }
}

#[test]
fn names_and_formats_go_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (ldm, hf) = (golden("loader_ldm_weights.safetensors"), golden("loader_diffusers_weights.safetensors"));
    let (ldm_path, hf_path) = (ldm.to_str().unwrap(), hf.to_str().unwrap());
    // The two fixtures are the same autoencoder in both namings, written by the reference and by diffusers.
    let out = done(dir, &[ldm_path, "hf.safetensors", "--to", "diffusers"]);
    assert!(out.contains("ch 32, ch_mult [1, 2]") && out.contains("154 tensors, 708679 elements, f16"), "{out}");
    same(&state(&dir.join("hf.safetensors")), &state(&hf));
    done(dir, &[hf_path, "ldm.pt", "--to", "ldm"]);
    same(&state(&dir.join("ldm.pt")), &state(&ldm));
    // A folder, from which the architecture comes back; and through every format to the same bytes.
    done(dir, &["ldm.pt", "folder", "--to", "diffusers"]);
    good(
        dir,
        r#"
        let io_ = io::load(`${golden}/vae/loader_io.safetensors`);
        let vae = models::vae(`${dir}/folder`);
        vae.eval();
        assert_close(torch::no_grad(|| vae.moments(io_.x)), io_.moments, #{rtol: 0.0, atol: 1e-5 * max(1.0, io_.moments.abs().max().item())});
        // diffusers' older names.
        let old = #{};
        for pair in io::load(`${dir}/hf.safetensors`).keys() {
            let name = pair;
            for r in [["to_q", "query"], ["to_k", "key"], ["to_v", "value"], ["to_out.0", "proj_attn"]] { name.replace(r[0], r[1]); }
            old[name] = io::load(`${dir}/hf.safetensors`)[pair];
        }
        io::save(`${dir}/old.bin`, old);
    "#,
    );
    done(dir, &["folder", "back.safetensors", "--to", "ldm"]);
    same(&state(&dir.join("back.safetensors")), &state(&ldm));
    done(dir, &["old.bin", "new.safetensors", "--to", "diffusers"]);
    same(&state(&dir.join("new.safetensors")), &state(&hf));
    done(dir, &["back.safetensors", "plain.ckpt"]);
    same(&state(&dir.join("plain.ckpt")), &state(&ldm));
    // Floats only.
    let out = done(dir, &["plain.ckpt", "half.safetensors", "--dtype", "bf16"]);
    assert!(out.contains("bf16"), "{out}");
    let half = state(&dir.join("half.safetensors"));
    assert!(half.values().all(|t| t.dtype() == lathe::torch::DType::BFloat16));
    assert_eq!(std::fs::read_dir(dir).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().ends_with(".part")).count(), 0);
}

#[test]
fn parts_of_a_checkpoint_and_its_latent_statistics() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let joint = root().join("tests/data/pt/joint_legacy.pth");
    let joint = joint.to_str().unwrap();
    let out = done(dir, &[joint, "e2e.pt", "--to", "ldm", "--norm-groups", "2", "--latents-stats"]);
    assert!(out.contains("`vae` (") && out.contains("e2e-latents-stats.pt"), "{out}");
    let all = read_pt(Path::new(joint)).unwrap();
    same(&state(&dir.join("e2e.pt")), &all.get("vae").unwrap().tensors().unwrap());
    let ema = all.get("ema").unwrap().tensors().unwrap();
    let stats = state(&dir.join("e2e-latents-stats.pt"));
    assert_eq!(stats["latents_bias"].shape(), [1, 2, 1, 1]);
    assert_eq!(stats["latents_bias"].to_vec_f64().unwrap(), ema["bn.running_mean"].to_vec_f64().unwrap());
    for (scale, var) in stats["latents_scale"].to_vec_f64().unwrap().iter().zip(ema["bn.running_var"].to_vec_f64().unwrap()) {
        assert!((scale - 1.0 / var.sqrt()).abs() < 1e-7, "1 / std without the norm's eps");
    }
    // The file beside IN goes along.
    let out = done(dir, &["e2e.pt", "copy.safetensors", "--latents-stats"]);
    assert!(out.contains("copy-latents-stats.pt"), "{out}");
    same(&state(&dir.join("copy-latents-stats.pt")), &stats);
    done(dir, &[joint, "model.safetensors", "--key", "model"]);
    same(&state(&dir.join("model.safetensors")), &all.get("model").unwrap().tensors().unwrap());
}

#[test]
fn refusals() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let joint = root().join("tests/data/pt/joint.pt");
    let joint = joint.to_str().unwrap();
    let says = |args: &[&str], want: i32, words: &[&str]| {
        let (code, out, err) = convert(dir, args);
        assert_eq!(code, want, "{args:?}: {out}{err}");
        words.iter().for_each(|w| assert!(err.contains(w), "{args:?}: no `{w}` in\n{err}"));
    };
    says(&[joint, "x.safetensors", "--key", "nope"], 1, &["no weights at `nope`", "`discriminator` ("]);
    // A key that names a part of another kind.
    says(&[joint, "x.safetensors", "--to", "ldm", "--key", "model"], 1, &["holds no autoencoder"]);
    says(&[joint, "x.txt"], 2, &[".txt", "one of .safetensors"]);
    says(&[joint, "x"], 2, &["no ending", "--to diffusers"]);
    says(&["gone.pt", "x.pt"], 1, &["cannot open `gone.pt`"]);
    says(&[joint, "x.pt", "--dtype", "f8"], 2, &["f8"]);
    std::fs::write(dir.join("there.pt"), "mine").unwrap();
    says(&[joint, "there.pt", "--key", "vae"], 2, &["there already", "--force"]);
    assert_eq!(std::fs::read(dir.join("there.pt")).unwrap(), b"mine");
    done(dir, &[joint, "there.pt", "--key", "vae", "--force"]);
    std::fs::create_dir(dir.join("folder")).unwrap();
    says(&[joint, "folder", "--to", "diffusers"], 2, &["there already"]);
    let (code, help, _) = convert(dir, &["--help"]);
    assert_eq!(code, 0);
    for word in ["--to", "--key", "--dtype", "--force", "--latents-stats", "from_pretrained", "Examples"] {
        assert!(help.contains(word), "{word}");
    }
}
