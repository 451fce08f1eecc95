//! The other half of the hub on 127.0.0.1: repositories that are made, asked, given large files by Git LFS' batch interface, and changed by commits. What the
//! real hub would not take is not taken here: a token that it does not know, bytes that are not those of their name, a commit of what did not come.

use super::hub::Request;
use crate::support::sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The token that may write.
pub const TOKEN: &str = "hf_me";
/// Files of so many bytes go to the storage for large ones, as on the hub those of a megabyte or so.
const LARGE: usize = 1000;

/// A repository.
#[derive(Default, Clone)]
pub struct Repo {
    pub private: bool,
    /// The commits of each branch: message, description, and the files that it has then.
    pub branches: BTreeMap<String, Vec<Commit>>,
}

#[derive(Default, Clone, Debug)]
pub struct Commit {
    pub id: String,
    pub summary: String,
    pub description: String,
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What was pushed.
pub struct Uploads {
    pub repos: BTreeMap<String, Repo>,
    /// Storage of large files, by their SHA-256.
    objects: HashMap<String, Vec<u8>>,
    /// Parts of large files on their way.
    parts: HashMap<(String, usize), Vec<u8>>,
    /// Larger files come in parts of so many bytes.
    pub part: usize,
    /// Names that the repository's .gitignore leaves out.
    pub ignored: Vec<String>,
}

/// A status, headers and a body.
pub type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Default for Uploads {
    fn default() -> Self {
        Uploads { repos: BTreeMap::new(), objects: HashMap::new(), parts: HashMap::new(), part: 40_000, ignored: Vec::new() }
    }
}

fn says(status: u16, value: &Value) -> Answer {
    (status, vec![("Content-Type", "application/json; charset=utf-8".into())], value.to_string().into_bytes())
}

fn refuses(status: u16, code: &'static str, why: &str) -> Answer {
    let mut answer = says(status, &json!({ "error": why }));
    answer.1.extend([("X-Error-Code", code.to_owned()), ("X-Error-Message", why.to_owned())]);
    answer
}

/// What git calls a blob.
fn git(bytes: &[u8]) -> String {
    use sha1::Digest;
    let mut hash = sha1::Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

fn oid(bytes: &[u8]) -> String {
    if bytes.len() >= LARGE { sha256(bytes) } else { git(bytes) }
}

impl Commit {
    fn new(n: usize, summary: &str, description: &str, files: BTreeMap<String, Vec<u8>>) -> Commit {
        let id = sha256(format!("{n} {summary} {:?}", files.keys()).as_bytes())[..40].to_owned();
        Commit { id, summary: summary.into(), description: description.into(), files }
    }
}

impl Repo {
    fn new(private: bool) -> Repo {
        let first = Commit::new(0, "initial commit", "", BTreeMap::new());
        Repo { private, branches: [("main".to_owned(), vec![first])].into() }
    }
}

impl Uploads {
    /// The last commit of a branch.
    pub fn last(&self, repo: &str, branch: &str) -> Commit {
        self.repos[repo].branches[branch].last().unwrap().clone()
    }

    /// A file as whoever fetches it sees it: `owner/repo/file`.
    pub fn file(&self, key: &str) -> Option<Vec<u8>> {
        let (owner, rest) = key.split_once('/')?;
        let (name, file) = rest.split_once('/')?;
        self.repos.get(&format!("{owner}/{name}"))?.branches["main"].last()?.files.get(file).cloned()
    }

    /// A repository that is there from the start.
    pub fn make(&mut self, repo: &str, private: bool) {
        self.repos.insert(repo.into(), Repo::new(private));
    }

    /// Answers what this half knows; `None` for another address.
    pub fn answer(&mut self, base: &str, r: &Request) -> Option<Answer> {
        let path = r.path.split('?').next().unwrap().trim_start_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        if let ["storage", rest @ ..] = &parts[..] {
            return Some(self.store(base, r, rest));
        }
        let is_ours = matches!(parts[..], ["api", ..]) || path.ends_with(".git/info/lfs/objects/batch");
        if !is_ours {
            return None;
        }
        if path == "api/validate-yaml" {
            return Some(says(200, &json!({ "errors": [], "warnings": [] })));
        }
        if r.token.as_deref() != Some(format!("Bearer {TOKEN}").as_str()) {
            return Some(refuses(401, "", "Invalid credentials in Authorization header"));
        }
        let json: Value = serde_json::from_slice(&r.body).unwrap_or(Value::Null);
        Some(match (r.method.as_str(), &parts[..]) {
            ("POST", ["api", "repos", "create"]) => self.create(base, &json),
            ("GET", ["api", "models", owner, name]) => self.info(&format!("{owner}/{name}"), "main"),
            ("GET", ["api", "models", owner, name, "revision", rev]) => self.info(&format!("{owner}/{name}"), &branch(rev)),
            ("POST", ["api", "models", owner, name, "branch", rev]) => self.branch(&format!("{owner}/{name}"), &branch(rev)),
            ("POST", ["api", "models", owner, name, "preupload", rev]) => self.preupload(&format!("{owner}/{name}"), &branch(rev), &json),
            ("POST", ["api", "models", owner, name, "commit", rev]) => self.commit(base, &format!("{owner}/{name}"), &branch(rev), r),
            ("POST", [owner, repo, "info", "lfs", "objects", "batch"]) => {
                self.batch(base, &format!("{owner}/{}", repo.trim_end_matches(".git")), &json)
            }
            _ => refuses(404, "", "no such interface"),
        })
    }

    fn create(&mut self, base: &str, json: &Value) -> Answer {
        let repo = format!("{}/{}", json["organization"].as_str().unwrap_or("me"), json["name"].as_str().unwrap());
        if !repo.starts_with("me/") {
            return refuses(403, "", "You don't have the rights to create a model under this namespace");
        }
        if self.repos.contains_key(&repo) {
            return says(409, &json!({ "error": "You already created this model repo", "url": format!("{base}/{repo}") }));
        }
        self.make(&repo, json["visibility"] == "private" || json["private"] == true);
        says(200, &json!({ "url": format!("{base}/{repo}"), "name": repo, "id": "1" }))
    }

    fn found(&mut self, repo: &str, rev: &str) -> Result<&mut Vec<Commit>, Answer> {
        let repo = self.repos.get_mut(repo).ok_or_else(|| refuses(404, "RepoNotFound", "Repository not found"))?;
        repo.branches.get_mut(rev).ok_or_else(|| refuses(404, "RevisionNotFound", &format!("Invalid rev id: {rev}")))
    }

    fn info(&mut self, repo: &str, rev: &str) -> Answer {
        let sha = match self.found(repo, rev) {
            Ok(commits) => commits.last().unwrap().id.clone(),
            Err(answer) => return answer,
        };
        says(200, &json!({ "id": repo, "sha": sha, "private": self.repos[repo].private, "siblings": [] }))
    }

    fn branch(&mut self, repo: &str, rev: &str) -> Answer {
        let Ok(from) = self.found(repo, "main").cloned() else { return refuses(404, "RepoNotFound", "Repository not found") };
        let branches = &mut self.repos.get_mut(repo).unwrap().branches;
        if branches.contains_key(rev) {
            return refuses(409, "", "Reference already exists");
        }
        branches.insert(rev.into(), from);
        says(201, &json!({}))
    }

    fn preupload(&mut self, repo: &str, rev: &str, json: &Value) -> Answer {
        let ignored = self.ignored.clone();
        let there = match self.found(repo, rev) {
            Ok(commits) => commits.last().unwrap().files.clone(),
            Err(answer) => return answer,
        };
        let one = |f: &Value| {
            let (path, size) = (f["path"].as_str().unwrap(), f["size"].as_u64().unwrap() as usize);
            assert!(STANDARD.decode(f["sample"].as_str().unwrap()).unwrap().len() == size.min(512), "{path}: the first 512 bytes");
            let mode = if size >= LARGE { "lfs" } else { "regular" };
            let mut told = json!({ "path": path, "uploadMode": mode, "shouldIgnore": ignored.iter().any(|i| i == path) });
            if let Some(bytes) = there.get(path) {
                told["oid"] = oid(bytes).into();
            }
            told
        };
        says(200, &json!({ "files": json["files"].as_array().unwrap().iter().map(one).collect::<Vec<_>>() }))
    }

    fn batch(&mut self, base: &str, repo: &str, json: &Value) -> Answer {
        if !self.repos.contains_key(repo) {
            return refuses(404, "RepoNotFound", "Repository not found");
        }
        assert_eq!((&json["operation"], &json["hash_algo"]), (&"upload".into(), &"sha256".into()));
        // What is stored lies on another host.
        let storage = base.replace("127.0.0.1", "localhost");
        let one = |o: &Value| {
            let (oid, size) = (o["oid"].as_str().unwrap(), o["size"].as_u64().unwrap() as usize);
            if self.objects.contains_key(oid) {
                return json!({ "oid": oid, "size": size });
            }
            let verify = json!({ "href": format!("{base}/storage/verify") });
            let upload = if size > self.part {
                let mut header = json!({ "chunk_size": self.part.to_string() });
                // As on the hub: `1`, `2`, .. `10`, which no order of texts has.
                for n in 1..=size.div_ceil(self.part) {
                    header[n.to_string()] = format!("{storage}/storage/part/{oid}/{n}").into();
                }
                json!({ "href": format!("{base}/storage/complete/{oid}"), "header": header })
            } else {
                json!({ "href": format!("{storage}/storage/whole/{oid}"), "header": {} })
            };
            json!({ "oid": oid, "size": size, "authenticated": true, "actions": { "upload": upload, "verify": verify } })
        };
        let objects: Vec<Value> = json["objects"].as_array().unwrap().iter().map(one).collect();
        says(200, &json!({ "transfer": "multipart", "objects": objects }))
    }

    fn store(&mut self, base: &str, r: &Request, at: &[&str]) -> Answer {
        let json: Value = serde_json::from_slice(&r.body).unwrap_or(Value::Null);
        match (r.method.as_str(), at) {
            ("PUT", ["whole", oid]) => {
                if r.token.is_some() || sha256(&r.body) != *oid {
                    return refuses(400, "", "these are other bytes, or a token came to the storage");
                }
                self.objects.insert((*oid).to_owned(), r.body.clone());
                (200, vec![("ETag", format!("\"{}\"", &sha256(&r.body)[..32]))], Vec::new())
            }
            ("PUT", ["part", oid, n]) => {
                let mark = format!("\"{}\"", &sha256(&r.body)[..32]);
                self.parts.insert(((*oid).to_owned(), n.parse().unwrap()), r.body.clone());
                if r.token.is_some() { refuses(400, "", "a token came to the storage") } else { (200, vec![("ETag", mark)], Vec::new()) }
            }
            ("POST", ["complete", oid]) => {
                let mut whole = Vec::new();
                for (i, part) in json["parts"].as_array().unwrap().iter().enumerate() {
                    let Some(bytes) = self.parts.remove(&((*oid).to_owned(), i + 1)) else { return refuses(400, "", "a part is missing") };
                    if part["partNumber"] != i + 1 || part["etag"] != format!("\"{}\"", &sha256(&bytes)[..32]) {
                        return refuses(400, "", "a part is another");
                    }
                    whole.extend(bytes);
                }
                if sha256(&whole) != *oid {
                    return refuses(400, "", "the whole is another");
                }
                self.objects.insert((*oid).to_owned(), whole);
                says(200, &json!({}))
            }
            ("POST", ["verify"]) => {
                let there = self.objects.get(json["oid"].as_str().unwrap()).is_some_and(|o| json["size"] == o.len());
                if there { says(200, &json!({})) } else { refuses(404, "", "did not come") }
            }
            _ => refuses(404, "", &format!("nothing at {base}{}", r.path)),
        }
    }

    fn commit(&mut self, base: &str, repo: &str, rev: &str, r: &Request) -> Answer {
        if r.kind.as_deref() != Some("application/x-ndjson") {
            return refuses(400, "", "a commit is lines of JSON");
        }
        let lines: Vec<Value> = String::from_utf8_lossy(&r.body).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let objects = self.objects.clone();
        let commits = match self.found(repo, rev) {
            Ok(commits) => commits,
            Err(answer) => return answer,
        };
        let (head, last) = (&lines[0]["value"], commits.last().unwrap());
        if lines[0]["key"] != "header" || !head["parentCommit"].is_null() && head["parentCommit"] != last.id {
            return refuses(412, "", "A commit has happened since. Please refresh and try again.");
        }
        let mut files = last.files.clone();
        for line in &lines[1..] {
            let v = &line["value"];
            let path = v["path"].as_str().unwrap().to_owned();
            let bytes = match line["key"].as_str().unwrap() {
                "file" if v["encoding"] == "base64" => STANDARD.decode(v["content"].as_str().unwrap()).unwrap(),
                "lfsFile" if v["algo"] == "sha256" => match objects.get(v["oid"].as_str().unwrap()) {
                    Some(bytes) => bytes.clone(),
                    None => return refuses(400, "", &format!("{path} did not come")),
                },
                other => return refuses(400, "", &format!("no such operation: {other}")),
            };
            files.insert(path, bytes);
        }
        let text = |name: &str| head[name].as_str().unwrap_or_default().to_owned();
        let commit = Commit::new(commits.len(), &text("summary"), &text("description"), files);
        let id = commit.id.clone();
        commits.push(commit);
        says(200, &json!({ "success": true, "commitOid": id, "commitUrl": format!("{base}/{repo}/commit/{id}") }))
    }
}

fn branch(rev: &str) -> String {
    rev.replace("%2F", "/")
}
