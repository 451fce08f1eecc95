//! Weight files under their published names, written as PyTorch writes them. The values are hashed.

use crate::parity::fixture::{Fixture, hash_tensor, read, shape_of};
use crate::support::root;
use lathe::nn::State;
use lathe::torch::files::{PtItem, write_pt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The tensors of a fixture's `spec`.
fn hashed(file: &str) -> State {
    let f = Fixture::open(&root().join(file)).unwrap();
    let bound = |s: &serde_json::Value, k: &str| s[k].as_f64().unwrap();
    let one = |(name, s): (&String, &serde_json::Value)| {
        (name.clone(), hash_tensor(f.seed(), name, &shape_of(&s["shape"]), bound(s, "lo"), bound(s, "hi")).unwrap())
    };
    f.meta["spec"].as_object().unwrap().iter().map(one).collect()
}

fn save(file: PathBuf, state: State) -> PathBuf {
    write_pt(&file, &PtItem::Dict(state.into_iter().map(|(k, t)| (k, PtItem::Tensor(t))).collect())).unwrap();
    file
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// InceptionV3, as `pt_inception-2015-12-05-6726825d.pth` names its tensors.
pub fn inception() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| save(folder().join("pt_inception.pth"), hashed("tests/data/eval/inception.json")))
}

/// VGG16 as torchvision names it, and the published heads of LPIPS as that package does.
pub fn lpips() -> &'static [PathBuf; 2] {
    static FILES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let heads = read(&root().join("tests/golden/loss/lpips.safetensors")).unwrap();
        let heads = heads.into_iter().filter(|(k, _)| k.starts_with("lin")).collect();
        [save(folder().join("vgg16.pth"), hashed("tests/golden/loss/lpips.json")), save(folder().join("vgg.pth"), heads)]
    })
}
