//! 20,000 damaged files of every format: each is an error that names the file, or is read for what it is; never a panic, a hang, or
//! memory beyond the files' own size.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

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
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pt").join(name)).unwrap()
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
    let io: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vae/loader_io.json")).unwrap())
            .unwrap();
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
}

fn npy(header: &str) -> Vec<u8> {
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out
}

#[test]
fn claims_and_bombs_cost_nothing() {
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
}

/// A legacy `.pth` of one storage of 4 floats, and a tensor that claims this window of it.
fn window(offset: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let int = |n: i32| [b"J".to_vec(), n.to_le_bytes().to_vec()].concat();
    let tuple = |list: &[i32]| [b"(".to_vec(), list.iter().flat_map(|n| int(*n)).collect(), b"t".to_vec()].concat();
    let text = |s: &str| [b"X".to_vec(), (s.len() as u32).to_le_bytes().to_vec(), s.as_bytes().to_vec()].concat();
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(b"\x80\x02}(");
    out.extend(text("w"));
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    out.extend(text("storage"));
    out.extend(b"ctorch\nFloatStorage\n");
    out.extend([text("0"), text("cpu"), int(4), b"NtQ".to_vec(), int(offset), tuple(shape), tuple(stride)].concat());
    out.extend(b"\x89ccollections\nOrderedDict\n)RtRu.\x80\x02](");
    out.extend(text("0"));
    out.extend(b"e.");
    out.extend(4u64.to_le_bytes());
    out.extend([1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()));
    out
}

#[test]
fn tensors_stay_within_their_storages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("window.pth");
    let read = |offset, shape: &[i32], stride: &[i32]| {
        std::fs::write(&path, window(offset, shape, stride)).unwrap();
        Weights::open(&path).and_then(|w| w.parts()[0].read()).and_then(|s| s["w"].to_vec_f64())
    };
    assert_eq!(read(0, &[2, 2], &[2, 1]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
    // Windows that overlap or repeat are legitimate: torch saves views so.
    assert_eq!(read(0, &[3, 2], &[1, 1]).unwrap(), [1.0, 2.0, 2.0, 3.0, 3.0, 4.0]);
    assert_eq!(read(3, &[2, 1], &[0, 1]).unwrap(), [4.0, 4.0]);
    for (offset, shape, stride) in [
        (1, &[2, 2][..], &[2, 1][..]),
        (-1, &[2], &[1]),
        (3, &[2], &[-1]),
        (0, &[-2], &[1]),
        (0, &[2, 2], &[1]),
        (0, &[i32::MAX, i32::MAX, i32::MAX], &[0, 0, 0]),
        (0, &[i32::MAX], &[0]),
        (0, &[2], &[i32::MAX]),
        (i32::MAX, &[1], &[1]),
    ] {
        let e = read(offset, shape, stride).expect_err("outside").to_string();
        assert!(e.contains("window.pth"), "{e}");
    }
    // No elements: nothing to be outside of.
    assert!(read(0, &[0, 3], &[3, 1]).unwrap().is_empty());
}
