//! Which module of a crate uses which, read from the sources: `use` statements and paths in the code, through `pub use` to where a name lives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How often a name may be handed on.
const DETOURS: usize = 8;

/// The modules by path, `crate::script::lang::value`, and what each uses. Those of `src/core`, a crate of its own that the other hands on part by part,
/// have no prefix either.
pub struct Modules {
    files: BTreeMap<String, PathBuf>,
    /// What a module hands on under a name of its own.
    offers: BTreeMap<String, BTreeMap<String, String>>,
    arrows: BTreeSet<(String, String)>,
}

impl Modules {
    /// Reads every file below `src`. Unit tests are left out: they may use what they please.
    pub fn read(src: &Path) -> Modules {
        let mut files = BTreeMap::new();
        walk(src, src, &mut files);
        let texts: BTreeMap<&String, String> =
            files.iter().map(|(name, path)| (name, plain(&std::fs::read_to_string(path).expect("readable")))).collect();
        let mut modules = Modules { files: files.clone(), offers: BTreeMap::new(), arrows: BTreeSet::new() };
        for (name, text) in &texts {
            for (is_public, tree) in statements(text).0 {
                for path in is_public.then(|| leaves(&tree)).into_iter().flatten() {
                    if let Some(full) = modules.absolute(name, &path.0) {
                        modules.offers.entry((*name).clone()).or_default().insert(path.1, full);
                    }
                }
            }
        }
        for (name, text) in &texts {
            let (uses, rest) = statements(text);
            let named = uses.iter().flat_map(|(is_public, tree)| leaves(tree).into_iter().map(|(path, _)| (*is_public, path)));
            for (is_public, path) in named.chain(paths(&rest).into_iter().map(|path| (false, path))) {
                let Some(full) = modules.absolute(name, &path) else { continue };
                // To hand on what lies in a part of one's own is not to use it.
                if is_public && full.starts_with(&format!("{name}::")) {
                    continue;
                }
                if let Some(target) = modules.home(&full, 0).filter(|target| target != *name) {
                    modules.arrows.insert(((*name).clone(), target));
                }
            }
        }
        modules
    }

    /// Their paths.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.files.keys()
    }

    /// Who uses whom.
    pub fn arrows(&self) -> &BTreeSet<(String, String)> {
        &self.arrows
    }

    /// Modules that use each other in a circle, each circle sorted.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        self.arrows.iter().for_each(|(a, b)| uses.entry(a).or_default().push(b));
        let reached = |from: &str| {
            let (mut met, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(next) = open.pop() {
                for to in uses.get(next.as_str()).into_iter().flatten() {
                    if met.insert((*to).to_owned()) {
                        open.push((*to).to_owned());
                    }
                }
            }
            met
        };
        let reach: BTreeMap<&String, BTreeSet<String>> = self.files.keys().map(|m| (m, reached(m))).collect();
        let circle = |m: &String| -> Vec<String> { reach[m].iter().filter(|other| reach[other].contains(m)).cloned().collect() };
        let all: BTreeSet<Vec<String>> = self.files.keys().map(circle).filter(|c| c.len() > 1).collect();
        all.into_iter().collect()
    }

    /// Those of [`Modules::circles`] that go through more than one folder.
    pub fn circles_between_folders(&self) -> Vec<Vec<String>> {
        let folders = |c: &Vec<String>| c.iter().map(|m| self.files[m].parent()).collect::<BTreeSet<_>>().len();
        self.circles().into_iter().filter(|c| folders(c) > 1).collect()
    }

    /// A path as it is written in `module`, from the crate's root; `None` for one that leads out of the crate.
    fn absolute(&self, module: &str, path: &str) -> Option<String> {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut base: Vec<&str> = match parts[0] {
            "crate" => vec!["crate"],
            "self" | "super" => module.split("::").collect(),
            first if self.files.contains_key(&format!("{module}::{first}")) => return Some(format!("{module}::{path}")),
            _ => return None,
        };
        while matches!(parts.first(), Some(&"crate" | &"self" | &"super")) {
            if parts.remove(0) == "super" {
                base.pop();
            }
        }
        base.extend(parts);
        Some(base.join("::"))
    }

    /// The module in which what a path names lives, through whoever hands it on.
    fn home(&self, full: &str, depth: usize) -> Option<String> {
        let parts: Vec<&str> = full.split("::").collect();
        let at = (1..=parts.len()).rev().find(|n| self.files.contains_key(&parts[..*n].join("::")))?;
        let module = parts[..at].join("::");
        let further = parts.get(at).and_then(|name| self.offers.get(&module)?.get(*name)).filter(|_| depth < DETOURS);
        match further {
            Some(further) => self.home(&[&[further.as_str()], &parts[at + 1..]].concat().join("::"), depth + 1),
            None => Some(module),
        }
    }
}

/// Files by module path.
fn walk(src: &Path, dir: &Path, files: &mut BTreeMap<String, PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            walk(src, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let below = path.strip_prefix(src).expect("below src").with_extension("");
            let mut parts: Vec<String> = below.iter().map(|p| p.to_string_lossy().into_owned()).collect();
            let is_root = parts == ["main"] || parts == ["core", "lib"] || parts == ["core", "build"];
            if parts.iter().any(|p| p == "tests") || is_root {
                continue;
            }
            if parts[0] == "core" {
                parts.remove(0);
            }
            if parts == ["lib"] || parts.last().is_some_and(|p| p == "mod") {
                parts.pop();
            }
            parts.insert(0, "crate".to_owned());
            files.insert(parts.join("::"), path);
        }
    }
}

/// A text without comments, without what is in strings, and without its unit tests.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].char_indices().find(|(_, c)| {
                let is_end = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                is_end
            });
            out.push_str("\"\"");
            rest = end.map_or("", |(at, _)| &rest[at + 2..]);
        } else if let Some(after) = ["'\"'", "'\\\"'"].iter().find_map(|quote| rest.strip_prefix(quote)) {
            rest = after;
        } else if rest.starts_with("#[cfg(test)]\nmod tests {") {
            break;
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The `use` statements of a text, each with whether it hands on what it names, and the text without them.
fn statements(text: &str) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut other) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let is_start = !rest[..at].ends_with(|c: char| is_word(c) || c == '\'');
        let end = rest[at..].find(';').filter(|_| is_start);
        let Some(end) = end else {
            other.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
            continue;
        };
        let before = rest[..at].rsplit(['\n', ';', '{', '}']).next().unwrap_or_default();
        uses.push((before.trim_start().starts_with("pub"), rest[at + 4..at + end].split_whitespace().collect::<Vec<_>>().join(" ")));
        other.push_str(&rest[..at]);
        rest = &rest[at + end + 1..];
    }
    other.push_str(rest);
    (uses, other)
}

/// What a tree `a::{b, c::{self, D as E}}` names: each path, and under which name.
fn leaves(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    if let Some((prefix, inner)) = tree.split_once('{') {
        let inner = inner.strip_suffix('}').unwrap_or(inner);
        let (mut depth, mut from, mut out) = (0, 0, Vec::new());
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let part = inner[from..at].trim();
                    from = at + 1;
                    if !part.is_empty() {
                        out.extend(leaves(&format!("{prefix}{part}")));
                    }
                }
                _ => {}
            }
        }
        return out;
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = path.trim().trim_end_matches("::self").trim_end_matches("::*").to_owned();
    let name = if name.is_empty() { path.rsplit("::").next().unwrap_or_default().to_owned() } else { name.trim().to_owned() };
    vec![(path, name)]
}

/// Every `crate::..`, `self::..` and `super::..` in a text.
fn paths(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for start in ["crate::", "self::", "super::"] {
        for (at, _) in text.match_indices(start) {
            if text[..at].ends_with(|c: char| is_word(c) || c == ':' || c == '$') {
                continue;
            }
            let path: String = text[at..].chars().take_while(|c| is_word(*c) || *c == ':').collect();
            out.push(path.trim_end_matches(':').to_owned());
        }
    }
    out
}
