//! `lathe` that fetches.

mod command;
mod failures;
mod layout;
mod plain;
mod push;
mod python;
mod resume;
mod scripts;

use super::hub::Hub;
use crate::support::process::Place;
use std::process::Command;

/// Numbers that look random, as many bytes as are wanted.
pub fn bytes(n: usize) -> Vec<u8> {
    let mut dice = crate::support::Dice(7);
    (0..n).map(|_| dice.roll(256) as u8).collect()
}

/// `lathe` in a folder with caches of its own and that hub, without anything of the user's environment.
pub fn lathe(place: &Place, hub: &Hub, args: &[&str]) -> Command {
    let mut c = place.command(args);
    for name in
        ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
    {
        c.env_remove(name);
    }
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        c.env_remove(name).env_remove(name.to_lowercase());
    }
    c.env_remove("LATHE_WEIGHTS").env("LATHE_CACHE", place.path("cache")).env("HF_HOME", place.path("hf")).env("HF_ENDPOINT", hub.url());
    c
}

/// A hub whose `a/b/w.safetensors` has so many bytes.
pub fn hub_with(n: usize) -> (Hub, Vec<u8>) {
    let (hub, content) = (Hub::new(), bytes(n));
    hub.put("a/b/w.safetensors", content.clone());
    (hub, content)
}

/// What `hub_with` has, as it is named.
pub const W: &str = "hf://a/b/w.safetensors";
