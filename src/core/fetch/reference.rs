//! References to files of a hub: `hf://owner/repo[@rev]/file`, or without a file a folder of diffusers.

use super::{Item, Part, Source};
use crate::error::{Error, Result};

/// What a reference begins with.
const SCHEME: &str = "hf://";
/// The revision that is meant where none is named.
pub const MAIN: &str = "main";
const FORM: &str = "`hf://owner/repo/file`, `hf://owner/repo@revision/file`, or `hf://owner/repo` for a folder of diffusers";

/// A file in a repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/repo`.
    pub repo: String,
    /// A branch, tag or commit.
    pub rev: String,
    /// Its path in the repository.
    pub file: String,
}

impl HubFile {
    /// A file of the branch `main`.
    pub fn new(repo: impl Into<String>, file: impl Into<String>) -> Self {
        HubFile { repo: repo.into(), rev: MAIN.into(), file: file.into() }
    }

    /// As people write it; the branch `main` goes without saying.
    pub fn reference(&self) -> String {
        let rev = if self.rev == MAIN { String::new() } else { format!("@{}", self.rev.replace('/', "%2F")) };
        format!("{SCHEME}{}{rev}/{}", self.repo, self.file)
    }
}

/// Whether a text is meant as a reference.
pub fn is_reference(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// What a reference stands for. A folder of diffusers is its `config.json` and its weights, `safetensors` before `bin`.
///
/// # Errors
/// `E0202` for what is no reference, with the forms.
pub fn parse(text: &str) -> Result<Item> {
    let (repo, rev, file) = split(text)?;
    let rev = rev.unwrap_or_else(|| MAIN.to_owned());
    let of = |file: String| Source::Hub(HubFile { repo: repo.clone(), rev: rev.clone(), file });
    let is_file = !file.is_empty() && !file.ends_with('/');
    let parts = if is_file { vec![Part::from(of(file.to_owned()))] } else { diffusers(file.trim_end_matches('/'), &of) };
    Ok(Item { name: text.to_owned(), about: String::new(), parts, is_folder: !is_file })
}

/// The repository that a reference names, and the branch where it names one.
///
/// # Errors
/// `E0202` for what is no reference, or one of a file.
pub fn parse_repository(text: &str) -> Result<(String, Option<String>)> {
    match split(text)? {
        (repo, rev, "") => Ok((repo, rev)),
        (repo, _, _) => {
            Err(Error::value("push", format!("`{}` names a file, and a repository is meant", text.escape_debug())).help(format!("`hf://{repo}`")))
        }
    }
}

/// The repository, the revision and the file of a reference.
fn split(text: &str) -> Result<(String, Option<String>, &str)> {
    let wrong = |what: &str| Error::value("weights", format!("`{}` is no reference: {what}", text.escape_debug())).help(FORM);
    let rest = text.strip_prefix(SCHEME).ok_or_else(|| wrong("it does not begin with hf://"))?;
    let mut parts = rest.splitn(3, '/');
    let (owner, named, file) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (name, rev) = named.split_once('@').map_or((named, None), |(name, rev)| (name, Some(rev)));
    let rev = rev.map(|r| r.replace("%2F", "/").replace("%2f", "/"));
    if !is_name(owner) || !is_name(name) {
        return Err(wrong("a repository is called `owner/repo`, by letters, digits, `-`, `_` and `.`"));
    }
    if rev.as_ref().is_some_and(|rev| !is_branch(rev)) {
        return Err(wrong("the revision behind `@` is no branch, tag or commit (a `/` in it is written %2F)"));
    }
    let folder = file.trim_end_matches('/');
    if !folder.is_empty() && !folder.split('/').all(is_part) {
        return Err(wrong("the path of the file has a part that is none"));
    }
    Ok((format!("{owner}/{name}"), rev, file))
}

/// Whether a text can be a branch, a tag or a commit.
pub fn is_branch(text: &str) -> bool {
    !text.is_empty() && text.split('/').all(is_name)
}

/// What diffusers and transformers call the weights in a folder, best first; the indices are of sharded ones.
pub const IN_FOLDER: &[&str] = &[
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The files of a network in a folder of diffusers, or of transformers.
pub fn diffusers(folder: &str, of: &dyn Fn(String) -> Source) -> Vec<Part> {
    let at = |name: &str| of(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") });
    vec![Part::from(at("config.json")), Part(IN_FOLDER.iter().map(|name| at(name)).collect())]
}

fn is_name(text: &str) -> bool {
    is_part(text) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !text.contains("--")
}

/// A part of a path that leads nowhere else.
pub(super) fn is_part(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains(|c: char| c.is_control() || "\\?#%".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> HubFile {
        match &parse(text).unwrap().parts[..] {
            [Part(sources)] => match &sources[..] {
                [Source::Hub(file)] => file.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn references_are_taken_apart_and_written_again() {
        for (text, repo, rev, path) in [
            ("hf://a/b/c.pt", "a/b", "main", "c.pt"),
            ("hf://a-1/b.c@v1.0/d/e.safetensors", "a-1/b.c", "v1.0", "d/e.safetensors"),
            ("hf://a/b@refs%2Fpr%2F3/c.pt", "a/b", "refs/pr/3", "c.pt"),
        ] {
            let f = file(text);
            assert_eq!((f.repo.as_str(), f.rev.as_str(), f.file.as_str()), (repo, rev, path));
            assert_eq!(f.reference(), text);
        }
    }

    #[test]
    fn a_folder_is_its_settings_and_its_weights() {
        for (text, first) in [("hf://a/b", "config.json"), ("hf://a/b@x/vae/", "vae/config.json")] {
            let item = parse(text).unwrap();
            assert!(item.is_folder && item.parts.len() == 2, "{text}");
            assert!(matches!(&item.parts[0].0[..], [Source::Hub(f)] if f.file == first), "{text}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for text in [
            "hf://",
            "hf://a",
            "hf://a/..",
            "hf:///b/c",
            "hf://a/b/../c",
            "hf://a/b//c",
            "hf://a/b@/c",
            "hf://a/b@../c",
            "hf://a b/c/d",
            "hf://a/b/c?d",
            "hf://a--b/c/d",
            "hf://a/b/c\n",
        ] {
            let e = parse(text).expect_err(text);
            assert!(e.code() == "E0202" && e.help_text().is_some_and(|h| h.contains("owner/repo")), "{text}: {e}");
        }
    }
}
