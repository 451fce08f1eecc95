//! Downloads that end in the middle, and several at once.

use super::super::hub::Mood;
use super::{W, hub_with, lathe};
use crate::support::process::{Place, parts, signal, until};
use crate::support::sha256;
use std::process::Stdio;

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    let (hub, content) = hub_with(2_000_000);
    let place = Place::new(&[]);
    hub.mood("a/b/w.safetensors", Mood::Slow(20_000));
    let mut child = lathe(&place, &hub, &["fetch", W]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let partial = place.path("hf/hub/models--a--b/blobs").join(format!("{}.incomplete", sha256(&content)));
    let len = || partial.metadata().map_or(0, |m| m.len());
    until("half of it", 20, || len() > 500_000);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let there = len();
    assert!(there < 2_000_000 && !place.path("hf/hub/models--a--b/snapshots").join(super::super::hub::COMMIT).exists(), "{there}");
    hub.calm();
    hub.log();
    let (code, out, said) = parts(lathe(&place, &hub, &["fetch", W]).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("going on with"), "{said}");
    assert_eq!(std::fs::read(out.trim()).unwrap(), content);
    let ranges: Vec<String> = hub.log().into_iter().filter_map(|r| r.range).collect();
    assert!(ranges.iter().all(|r| *r == format!("bytes={there}-")) && !ranges.is_empty(), "{ranges:?} from {there}");
    assert!(!partial.exists());
}

#[test]
fn a_connection_that_breaks_is_made_anew() {
    let (hub, content) = hub_with(900_000);
    let place = Place::new(&[]);
    hub.mood("a/b/w.safetensors", Mood::Breaks(200_000, 3));
    let (code, out, said) = parts(lathe(&place, &hub, &["fetch", W]).output().unwrap());
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read(out.trim()).unwrap(), content);
    assert!(hub.log().iter().filter(|r| r.range.is_some()).count() >= 3);
}

#[test]
fn what_is_no_beginning_of_it_is_thrown_away() {
    let (hub, content) = hub_with(50_000);
    // With and without a server that knows ranges.
    for mood in [None, Some(Mood::Whole)] {
        let place = Place::new(&[]);
        mood.into_iter().for_each(|m| hub.mood("a/b/w.safetensors", m));
        let blobs = place.path("hf/hub/models--a--b/blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", sha256(&content))), [9; 7000]).unwrap();
        let (code, out, said) = parts(lathe(&place, &hub, &["fetch", W]).output().unwrap());
        assert_eq!(code, 0, "{said}");
        assert_eq!(std::fs::read(out.trim()).unwrap(), content);
    }
}

#[test]
fn of_two_processes_one_fetches() {
    let (hub, content) = hub_with(2_000_000);
    hub.mood("a/b/w.safetensors", Mood::Slow(10_000));
    let place = Place::new(&[("lathe.toml", "")]);
    let start = || lathe(&place, &hub, &["fetch", W]).spawn().unwrap();
    let first = start();
    let partial = place.path("hf/hub/models--a--b/blobs").join(format!("{}.incomplete", sha256(&content)));
    until("its begin", 30, || partial.exists());
    let both = [first, start()].map(|c| parts(c.wait_with_output().unwrap()));
    for (code, out, said) in &both {
        assert_eq!(*code, 0, "{said}");
        assert_eq!(std::fs::read(out.trim()).unwrap(), content);
    }
    assert!(both.iter().any(|(_, _, said)| said.contains("another process fetches")), "{both:?}");
    assert_eq!(hub.log().iter().filter(|r| r.method == "GET" && r.path.starts_with("/cdn/")).count(), 1);
    assert_eq!(place.read("lathe.lock").matches("[[weights]]").count(), 1);
}

#[test]
fn ctrl_c_ends_it_and_keeps_what_came() {
    let (hub, _) = hub_with(2_000_000);
    let place = Place::new(&[]);
    hub.mood("a/b/w.safetensors", Mood::Slow(20_000));
    let mut child = lathe(&place, &hub, &["fetch", W]).spawn().unwrap();
    let blobs = place.path("hf/hub/models--a--b/blobs");
    let begun = || std::fs::read_dir(&blobs).into_iter().flatten().flatten().any(|e| e.metadata().is_ok_and(|m| m.len() > 100_000));
    until("a part of it", 20, begun);
    signal(&child, "-INT");
    until("its end", 10, || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begun());
}
