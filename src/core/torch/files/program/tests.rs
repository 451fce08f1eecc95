//! Hostile archives, each made of a good one by one change.

use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, TorchScript, no_grad};
use std::io::Read;
use std::path::Path;

/// An entry: its name, its bytes, and what its header claims of it.
struct Entry {
    name: String,
    bytes: Vec<u8>,
    /// The method and the size that the header names, where they are not the true ones.
    claims: Option<(u16, u32)>,
}

type Entries = Vec<Entry>;

fn entry(name: &str, bytes: impl AsRef<[u8]>) -> Entry {
    Entry { name: name.into(), bytes: bytes.as_ref().to_vec(), claims: None }
}

/// A good archive, taken apart.
fn good() -> Entries {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/encoders/map.pt")).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    let read = |i| {
        let mut e = zip.by_index(i).unwrap();
        let mut bytes = Vec::new();
        e.read_to_end(&mut bytes).unwrap();
        entry(&e.name().unwrap(), bytes)
    };
    let n =
        zip::ZipArchive::new(std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/encoders/map.pt")).unwrap()).unwrap().len();
    (0..n).map(read).collect()
}

/// A zip archive as no well-meaning program writes it: in that order, under any names.
fn pack(entries: &Entries) -> Vec<u8> {
    let (mut out, mut list) = (Vec::new(), Vec::new());
    for e in entries {
        let (at, (method, size)) = (out.len() as u32, e.claims.unwrap_or((0, e.bytes.len() as u32)));
        let crc = crc32(&e.bytes);
        let mut head: Vec<u8> = Vec::new();
        head.extend([20u16, 0, method, 0, 0].iter().flat_map(|x| x.to_le_bytes()));
        head.extend([crc, e.bytes.len() as u32, size].iter().flat_map(|x| x.to_le_bytes()));
        head.extend([e.name.len() as u16, 0].iter().flat_map(|x| x.to_le_bytes()));
        out.extend(b"PK\x03\x04");
        out.extend(&head);
        out.extend(e.name.as_bytes());
        out.extend(&e.bytes);
        list.extend(b"PK\x01\x02\x14\x00");
        list.extend(&head);
        list.extend([0u16, 0, 0].iter().flat_map(|x| x.to_le_bytes()));
        list.extend(0u32.to_le_bytes());
        list.extend(at.to_le_bytes());
        list.extend(e.name.as_bytes());
    }
    let (start, n) = (out.len() as u32, entries.len() as u16);
    out.extend(&list);
    out.extend(b"PK\x05\x06");
    out.extend([0u16, 0, n, n].iter().flat_map(|x| x.to_le_bytes()));
    out.extend([list.len() as u32, start].iter().flat_map(|x| x.to_le_bytes()));
    out.extend([0, 0]);
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, b: &u8| (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 });
    !bytes.iter().fold(!0, step)
}

const CODE: &str = "map/code/__torch__.py";

/// The file of code of the good archive, with another `forward` and more before and in its class.
fn code(before: &str, in_class: &str, body: &str) -> String {
    format!(
        "{before}class Map(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n  _is_full_backward_hook : Optional[bool]\n  \
         conv : __torch__.torch.nn.modules.conv.___torch_mangle_6.Conv2d\n  norm : __torch__.torch.nn.modules.batchnorm.BatchNorm2d\n  \
         drop : __torch__.torch.nn.modules.dropout.Dropout\n{in_class}  def forward(self: __torch__.Map,\n    x: Tensor) -> Tensor:\n{body}\n"
    )
}

fn with(code: &str) -> Entries {
    good().into_iter().map(|e| if e.name == CODE { entry(CODE, code) } else { e }).collect()
}

fn load(entries: &Entries) -> Result<TorchScript> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.pt");
    std::fs::write(&path, pack(entries)).unwrap();
    TorchScript::load(&path, Device::Cpu)
}

/// What is said of an archive, at its loading or at its first run.
fn said(entries: &Entries) -> Error {
    let x = Tensor::zeros(&[1, 3, 16, 16], DType::Float, Device::Cpu).unwrap();
    match load(entries).and_then(|p| no_grad(|| p.forward(&x, None))) {
        Err(e) => e,
        Ok(t) => panic!("it gave {}", t.describe()),
    }
}

#[track_caller]
fn refused(entries: &Entries, want: &str) {
    let e = said(entries);
    assert!(matches!(e.code(), "E0302" | "E0201"), "{e}");
    assert!(e.to_string().contains(want), "wanted `{want}`: {e}");
}

/// A body that computes `lines` and returns what has the right shape.
fn body(lines: &str) -> String {
    returning(lines, "torch.zeros([1, 16, 4], dtype=6, layout=None, device=None, pin_memory=None)")
}

/// A body that computes `lines` and returns `value`: the compiler leaves out what nothing uses.
fn returning(lines: &str, value: &str) -> String {
    let lines: String = lines.lines().map(|l| format!("    {l}\n")).collect();
    format!("{lines}    return {value}")
}

#[track_caller]
fn says(lines: &str, want: &str) {
    refused(&with(&code("", "", &body(lines))), want);
}

/// The same for a tensor `a` that is returned.
#[track_caller]
fn tensor_says(lines: &str, want: &str) {
    refused(&with(&code("", "", &returning(lines, "a"))), want);
}

/// The same for a number `a` that is added to what is returned.
#[track_caller]
fn number_says(lines: &str, want: &str) {
    refused(&with(&code("", "", &returning(lines, "torch.add(x, a)"))), want);
}

#[test]
fn a_good_archive_loads_in_whatever_order() {
    let mut entries = good();
    load(&entries).unwrap();
    entries.reverse();
    load(&entries).unwrap();
    let x = Tensor::zeros(&[1, 3, 16, 16], DType::Float, Device::Cpu).unwrap();
    let ok = load(&with(&code("", "", &body("y = torch.add(x, 1)")))).unwrap();
    assert_eq!(ok.forward(&x, None).unwrap().shape(), [1, 16, 4]);
}

#[test]
fn exported_networks_give_the_numbers_of_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/programs");
    let want = crate::torch::files::read_npz(&folder.join("expected.npz")).unwrap();
    for (name, key) in [("scripted", "y"), ("traced", "y"), ("frozen", "y"), ("setstate", "kept")] {
        let program = TorchScript::load(&folder.join(format!("{name}.pt")), Device::Cpu).unwrap();
        // The interpreter looks at the first runs, and writes the graph anew for those that follow.
        for _ in 0..3 {
            let got = no_grad(|| program.forward(&want["x"], None)).unwrap();
            assert_eq!(got.shape(), want[key].shape(), "{name}");
            let pairs = got.to_vec_f32().unwrap().into_iter().zip(want[key].to_vec_f32().unwrap());
            let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(gap < 1e-5, "{name}: {gap}");
        }
    }
    let program = TorchScript::load(&folder.join("scripted.pt"), Device::Cpu).unwrap();
    let four = Tensor::zeros(&[1, 4, 16, 16], DType::Float, Device::Cpu).unwrap();
    assert!(program.forward(&four, None).unwrap_err().to_string().contains("expected 3 channels, got 4"));
    assert!(program.parameters().unwrap().iter().any(|(name, t)| name == "blocks.1.a.qkv.weight" && t.shape() == [48, 16]));
}

#[test]
fn an_archive_that_two_readers_could_read_differently_is_refused() {
    let renamed = |from: &str, to: &str| -> Entries { good().into_iter().map(|e| if e.name == from { entry(to, e.bytes) } else { e }).collect() };
    refused(&renamed(CODE, "map/code/__torch__.PY"), "`map/code/__torch__.PY` does not belong");
    refused(&renamed(CODE, "map/code/__torch__.Py"), "`map/code/__torch__.Py` does not belong");
    refused(&renamed(CODE, "MAP/code/__torch__.py"), "`MAP/code/__torch__.py` lies in another folder");
    refused(&renamed(CODE, "map/CODE/__torch__.py"), "`map/CODE/__torch__.py` does not belong");
    refused(&renamed(CODE, "map/code/../code/__torch__.py"), "does not belong");
    refused(&renamed(CODE, "/map/code/__torch__.py"), "does not lie in a folder of the archive's own");
    refused(&renamed(CODE, "../code/__torch__.py"), "does not lie in a folder of the archive's own");
    refused(&renamed(CODE, "map/code/__torch__\u{7}.py"), "has no name in plain UTF-8");
    refused(&renamed("map/version", "map/model.json"), "`map/model.json` does not belong");
    let evil = code("", "", &body("torch.save(x, \"cases-out/pwned.pt\")"));
    for at in [0, good().len()] {
        let mut twice = good();
        twice.insert(at, entry(CODE, &evil));
        refused(&twice, "the entry `map/code/__torch__.py` stands in it twice");
        let mut by_case = good();
        by_case.insert(at, entry("map/code/__TORCH__.py", &evil));
        refused(&by_case, "but for the case of its letters");
    }
}

#[test]
fn an_archive_that_unpacks_to_far_more_than_it_is_is_refused() {
    let mut one = good();
    one.push(Entry { claims: Some((8, 1 << 30)), ..entry("map/extra/bomb", [0; 64]) });
    refused(&one, "the entry `map/extra/bomb` claims to unpack to 1073741824 bytes from 64");
    let mut many = good();
    for i in 0..8 {
        many.push(Entry { claims: Some((8, 1_000 << 16)), ..entry(&format!("map/extra/{i}"), vec![0; 1 << 16]) });
    }
    refused(&many, "no weights shrink so much");
    let cut: Entries = good().into_iter().map(|e| if e.name == "map/data/0" { entry(&e.name, &e.bytes[..8]) } else { e }).collect();
    refused(&cut, "elements");
}

#[test]
fn code_that_reaches_files_is_refused_before_it_is_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("written").display().to_string();
    says("a = torch.from_file(\"/etc/passwd\", False, 64, dtype=0, layout=None, device=None, pin_memory=None)", "uses `torch.from_file`");
    says(&format!("torch.save(x, \"{out}\")"), "uses `torch.save`");
    says(&format!("ops.aten.save(x, \"{out}\")"), "uses `ops.aten.save`");
    says(&format!("(1).save(\"{out}\")"), "uses `save`");
    says("a = getattr(torch, \"save\")(x, \"f\")", "something that it has computed");
    says("a = getattr(torch, \"\\163ave\")", "uses the name `torch` as a value");
    says("t = torch", "uses the name `torch` as a value");
    says(&format!("f = (1).save\nf(\"{out}\")"), "calls `f`");
    says("o = ops", "uses the name `ops` as a value");
    says("a = ops.inductor._reinterpret_tensor(x, [1, 16, 4], [64, 4, 1], 1000000000)", "uses `ops.inductor._reinterpret_tensor`");
    says("a = ops.aten._embedding_bag_backward(x, x, x, x, x, x, 4, False, 0, False, None)", "uses `ops.aten._embedding_bag_backward`");
    says("print(x)", "calls `print`");
    says("a = fork(x)", "calls `fork`");
    // What the compiler would run: defaults of arguments, constants of classes.
    let default = format!("  def more(self: __torch__.Map,\n    x: int=torch.save(1, \"{out}\")) -> int:\n    return x\n");
    refused(&with(&code("", &default, &body(""))), "would have to be computed");
    let constant = format!("  more : Final[int] = torch.save(1, \"{out}\")\n");
    refused(&with(&code("", &constant, &body(""))), "would have to be computed");
    let hidden = format!("  def hidden(self: __torch__.Map,\n    x: Tensor) -> Tensor:\n    torch.save(x, \"{out}\")\n    return x\n");
    refused(&with(&code("", &hidden, &body(""))), "uses `torch.save`");
    let state = format!(
        "  def __getstate__(self: __torch__.Map) -> int:\n    return 1\n  def __setstate__(self: __torch__.Map,\n    x: int) -> NoneType:\n    torch.save(x, \"{out}\")\n    return None\n"
    );
    refused(&with(&code("", &state, &body(""))), "uses `torch.save`");
    assert!(!Path::new(&out.to_string()).exists());
}

#[test]
fn every_graph_is_walked_before_anything_runs() {
    tensor_says("a = torch.repeat_interleave(x)", "its function `__torch__.Map.forward` uses `aten::repeat_interleave.Tensor`");
    let hidden = |what: &str, call: &str| format!("  def {what}(self: __torch__.Map,\n    x: Tensor) -> Tensor:\n    return {call}\n");
    refused(
        &with(&code("", &hidden("hidden", "torch.repeat_interleave(x)"), &body(""))),
        "its function `__torch__.Map.hidden` uses `aten::repeat_interleave.Tensor`",
    );
    refused(&with(&code("", &hidden("hidden", "(x).resize_([1000000])"), &body(""))), "hidden` uses `aten::resize_`");
    refused(&with(&code("", &hidden("hidden", "(x).set_(x)"), &body(""))), "hidden` uses `aten::set_");
    let function = "def g(x: Tensor) -> Tensor:\n  if bool(torch.sum(x)):\n    y = torch.repeat_interleave(x)\n  else:\n    y = x\n  return y\n";
    refused(&with(&code(function, "", &returning("a = __torch__.g(x)", "a"))), "its function `__torch__.g` uses `aten::repeat_interleave.Tensor`");
    // A class that another class hides: reached by an object that `forward` makes.
    let class = "class Box:\n  v : int\n  def __init__(self: __torch__.Box) -> NoneType:\n    self.v = 1\n    return None\n  \
                 def run(self: __torch__.Box,\n    x: Tensor) -> Tensor:\n    return (x).resize_([9])\n";
    refused(&with(&code(class, "", &body("b = __torch__.Box()"))), "its function `__torch__.Box.run` uses `aten::resize_`");
    let other = "class Other:\n  v : Tensor\n  w : Tensor\n  def __init__(self: __torch__.Other) -> NoneType:\n    return None\n";
    let class = class.replace("(x).resize_([9])", "x");
    let cast = "b = __torch__.Box()\na = annotate(Any, b)\no = unchecked_cast(__torch__.Other, a)";
    refused(&with(&code(&format!("{class}{other}"), "", &returning(cast, "o.v"))), "takes a value of type");
    tensor_says("a = torch.zeros([4], dtype=6, layout=1, device=None, pin_memory=None)", "another layout");
    tensor_says("a = torch.zeros([4], dtype=13, layout=None, device=None, pin_memory=None)", "unknown type");
    tensor_says("a = torch.zeros([4], dtype=6, layout=None, device=torch.device(\"meta\"), pin_memory=None)", "the device `meta`");
}

#[test]
fn endless_calls_and_endless_texts_are_refused() {
    let recursive = code("", "", "    return (self).forward(x, )");
    refused(&with(&recursive), "recursive");
    let functions: String = (1..40).fold("def f0(x: Tensor) -> Tensor:\n  return torch.add(x, 1)\n".to_owned(), |all, i| {
        format!("{all}def f{i}(x: Tensor) -> Tensor:\n  return __torch__.f{0}(__torch__.f{0}(x, ), )\n", i - 1)
    });
    refused(&with(&code(&functions, "", &body("a = __torch__.f39(x, )"))), "two million operations");
    let chain: String = (1..400).fold("def f0(x: Tensor) -> Tensor:\n  return torch.add(x, 1)\n".to_owned(), |all, i| {
        format!("{all}def f{i}(x: Tensor) -> Tensor:\n  return __torch__.f{}(x, )\n", i - 1)
    });
    refused(&with(&code(&chain, "", &body("a = __torch__.f399(x, )"))), "too deeply");
    says(&format!("a = {}1{}", "(".repeat(100_000), ")".repeat(100_000)), "nests brackets too deeply");
    says(&format!("a = 1{}", " + 1".repeat(100_000)), "too long");
    says(&format!("a = {}1", "-".repeat(100_000)), "too long");
    says(&format!("a = {}True", "not ".repeat(100_000)), "too long");
    let mut nested = String::new();
    for depth in 0..2_000 {
        nested.push_str(&format!("{}if True:\n", " ".repeat(depth)));
    }
    says(&format!("{nested}{}a = 1", " ".repeat(2_000)), "too deeply");
}

#[test]
fn arithmetic_that_ends_the_process_is_an_error() {
    let least = "m = torch.sub(-9223372036854775807, 1)";
    number_says("a = torch.floordiv(1, 0)", "division by zero");
    number_says("a = torch.remainder(1, 0)", "division by zero");
    number_says(&format!("{least}\na = torch.floordiv(m, -1)"), "too large");
    number_says(&format!("{least}\na = torch.remainder(m, -1)"), "too large");
    number_says("n = torch.len(torch.size(x))\na = torch.remainder(1, torch.sub(n, 4))", "division by zero");
    number_says("n = torch.len(torch.size(x))\na = torch.floordiv(1, torch.sub(n, 4))", "division by zero");
    let full = |value: &str| format!("torch.full([2], {value}, dtype=4, layout=None, device=None, pin_memory=None)");
    for call in ["torch.floor_divide(b, c)", "torch.remainder(b, c)", "torch.fmod(b, c)", "torch.div(b, c, rounding_mode=\"trunc\")"] {
        tensor_says(&format!("{least}\nb = {}\nc = {}\na = {call}", full("m"), full("-1")), "too large");
    }
    tensor_says("a = torch.as_strided(x, [100, 100], [100000, 1])", "out of bounds");
    number_says("a = torch.len(torch.mul([1], 1000000000))", "repeated too often");
    tensor_says("a = torch.repeat_interleave(x, 1000000000000)", "repeats too often");
    let doubled: String = (0..40).map(|_| "s = torch.add(s, s)\n").collect();
    number_says(&format!("s = \"twice\"\n{doubled}a = torch.len(s)"), "a text is too long");
    tensor_says("a = torch.upsample_nearest2d(x, [4, 4], 1e-300, 1e-300)", "out of range");
    tensor_says("a = torch.scaled_dot_product_attention(x, torch.slice(x, 1, 0, 0), torch.slice(x, 1, 0, 0), enable_gqa=True)", "are empty");
    says("ops.prim.RaiseException(\"a word \\033[2J of its own\", \"builtins.ValueError\")", "a word  [2J of its own");
}

#[test]
fn new_memory_is_empty_and_gradients_stay_as_they_were() {
    let x = Tensor::zeros(&[1, 3, 16, 16], DType::Float, Device::Cpu).unwrap();
    let empty = "    a = torch.empty([1, 16, 4], dtype=6, layout=None, device=None, pin_memory=None, memory_format=None)\n    return a";
    let program = load(&with(&code("", "", empty))).unwrap();
    // Memory that was used before is what the allocator gives out first.
    for _ in 0..4 {
        drop(Tensor::full(&[1, 16, 4], 7.0, DType::Float, Device::Cpu).unwrap());
        assert!(program.forward(&x, None).unwrap().to_vec_f32().unwrap().iter().all(|v| *v == 0.0));
    }
    let off = load(&with(&code("", "", &body("torch.set_grad_enabled(False)")))).unwrap();
    off.forward(&x, None).unwrap();
    let w = x.copy().unwrap().requires_grad_(true).unwrap();
    assert!(w.add(1.0).unwrap().requires_grad(), "the program left gradients switched off");
}
