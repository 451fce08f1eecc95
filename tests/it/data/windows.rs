//! Views of PyTorch's files that do not lie within their storages.

use lathe::nn::Weights;

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
