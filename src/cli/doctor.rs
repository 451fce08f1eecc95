//! `lathe doctor`: what was found, what is missing, and the command that mends it.

use crate::error::{Error, Result};
use crate::torch::{self, bridge};
use std::path::{Path, PathBuf};

/// How a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Good,
    Note,
    Bad,
}

/// One line of the report.
struct Finding {
    mark: Mark,
    what: &'static str,
    text: String,
    /// What to type, where something can be mended.
    remedy: Option<String>,
}

fn finding(mark: Mark, what: &'static str, text: impl Into<String>, remedy: Option<&str>) -> Finding {
    Finding { mark, what, text: text.into(), remedy: remedy.map(str::to_owned) }
}

/// Show what was found, what is missing, and the command that mends it.
#[derive(clap::Args)]
pub struct Args {
    /// As a JSON array, for programs.
    #[arg(long)]
    json: bool,
}

/// Prints the report.
///
/// # Errors
/// `E0601` when something that every run needs is missing.
pub fn run(args: &Args) -> Result<()> {
    let mut findings = libtorch();
    findings.extend(cuda());
    findings.push(threads());
    findings.extend(ranks());
    findings.push(memory());
    findings.push(bf16());
    findings.push(writable());
    findings.push(stdlib());
    findings.push(weights());
    findings.push(fetched());
    findings.push(kernel());
    if args.json {
        let rows: Vec<_> =
            findings.iter().map(|f| serde_json::json!({ "what": f.what, "state": state(f.mark), "text": f.text, "remedy": f.remedy })).collect();
        super::output::print_json(&rows)?;
    } else {
        println!("lathe {}", env!("CARGO_PKG_VERSION"));
        for f in &findings {
            println!("  {:7} {:10} {}", state(f.mark), f.what, f.text);
            if let Some(r) = &f.remedy {
                println!("  {:7} {:10} -> {r}", "", "");
            }
        }
    }
    let bad = findings.iter().filter(|f| f.mark == Mark::Bad).count();
    if bad > 0 { Err(Error::run(format!("{bad} of {} checks failed", findings.len()))) } else { Ok(()) }
}

/// How several processes would work together here.
fn ranks() -> Vec<Finding> {
    let how = match bridge::dist::nccl() {
        Ok(text) if torch::cuda_is_available() => finding(Mark::Good, "ranks", format!("NCCL {text}, Gloo"), None),
        Ok(_) => finding(Mark::Good, "ranks", "Gloo; NCCL is here, but no GPU answers", None),
        Err(_) => finding(Mark::Good, "ranks", "Gloo; no NCCL in this libtorch, which GPUs need", None),
    };
    vec![how, finding(Mark::Good, "spin", bridge::spin().to_string(), None)]
}

fn state(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "ok",
        Mark::Note => "note",
        Mark::Bad => "MISSING",
    }
}

fn libtorch() -> Vec<Finding> {
    let place = match bridge::library() {
        Ok(path) => finding(Mark::Good, "libtorch", path.display().to_string(), None),
        Err(e) => finding(Mark::Bad, "libtorch", e.to_string(), Some("make build")),
    };
    let version = match bridge::build_info() {
        Ok(info) => {
            let text = format!("{} (compiled against {}), CPU kernels {}", info.version.as_deref().unwrap_or("?"), info.compiled, info.cpu);
            finding(Mark::Good, "version", text, None)
        }
        Err(e) => finding(Mark::Bad, "version", e.to_string(), Some("make build")),
    };
    vec![place, version]
}

fn cuda() -> Vec<Finding> {
    use bridge::CudaKernels as K;
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    match bridge::load_cuda() {
        K::Loaded(n) if torch::cuda_is_available() => vec![finding(Mark::Good, "cuda", format!("{n} kernels, default device cuda:0"), None)],
        K::Loaded(n) => {
            let remedy = if driver { None } else { Some("install the NVIDIA driver, or run with --device cpu") };
            vec![finding(Mark::Note, "cuda", format!("{n} kernels are loaded, but no GPU answers: runs on the CPU"), remedy)]
        }
        K::Broken(why) => vec![finding(Mark::Bad, "cuda", format!("libtorch_cuda.so does not load: {why}"), Some("make clean build CUDA=1"))],
        K::Absent(_) | K::NotTried if driver => {
            vec![finding(Mark::Note, "cuda", "a GPU driver is here, but this libtorch has no CUDA kernels", Some("make clean build CUDA=1"))]
        }
        K::Absent(_) | K::NotTried => vec![finding(Mark::Good, "cuda", "no NVIDIA driver: runs on the CPU", None)],
    }
}

fn threads() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let n = torch::num_threads();
    let remedy = (n < cores).then_some("unset OMP_NUM_THREADS, or use --threads");
    finding(if n < cores { Mark::Note } else { Mark::Good }, "threads", format!("{n} of {cores} cores"), remedy)
}

fn memory() -> Finding {
    use crate::memory::{self, Machine, shown};
    let Some(machine) = Machine::read() else {
        return finding(Mark::Note, "memory", "the system does not say how much there is: only --max-memory SIZE sets a limit", None);
    };
    let here = match machine.group {
        Some(group) => format!("{} of {} by the limit of its control group", shown(group), shown(machine.total)),
        None => shown(machine.total),
    };
    match memory::limit() {
        Some(limit) => finding(Mark::Good, "memory", format!("{here}; a command may use {}, or what --max-memory says", shown(limit)), None),
        None => finding(Mark::Note, "memory", format!("{here}; no limit"), None),
    }
}

fn bf16() -> Finding {
    match bridge::build_info() {
        Ok(info) if info.has_fast_bf16() => finding(Mark::Good, "bf16", "multiplied in hardware: --mixed-precision bf16 is faster", None),
        Ok(_) => finding(Mark::Note, "bf16", "works, but this CPU has no instructions for it: f32 is faster", None),
        Err(e) => finding(Mark::Bad, "bf16", e.to_string(), None),
    }
}

fn writable() -> Finding {
    let dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match tempfile::NamedTempFile::new_in(&dir) {
        Ok(_) => finding(Mark::Good, "write", format!("{} can be written", dir.display()), None),
        Err(e) => finding(Mark::Note, "write", format!("{} cannot be written: {e}", dir.display()), Some("run elsewhere, or name --output-dir")),
    }
}

fn stdlib() -> Finding {
    let place = crate::script::stdlib_folder().map_or_else(|| "built in".to_owned(), |p| p.display().to_string());
    finding(Mark::Good, "stdlib", place, None)
}

fn weights() -> Finding {
    match crate::models::encoder_weights("efficientnet-lite0", None) {
        Ok(path) => finding(Mark::Good, "weights", path.display().to_string(), None),
        Err(_) => finding(Mark::Note, "weights", "EfficientNet-Lite0, the demo's vision model, is not here", Some("make weights")),
    }
}

/// The published weights that are here.
fn fetched() -> Finding {
    let hub = crate::fetch::hub_folder().map_or_else(|| "no folder".to_owned(), |f| f.display().to_string());
    let hub = crate::fetch::offline().map_or_else(|| hub.clone(), |name| format!("{hub}, offline by {name}"));
    match super::fetch::here() {
        Ok(here) if here.is_empty() => {
            finding(Mark::Good, "fetched", format!("nothing yet; files of the hub lie in {hub}"), Some("lathe fetch --list"))
        }
        Ok(here) => {
            let list = here.iter().map(|(name, size, _)| format!("{name} ({})", crate::fetch::shown(*size))).collect::<Vec<_>>().join(", ");
            let list = format!("{list}; files of the hub lie in {hub}");
            match here.iter().find_map(|(_, _, damage)| damage.as_ref()) {
                Some(e) => finding(Mark::Note, "fetched", format!("{e}; here are {list}"), e.help_text()),
                None => finding(Mark::Good, "fetched", list, None),
            }
        }
        Err(e) => finding(Mark::Note, "fetched", e.to_string(), None),
    }
}

/// Whether Jupyter knows of the kernel, and finds it.
fn kernel() -> Finding {
    use crate::kernel::spec;
    let install = Some("lathe kernel install");
    let Some(folder) = spec::user_folder() else { return finding(Mark::Good, "jupyter", "HOME is not set: no kernelspec of this user", None) };
    match spec::installed(&folder) {
        Ok(None) => finding(Mark::Good, "jupyter", "no kernel for notebooks is installed for this user", install),
        Ok(Some(program)) if program.is_file() => finding(Mark::Good, "jupyter", format!("notebooks start {}", program.display()), None),
        Ok(Some(program)) => finding(Mark::Note, "jupyter", format!("notebooks would start {}, which is not there", program.display()), install),
        Err(e) => finding(Mark::Note, "jupyter", e.to_string(), install),
    }
}
