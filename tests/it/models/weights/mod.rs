//! Published weights in and out: what loads from where, what is refused and how.
//!
//! `tests/data/pt/joint.pt` was written by torch 2.11.0 (`make_joint.py` beside it) and is what REPA-E's joint training saves; the
//! folders of diffusers are made here from the fixtures of `tests/golden/vae`, whose expected numbers diffusers 0.42.1 gave.

mod chooses;
mod folders;
mod foreign;

use crate::support::root;
use lathe::script::{Engine, EngineOptions};
use std::path::{Path, PathBuf};

/// The small networks of `joint.pt`.
const NETWORKS: &str = "
    let vae_config = #{ch: 4, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 2, z_channels: 2, attn_resolutions: [128]};
    let sit_config = #{depth: 1, hidden: 8, heads: 2, patch: 1, input_size: 4, in_channels: 2, num_classes: 3, z_dims: [6], projector_dim: 8};
    let disc_config = #{ndf: 2, layers: 1};
";

/// Runs a script with `dir` and `data` (`tests/data/pt`) as constants.
pub fn run(dir: &Path, code: &str) -> Result<(), String> {
    let data = root().join("tests/data/pt");
    let golden = root().join("tests/golden");
    let head = format!("let dir = {:?}; let data = {:?}; let golden = {:?};", dir.display(), data.display(), golden.display());
    let text = format!("{head}\n{NETWORKS}\n{code}");
    Engine::new(EngineOptions::default()).eval(&text).map(|_| ()).map_err(|e| e.render(false))
}

/// The same, and it must succeed.
pub fn good(dir: &Path, code: &str) {
    run(dir, code).unwrap_or_else(|e| panic!("{e}"));
}

/// The same, and it must fail with all of these words.
fn bad(dir: &Path, code: &str, words: &[&str]) {
    let e = run(dir, code).expect_err(code);
    for w in words {
        assert!(e.contains(w), "`{code}` says nothing of `{w}`:\n{e}");
    }
}

/// The fixture of one name, below `tests/golden/vae`.
pub fn golden(name: &str) -> PathBuf {
    root().join("tests/golden/vae").join(name)
}
