//! The cache of `huggingface_hub`: what Python laid down is found, whatever variable names the place.

use super::super::hub::{COMMIT, Hub};
use super::lathe;
use crate::support::path;
use crate::support::process::{Place, parts};
use std::path::Path;

/// A file as Python 3.13 with huggingface_hub 1.x lays it down.
fn lay(hub: &Path, repo: &str, file: &str, content: &[u8]) {
    let repo = hub.join(format!("models--{}", repo.replace('/', "--")));
    let blob = crate::support::sha256(content);
    for folder in ["blobs", "refs", &format!("snapshots/{COMMIT}")] {
        std::fs::create_dir_all(repo.join(folder)).unwrap();
    }
    std::fs::write(repo.join("blobs").join(&blob), content).unwrap();
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    let link = repo.join("snapshots").join(COMMIT).join(file);
    std::os::unix::fs::symlink(format!("../../blobs/{blob}"), link).unwrap();
}

#[test]
fn what_python_fetched_is_found() {
    let (hub, place) = (Hub::new(), Place::new(&[]));
    for (i, (name, folder, below)) in [
        ("HF_HOME", "one", "hub"),
        ("HF_HUB_CACHE", "two", ""),
        ("HUGGINGFACE_HUB_CACHE", "three", ""),
        ("XDG_CACHE_HOME", "four", "huggingface/hub"),
    ]
    .into_iter()
    .enumerate()
    {
        let content = vec![i as u8; 2000];
        lay(&place.path(folder).join(below), "a/b", "w.pt", &content);
        let mut command = lathe(&place, &hub, &["fetch", "hf://a/b/w.pt"]);
        if name == "XDG_CACHE_HOME" {
            command.env_remove("HF_HOME");
        }
        let (code, out, said) = parts(command.env(name, place.path(folder)).output().unwrap());
        assert_eq!(code, 0, "{name}: {said}");
        assert!(out.starts_with(path(&place.path(folder))), "{name}: {out}");
        assert_eq!(std::fs::read(out.trim()).unwrap(), content, "{name}");
    }
    assert!(hub.log().is_empty(), "nobody was asked");
}
