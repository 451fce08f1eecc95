//! `lathe push`: one commit or nothing, and nothing twice.

use super::super::hub::{Hub, Mood, Request};
use super::super::uploads::TOKEN;
use super::{bytes, lathe};
use crate::support::process::{Place, ok, parts, refused};
use crate::support::sha256;
use std::collections::BTreeMap;
use std::process::Command;

/// A folder as `lathe export` writes it: small files, a large one, one in more than nine parts, an empty one.
pub fn written() -> (Place, BTreeMap<String, Vec<u8>>) {
    let place = Place::new(&[("out/README.md", "---\nlicense: mit\n---\n\n# A run\n"), ("out/config.json", "{}"), ("out/empty.txt", "")]);
    std::fs::create_dir(place.path("out/checkpoints")).unwrap();
    std::fs::write(place.path("out/checkpoints/0000002.pt"), bytes(3000)).unwrap();
    std::fs::write(place.path("out/model-00001-of-00001.safetensors"), bytes(450_000)).unwrap();
    let names = ["README.md", "config.json", "empty.txt", "checkpoints/0000002.pt", "model-00001-of-00001.safetensors"];
    let files = names.map(|name| (name.to_owned(), std::fs::read(place.path("out").join(name)).unwrap()));
    (place, files.into())
}

fn push(place: &Place, hub: &Hub, args: &[&str]) -> Command {
    let mut c = lathe(place, hub, &[&["push"], args].concat());
    c.env("HF_TOKEN", TOKEN);
    c
}

fn sent(log: &[Request], method: &str) -> usize {
    log.iter().filter(|r| r.method == method).count()
}

#[test]
fn a_folder_is_one_commit_and_what_is_there_is_not_sent_again() {
    let (hub, (place, files)) = (Hub::new(), written());
    place.write("out/.cache/huggingface/x", "of another tool");
    // What would go is shown without a word to the hub.
    let list = ok(&mut push(&place, &hub, &["out", "hf://me/vae", "--dry-run"]));
    assert!(list.contains("would get 5 files (453.0 kB)") && list.contains("checkpoints/0000002.pt (3.0 kB)"), "{list}");
    assert!(list.contains(".cache is left out: it is hidden") && hub.log().is_empty(), "{list}");
    let said = ok(&mut push(&place, &hub, &["out", "hf://me/vae", "--create", "--private", "--message", "First\n\nand more"]));
    let last = hub.uploads(|u| u.last("me/vae", "main"));
    assert_eq!((last.files.clone(), last.summary.as_str(), last.description.as_str()), (files.clone(), "First", "and more"));
    assert!(said.contains(&format!("{}/me/vae/commit/{}", hub.url(), last.id)) && said.contains("5 new or changed"), "{said}");
    assert!(hub.uploads(|u| u.repos["me/vae"].private && u.repos["me/vae"].branches["main"].len() == 2));
    let log = hub.log();
    // The storage is another host: it gets no token.
    assert!(log.iter().all(|r| r.token.is_none() == r.host.starts_with("localhost")), "{log:?}");
    assert_eq!(sent(&log, "PUT"), 1 + 12);
    // Again: nothing is new.
    let said = ok(&mut push(&place, &hub, &["out", "hf://me/vae", "--create"]));
    assert!(said.contains("has all of") && said.contains(&last.id), "{said}");
    assert!(sent(&hub.log(), "PUT") == 0 && hub.uploads(|u| u.repos["me/vae"].branches["main"].len() == 2));
    // One file has changed, and the rest of the repository stays; on a branch that is made.
    place.write("out/config.json", "{\"a\": 1}");
    std::fs::remove_file(place.path("out/empty.txt")).unwrap();
    let args = ["out", "hf://me/vae", "--create", "--revision", "try/2", "--json"];
    let (code, out, said) = parts(push(&place, &hub, &args).output().unwrap());
    assert_eq!(code, 0, "{said}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let other = hub.uploads(|u| u.last("me/vae", "try/2"));
    assert_eq!((&json["commit"], &json["changed"], &json["revision"]), (&other.id.clone().into(), &1.into(), &"try/2".into()));
    assert!(other.files["config.json"] == b"{\"a\": 1}" && other.files.len() == 5);
    assert_eq!(hub.uploads(|u| u.last("me/vae", "main")).files, files);
    // What was pushed is what is fetched.
    let back = parts(lathe(&place, &hub, &["fetch", "hf://me/vae/model-00001-of-00001.safetensors"]).output().unwrap());
    assert_eq!(std::fs::read(back.1.trim()).unwrap(), files["model-00001-of-00001.safetensors"], "{}", back.2);
}

#[test]
fn a_broken_push_leaves_nothing_and_the_next_goes_on() {
    let (hub, (place, files)) = (Hub::new(), written());
    hub.uploads(|u| u.make("me/vae", false));
    let weights = sha256(&files["model-00001-of-00001.safetensors"]);
    // One part breaks once, and is sent again; another is refused.
    hub.mood(&format!("storage/part/{weights}/2"), Mood::Breaks(0, 1));
    hub.mood(&format!("storage/part/{weights}/11"), Mood::Says(400, vec![], "no"));
    refused(&mut push(&place, &hub, &["out", "hf://me/vae"]), &["E0303", "refuses it (400)"]);
    let log = hub.log();
    assert_eq!(log.iter().filter(|r| r.path.ends_with(&format!("{weights}/2"))).count(), 2);
    assert_eq!(hub.uploads(|u| u.repos["me/vae"].branches["main"].len()), 1, "no commit");
    hub.calm();
    let said = ok(&mut push(&place, &hub, &["out", "hf://me/vae"]));
    assert!(said.contains("has the content of checkpoints/0000002.pt already"), "{said}");
    assert_eq!((sent(&hub.log(), "PUT"), hub.uploads(|u| u.last("me/vae", "main")).files), (12, files.clone()));
    // The answer to a commit is lost: it is not sent a second time, and the same command ends it.
    place.write("out/config.json", "{\"b\": 2}");
    hub.mood("api/models/me/vae/commit/main", Mood::Breaks(0, 1));
    refused(&mut push(&place, &hub, &["out", "hf://me/vae"]), &["E0303", "whether the commit was made is not known"]);
    ok(&mut push(&place, &hub, &["out", "hf://me/vae"]));
    assert_eq!(hub.uploads(|u| u.last("me/vae", "main")).files["config.json"], b"{\"b\": 2}");
    // What the repository ignores is left out, aloud.
    hub.uploads(|u| u.ignored.push("config.json".into()));
    place.write("out/config.json", "{\"c\": 3}");
    let said = ok(&mut push(&place, &hub, &["out", "hf://me/vae"]));
    assert!(said.contains("config.json is left out: the .gitignore"), "{said}");
}

#[test]
fn refusals_say_what_to_do_and_nothing_is_pushed() {
    let (hub, (place, _)) = (Hub::new(), written());
    hub.uploads(|u| u.make("me/vae", false));
    let fails = |at: &str, mood: Mood, words: &[&str]| {
        hub.mood(at, mood);
        refused(&mut push(&place, &hub, &["out", "hf://me/vae"]), &[&["E0303", "hf://me/vae", "is not pushed"], words].concat());
        hub.calm();
    };
    let says = |status: u16, text: &'static str| Mood::Says(status, vec![], text);
    let (info, ask, commit) = ("api/models/me/vae/revision/main", "api/models/me/vae/preupload/main", "api/models/me/vae/commit/main");
    let batch = "me/vae.git/info/lfs/objects/batch";
    fails(ask, says(403, "{\"error\": \"read only\"}"), &["may not write there (403): read only", "may the token write?"]);
    fails(info, says(409, ""), &["is busy", "(409)"]);
    fails(commit, says(412, ""), &["somebody else has changed `main` meanwhile"]);
    fails(commit, says(413, ""), &["too large", "(413)", "--shard-size"]);
    fails(batch, Mood::Says(429, vec![("Retry-After", "3600".into())], ""), &["too often", "for 3600 s (429)"]);
    fails(ask, says(200, "what?"), &["says `what?..`, which is no JSON", "HF_ENDPOINT"]);
    fails(ask, Mood::Says(200, vec![], "{}"), &["does not say what it takes"]);
    fails(batch, says(200, "{\"objects\": []}"), &["does not say where"]);
    fails(info, Mood::Says(404, vec![("Content-Type", "text/html".into())], "<html>"), &["a page (HTML)"]);
    fails(info, Mood::Says(307, vec![("Location", "ftp://other/x".into())], ""), &["redirects to `ftp://other/x`"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/none"]), &["no such repository", "(404)", "--create"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/vae@next"]), &["no such branch", "--create"]);
    refused(&mut push(&place, &hub, &["out", "hf://you/vae", "--create"]), &["may not write there (403)", "owner"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/vae", "--private"]), &["everybody can read it"]);
    refused(push(&place, &hub, &["out", "hf://me/vae"]).env("HF_TOKEN", "hf_old"), &["does not know this token (401)"]);
    refused(push(&place, &hub, &["out", "hf://me/vae"]).env_remove("HF_TOKEN"), &["wants to know who pushes (401)", "HF_TOKEN"]);
    refused(push(&place, &hub, &["out", "hf://me/vae"]).env("HF_HUB_OFFLINE", "1"), &["HF_HUB_OFFLINE forbids"]);
    assert!(hub.uploads(|u| u.repos.len() == 1 && u.repos["me/vae"].branches["main"].len() == 1), "nothing was pushed");
    // What is no export is not pushed, and nobody is asked.
    hub.log();
    place.write("run/run.json", "{}");
    place.write("other/x.txt", "");
    refused(&mut push(&place, &hub, &["run", "hf://me/vae"]), &["is a run", "--to exports"]);
    refused(&mut push(&place, &hub, &["other", "hf://me/vae"]), &["has no model card"]);
    refused(&mut push(&place, &hub, &["missing", "hf://me/vae"]), &["missing", "lathe export"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/vae/file"]), &["names a file"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/vae@a", "--revision", "b"]), &["two branches"]);
    refused(&mut push(&place, &hub, &["out", "hf://me/vae", "--message", " "]), &["--message is empty"]);
    std::os::unix::fs::symlink("/etc/passwd", place.path("out/passwd")).unwrap();
    refused(&mut push(&place, &hub, &["out", "hf://me/vae"]), &["passwd", "is no plain file"]);
    assert!(hub.log().is_empty());
}
