//! Large files into the hub's storage, by Git LFS' batch interface
//! (<https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md>) with the hub's addition: a `chunk_size` among the headers, and an address for each part.

use super::content::Local;
use super::wire::Wire;
use super::{AT_ONCE, Push};
use crate::error::Error;
use crate::fetch::failure::Failure;
use crate::progress::Progress;
use crate::{interrupt, space};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Read;
use std::rc::Rc;

const MB: u64 = 1_000_000;
const LFS: &str = "application/vnd.git-lfs+json";
/// The hub's own address, which a mirror may pass on.
const PUBLIC: &str = "https://huggingface.co";

/// How far all files are.
struct Sent {
    progress: Progress,
    /// Bytes of what is over, and of what is on its way.
    whole: u64,
    part: u64,
}

/// Sends what the storage does not have.
pub(super) fn send(wire: &Wire, job: &Push, large: &[&Local]) -> Result<(), Failure> {
    let total: u64 = large.iter().map(|l| l.size).sum();
    let progress = Progress::new(wire.label.clone(), "MB", 0, total.div_ceil(MB));
    let sent = Rc::new(RefCell::new(Sent { progress, whole: 0, part: 0 }));
    // Two files of the same content are one object.
    let mut objects = BTreeSet::new();
    let large: Vec<&&Local> = large.iter().filter(|l| objects.insert(&l.sha256)).collect();
    for some in large.chunks(AT_ONCE) {
        let asked: Vec<Value> = some.iter().map(|l| json!({ "oid": l.sha256, "size": l.size })).collect();
        let batch = json!({
            "operation": "upload", "transfers": ["basic", "multipart"], "objects": asked, "hash_algo": "sha256", "ref": { "name": job.rev },
        });
        let url = format!("{}/{}.git/info/lfs/objects/batch", wire.endpoint, job.repo);
        let said = wire.json_at("POST", &url, &[("Content-Type", LFS), ("Accept", LFS)], Some(&batch)).map_err(|e| e.failure)?;
        let answers = said.get("objects").and_then(Value::as_array).ok_or_else(|| wire.strange("does not say where large files go"))?;
        for local in some {
            let answer = answers.iter().find(|a| a.get("oid").and_then(Value::as_str) == Some(&local.sha256));
            let answer = answer.ok_or_else(|| wire.strange(&format!("does not say where `{}` goes", local.name)))?;
            one(wire, local, answer, &sent)?;
            let mut s = sent.borrow_mut();
            s.whole += local.size;
            s.part = 0;
            let whole = s.whole;
            s.progress.set(whole / MB, &local.name);
        }
    }
    Ok(())
}

fn one(wire: &Wire, local: &Local, answer: &Value, sent: &Rc<RefCell<Sent>>) -> Result<(), Failure> {
    if let Some(e) = answer.get("error") {
        let why = e.get("message").and_then(Value::as_str).unwrap_or("without a reason");
        return Err(
            Error::fetch(format!("`{}` is not pushed: the hub does not take `{}`: {}", wire.label, local.name, crate::plain::shown(why))).into()
        );
    }
    let Some(upload) = answer.get("actions").and_then(|a| a.get("upload")) else {
        space::say(&format!("the hub has the content of {} already", local.name));
        return Ok(());
    };
    let (url, headers) = action(wire, upload)?;
    let number = |v: &Value| v.as_u64().or_else(|| v.as_str().and_then(|s| s.parse().ok()));
    match headers.get("chunk_size") {
        Some(size) => {
            let size = number(size).filter(|n| *n > 0).ok_or_else(|| wire.strange("names no size of the parts"))?;
            parts(wire, local, &url, size, &headers, sent)?;
        }
        None => {
            let headers: Vec<(String, String)> = headers.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            put(wire, local, &url, &headers, (0, local.size), sent)?;
        }
    }
    if let Some(verify) = answer.get("actions").and_then(|a| a.get("verify")) {
        let (url, _) = action(wire, verify)?;
        let body = json!({ "oid": local.sha256, "size": local.size });
        wire.json_at("POST", &url, &[("Content-Type", "application/json")], Some(&body)).map_err(|e| e.failure)?;
    }
    Ok(())
}

/// Where something goes, and with which headers.
fn action(wire: &Wire, action: &Value) -> Result<(String, Map<String, Value>), Error> {
    let href = action.get("href").and_then(Value::as_str).ok_or_else(|| wire.strange("names no address for a large file"))?;
    let url = href.strip_prefix(PUBLIC).map_or_else(|| href.to_owned(), |rest| format!("{}{rest}", wire.endpoint));
    Ok((url, action.get("header").and_then(Value::as_object).cloned().unwrap_or_default()))
}

/// A file in parts, each to an address of its own, and what tells the hub that all are there.
fn parts(wire: &Wire, local: &Local, url: &str, size: u64, headers: &Map<String, Value>, sent: &Rc<RefCell<Sent>>) -> Result<(), Failure> {
    let mut to: Vec<(u64, &str)> = headers.iter().filter_map(|(k, v)| Some((k.parse().ok()?, v.as_str()?))).collect();
    to.sort_unstable();
    if to.len() as u64 != local.size.div_ceil(size) {
        return Err(wire.strange(&format!("has {} addresses for the parts of `{}`", to.len(), local.name)).into());
    }
    let mut done = Vec::new();
    for (i, (_, to)) in to.iter().enumerate() {
        let from = i as u64 * size;
        let mark = put(wire, local, to, &[], (from, size.min(local.size - from)), sent)?;
        let mark = mark.ok_or_else(|| wire.strange("gives no mark of a part"))?;
        done.push(json!({ "partNumber": i + 1, "etag": mark }));
    }
    let body = json!({ "oid": local.sha256, "parts": done });
    wire.json_at("POST", url, &[("Content-Type", LFS), ("Accept", LFS)], Some(&body)).map_err(|e| e.failure)?;
    Ok(())
}

fn put(
    wire: &Wire,
    local: &Local,
    url: &str,
    headers: &[(String, String)],
    (from, length): (u64, u64),
    sent: &Rc<RefCell<Sent>>,
) -> Result<Option<String>, Failure> {
    let body = || {
        sent.borrow_mut().part = from;
        Ok(Box::new(Watched { from: local.part(from, length)?, sent: sent.clone() }) as Box<dyn Read>)
    };
    wire.put(url, headers, length, &body).map_err(|e| e.failure)
}

/// A body that shows how far it is, and stops when somebody wants that.
struct Watched<R> {
    from: R,
    sent: Rc<RefCell<Sent>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        interrupt::check().map_err(std::io::Error::other)?;
        let n = self.from.read(buf)?;
        let mut s = self.sent.borrow_mut();
        s.part += n as u64;
        let at = s.whole + s.part;
        s.progress.set(at / MB, "");
        Ok(n)
    }
}
