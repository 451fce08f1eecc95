//! Every overload of libtorch.

pub mod make;
mod report;
pub mod spec;
pub mod worker;

use crate::flags::Flags;
use crate::process;
use lathe::torch::bridge;
use lathe::torch::operators::{self, Kind, Param, Schema};
use std::sync::Mutex;

/// Runs the family; whether nothing was found.
pub fn run(flags: &Flags) -> bool {
    let mut wanted: Vec<String> = Vec::new();
    for s in schemas() {
        let name = s.full_name();
        let asked = flags.only.as_ref().is_none_or(|only| only.split(',').any(|o| name.contains(o)));
        if asked && if flags.all { closed(&s).is_none() } else { operators::allowed(&name) } {
            wanted.push(name);
        }
    }
    shuffle(&mut wanted, flags);
    let total = wanted.len();
    let found = Mutex::new(report::Report::default());
    let left = process::all(flags, wanted, |name, outcome| {
        let mut found = found.lock().unwrap();
        for fault in &outcome.faults {
            println!("{name}: {fault}");
        }
        found.add(name, outcome);
        if found.seen().is_multiple_of(200) {
            eprintln!("{} of {total}", found.seen());
        }
    });
    let found = found.into_inner().unwrap();
    println!("ops: {}{}, seed {}", found.summary(), if left > 0 { format!(", {left} not reached in time") } else { String::new() }, flags.seed);
    if let Some(folder) = &flags.write {
        report::write(folder, &found, &schemas(), schemas().iter().filter_map(|s| closed(s).map(|why| (s.full_name(), why))).collect());
    }
    found.is_clean()
}

/// With a limit of time other overloads come first each time; without, they are in order.
fn shuffle(names: &mut [String], flags: &Flags) {
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    if flags.time.is_some() {
        names.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(flags.seed));
    }
}

/// Every overload of PyTorch's own operators.
fn schemas() -> Vec<Schema> {
    let names = bridge::names().iter().filter(|n| n.starts_with("aten::"));
    names.flat_map(|n| bridge::schemas(n)).filter_map(|t| Schema::parse(&t)).collect()
}

/// Names that begin with `_` and are of use in recipes; all others of them are internals.
const OPEN: &[&str] = &[
    "_foreach_",
    "_fused_adam",
    "_fused_sgd",
    "_fused_sdp_choice",
    "_scaled_dot_product_attention_math",
    "_softmax",
    "_log_softmax",
    "_weight_norm",
    "_unsafe_view",
    "_to_copy",
    "_adaptive_avg_pool",
    "_amp_foreach_non_finite",
    "_cdist_forward",
    "_euclidean_dist",
    "_standard_gamma",
    "_sample_dirichlet",
    "_logcumsumexp",
    "_convolution",
    "_embedding_bag",
    "_trilinear",
    "_upsample_",
    "_fft_",
    "_linalg_",
    "_aminmax",
    "_stack",
    "_unique",
    "_cummax",
    "_dim_arange",
    "_prelu",
    "_chunk_cat",
];

/// What handles memory, files, threads or other layouts, by name.
const CLOSED: &[(&str, &str)] = &[
    ("*backward*", "an internal of autograd"),
    ("from_file", "opens a file"),
    // Seldom, so that a run may miss it.
    ("*powsum*", "wrote outside of its result"),
    ("reflection_pad3d*", "returned memory that nobody wrote"),
    ("special_*_polynomial_*", "returns memory that nobody wrote for what is no number"),
    ("addbmm_", "changed the shape of its argument in place"),
    ("sgn*", "ended the process by SIGSEGV with gradients"),
    ("set", "gives its argument other memory in place"),
    ("set_", "gives its argument other memory in place"),
    ("set_data", "gives its argument other memory in place"),
    ("data", "shares memory without autograd's knowledge"),
    ("*resize*", "gives its argument other memory in place"),
    ("record_stream", "of another device's memory"),
    ("data_ptr", "an address"),
    ("*sparse*", "makes or takes tensors of another layout"),
    ("*csr*", "makes or takes tensors of another layout"),
    ("*csc*", "makes or takes tensors of another layout"),
    ("*bsr*", "makes or takes tensors of another layout"),
    ("*bsc*", "makes or takes tensors of another layout"),
    ("*coalesce*", "makes or takes tensors of another layout"),
    ("*mkldnn*", "makes or takes tensors of another layout"),
    ("*quantize_per*", "makes or takes quantised tensors"),
    ("quantized_*", "makes or takes quantised tensors"),
    ("q_*", "makes or takes quantised tensors"),
    ("*dequantize*", "makes or takes quantised tensors"),
    ("int_repr*", "makes or takes quantised tensors"),
    ("fbgemm_*", "returns addresses as tensors"),
    ("cudnn_*", "of another device"),
    ("miopen_*", "of another device"),
    ("mps_*", "of another device"),
    ("_*cuda*", "of another device"),
    ("*nested*", "makes or takes tensors of another layout"),
    ("is_pinned*", "of another device"),
    ("*pin_memory*", "of another device"),
    ("*names*", "names dimensions"),
    ("rename*", "names dimensions"),
    ("align_*", "names dimensions"),
    ("refine_*", "names dimensions"),
    ("unflatten.Dimname", "names dimensions"),
    ("empty*", "returns memory that nobody wrote"),
    ("new_empty*", "returns memory that nobody wrote"),
    ("retain_grad*", "an internal of autograd"),
    ("requires_grad_*", "an internal of autograd"),
    ("output_nr*", "an internal of autograd"),
    ("backward*", "an internal of autograd"),
];

/// Why an overload is not tried at all.
fn closed(s: &Schema) -> Option<&'static str> {
    let name = s.full_name();
    let base = name.split('.').next().unwrap_or(&name);
    let quantize = |p: &str| p == "*quantize_per*" && base.starts_with("fake_");
    if let Some((_, why)) = CLOSED.iter().find(|(p, _)| (make::matches(p, base) || make::matches(p, &name)) && !quantize(p)) {
        return Some(why);
    }
    let dunder = base.starts_with("__");
    if base.starts_with('_') && !dunder && !OPEN.iter().any(|o| base.starts_with(o)) {
        return Some("an internal of libtorch");
    }
    if s.params.iter().any(|p| p.written && p.by_name) {
        return Some("writes into `out`, which `torch::op` does itself");
    }
    let has_names = |p: &Param| p.kind == Kind::Str && (p.count != operators::Count::One || p.name.starts_with("dim"));
    if s.params.iter().any(has_names) {
        return Some("names dimensions");
    }
    if s.params.iter().any(|p| matches!(p.kind, Kind::Other(_)) && !p.optional && !p.has_default) {
        return Some("takes what scripts do not have");
    }
    None
}
