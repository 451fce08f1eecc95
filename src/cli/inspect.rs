//! `lathe inspect PATH`.

use super::output::{print, print_json};
use crate::error::Result;
use crate::origin::Origin;
use crate::train::origins;
use std::path::PathBuf;

/// Say what an artefact is and what it was made from, as far back as it says: shards, latents, statistics, samples (a folder or an .npz), an
/// evaluation, a run, a checkpoint, or a file of weights. Each line has the kind, the path it had then, and the first digits of the identity of
/// its content.
#[derive(clap::Args)]
pub struct Args {
    /// The file or folder.
    path: PathBuf,
    /// Print one JSON object with whole identities, for programs.
    #[arg(long)]
    json: bool,
}

/// Prints the chain.
///
/// # Errors
/// `E0301` or `E0302` when the path cannot be read or is nothing that lathe knows.
pub fn run(args: &Args) -> Result<()> {
    let origin = origins::of(&args.path)?;
    if args.json { print_json(&origin) } else { print(&text(&origin)) }
}

fn text(origin: &Origin) -> String {
    let mut out = format!("{origin}\n");
    if origin.is_known() {
        out.push_str(&format!("  identity: {}\n", origin.id));
    }
    below(origin, 1, &mut out);
    if origin.from.is_empty() && !["weights", "pictures"].contains(&origin.kind.as_str()) {
        out.push_str("  it does not say what it was made from\n");
    }
    out
}

/// What stands below an artefact: its settings and its parts.
fn below(origin: &Origin, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    if !origin.settings.is_empty() {
        let list: Vec<String> = origin.settings.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        out.push_str(&format!("{indent}settings: {}\n", list.join(", ")));
    }
    for (role, part) in &origin.from {
        out.push_str(&format!("{indent}{role}: {part}\n"));
        below(part, depth + 1, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Made;

    #[test]
    fn a_chain_reads_like_one() {
        let images = Origin::new("images", "data/images").about("48 pictures of 32 x 32").with_id("a".repeat(64));
        let from = Made::from([("images".to_owned(), images), ("vae".to_owned(), Origin::new("weights", "vae.pt"))]);
        let settings = serde_json::Map::from_iter([("mixed_precision".to_owned(), "no".into())]);
        let latents = Origin::new("latents", "data/latents").with_id("b").made(from, settings);
        let want = "\
latents `data/latents` b
  identity: b
  settings: mixed_precision = \"no\"
  images: images `data/images` (48 pictures of 32 x 32) aaaaaaaaaaaa
  vae: weights `vae.pt` of unknown origin
";
        assert_eq!(text(&latents), want);
        assert!(text(&Origin::new("samples", "s")).contains("does not say what it was made from"));
    }
}
