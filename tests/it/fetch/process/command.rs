//! `lathe fetch`: where files come to lie, and what is pinned.

use super::super::hub::COMMIT;
use super::{W, hub_with, lathe};
use crate::support::process::{Place, ok, parts, refused};
use crate::support::sha256;
use std::path::PathBuf;

#[test]
fn a_file_is_fetched_once_and_lies_where_python_looks() {
    let (hub, content) = hub_with(300_000);
    hub.put("a/b/config.json", "{}");
    let place = Place::new(&[]);
    let (code, out, said) = parts(lathe(&place, &hub, &["fetch", W, "hf://a/b/config.json"]).env("HF_TOKEN", "hf_me").output().unwrap());
    assert_eq!(code, 0, "{said}");
    let paths: Vec<PathBuf> = out.lines().map(PathBuf::from).collect();
    let repo = place.path("hf/hub/models--a--b");
    assert_eq!(paths[0], repo.join("snapshots").join(COMMIT).join("w.safetensors"));
    assert_eq!(std::fs::read(&paths[0]).unwrap(), content);
    assert_eq!(paths[0].read_link().unwrap(), PathBuf::from(format!("../../blobs/{}", sha256(&content))));
    assert_eq!(std::fs::read_to_string(&paths[1]).unwrap(), "{}");
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert!(said.contains(&format!("SHA-256 {}", sha256(&content))), "{said}");
    // The token is for the hub, and not for the host to which it sends people for large files.
    let log = hub.log();
    assert!(log.iter().any(|r| r.host.starts_with("localhost")) && log.iter().any(|r| r.token.is_some()), "{log:?}");
    assert!(log.iter().all(|r| r.token.is_none() == r.host.starts_with("localhost")), "{log:?}");
    // The second time nobody is asked, and without a network neither.
    let (code, again, _) = parts(lathe(&place, &hub, &["fetch", W]).env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert_eq!((code, again.trim()), (0, out.lines().next().unwrap()));
    assert!(hub.log().is_empty());
}

#[test]
fn a_folder_of_diffusers_is_its_settings_and_the_best_of_its_weights() {
    let (hub, _) = hub_with(10);
    hub.put("stabilityai/sd-vae-ft-mse/config.json", "{}");
    hub.put("stabilityai/sd-vae-ft-mse/diffusion_pytorch_model.bin", "weights");
    let place = Place::new(&[]);
    let out = parts(lathe(&place, &hub, &["fetch", "sd-vae-ft-mse"]).output().unwrap());
    assert_eq!(out.0, 0, "{}", out.2);
    let folder = PathBuf::from(out.1.trim());
    assert!(folder.join("config.json").is_file() && folder.join("diffusion_pytorch_model.bin").is_file(), "{out:?}");
    let list = ok(&mut lathe(&place, &hub, &["fetch", "--list"]));
    let line = list.lines().find(|l| l.trim_start().starts_with("sd-vae-ft-mse")).unwrap();
    assert!(line.contains("here") && line.contains("hf://stabilityai/sd-vae-ft-mse/config.json"), "{line}");
    let rows: serde_json::Value = serde_json::from_str(&ok(&mut lathe(&place, &hub, &["fetch", "--list", "--json"]))).unwrap();
    let here: Vec<&str> = rows.as_array().unwrap().iter().filter(|r| r["here"] == true).map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(here, ["sd-vae-ft-mse"]);
    let doctor = ok(&mut lathe(&place, &hub, &["doctor"]));
    assert!(doctor.contains("sd-vae-ft-mse (0.0 kB)"), "{doctor}");
}

#[test]
fn all_files_of_a_folder_come_from_one_commit_though_the_branch_moves() {
    let (hub, _) = hub_with(10);
    hub.put("stabilityai/sd-vae-ft-mse/config.json", "{}");
    hub.put("stabilityai/sd-vae-ft-mse/diffusion_pytorch_model.safetensors", "weights");
    let place = Place::new(&[]);
    ok(&mut lathe(&place, &hub, &["fetch", "sd-vae-ft-mse"]));
    // Where the branch is, is asked once, with the first file.
    let asked = |part: &str| -> Vec<String> { hub.log().iter().map(|r| r.path.clone()).filter(|p| p.contains(part)).collect() };
    let log = asked("/resolve/");
    assert!(log.iter().any(|p| p.contains("/resolve/main/config.json")), "{log:?}");
    let weights: Vec<&String> = log.iter().filter(|p| p.contains("diffusion_pytorch_model")).collect();
    assert!(!weights.is_empty() && weights.iter().all(|p| p.contains(&format!("/resolve/{COMMIT}/"))), "{log:?}");
    // Of a folder whose settings are here, the weights are those beside them, wherever the branch is now.
    let repo = place.path("hf/hub/models--stabilityai--sd-vae-ft-mse");
    std::fs::remove_file(repo.join("snapshots").join(COMMIT).join("diffusion_pytorch_model.safetensors")).unwrap();
    ok(&mut lathe(&place, &hub, &["fetch", "sd-vae-ft-mse"]));
    assert!(asked("/resolve/").iter().all(|p| p.contains(&format!("/resolve/{COMMIT}/diffusion"))));
}

#[test]
fn damaged_files_of_the_cache_are_not_believed() {
    let (hub, content) = hub_with(300_000);
    let place = Place::new(&[("s.rhai", &format!("print(models::weights(\"{W}\"));"))]);
    ok(&mut lathe(&place, &hub, &["fetch", W]));
    let repo = place.path("hf/hub/models--a--b");
    let blob = repo.join("blobs").join(sha256(&content));
    let mut other = content.clone();
    other[150_000] ^= 1;
    let run = || lathe(&place, &hub, &["run", "s.rhai"]);
    ok(&mut run());
    for damaged in [other, content[..299_999].to_vec(), Vec::new()] {
        std::fs::write(&blob, &damaged).unwrap();
        let words = ["E0303", "is damaged", &sha256(&damaged), &sha256(&content), "rm "];
        refused(&mut run(), &words);
        refused(&mut lathe(&place, &hub, &["fetch", W]), &words);
    }
    hub.put("facebook/dino-vitb16/model.safetensors", vec![7; 2000]);
    let eye = PathBuf::from(parts(lathe(&place, &hub, &["fetch", "dinov1-vit-b"]).output().unwrap()).1.trim());
    std::fs::write(eye.canonicalize().unwrap(), vec![8; 2000]).unwrap();
    let said = ok(&mut lathe(&place, &hub, &["doctor"]));
    assert!(said.contains("dinov1-vit-b (2.0 kB)") && said.contains(&format!("is damaged: its SHA-256 is {}", sha256(&[8; 2000]))), "{said}");
    // Where the name is gone and the damaged file is not, it is fetched anew.
    std::fs::remove_file(repo.join("snapshots").join(COMMIT).join("w.safetensors")).unwrap();
    let said = ok(&mut lathe(&place, &hub, &["fetch", W]));
    assert!(said.contains("is damaged: it is fetched again"), "{said}");
    assert_eq!(std::fs::read(&blob).unwrap(), content);
    ok(&mut run());
    // A small file has no such name: its size is what lathe.lock knows.
    let project = Place::new(&[("lathe.toml", "")]);
    hub.put("a/b/config.json", "{\"a\": 1}");
    let config = "hf://a/b/config.json";
    ok(&mut lathe(&project, &hub, &["fetch", config]));
    let path = project.path("hf/hub/models--a--b/snapshots").join(COMMIT).join("config.json").canonicalize().unwrap();
    std::fs::write(path, "{}").unwrap();
    refused(&mut lathe(&project, &hub, &["fetch", config]), &["E0303", "it has 2 bytes, and lathe.lock says 8", "lathe fetch --again"]);
}

#[test]
fn lathe_lock_pins_what_came_and_a_change_is_refused() {
    let (hub, content) = hub_with(3000);
    let place = Place::new(&[("lathe.toml", "")]);
    let said = ok(&mut lathe(&place, &hub, &["fetch", W]));
    assert!(said.contains("in lathe.lock"), "{said}");
    let lock = place.read("lathe.lock");
    for part in [W, &sha256(&content), COMMIT, "size = 3000"] {
        assert!(lock.contains(part), "{part} in\n{lock}");
    }
    // On another machine, with the project's lock, another content is not taken.
    std::fs::remove_dir_all(place.path("hf")).unwrap();
    hub.put("a/b/w.safetensors", vec![1; 3000]);
    let said = refused(&mut lathe(&place, &hub, &["fetch", W]), &["E0303", "has changed", &sha256(&content), "lathe.lock", "lathe fetch --again"]);
    assert!(said.contains(&sha256(&[1; 3000])), "{said}");
    assert!(!place.path("hf/hub/models--a--b/snapshots").join(COMMIT).join("w.safetensors").exists());
    assert_eq!(place.read("lathe.lock"), lock);
    // The commit that is pinned is what is asked for, not where the branch is now.
    assert!(hub.log().iter().any(|r| r.path.contains(&format!("resolve/{COMMIT}/"))));
    ok(&mut lathe(&place, &hub, &["fetch", "--again", W]));
    assert!(place.read("lathe.lock").contains(&sha256(&[1; 3000])));
    // A library's line is written beside it.
    std::fs::create_dir_all(place.path("lab")).unwrap();
    place.write("lab/recipe.toml", "name = \"lab\"\nversion = \"0.1.0\"\nlathe = \"*\"\n");
    ok(&mut lathe(&place, &hub, &["add", "lab", "--path", "lab"]));
    let lock = place.read("lathe.lock");
    assert!(lock.contains("name = \"lab\"") && lock.contains(W), "{lock}");
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    let (hub, _) = hub_with(10);
    let place = Place::new(&[]);
    refused(&mut lathe(&place, &hub, &["fetch", "sd-vae-ft-msee"]), &["did you mean `sd-vae-ft-mse`?", "lathe fetch --list"]);
    refused(&mut lathe(&place, &hub, &["fetch", "efficientnet-lite0"]), &["make weights"]);
    refused(&mut lathe(&place, &hub, &["fetch", "hf://a/../b"]), &["owner/repo"]);
    assert!(hub.log().is_empty());
}
