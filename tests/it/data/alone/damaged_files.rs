//! 20,000 damaged files of every format: each is an error that names the file, or is read for what it is; never a panic, a hang, or
//! memory beyond the files' own size, of which the largest so far is the process's.

use crate::support::{alone, root};
use lathe::data::read_picture;
use lathe::models::VaeConfig;
use lathe::nn::Weights;
use lathe::torch::files::{PtItem, read_npy, read_npz, safetensors_info, write_npy, write_pt, write_safetensors};
use lathe::torch::{DType, Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MUTATIONS: usize = 20_000;
/// The files have at most 15 kB; what is read of them may be as large, and the allocator keeps some.
const MAX_GROWTH_KB: u64 = 200_000;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("tests/data/pt").join(name)).unwrap()
}

/// The largest memory of this process so far, in kB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Reads everything that the file holds.
fn read(path: &Path) -> lathe::error::Result<usize> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => read_npy(path).map(|t| t.numel()),
        Some("npz") => read_npz(path).map(|all| all.len()),
        Some("json") => VaeConfig::from_folder(path.parent().unwrap()).map(|c| c.ch_mult.len()),
        Some("png") => read_picture(path).map(|p| p.rgb.len()),
        _ => {
            let weights = Weights::open(path)?;
            weights.parts().iter().try_fold(0, |n, p| Ok(n + p.read()?.len()))
        }
    }
}

/// One file of each kind, with the region where damage reaches the reader rather than a checksum.
fn seeds(dir: &Path) -> Vec<(PathBuf, Vec<u8>, std::ops::Range<usize>)> {
    let pickle = |data: &[u8]| data.windows(8).position(|w| w == b"data.pkl").unwrap_or(0);
    let mut out = Vec::new();
    let mut add = |name: &str, data: Vec<u8>, end: usize| {
        let start = if name.ends_with(".pt") { pickle(&data) } else { 0 };
        let end = end.min(data.len());
        out.push((dir.join(name), data, start..end));
    };
    for name in ["checkpoint.pt", "views.pt", "module.pt", "state_protocol4.pt", "cyclic.pt"] {
        add(name, fixture(name), 2200);
    }
    for name in ["checkpoint_legacy.pth", "views_legacy.pth", "module_legacy.pth"] {
        add(name, fixture(name), 2200);
    }
    for name in ["fortran.npy", "big_endian.npy", "arrays.npz", "compressed.npz"] {
        add(name, fixture(name), usize::MAX);
    }
    let t = Tensor::full(&[3, 4], 1.5, DType::Float, Device::Cpu).unwrap();
    let path = dir.join("seed");
    write_npy(&path, &t).unwrap();
    add("own.npy", std::fs::read(&path).unwrap(), usize::MAX);
    write_pt(&path, &PtItem::Dict(vec![("ema".into(), PtItem::Dict(vec![("w".into(), PtItem::Tensor(t.clone()))]))])).unwrap();
    add("own.pt", std::fs::read(&path).unwrap(), 1200);
    write_safetensors(&path, &[("a.b".to_owned(), t.clone()), ("c".to_owned(), t)].into_iter().collect(), &Default::default()).unwrap();
    let safe = std::fs::read(&path).unwrap();
    add("own.safetensors", safe.clone(), 200);
    add("more.safetensors", safe, 200);
    let io: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(root().join("tests/golden/vae/loader_io.json")).unwrap()).unwrap();
    add("config.json", io["diffusers_config"].to_string().into_bytes(), usize::MAX);
    std::fs::remove_file(path).unwrap();
    out
}

fn damage(rng: &mut ChaCha8Rng, whole: &[u8], region: &std::ops::Range<usize>, i: usize) -> Vec<u8> {
    const TELLING: &[u8] = b"R(thbQu\x81\x94.\xff\x00\x7f]}[{\"9-,:e";
    let mut data = whole.to_vec();
    let at = |rng: &mut ChaCha8Rng, anywhere: bool| {
        let r = if anywhere { 0..whole.len() } else { region.clone() };
        r.start + rng.next_u32() as usize % r.len()
    };
    for _ in 0..1 + rng.next_u32() % 4 {
        let here = at(rng, i.is_multiple_of(4));
        match rng.next_u32() % 5 {
            0 => data[here] = rng.next_u32() as u8,
            1 => data[here] ^= 1 << (rng.next_u32() % 8),
            2 => data[here] = TELLING[rng.next_u32() as usize % TELLING.len()],
            // A claim: four bytes of a length, an offset or a size.
            3 => data[here..(here + 4).min(whole.len())].fill([0xff, 0x7f, 0x00][rng.next_u32() as usize % 3]),
            _ => {
                let (from, len) = (at(rng, false), 1 + rng.next_u32() as usize % 24);
                let piece = whole[from..(from + len).min(whole.len())].to_vec();
                let end = (here + piece.len()).min(data.len());
                data[here..end].copy_from_slice(&piece[..end - here]);
            }
        }
    }
    if i.is_multiple_of(10) {
        data.truncate(rng.next_u32() as usize % whole.len());
    }
    data
}

#[test]
fn twenty_thousand_damaged_files() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let seeds = seeds(dir.path());
        // Everything is read once first, so that growth is that of the damage.
        for (path, whole, _) in &seeds {
            std::fs::write(path, whole).unwrap();
            read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
        let (before, start) = (peak(), Instant::now());
        let mut rng = ChaCha8Rng::seed_from_u64(20_251_125);
        let (mut refused, mut slowest) = (0, Duration::ZERO);
        for i in 0..MUTATIONS {
            let (path, whole, region) = &seeds[i % seeds.len()];
            let data = damage(&mut rng, whole, region, i / seeds.len());
            // A new file: a file system may sync one that is written over.
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, &data).unwrap();
            let one = Instant::now();
            if let Err(e) = read(path) {
                refused += 1;
                let text = e.to_string();
                let name = path.file_name().unwrap().to_string_lossy();
                assert!(text.contains(&*name), "mutation {i} of {name}: the message does not name the file: {text}");
            }
            slowest = slowest.max(one.elapsed());
            assert!(one.elapsed() < Duration::from_secs(10), "mutation {i} of {} hangs", path.display());
        }
        let grown = peak() - before;
        eprintln!("{refused} of {MUTATIONS} refused in {:.1} s, slowest {slowest:?}, peak grew by {grown} kB", start.elapsed().as_secs_f64());
        assert!(refused > MUTATIONS / 5 && refused < MUTATIONS, "{refused} refused: the damage does not reach the readers, or nothing is read");
        assert!(grown < MAX_GROWTH_KB, "peak memory grew by {grown} kB");
    });
}

fn npy(header: &str) -> Vec<u8> {
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out
}

#[test]
fn claims_and_bombs_cost_nothing() {
    alone(|| {
        let dir = tempfile::tempdir().unwrap();
        let before = peak();
        let refuse = |name: &str, data: Vec<u8>| {
            let path = dir.path().join(name);
            std::fs::write(&path, data).unwrap();
            let e = read(&path).expect_err(name).to_string();
            assert!(e.contains(name), "{e}");
            e
        };
        // 16 TB in a header.
        refuse("big.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2000000, 2000000), }\n"));
        refuse("overflow.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967295, 4294967295, 4294967295), }\n"));
        refuse("negative.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }\n"));
        // A Python literal, nested as deep as the header is long: a parser of literals would run out of stack.
        refuse("deep.npy", npy(&format!("{{'descr': {}", "(".repeat(60_000))));
        let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        refuse("big.safetensors", safetensors(r#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#));
        refuse("overflow.safetensors", safetensors(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}"#));
        refuse("deep.safetensors", safetensors(&"[".repeat(100_000)));
        refuse("length.safetensors", u64::MAX.to_le_bytes().to_vec());
        let deep = dir.path().join("config.json");
        std::fs::write(&deep, "[".repeat(1_000_000)).unwrap();
        assert!(read(&deep).unwrap_err().to_string().contains("config.json"));
        assert!(safetensors_info(&dir.path().join("big.safetensors")).is_err());
        assert!(peak() - before < MAX_GROWTH_KB, "{} kB", peak() - before);
    });
}
