//! Formats that others write: `tests/data/pt/make_odd.py` made the files, `odd.json` has what PyTorch says is in them.

use super::{fixture, values};
use crate::torch::files::*;
use std::collections::HashMap;

fn expected(file: &str) -> HashMap<String, serde_json::Value> {
    let all: HashMap<String, HashMap<String, serde_json::Value>> =
        serde_json::from_str(&std::fs::read_to_string(fixture("odd.json")).unwrap()).unwrap();
    all[file].clone()
}

fn same(file: &str, read: &Named) {
    let want = expected(file);
    assert_eq!(read.len(), want.len(), "{file}: {:?}", read.keys());
    for (name, want) in want {
        assert_eq!(serde_json::json!(read[&name].shape()), want["shape"], "{file}: {name}");
        assert_eq!(serde_json::json!(values(&read[&name])), want["values"], "{file}: {name}");
    }
}

#[test]
fn pickle_protocols_0_and_1_in_both_formats() {
    for file in ["protocol0.pt", "protocol0_legacy.pt", "protocol1.pt", "protocol1_legacy.pt"] {
        let root = read_pt(&fixture(file)).unwrap();
        same(file, &state_dict(&root, None).unwrap().unwrap());
        assert_eq!(root.get("note").unwrap().as_str(), Some("it's \"x\"\n"), "{file}");
        assert!(matches!(root.get("lr").unwrap().view().unwrap(), PtView::Float(x) if x == 0.1), "{file}");
        assert!(matches!(root.get("on").unwrap().view().unwrap(), PtView::Bool(true)), "{file}");
        let PtView::Long(big) = root.get("big").unwrap().view().unwrap() else { panic!("{file}") };
        // -(2^70), little-endian.
        assert_eq!(big, [0, 0, 0, 0, 0, 0, 0, 0, 0xc0], "{file}");
    }
}

#[test]
fn deflated_pt_files() {
    let root = read_pt(&fixture("deflated.pt")).unwrap();
    same("deflated.pt", &state_dict(&root, None).unwrap().unwrap());
}

#[test]
fn damage_in_a_deflated_pt_file_is_an_error_and_never_other_numbers() {
    let whole = std::fs::read(fixture("deflated.pt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pt");
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut data = whole.clone();
        data[at] ^= 0x10;
        std::fs::write(&path, &data).unwrap();
        match read_pt(&path).and_then(|root| state_dict(&root, None)) {
            Ok(Some(read)) => same("deflated.pt", &read),
            _ => refused += 1,
        }
    }
    assert!(refused > whole.len() / 4, "{refused}");
}

#[test]
fn fp8_and_unsigned_tensors_are_converted() {
    same("converted.pt", &state_dict(&read_pt(&fixture("converted.pt")).unwrap(), None).unwrap().unwrap());
    let (read, _) = read_safetensors(&fixture("converted.safetensors")).unwrap();
    same("converted.safetensors", &read);
    assert_eq!((read["float8_e4m3fn"].dtype(), read["uint16"].dtype(), read["uint32"].dtype()), (DType::Float, DType::Int, DType::Int64));
}

/// A safetensors file with one tensor of a type that nobody knows.
fn with_unknown(path: &Path) {
    let header = br#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"odd":{"dtype":"F4_E2M1","shape":[2],"data_offsets":[4,5]}}"#;
    std::fs::write(path, [&(header.len() as u64).to_le_bytes()[..], header, &1f32.to_le_bytes(), &[7]].concat()).unwrap();
}

#[test]
fn foreign_dtype_beside_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    with_unknown(&path);
    let taken = read_some_safetensors(&path, &|_| true).unwrap();
    assert_eq!((taken.tensors.len(), taken.unread), (1, vec![("odd".to_owned(), "F4_E2M1".to_owned())]));
    assert_eq!(read_some_safetensors(&path, &|name| name == "w").unwrap().unread, []);
    assert!(read_safetensors(&path).unwrap_err().to_string().contains("`odd` has the unsupported dtype F4_E2M1"));
    let root = read_pt(&fixture("unsupported.pt")).unwrap();
    let taken = root.some_tensors(&|_| true).unwrap();
    assert_eq!((taken.tensors.len(), taken.unread), (1, vec![("c32".to_owned(), "torch.complex32".to_owned())]));
}

#[test]
fn a_distributed_checkpoint_is_put_together() {
    let checkpoint = Distributed::open(&fixture("distributed")).unwrap();
    let parts = checkpoint.parts();
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["model", "ema", "optimizer.state.0"].iter().collect::<Vec<_>>());
    same("distributed", &checkpoint.read("model", &|_| true).unwrap().tensors);
    let ema = checkpoint.read("ema", &|name| name == "rows").unwrap().tensors;
    assert_eq!((ema.len(), ema["rows"].to_vec_f64().unwrap()[4]), (1, 104.0));
}

#[test]
fn a_distributed_checkpoint_that_is_not_whole_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |names: &[&str]| {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for name in names {
            std::fs::copy(fixture("distributed").join(name), folder.path().join(name)).unwrap();
        }
    };
    copy(&[".metadata", "__0_0.distcp"]);
    let checkpoint = Distributed::open(folder.path()).unwrap();
    let e = checkpoint.read("model", &|_| true).err().unwrap();
    assert!(e.to_string().contains("`__1_0.distcp` is missing"), "{e}");
    copy(&["__0_0.distcp", "__1_0.distcp"]);
    assert!(Distributed::open(folder.path()).err().unwrap().to_string().contains("without its `.metadata`"));
    let e = read_pt(&folder.path().join("__0_0.distcp")).err().unwrap();
    assert!(e.help_text().unwrap().contains(&folder.path().display().to_string()), "{e}");
    copy(&[".metadata", "__0_0.distcp", "__1_0.distcp"]);
    let whole = std::fs::read(folder.path().join("__1_0.distcp")).unwrap();
    std::fs::write(folder.path().join("__1_0.distcp"), &whole[..whole.len() / 3]).unwrap();
    let e = Distributed::open(folder.path()).unwrap().read("model", &|_| true).err().unwrap();
    assert!(e.to_string().contains("cut off") && e.help_text().unwrap().contains("fetch it again"), "{e}");
}

#[test]
fn damage_to_the_description_of_a_distributed_checkpoint_is_an_error_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["__0_0.distcp", "__1_0.distcp"] {
        std::fs::copy(fixture("distributed").join(name), folder.path().join(name)).unwrap();
    }
    let whole = std::fs::read(fixture("distributed").join(".metadata")).unwrap();
    for at in 0..whole.len() {
        let mut data = whole.clone();
        data[at] ^= 1 << (at % 8);
        std::fs::write(folder.path().join(".metadata"), &data).unwrap();
        if let Ok(c) = Distributed::open(folder.path()) {
            c.parts().keys().for_each(|part| drop(c.read(part, &|_| true)));
        }
    }
}
