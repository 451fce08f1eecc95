//! Every function of scripts: its example with each literal and each option at its extremes, then with literals made hostile at random, and
//! calls of it with whatever there is. Each call is a script, which is shown when it was a bad one.

mod text;

use crate::flags::Flags;
use crate::process;
use lathe::script::docs::Comment;
use lathe::script::{ApiFn, Engine, EngineOptions, Limits, Permissions, api, on_big_stack};
use lathe::torch::bridge;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Bytes of all tensors at once.
const MEMORY: i64 = 2 << 30;

/// What ends the process by design, waits for somebody, or asks for a terminal.
const SKIPPED: &[&str] = &["exit", "breakpoint"];

/// The functions by number and signature.
fn all() -> Vec<(String, ApiFn)> {
    let of = |(i, f): (usize, ApiFn)| (format!("{i}:{}", f.signature()), f);
    api::all().into_iter().enumerate().filter(|(_, f)| !SKIPPED.contains(&f.name)).map(of).collect()
}

/// Runs the family; whether nothing was found.
pub fn run(flags: &Flags) -> bool {
    use rand::seq::SliceRandom;
    let mut names: Vec<String> = all().into_iter().map(|(n, _)| n).filter(|n| flags.only.as_ref().is_none_or(|o| n.contains(o.as_str()))).collect();
    if flags.time.is_some() {
        names.shuffle(&mut ChaCha8Rng::seed_from_u64(flags.seed));
    }
    let total = names.len();
    let sums = Mutex::new((0u64, 0u64, 0u64, 0usize));
    let left = process::all(flags, names, |name, outcome| {
        for fault in &outcome.faults {
            println!("{name}: {fault}");
        }
        let mut s = sums.lock().unwrap();
        *s = (s.0 + outcome.calls, s.1 + outcome.returned, s.2 + outcome.slow, s.3 + usize::from(!outcome.faults.is_empty()));
    });
    let (calls, returned, slow, bad) = sums.into_inner().unwrap();
    let rest = if left > 0 { format!(", {left} not reached in time") } else { String::new() };
    println!(
        "api: {} functions with {calls} scripts, of which {returned} ended well and {slow} were interrupted; {bad} with faults{rest}, seed {}",
        total - left,
        flags.seed
    );
    bad == 0
}

/// Makes all calls of one function.
pub fn work(name: &str, flags: &Flags) -> bool {
    let (name, flags) = (name.to_owned(), flags.clone());
    on_big_stack(move || calls(&name, &flags)).unwrap_or(false)
}

fn calls(name: &str, flags: &Flags) -> bool {
    lathe::interrupt::install().unwrap();
    let Some((_, f)) = all().into_iter().find(|(n, _)| n == name) else { return false };
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let permissions = || {
        let mut p = Permissions::for_script(&folder.path().join("script.rhai"));
        p.allow_write(folder.path());
        p
    };
    let limits = Limits { time: Some(Duration::from_secs(5)), operations: Some(3_000_000), ..Limits::default() };
    let engine = || Engine::new(EngineOptions { permissions: Some(permissions()), limits, ..EngineOptions::default() });
    let examples =
        Comment::parse(f.doc).section("Example").map(|t| Comment { body: t.to_owned(), ..Comment::default() }.examples()).unwrap_or_default();
    bridge::guard_memory(0x5a, MEMORY);
    lathe::memory::set_limit(Some(MEMORY as u64 + (1 << 30)));
    let mut out = std::io::stdout();
    let mut returned = 0;
    let mut current = engine();
    // First what is tried of every function, then what is drawn.
    let sweep = text::sweep(&f, &examples);
    for case in flags.from..flags.case.map_or(flags.calls + sweep.len() as u64, |c| c + 1) {
        if flags.case.is_some_and(|c| c != case) {
            continue;
        }
        let mut h = DefaultHasher::new();
        (name, flags.seed, case).hash(&mut h);
        let mut rng = ChaCha8Rng::seed_from_u64(h.finish());
        let script = match (sweep.get(case as usize), examples.get(rng.next_u32() as usize % examples.len().max(1))) {
            (Some(script), _) => script.clone(),
            (None, Some(example)) if rng.next_u32() % 100 < 55 => text::mutate(&mut rng, example),
            _ => text::call(&mut rng, &f),
        };
        let _ = writeln!(out, "call {case}");
        if flags.case.is_some() {
            script.lines().for_each(|l| println!("show {l}"));
        }
        let _ = out.flush();
        match current.eval(&script) {
            Ok(_) => returned += 1,
            Err(e) => {
                let text = e.to_string();
                if flags.case.is_some() {
                    println!("show   {text}");
                }
                if text.contains("panicked") || text.contains("internal error") {
                    let _ = writeln!(out, "fault panics: {} (call {case})", text.lines().next().unwrap_or_default());
                    current = engine();
                }
            }
        }
    }
    let _ = writeln!(out, "returned {returned}\nend");
    let _ = out.flush();
    true
}
