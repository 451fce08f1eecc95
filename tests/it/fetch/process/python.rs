//! That the hub of these tests is not only our own idea of one: `huggingface_hub` of Python pushes the same folder to it, by the same addresses.

use super::super::hub::{Hub, Request};
use super::super::uploads::TOKEN;
use super::lathe;
use super::push::written;
use crate::support::process::{ok, parts, python};
use std::collections::BTreeSet;
use std::process::Command;

/// The package and its version.
const HUB: &str = "huggingface_hub==2.4.0";

/// What was asked, without what is the name of a file or a repository.
fn asked(log: &[Request]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for r in log {
        let path = r.path.split('?').next().unwrap().replace("me/python", "me/R").replace("me/lathe", "me/R");
        // A file's digits, and the number of a part.
        let parts: Vec<&str> = path.split('/').map(|p| if p.len() == 64 || p.parse::<u32>().is_ok() { "N" } else { p }).collect();
        all.insert(format!("{} {}", r.method, parts.join("/")));
    }
    all
}

#[test]
fn python_pushes_the_same_by_the_same_addresses() {
    let package = match python(HUB, "huggingface_hub") {
        Ok(folder) => folder,
        Err(why) => return println!("skipped: python_pushes_the_same_by_the_same_addresses: {why}"),
    };
    let (hub, (place, files)) = (Hub::new(), written());
    ok(lathe(&place, &hub, &["push", "out", "hf://me/lathe", "--create", "--private", "--message", "M"]).env("HF_TOKEN", TOKEN));
    let own = asked(&hub.log());
    // The storage has forgotten what lathe brought.
    let kept = hub.uploads(|u| {
        let kept = std::mem::take(&mut u.repos);
        *u = super::super::uploads::Uploads::default();
        u.repos = kept;
        u.last("me/lathe", "main")
    });
    let script = "import sys, huggingface_hub as h\napi = h.HfApi()\napi.create_repo('me/python', private=True)\n\
                  api.upload_folder(folder_path=sys.argv[1], repo_id='me/python', commit_message='M')\n";
    let mut their = Command::new("python3");
    their.args(["-c", script, &place.at("out")]).env("PYTHONPATH", package).env("HF_ENDPOINT", hub.url()).env("HF_TOKEN", TOKEN);
    their
        .env("HF_HOME", place.path("hf"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        .env("NO_PROXY", "127.0.0.1,localhost");
    let (code, _, said) = parts(their.output().unwrap());
    assert_eq!(code, 0, "{said}");
    let theirs = hub.uploads(|u| u.last("me/python", "main"));
    assert_eq!((&theirs.files, &theirs.summary), (&kept.files, &kept.summary));
    assert!(theirs.files == files && hub.uploads(|u| u.repos["me/python"].private));
    // Python asks what it may in addition; all that Lathe asks for is among it, but for the branch's commit, which Python does not look up.
    let python = asked(&hub.log());
    let more: Vec<&String> = own.difference(&python).filter(|a| !a.starts_with("GET /api/models/me/R/revision/")).collect();
    assert!(more.is_empty(), "asked by Lathe alone: {more:?}; by Python: {python:?}");
    assert!(own.len() >= 8, "{own:?}");
}
