//! The results as a page of the documentation.

use super::report::Report;
use lathe::error::Result;
use std::fmt::Write as _;
use std::path::Path;

/// One fixture's result.
pub struct Row {
    pub name: String,
    pub kind: String,
    pub report: Report,
}

const HEAD: &str = "# Parity

Made by `make parity`; do not edit. Each row is a fixture: tensors that PyTorch code computed, with all inputs. Those of `tests/golden` are by REPA-E,
those of `tests/golden2` by the public code of ten repositories of today's networks, transports, samplers and optimizers; the README.md of each folder
describes them and sets the limits, and `tests/it/parity/checks` holds the checks of the second, in the language itself. The error shown is the one nearest to its limit among all that the
fixture's check compares. `exact` means that bytes or values must be equal, and are.

`LATHE_DEVICE=cuda` runs the same checks on a GPU, with TF32 off and ten times the limit for gradients of a loss through VGG16 and a discriminator,
the losses of trajectories, and sums of resized pictures: there eager PyTorch does not agree with itself either. On an H200 its gradient of an LPIPS
with random VGG16 weights was within 1e-5 of the CPU's for five of eight seeds, and 2e-4, 6e-4 and 1.5e-3 away for the others, where a ReLU or a
maximum switched. All 37 fixtures passed there (2026-11-27, libtorch 2.11.0+cu130).

A gradient through ReLUs, maxima or signs jumps where a unit lies at its kink, and rounding decides on which side: PyTorch itself, on a processor with
AVX2 alone, is 2.68e-3 away from its own gradient of `mean |decode(z)|` with AVX-512, and 4.26e-3 of that of the LPIPS and GAN loss, and so is Lathe, to three
digits. No limit is widened for that. `grad2` of a VAE is taken with the recorded signs of `decode(z)`, which is smooth; and where another gradient is beyond
its limit at the recorded inputs, it must keep the same limit beside them, with inputs moved by 3e-7 to 3e-6 of their size. Where that was needed, the
row says so.

";

/// Writes the table.
pub fn write(path: &Path, device: &str, rows: &[Row]) -> Result<()> {
    let info = lathe::torch::bridge::build_info()?;
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "libtorch {}, {} kernels, device {device}.\n", info.version.unwrap_or(info.compiled), info.cpu);
    text.push_str("| fixture | kind | compared | nearest to its limit | error | limit | |\n|---|---|---|---|---|---|---|\n");
    for row in rows {
        let state = if row.report.failures().is_empty() { "ok" } else { "**failed**" };
        let state = std::iter::once(state).chain(row.report.kinks().iter().map(String::as_str)).collect::<Vec<_>>().join("; ");
        let (name, compared) = (row.name.trim_end_matches(".json"), row.report.compared());
        let worst = match row.report.worst() {
            Some(w) => format!("{} | {:.1e} | {:.1e}", w.name, w.error, w.limit),
            None => "exact | 0 | 0".to_owned(),
        };
        let _ = writeln!(text, "| {name} | {} | {compared} | {worst} | {state} |", row.kind);
    }
    lathe::files::write(path, text)
}
