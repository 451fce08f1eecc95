//! `lathe export RUN OUT --to FORMAT`: the weights of a run as other programs load them, with a card that says what they are.

mod card;
mod networks;
mod reference;
mod safetensors;

use super::convert;
use super::output::print;
use crate::error::{Error, Result};
use crate::files;
use crate::space::say;
use crate::train::checkpoint::Checkpoint;
use crate::train::compare::Summary;
use networks::Networks;
use std::path::{Path, PathBuf};

/// Write the weights of a run as other programs load them: a folder OUT with the weights and a model card (README.md).
///
/// The newest whole checkpoint is taken, of a denoiser the moving average with the model beside it where the format has both. Optimizers stay behind.
///
/// repae: what REPA-E's generate.py takes as --exp-path: args.json, checkpoints/NNNNNNN.pt, and of a run on cached latents vae.pt with its statistics; of
/// a run that trained a VAE alone vae.pt.
/// lightningdit: NNNNNNN.pt as hustvl/LightningDiT's inference takes it, and latents_stats.pt.
/// diffusers: the VAE as AutoencoderKL.from_pretrained takes it.
/// safetensors-sharded: files of at most --shard-size with model.safetensors.index.json; several networks in a folder each.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lathe export exps/repae repae-out --to repae             python generate.py --exp-path repae-out --train-steps 400000
  lathe export exps/sendvae e2e-vae-hf --to diffusers --license mit
  lathe export exps/ldm ldm-out --to safetensors-sharded --shard-size 2GB --step 200000")]
pub struct Args {
    /// The run's folder, or one of its checkpoints.
    run: PathBuf,
    /// The folder to write; it must not be there.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Who is to load it.
    #[arg(long, value_name = "FORMAT", value_parser = FORMATS)]
    to: String,
    #[command(flatten)]
    options: Options,
}

/// Who can load what is written.
pub(super) const FORMATS: [&str; 4] = ["repae", "lightningdit", "diffusers", "safetensors-sharded"];

/// What else decides how a run is exported.
#[derive(clap::Args)]
pub(super) struct Options {
    /// The step of the checkpoint; without it the newest.
    #[arg(long, value_name = "N")]
    step: Option<u64>,
    /// The licence in the card's head, as the hub names it: mit, apache-2.0, cc-by-nc-4.0.
    #[arg(long, value_name = "NAME", default_value = "unknown")]
    license: String,
    /// Most bytes of one file of safetensors-sharded: 5GB, 500MB.
    #[arg(long, value_name = "SIZE", default_value = "5GB")]
    shard_size: String,
    /// Groups of the VAE's group norms, which no tensor tells; those of the run's settings, else 32.
    #[arg(long, value_name = "N")]
    norm_groups: Option<i64>,
}

/// What is exported, and what is said of it.
pub(super) struct Export<'a> {
    options: &'a Options,
    /// Where it will lie, where that is known.
    place: Option<&'a Path>,
    checkpoint: Checkpoint,
    /// Without what was logged after the checkpoint.
    run: Summary,
    networks: Networks,
}

/// What a format wrote: files with what they hold, and what the reader of the card must know.
#[derive(Default)]
pub(super) struct Written {
    /// Name in the folder, and what is in it.
    files: Vec<(String, String)>,
    /// Said on the terminal and in the card.
    notes: Vec<String>,
    /// How it is loaded: lines of the named language.
    usage: Option<(&'static str, String)>,
}

/// Exports, and prints what was written.
///
/// # Errors
/// `E0101` where OUT is there, `E0401` where the run has no network that the format can hold, `E0301` and `E0302` for files.
pub fn run(args: &Args) -> Result<()> {
    if args.out.symlink_metadata().is_ok() {
        return Err(Error::usage(format!("`{}` is there already", args.out.display())).help("give the name of a folder that is not there"));
    }
    let parent = args.out.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir());
    if let Some(parent) = parent {
        return Err(Error::usage(format!("there is no folder `{}` to write `{}` in", parent.display(), args.out.display()))
            .help(format!("`mkdir -p {}`", parent.display())));
    }
    let folder = files::temporary_dir(&args.out)?;
    let (from, written) = folder.fill(|folder| write(&args.run, &args.to, &args.options, Some(&args.out), folder))?;
    folder.persist()?;
    print(&format!("{}: {from}\n{}", args.out.display(), written.shown()))
}

/// Writes everything into a folder that is there and will be called `place`; gives what it is of.
pub(super) fn write(run: &Path, to: &str, options: &Options, place: Option<&Path>, folder: &Path) -> Result<(String, Written)> {
    let checkpoint = Checkpoint::find(run, options.step, &mut |text| say(&format!("warning: {text}")))?;
    let mut run = Summary::of(checkpoint.run_folder())?;
    run.lines.retain(|l| l.step <= checkpoint.head().step);
    let networks = Networks::of(&checkpoint)?;
    let export = Export { options, place, checkpoint, run, networks };
    let mut written = match to {
        "repae" => reference::repae(&export, folder)?,
        "lightningdit" => reference::lightningdit(&export, folder)?,
        "diffusers" => diffusers(&export, folder)?,
        _ => safetensors::sharded(&export, folder)?,
    };
    card::write(&export, &mut written, folder)?;
    files::sync_dir(folder)?;
    Ok((format!("step {} of `{}`", export.checkpoint.head().step, export.checkpoint.run_folder().display()), written))
}

impl Written {
    /// What the reader must know.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A line for each file and each note.
    pub(super) fn shown(&self) -> String {
        let files = self.files.iter().map(|(name, what)| format!("  {name}: {what}\n"));
        files.chain(self.notes.iter().map(|note| format!("note: {note}\n"))).collect()
    }
}

/// The VAE for diffusers.
fn diffusers(e: &Export, folder: &Path) -> Result<Written> {
    let Some(vae) = &e.networks.vae else {
        return Err(Error::weights(format!("`{}` holds no VAE, and diffusers has none of its other networks", e.checkpoint.path().display()))
            .help("`--to repae` or `--to safetensors-sharded` write a denoiser"));
    };
    let (state, config) = convert::vae_of_diffusers(vae, e.norm_groups())?;
    convert::write_folder(folder, &state, &config)?;
    let mut w = Written::default();
    w.files.push(("config.json".into(), "the architecture".into()));
    w.files.push(("diffusion_pytorch_model.safetensors".into(), format!("the VAE: {}", convert::contents(&state))));
    w.usage = Some(("python", "from diffusers import AutoencoderKL\nvae = AutoencoderKL.from_pretrained(\"PATH\")".into()));
    if e.networks.denoiser.is_some() {
        w.notes.push("the run's denoiser is not in it: diffusers has no such network".into());
    }
    Ok(w)
}

impl Export<'_> {
    /// Groups of the VAE's group norms: the flag's, the settings', else 32.
    fn norm_groups(&self) -> i64 {
        let own = self.run.config.get("vae_config").and_then(|c| c.get("norm_groups")).and_then(serde_json::Value::as_i64);
        self.options.norm_groups.or(own).unwrap_or(crate::models::VaeConfig::default().norm_groups)
    }

    /// A setting of the run that is a text, or nothing.
    fn setting(&self, name: &str) -> &str {
        self.run.config.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
    }
}
