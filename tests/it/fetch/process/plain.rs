//! Files of plain addresses.

use super::super::hub::{Hub, Mood};
use super::{bytes, lathe};
use crate::support::process::{Place, ok, parts, refused, signal, until};
use crate::support::{path, sha256};
use std::process::Stdio;

#[test]
fn an_address_is_fetched_goes_on_after_a_kill_and_is_pinned() {
    let (hub, content) = (Hub::new(), bytes(2_000_000));
    hub.put("some/w.pth", content.clone());
    hub.mood("some/w.pth", Mood::Slow(20_000));
    let place = Place::new(&[("lathe.toml", "")]);
    let url = format!("{}/some/w.pth", hub.url());
    let mut child = lathe(&place, &hub, &["fetch", &url]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = || {
        let all = walkdir::WalkDir::new(place.path("cache")).into_iter().flatten();
        all.filter(|e| e.path().extension().is_some_and(|x| x == "incomplete")).filter_map(|e| e.metadata().ok()).map(|m| m.len()).max().unwrap_or(0)
    };
    until("half of it", 20, || begun() > 500_000);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let there = begun();
    hub.calm();
    hub.log();
    let (code, out, said) = parts(lathe(&place, &hub, &["fetch", &url]).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read(out.trim()).unwrap(), content);
    assert!(out.contains("cache/weights/addresses/") && out.trim().ends_with("/w.pth") && begun() == 0, "{out}");
    assert!(hub.log().iter().any(|r| r.range.as_deref() == Some(&format!("bytes={there}-"))), "it went on");
    assert!(place.read("lathe.lock").contains(&sha256(&content)));
    // What lies there is read again, and another content refused; so is one that comes.
    std::fs::write(out.trim(), "another").unwrap();
    refused(&mut lathe(&place, &hub, &["fetch", &url]), &["E0303", "has changed", "lathe.lock"]);
    std::fs::remove_file(out.trim()).unwrap();
    hub.put("some/w.pth", "new");
    refused(&mut lathe(&place, &hub, &["fetch", &url]), &["E0303", "has changed", "lathe fetch --again"]);
    ok(&mut lathe(&place, &hub, &["fetch", "--again", &url]));
    assert_eq!(std::fs::read(out.trim()).unwrap(), b"new");
}

#[test]
fn an_address_fails_as_the_hub_does() {
    let (hub, place) = (Hub::new(), Place::new(&[]));
    let url = format!("{}/w.pth", hub.url());
    refused(&mut lathe(&place, &hub, &["fetch", &url]), &["E0303", "no such file (404)"]);
    hub.mood("w.pth", Mood::Says(200, vec![("Content-Type", "text/html".into())], "<p>"));
    refused(&mut lathe(&place, &hub, &["fetch", &url]), &["a page (HTML)"]);
    hub.mood("w.pth", Mood::Leads("ftp://other.host/w.pth".into()));
    refused(&mut lathe(&place, &hub, &["fetch", &url]), &["no address of http or https"]);
    refused(&mut lathe(&place, &hub, &["fetch", "ftp://other.host/w.pth"]), &["is no address of a file"]);
}

#[test]
fn a_file_in_the_folder_of_weights_is_compared_with_what_its_publisher_says() {
    let (hub, place) = (Hub::new(), Place::new(&[("cache/weights/pt_inception-2015-12-05-6726825d.pth", "not it")]));
    refused(&mut lathe(&place, &hub, &["fetch", "inception"]), &["E0303", "its publisher says 6726825d", "do not use it"]);
    // Of a file without a known hash nobody says what it should be.
    let own = place.path("own");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("dino_vitbase16_pretrain.pth"), "anything").unwrap();
    let said = ok(lathe(&place, &hub, &["fetch", "dinov1-vit-b"]).env("LATHE_WEIGHTS", &own));
    assert!(said.contains(path(&own)) && said.contains("is here already"), "{said}");
}

#[test]
fn what_is_missing_of_inception_and_lpips_names_the_command() {
    let place = Place::new(&[("i.rhai", "models::inception();"), ("l.rhai", "models::lpips();")]);
    let hub = Hub::new();
    refused(&mut lathe(&place, &hub, &["run", "i.rhai"]), &["E0202", "lathe fetch inception", "pt_inception-2015-12-05-6726825d.pth"]);
    refused(&mut lathe(&place, &hub, &["run", "l.rhai"]), &["E0202", "lathe fetch lpips", "vgg16-397923af.pth"]);
}
