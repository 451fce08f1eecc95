//! Where the weights of a vision model are, and how they are read.

use super::known::{Known, Published};
use super::size::text;
use crate::error::{Error, Result};
use crate::fetch::{HubFile, Item, Part, PlainFile, Source, usable, weight_folders};
use crate::models::published::remedy;
use crate::nn::{State, read_state};
use crate::torch::files::{is_torchscript, read_pt, read_torchscript_state};
use std::path::{Path, PathBuf};

/// Extensions under which weights may lie in a folder, best first.
const EXTENSIONS: [&str; 3] = ["safetensors", "pth", "pt"];

/// The weights in a folder of Hugging Face, best first.
const SNAPSHOT: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// The lists of those that are in several files.
const SHARDED: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// The file of the weights of the model `name`: the given one (a folder means the `model.safetensors` or `pytorch_model.bin` in it);
/// else the first of `NAME.safetensors`, `.pth`, `.pt`, the official file names, and a folder `NAME`, in the folders that may hold one:
/// `LATHE_WEIGHTS`, then `weights/` in `LATHE_CACHE` or the user's cache folder; else what the hub's cache has.
///
/// # Errors
/// `E0202` for an unknown name, `E0301` when there is no such file, with where to get it and where to put it.
pub fn weights(name: &str, given: Option<PathBuf>) -> Result<PathBuf> {
    find(&Known::find(name)?, given)
}

/// The same for a model that is known already.
pub fn find(known: &Known, given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(path) => within(&path).ok_or_else(|| missing(known, path)),
        None => match present(known)? {
            Some(path) => Ok(path),
            None => {
                let put = weight_folders().last().cloned().unwrap_or_default();
                Err(missing(known, put.join(known.published.files.first().unwrap_or(&known.name))))
            }
        },
    }
}

/// The file of the weights where one is there, without asking the net.
fn present(known: &Known) -> Result<Option<PathBuf>> {
    let name = &known.name;
    let names = EXTENSIONS.iter().map(|e| format!("{name}.{e}")).chain(known.published.files.iter().cloned()).chain([name.clone()]);
    let names: Vec<String> = names.collect();
    if let Some(found) = weight_folders().iter().find_map(|f| names.iter().find_map(|n| within(&f.join(n)))) {
        return Ok(Some(found));
    }
    Ok(item(known).map(|i| usable(&i, None)).transpose()?.flatten().and_then(|files| files.first().cloned()))
}

fn missing(known: &Known, path: PathBuf) -> Error {
    let folders = weight_folders();
    let put = folders.last().cloned().unwrap_or_default();
    let searched: Vec<String> = folders.iter().map(|f| format!("`{}`", f.display())).collect();
    let help = format!("{}; searched: {}; or name the file: `#{{weights: \"path/to/file\"}}`", source(known, &put), searched.join(", "));
    Error::io("find the weights", path, std::io::ErrorKind::NotFound.into()).help(help)
}

/// The files that may be meant by `owner/repo` or `owner/repo/file`, best first.
fn on_hub(at: &str) -> Vec<HubFile> {
    match at.match_indices('/').nth(1) {
        Some((i, _)) => vec![HubFile::new(&at[..i], &at[i + 1..])],
        None => SNAPSHOT.iter().zip(SHARDED).flat_map(|(one, several)| [one, several]).map(|file| HubFile::new(at, file)).collect(),
    }
}

/// What can be fetched of it: the hub's file, whose hash the hub says, before the official one. `None` where neither has an address.
pub fn item(known: &Known) -> Option<Item> {
    let Published { files, url, hugging_face, .. } = &known.published;
    let hub = hugging_face.iter().flat_map(|at| on_hub(at)).map(Source::Hub);
    let is_address = |url: &&String| url.starts_with("https://") && !url.contains(' ');
    let plain = Some(url)
        .filter(is_address)
        .zip(files.first())
        .map(|(url, name)| Source::Plain(PlainFile { url: url.clone(), name: name.clone(), sha256: known.published.sha256.into() }));
    let sources: Vec<Source> = hub.chain(plain).collect();
    let about = format!("vision model, sees pictures of {}", text(known.preprocess.resolution));
    (!sources.is_empty()).then(|| Item { name: known.name.clone(), about, parts: vec![Part(sources)], is_folder: false })
}

/// The file itself, or the weights in a folder.
fn within(path: &Path) -> Option<PathBuf> {
    let names = SNAPSHOT.iter().chain(&SHARDED);
    if path.is_dir() { names.map(|n| path.join(n)).find(|p| p.is_file()) } else { path.is_file().then(|| path.to_owned()) }
}

/// How to get the weights.
fn source(known: &Known, put: &Path) -> String {
    let Published { files, url, hugging_face, .. } = &known.published;
    let fetch = item(known).map_or(String::new(), |i| remedy(&i.name));
    let official = files.first().filter(|_| !url.is_empty()).map(|file| format!("get {url} and put it there as `{}`", put.join(file).display()));
    let hub = hugging_face.as_ref().and_then(|at| on_hub(at).into_iter().next()).map(|HubFile { repo, file, .. }| {
        let end = file.rsplit('.').next().unwrap_or_default();
        format!("`{file}` of https://huggingface.co/{repo} as `{}`", put.join(format!("{}.{end}", known.name)).display())
    });
    match (official, hub) {
        (Some(official), Some(hub)) => format!("{fetch}{official}, or {hub}"),
        (Some(one), None) => format!("{fetch}{one}"),
        (None, Some(one)) => format!("{fetch}put {one}"),
        (None, None) => "`make weights` fetches them once".into(),
    }
}

/// The weights in a file: safetensors, the list of those in several files, PyTorch's formats (`key` names the place in a checkpoint, otherwise the
/// model's usual places are looked at), and the parameters in a TorchScript archive, whose code is not run.
pub fn read(path: &Path, key: Option<&str>, published: &Published) -> Result<State> {
    let plain = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors") || e.eq_ignore_ascii_case("json"));
    if !plain && key.is_none() {
        if is_torchscript(path) {
            return read_torchscript_state(path);
        }
        let checkpoint = read_pt(path)?;
        let usual = published.keys.iter().find(|k| checkpoint.get(k).is_some_and(|v| !v.entries().is_empty()));
        return read_state(path, usual.copied());
    }
    read_state(path, key)
}
