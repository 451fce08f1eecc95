//! What can go wrong: one message each, that says what to do, and nothing half-written under a final name.

use super::super::hub::{Hub, Mood};
use super::{W, hub_with, lathe};
use crate::support::process::{Place, refused};
use std::path::Path;

/// The files and links below a folder that whoever looks for weights would find.
fn finals(folder: &Path) -> Vec<String> {
    let all = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|e| !e.file_type().is_dir());
    let names = all.map(|e| e.path().strip_prefix(folder).unwrap().display().to_string());
    names.filter(|n| !n.ends_with(".incomplete") && !n.ends_with(".lock")).collect()
}

fn fails(mood: Mood, words: &[&str]) {
    let (hub, _) = hub_with(5000);
    hub.mood("a/b/w.safetensors", mood);
    fails_at(&hub, words);
}

fn fails_at(hub: &Hub, words: &[&str]) {
    let place = Place::new(&[]);
    refused(&mut lathe(&place, hub, &["fetch", W]), &[&["E0303", W, "help"], words].concat());
    assert_eq!(finals(place.folder()), [""; 0], "nothing half-written");
}

#[test]
fn refusals_of_the_hub_say_what_to_do() {
    let code = |c: &str| vec![("X-Error-Code", c.to_owned())];
    fails(Mood::Says(401, code("GatedRepo"), ""), &["wants to know who asks (401)", "HF_TOKEN", "licence"]);
    fails(Mood::Says(401, code("RepoNotFound"), ""), &["no such repository", "HF_TOKEN"]);
    fails(Mood::Says(403, vec![], ""), &["(403)", "licence"]);
    fails(Mood::Says(404, code("EntryNotFound"), ""), &["has no such file (404)"]);
    fails(Mood::Says(429, vec![("Retry-After", "3600".into())], ""), &["too often", "for 3600 s (429)", "HF_TOKEN"]);
    fails(Mood::Says(500, vec![], ""), &["trouble of its own (500)", "try again later"]);
    fails(Mood::Says(418, vec![], ""), &["refuses it (418)"]);
}

#[test]
fn a_page_in_place_of_weights_is_none() {
    let html = || vec![("Content-Type", "text/html; charset=utf-8".to_owned())];
    fails(Mood::Says(200, html(), "<html>log in</html>"), &["a page (HTML)", "login page"]);
    // The hub says one thing, and what comes is a page without saying so.
    let (hub, _) = hub_with(10);
    hub.put("a/b/w.safetensors", format!("<!DOCTYPE html><p>{}", " ".repeat(3000)));
    fails_at(&hub, &["a page (HTML)"]);
    fails(Mood::Says(200, vec![], "what"), &["does not answer as a hub does", "HF_ENDPOINT"]);
}

#[test]
fn redirects_lead_to_http_and_https_only_and_end() {
    fails(Mood::Leads("ftp://other.host/w".into()), &["redirects to `ftp://other.host/w`"]);
    fails(Mood::Leads("file:///etc/passwd".into()), &["no address of http or https"]);
    fails(Mood::Leads("/a/b/resolve/main/w.safetensors".into()), &["redirects more than 10 times"]);
}

#[test]
fn without_a_network_that_is_said() {
    let place = Place::new(&[]);
    let (hub, _) = hub_with(10);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = lathe(&place, &hub, &["fetch", W]);
    refused(command.env("HF_ENDPOINT", format!("http://{nobody}")), &["E0303", "cannot be reached", "HTTPS_PROXY", "HF_ENDPOINT"]);
    let mut command = lathe(&place, &hub, &["fetch", W]);
    refused(command.env("HF_HUB_OFFLINE", "1"), &["E0303", "HF_HUB_OFFLINE forbids", "unset HF_HUB_OFFLINE"]);
    assert!(hub.log().is_empty() && finals(place.folder()).is_empty());
}

#[test]
fn a_disk_without_room_is_seen_before_anything_comes() {
    let size =
        [("X-Repo-Commit", super::super::hub::COMMIT.to_owned()), ("X-Linked-Etag", "ab".repeat(32)), ("X-Linked-Size", (1_u64 << 60).to_string())];
    fails(Mood::Says(200, size.to_vec(), ""), &["there is no space", "are missing and", "HF_HOME"]);
}

#[test]
fn a_full_disk_loses_nothing_that_came() {
    use std::os::unix::process::CommandExt;
    let (hub, content) = hub_with(400_000);
    let place = Place::new(&[]);
    let mut command = lathe(&place, &hub, &["fetch", W]);
    // A limit on the size of files stands in for a full disk: writing fails in the middle as well.
    let mut limited = std::process::Command::new("bash");
    limited.arg0("bash").args(["-c", "trap '' XFSZ; ulimit -f 200; exec \"$@\"", "-"]).arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(k, v)| v.map(|v| (k, v)))).current_dir(place.folder());
    for name in ["HF_TOKEN", "HTTP_PROXY", "http_proxy"] {
        limited.env_remove(name);
    }
    let out = limited.output().unwrap();
    let said = crate::support::process::said(&out);
    assert!(!out.status.success() && said.contains("w.safetensors") && !said.contains("panicked"), "{said}");
    assert!(finals(place.folder()).is_empty());
    hub.log();
    let out = crate::support::process::parts(command.output().unwrap());
    assert_eq!(out.0, 0, "{}", out.2);
    assert_eq!(std::fs::read(out.1.trim()).unwrap(), content);
    assert!(hub.log().iter().any(|r| r.range.is_some()), "it went on");
}

#[test]
fn content_that_is_not_what_the_hub_says_is_thrown_away() {
    fails(Mood::Lies, &["has changed", "the hub says 00000000", "do not use it"]);
}

#[test]
fn a_proxy_of_the_environment_is_asked() {
    let (hub, content) = hub_with(500);
    let place = Place::new(&[]);
    let mut command = lathe(&place, &hub, &["fetch", W]);
    // Nobody is called so: only the proxy can know.
    command.env("HF_ENDPOINT", "http://hub.invalid").env("HTTP_PROXY", hub.url()).env("http_proxy", hub.url()).env("ALL_PROXY", hub.url());
    let out = crate::support::process::parts(command.output().unwrap());
    assert_eq!(out.0, 0, "{}", out.2);
    assert_eq!(std::fs::read(out.1.trim()).unwrap(), content);
    let log = hub.log();
    assert!(log.iter().any(|r| r.host.starts_with("hub.invalid")), "{log:?}");
}
