//! `lathe convert IN OUT`.

use crate::error::{Error, Result};
use crate::files;
use crate::models::{VaeConfig, vae};
use crate::nn::weights::{Part, is_average};
use crate::nn::{State, Weights, others};
use crate::torch::files::{PtItem, write_pt, write_safetensors};
use crate::torch::{DType, Tensor, dtype_name};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Convert weights between files of PyTorch, safetensors and diffusers.
///
/// IN is a file (.pt .pth .ckpt .bin .safetensors .npz, or the .index.json of a sharded one) or a folder of diffusers. OUT says by
/// its ending what is written: .safetensors, .pt (or .pth .ckpt .bin, for `torch.load(weights_only=True)`), or, without an ending and
/// with `--to diffusers`, a folder with config.json that `AutoencoderKL.from_pretrained` reads. Nothing in a file is ever run.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lathe convert vavae.ckpt vavae.safetensors                  another format, the same names
  lathe convert repae.pt e2e-vae.pt --to ldm --latents-stats  the VAE of a REPA-E checkpoint, and e2e-vae-latents-stats.pt
  lathe convert e2e-vae.pt e2e-vae-hf --to diffusers          a folder for diffusers
  lathe convert sd-vae-ft-mse sd-vae.pt --to ldm              and back
  lathe convert repae.pt sit.safetensors --key ema --dtype bf16")]
pub struct Args {
    /// The weights to read.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file or folder to write.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Rename an autoencoder's tensors: `ldm` as in latent diffusion and REPA-E, `diffusers` as in AutoencoderKL.
    #[arg(long, value_name = "NAMES", value_parser = ["ldm", "diffusers"])]
    to: Option<String>,
    /// The part of a checkpoint to take, such as `ema`, `model` or `vae`.
    #[arg(long)]
    key: Option<String>,
    /// Convert floats; integers stay.
    #[arg(long, value_name = "DTYPE", value_parser = ["f16", "bf16", "f32"])]
    dtype: Option<String>,
    /// Groups of the group norms for config.json, which no tensor tells; a folder of diffusers says it itself.
    #[arg(long, value_name = "N")]
    norm_groups: Option<i64>,
    /// Write NAME-latents-stats.pt beside OUT as well: the statistics of the denoiser in the checkpoint, or the file beside IN.
    #[arg(long)]
    latents_stats: bool,
    /// Overwrite OUT.
    #[arg(long)]
    force: bool,
}

/// What OUT is.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Safetensors,
    Pt,
    Folder,
}

/// Converts, and prints what was done.
///
/// # Errors
/// `E0101` for flags that do not go together or an OUT that is there, `E0401` for weights that are no autoencoder, or several.
pub fn run(args: &Args) -> Result<()> {
    let format = format_of(args)?;
    let stats_path = stats_beside(&args.output);
    for path in std::iter::once(&args.output).chain(args.latents_stats.then_some(&stats_path)) {
        if path.exists() && !args.force {
            return Err(Error::usage(format!("`{}` is there already", path.display())).help("--force overwrites it"));
        }
    }
    if format == Format::Folder && args.output.is_file() {
        return Err(Error::usage(format!("`{}` is a file, and a folder is to be written", args.output.display())).help("give another OUT"));
    }
    if format != Format::Folder && args.output.is_dir() {
        return Err(Error::usage(format!("`{}` is a folder", args.output.display())).help("give the name of a file in it"));
    }
    let weights = Weights::open(&args.input)?;
    let part = match args.to {
        Some(_) => weights.part_where(args.key.as_deref(), "autoencoder", has_autoencoder)?,
        None => weights.part_where(args.key.as_deref(), "weights", |_| true)?,
    };
    let read = part.read()?;
    let mut summary = vec![format!("{}: {}", args.input.display(), part.label())];
    let (mut state, config) = renamed(args, &read, &mut summary)?;
    if let Some(dtype) = &args.dtype {
        let dtype = crate::torch::parse_dtype(dtype)?;
        for t in state.values_mut().filter(|t| t.is_float()) {
            *t = t.to_dtype(dtype)?;
        }
    }
    let stats = if args.latents_stats { Some(latents_stats(args, &weights)?) } else { None };
    match format {
        Format::Safetensors => write_safetensors(&args.output, &state, &made_by_torch())?,
        Format::Pt => write_pt(&args.output, &dict(&state))?,
        Format::Folder => write_folder(&args.output, &state, &config.unwrap_or_default())?,
    }
    summary.push(format!("{}: {}", args.output.display(), contents(&state)));
    if let Some(stats) = stats {
        write_pt(&stats_path, &dict(&stats))?;
        summary.push(format!("{}: {}", stats_path.display(), contents(&stats)));
    }
    let mut out = std::io::stdout().lock();
    summary.iter().try_for_each(|line| writeln!(out, "{line}")).map_err(|e| Error::io("write", "stdout", e))
}

fn format_of(args: &Args) -> Result<Format> {
    let ext = args.output.extension().map(|e| e.to_string_lossy().to_lowercase());
    match ext.as_deref() {
        Some("safetensors") => Ok(Format::Safetensors),
        Some("pt" | "pth" | "ckpt" | "bin") => Ok(Format::Pt),
        _ if args.to.as_deref() == Some("diffusers") => Ok(Format::Folder),
        Some(ext) => Err(Error::usage(format!("OUT `{}`: files of type `.{ext}` are not written", args.output.display()))
            .help("one of .safetensors .pt .pth .ckpt .bin")),
        None => Err(Error::usage(format!("OUT `{}` has no ending that says what to write", args.output.display()))
            .help("one of .safetensors .pt .pth .ckpt .bin; or `--to diffusers` for a folder")),
    }
}

/// Whether an autoencoder lies in it, under any prefix; both namings agree on this name.
fn has_autoencoder(part: &Part) -> bool {
    part.shapes.iter().any(|(name, _)| others::plain_name(name).strip_suffix(vae::ANCHOR).is_some_and(|p| p.is_empty() || p.ends_with('.')))
}

/// The state with the wanted names, and its config.json for a folder.
fn renamed(args: &Args, read: &State, summary: &mut Vec<String>) -> Result<(State, Option<serde_json::Value>)> {
    let Some(to) = args.to.as_deref() else { return Ok((read.clone(), None)) };
    let own = vae::from_any(read)?;
    let groups = match (args.norm_groups, VaeConfig::from_folder(&args.input)) {
        (Some(n), _) => n,
        (None, Ok(config)) if args.input.is_dir() => config.norm_groups,
        _ => VaeConfig::default().norm_groups,
    };
    let config = checked(&own, groups)?;
    let (levels, channels) = (config.ch_mult.len(), config.z_channels);
    summary.push(format!(
        "an autoencoder: ch {}, ch_mult {:?}, {levels} levels, {channels} latent channels, {groups} norm groups",
        config.ch, config.ch_mult
    ));
    if to == "ldm" {
        return Ok((own, None));
    }
    let mut described = config.to_diffusers()?;
    if args.input.is_dir()
        && let (Ok(scaling), Some(map)) = (VaeConfig::scaling_of(&args.input), described.as_object_mut())
    {
        map.extend(scaling);
    }
    Ok((vae::to_diffusers(&own, levels)?, Some(described)))
}

/// The architecture of an autoencoder's state, which accounts for every tensor: what is left over would be lost, or break the reader.
fn checked(own: &State, groups: i64) -> Result<VaeConfig> {
    let config = VaeConfig::of_state(own, groups)?;
    vae::AutoencoderKl::module("autoencoder of these sizes", config.clone())?.check_state(own)?;
    Ok(config)
}

/// An autoencoder's state with diffusers' names, and its config.json.
///
/// # Errors
/// `E0401` when it is no autoencoder of this family, `E0202` when diffusers has no such one.
pub(super) fn vae_of_diffusers(state: &State, groups: i64) -> Result<(State, serde_json::Value)> {
    let config = checked(state, groups)?;
    Ok((vae::to_diffusers(state, config.ch_mult.len())?, config.to_diffusers()?))
}

/// Readers of Hugging Face's libraries want to know which library the tensors are of.
pub(super) fn made_by_torch() -> HashMap<String, String> {
    [("format".to_owned(), "pt".to_owned())].into()
}

/// A state dict as an object of PyTorch's files.
pub(super) fn dict(state: &State) -> PtItem {
    PtItem::Dict(state.iter().map(|(k, t)| (k.clone(), PtItem::Tensor(t.clone()))).collect())
}

/// The weights first: a folder with a config.json is whole.
pub(super) fn write_folder(folder: &Path, state: &State, config: &serde_json::Value) -> Result<()> {
    files::create_dir(folder)?;
    write_safetensors(&folder.join("diffusion_pytorch_model.safetensors"), state, &made_by_torch())?;
    let path = folder.join("config.json");
    let text = serde_json::to_string_pretty(config).map_err(|e| Error::data(&path, e.to_string()))?;
    files::write(&path, text + "\n")
}

/// `250 tensors, 83 653 863 elements, f32 250`.
pub(super) fn contents(state: &State) -> String {
    let mut dtypes: BTreeMap<&str, usize> = BTreeMap::new();
    for t in state.values() {
        *dtypes.entry(dtype_name(t.dtype())).or_default() += 1;
    }
    let elements: usize = state.values().map(Tensor::numel).sum();
    let dtypes: Vec<String> = dtypes.iter().map(|(d, n)| if dtypes.len() == 1 { (*d).to_owned() } else { format!("{n} {d}") }).collect();
    format!("{} tensors, {elements} elements, {}", state.len(), dtypes.join(", "))
}

/// `NAME.pt` -> `NAME-latents-stats.pt`, the reference's convention.
fn stats_beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("{}-latents-stats.pt", path.file_stem().unwrap_or_default().to_string_lossy()))
}

/// `latents_scale` (1 / std) and `latents_bias` (mean), `[1, C, 1, 1]`: of the denoiser's batch norm in the checkpoint, or of the file beside it.
fn latents_stats(args: &Args, weights: &Weights) -> Result<State> {
    const MEAN: &str = "bn.running_mean";
    let beside = stats_beside(&args.input);
    if beside.is_file() {
        let state = Weights::open(&beside)?.part_where(None, "latent statistics", |p| p.shapes.iter().any(|(k, _)| k == "latents_scale"))?.read()?;
        return Ok(state);
    }
    let holds = |p: &Part| p.shapes.iter().any(|(k, _)| k == MEAN);
    let parts: Vec<&Part> = weights.parts().iter().filter(|p| holds(p)).collect();
    // The average's statistics are those that the reference samples with.
    let part = parts.iter().find(|p| is_average(&p.name)).or(parts.first()).ok_or_else(|| {
        Error::weights(format!("`{}` holds no denoiser with `{MEAN}`, and there is no `{}`", args.input.display(), beside.display()))
            .help("without --latents-stats only the weights are converted")
    })?;
    let state = part.read()?;
    let missing = |name: &str| Error::weights(format!("`{}`: {} has no `{name}`", args.input.display(), part.label()));
    let mean = state.get(MEAN).ok_or_else(|| missing(MEAN))?.to_dtype(DType::Float)?;
    let var = state.get("bn.running_var").ok_or_else(|| missing("bn.running_var"))?.to_dtype(DType::Float)?;
    let shape = [1, mean.numel() as i64, 1, 1];
    Ok([("latents_scale".to_owned(), var.rsqrt()?.reshape(&shape)?), ("latents_bias".to_owned(), mean.reshape(&shape)?)].into_iter().collect())
}
