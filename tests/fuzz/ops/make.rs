//! Arguments for an overload: mostly such that it takes them, sometimes such that it must not.

use super::spec::{Fill, Layout, Spec};
use lathe::torch::DType;
use lathe::torch::operators::{Count, Kind, Param, Schema};
use rand::RngCore;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

const HINTS: &str = include_str!("hints.txt");

/// A shape with what its elements are.
#[derive(Debug, Clone)]
struct Hint {
    shapes: Vec<String>,
    below: Option<char>,
    dtype: Option<char>,
}

/// What one call draws once.
pub struct Maker<'a> {
    pub rng: &'a mut ChaCha8Rng,
    schema: &'a Schema,
    hints: HashMap<&'static str, Hint>,
    sizes: HashMap<char, i64>,
    dtype: DType,
    shape: Vec<i64>,
    made: usize,
    /// A call without anything unusual: the first that returns must be such a one.
    clean: bool,
    /// How long lists of tensors are that go together.
    length: u32,
}

/// Whether a name goes with a pattern that may have `*` in it.
pub fn matches(pattern: &str, name: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let mut rest = name;
    for (i, part) in parts.iter().enumerate() {
        if i == 0 {
            let Some(r) = rest.strip_prefix(part) else { return false };
            rest = r;
        } else if i + 1 == parts.len() {
            return rest.ends_with(part);
        } else {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    rest.is_empty()
}

fn hints(name: &str) -> HashMap<&'static str, Hint> {
    let bare = name.split('.').next().unwrap_or(name);
    let plain = bare.strip_suffix('_').unwrap_or(bare);
    for line in HINTS.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next() else { continue };
        let pattern = pattern.strip_suffix(".*").unwrap_or(pattern);
        if !matches(pattern, bare) && !matches(pattern, plain) && !matches(pattern, name) {
            continue;
        }
        let hint = |word: &'static str| {
            let (param, what) = word.split_once('=').expect("PARAM=SHAPE");
            let (what, dtype) = what.split_once(':').map_or((what, None), |(w, d)| (w, d.chars().next()));
            let (what, below) = what.split_once('%').map_or((what, None), |(w, b)| (w, b.chars().next()));
            (param, Hint { shapes: what.split('|').map(str::to_owned).collect(), below, dtype })
        };
        return words.map(hint).collect();
    }
    HashMap::new()
}

const INTS: &[i64] = &[i64::MIN, i64::MIN + 1, -1, -2, 0, 7, 100, i32::MAX as i64, 1 << 31, 1 << 33, 1 << 40, 1 << 62, i64::MAX];
const FLOATS: &[f64] = &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e308, -1e308, 1e-320, 5.0];
const WORDS: &[&str] = &[
    "mean",
    "sum",
    "none",
    "trunc",
    "floor",
    "reflect",
    "zeros",
    "linear",
    "bilinear",
    "ij",
    "xy",
    "left",
    "right",
    "max",
    "min",
    "prod",
    "amax",
    "amin",
    "full",
    "valid",
    "same",
    "constant",
    "fro",
    "nuc",
    "reduced",
    "complete",
    "N",
    "T",
    "tanh",
    "higher",
    "lower",
    "midpoint",
    "nearest",
    "replicate",
    "circular",
    "backward",
    "ortho",
    "forward",
    "U",
    "L",
    "gelsd",
    "gelsy",
    "gels",
    "gelss",
    "",
    "x",
    "ij,jk->ik",
    "ii->i",
    "...i,...j->...",
    "i,i->",
    "ij->",
    "gesvd",
];

impl<'a> Maker<'a> {
    pub fn new(rng: &'a mut ChaCha8Rng, schema: &'a Schema) -> Self {
        let full = schema.full_name();
        let mut sizes: HashMap<char, i64> = HashMap::new();
        for (c, of) in [
            ('N', &[1, 2, 2, 3][..]),
            ('C', &[2, 4, 4]),
            ('O', &[2, 4]),
            ('H', &[4, 5, 6]),
            ('W', &[4, 5, 7]),
            ('D', &[3, 4, 5]),
            ('L', &[2, 3, 5]),
            ('M', &[2, 3, 4]),
            ('E', &[4, 8]),
            ('S', &[2, 3]),
            ('k', &[1, 2, 3]),
        ] {
            sizes.insert(c, *of.choose(rng).unwrap());
        }
        let dtype = *[
            DType::Float,
            DType::Float,
            DType::Float,
            DType::Float,
            DType::Float,
            DType::Double,
            DType::BFloat16,
            DType::Half,
            DType::Int64,
            DType::Int64,
            DType::Int,
            DType::Bool,
            DType::Uint8,
            DType::Int16,
            DType::Int8,
            DType::ComplexFloat,
            DType::ComplexDouble,
        ]
        .choose(rng)
        .unwrap();
        let rank = *[0, 1, 1, 2, 2, 2, 3, 3, 4, 5].choose(rng).unwrap();
        let clean = rng.next_u32() % 100 < 30;
        let dtype = if clean { DType::Float } else { dtype };
        let length = 1 + rng.next_u32() % 2;
        let shape = (0..rank).map(|_| *[1, 2, 2, 3, 3, 4, 5].choose(rng).unwrap()).collect();
        Maker { hints: hints(&full), rng, schema, sizes, dtype, shape, made: 0, clean, length }
    }

    /// Arguments in the order of the parameters.
    pub fn call(mut self) -> Vec<Spec> {
        let schema = self.schema;
        if self.clean && ["aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu"].contains(&schema.name.as_str()) {
            return self.layers();
        }
        schema.params.iter().map(|p| self.param(p)).collect()
    }

    /// One layer of a recurrent network.
    fn layers(&mut self) -> Vec<Spec> {
        let gates = if self.schema.name == "aten::lstm" {
            4
        } else if self.schema.name == "aten::gru" {
            3
        } else {
            1
        };
        let (n, c, e, l) = (self.sizes[&'N'], self.sizes[&'C'], self.sizes[&'E'], self.sizes[&'L']);
        let plain = |shape: Vec<i64>| Spec::Tensor { shape, dtype: DType::Float, fill: Fill::Plain, layout: Layout::Plain, grad: true, seed: 3 };
        let state = || plain(vec![1, n, e]);
        let params = vec![plain(vec![gates * e, c]), plain(vec![gates * e, e]), plain(vec![gates * e]), plain(vec![gates * e])];
        let one = |p: &Param| match p.name.as_str() {
            "input" => plain(vec![l, n, c]),
            "hx" if gates == 4 => Spec::List(vec![state(), state()]),
            "hx" => state(),
            "params" => Spec::List(params.clone()),
            "has_biases" | "train" => Spec::Bool(true),
            "num_layers" => Spec::Int(1),
            "dropout" => Spec::Float(0.0),
            _ => Spec::Bool(false),
        };
        self.schema.params.iter().map(one).collect()
    }

    /// Whether something unusual is to be, in so many of a hundred calls.
    fn odd(&mut self, percent: u32) -> bool {
        !self.clean && self.chance(percent)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.next_u32() % 100 < percent
    }

    fn param(&mut self, p: &Param) -> Spec {
        let skip = if p.has_default { 45 } else { 30 };
        if p.optional && self.chance(if matches!(p.kind, Kind::DType | Kind::MemoryFormat | Kind::Bool) { 75 } else { skip }) {
            return Spec::None;
        }
        match p.count {
            Count::One => self.one(p),
            Count::Sized(n) if p.kind != Kind::Tensor && !self.odd(15) => {
                if self.chance(20) {
                    self.one(p)
                } else {
                    Spec::List((0..n).map(|_| self.one(p)).collect())
                }
            }
            _ => {
                let shapes = ["size", "shape", "normalized_shape", "output_size", "sizes", "repeats"].contains(&p.name.as_str());
                if shapes && self.chance(50) && p.kind == Kind::Int {
                    let base = if p.name == "normalized_shape" { vec![self.sizes[&'C']] } else { self.shape.clone() };
                    return Spec::List(base.into_iter().map(Spec::Int).collect());
                }
                let together = self.schema.name.contains("_foreach_") || self.schema.name.contains("_fused_");
                let n = *[0, 1, 1, 2, 2, 2, 3, 4, 7].choose(self.rng).unwrap();
                let n = if together && !self.odd(20) { if p.name == "max_exp_avg_sqs" { 0 } else { self.length } } else { n };
                Spec::List((0..n).map(|_| if p.optional_elements && self.chance(25) { Spec::None } else { self.one(p) }).collect())
            }
        }
    }

    fn one(&mut self, p: &Param) -> Spec {
        match &p.kind {
            Kind::Tensor => self.tensor(p),
            Kind::Int => self.int(p),
            Kind::Float => self.float(),
            Kind::Scalar => {
                if self.chance(50) {
                    self.small(p)
                } else {
                    self.float()
                }
            }
            Kind::Bool => Spec::Bool(self.chance(50)),
            Kind::Str => {
                let own: &[&'static str] = match p.name.as_str() {
                    "padding" => &["valid", "same"],
                    "reduce" => &["sum", "mean", "amin", "amax", "prod", "add", "multiply", "max", "min"],
                    "ord" => &["fro", "nuc"],
                    "rounding_mode" => &["trunc", "floor"],
                    _ => WORDS,
                };
                Spec::Str(if self.odd(20) { WORDS } else { own }.choose(self.rng).unwrap())
            }
            Kind::DType => Spec::Str(["f32", "f64", "i64", "bf16", "f16", "bool", "i32", "u8", "c64"].choose(self.rng).unwrap()),
            Kind::Device => Spec::Str("cpu"),
            Kind::Layout => Spec::Str("strided"),
            Kind::MemoryFormat => Spec::Str(["contiguous", "channels_last", "preserve", "channels_last_3d"].choose(self.rng).unwrap()),
            Kind::Generator | Kind::Other(_) => Spec::None,
        }
    }

    fn small(&mut self, p: &Param) -> Spec {
        if self.schema.name.contains("fractional_max_pool") && !self.odd(30) {
            return Spec::Int(2);
        }
        if self.odd(12) {
            return Spec::Int(*INTS.choose(self.rng).unwrap());
        }
        let of: &[i64] = match p.name.as_str() {
            "dim" | "axis" | "dim0" | "dim1" | "start_dim" | "end_dim" | "dim2" | "dims" | "axes" => &[0, 0, 1, 1, -1, -2, 2],
            "groups" | "dilation" => &[1, 1, 1, 2],
            "padding" | "output_padding" => &[0, 0, 1, 2],
            "stride" | "kernel_size" => &[1, 2, 2, 3],
            "reduction" => &[0, 1, 2],
            "offset" | "start" | "diagonal" => &[0, 0, 1, -1],
            "N" => return Spec::Int(self.sizes[&'N']),
            "HxW" => return Spec::Int(self.sizes[&'H'] * self.sizes[&'W']),
            "C" | "num_classes" => return Spec::Int(self.sizes[&'C']),
            "blank" => &[0],
            _ => &[1, 2, 2, 3, 0, 4, 8],
        };
        Spec::Int(*of.choose(self.rng).unwrap())
    }

    fn int(&mut self, p: &Param) -> Spec {
        self.small(p)
    }

    fn float(&mut self) -> Spec {
        if self.odd(15) {
            return Spec::Float(*FLOATS.choose(self.rng).unwrap());
        }
        Spec::Float(*[0.1, 0.5, 0.9, 1.0, 1e-5, 2.0, 1.5].choose(self.rng).unwrap())
    }

    fn sizes_of(&mut self, text: &str) -> Vec<i64> {
        let mut out = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                'x' => {}
                '[' => {
                    let n: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    out.push(n.parse().unwrap());
                }
                c if c.is_ascii_digit() => out.push(i64::from(c as u32 - '0' as u32)),
                c => out.push(self.sizes[&c]),
            }
        }
        // `4E` is one size: four times the hidden one.
        if self.schema.name.ends_with("_cell") && out.len() >= 2 && (out[0] == 3 || out[0] == 4) && text.len() > 1 && text.as_bytes()[1] == b'E' {
            let first = out.remove(0);
            out[0] *= first;
        }
        out
    }

    fn tensor(&mut self, p: &Param) -> Spec {
        self.made += 1;
        if self.made > 1 && self.odd(6) {
            return Spec::Again(self.rng.next_u32() as usize % 2);
        }
        let hint = self.hints.get(p.name.as_str()).cloned();
        let mut shape = match &hint {
            Some(h) if !self.odd(8) => {
                let text = h.shapes.choose(self.rng).unwrap().clone();
                self.sizes_of(&text)
            }
            _ => {
                let base = self.shape.clone();
                match self.rng.next_u32() % 20 {
                    0..12 => base,
                    12 => base.iter().map(|_| 1).collect(),
                    13 => base.get(1..).unwrap_or_default().to_vec(),
                    14 => base.last().map(|n| vec![*n]).unwrap_or_default(),
                    15 => vec![],
                    16 => base.first().map(|n| vec![*n]).unwrap_or_default(),
                    _ => (0..self.rng.next_u32() % 5).map(|_| *[0, 1, 2, 3, 4, 8].choose(self.rng).unwrap()).collect(),
                }
            }
        };
        if self.odd(4) && !shape.is_empty() {
            let at = self.rng.next_u32() as usize % shape.len();
            shape[at] = *[0, 0, 1, 17].choose(self.rng).unwrap();
        }
        let of_indices =
            ["index", "indices", "target", "targets", "offsets", "lengths", "pivots", "LU_pivots", "sorter", "batch_sizes", "min_indices"]
                .contains(&p.name.as_str());
        let mut fill = Fill::Plain;
        let dtype = match &hint {
            Some(Hint { below: Some(c), .. }) => {
                let n = if c.is_ascii_digit() { i64::from(*c as u32 - '0' as u32) } else { self.sizes[c] };
                fill = Fill::Below(n);
                DType::Int64
            }
            Some(Hint { dtype: Some('b'), .. }) => DType::Bool,
            Some(Hint { dtype: Some('i'), .. }) => DType::Int,
            Some(Hint { dtype: Some('f'), .. }) => DType::Float,
            // A half, and the pivots of the unit matrix.
            Some(Hint { dtype: Some('h'), .. }) => {
                fill = Fill::All(0.5);
                DType::Float
            }
            Some(Hint { dtype: Some('o'), .. }) => {
                fill = Fill::Int(1);
                DType::Int
            }
            _ if of_indices => DType::Int64,
            _ if p.name == "mask" || p.name == "condition" => DType::Bool,
            // Networks know floats only, but for a few that want to know.
            Some(_) if !super::spec::is_float(self.dtype) && !super::spec::is_complex(self.dtype) && self.rng.next_u32() % 4 > 0 => DType::Float,
            _ => self.dtype,
        };
        let dtype = if self.odd(5) {
            *[DType::Int64, DType::Float, DType::Bool, DType::Double, DType::Int, DType::Half].choose(self.rng).unwrap()
        } else {
            dtype
        };
        if self.odd(12) {
            fill = hostile(self.rng);
        }
        let layout = match if self.clean { 5 } else { self.rng.next_u32() % 12 } {
            0 | 1 => Layout::Transposed,
            2 => Layout::Expanded,
            3 | 4 => Layout::Sliced,
            _ => Layout::Plain,
        };
        Spec::Tensor { shape, dtype, fill, layout, grad: self.chance(45), seed: self.rng.next_u64() }
    }
}

/// Values that an index, a length or a number must not have.
pub fn hostile(rng: &mut ChaCha8Rng) -> Fill {
    match rng.next_u32() % 12 {
        0..3 => Fill::Odd,
        3 => Fill::Int(i64::MAX),
        4 => Fill::Int(i64::MIN),
        5 => Fill::Int(1 << 31),
        6 => Fill::Int(-1_000_000_000),
        7 => Fill::Int(1_000_000_000),
        8 => Fill::Int(-1),
        9 => Fill::All(f64::NAN),
        10 => Fill::Below(100),
        _ => Fill::All(0.0),
    }
}

/// The arguments of a call that worked, with one or two of them made hostile.
pub fn mutate(rng: &mut ChaCha8Rng, schema: &Schema, base: &[Spec]) -> Vec<Spec> {
    let mut out = base.to_vec();
    for _ in 0..1 + rng.next_u32() % 2 {
        if out.is_empty() {
            break;
        }
        let at = rng.next_u32() as usize % out.len();
        let fresh = Maker::new(rng, schema).call();
        out[at] = change(rng, &out[at], &fresh[at]);
    }
    out
}

fn change(rng: &mut ChaCha8Rng, old: &Spec, fresh: &Spec) -> Spec {
    match old {
        Spec::Tensor { shape, dtype, fill, layout, grad, seed } => {
            let (mut shape, mut dtype, mut fill, mut layout, mut grad) = (shape.clone(), *dtype, *fill, *layout, *grad);
            match rng.next_u32() % 10 {
                0..4 => fill = hostile(rng),
                4 | 5 if !shape.is_empty() => {
                    let at = rng.next_u32() as usize % shape.len();
                    shape[at] = *[0, 1, shape[at] + 1, shape[at] * 3, 2].choose(rng).unwrap();
                }
                6 => layout = *[Layout::Transposed, Layout::Expanded, Layout::Sliced].choose(rng).unwrap(),
                7 => {
                    dtype =
                        *[DType::Int64, DType::Float, DType::Bool, DType::Double, DType::Int, DType::Uint8, DType::ComplexFloat].choose(rng).unwrap()
                }
                8 => grad = !grad,
                9 if !shape.is_empty() => {
                    shape.pop();
                }
                _ => return fresh.clone(),
            }
            Spec::Tensor { shape, dtype, fill, layout, grad, seed: *seed }
        }
        Spec::Int(_) => Spec::Int(*INTS.choose(rng).unwrap()),
        Spec::Float(_) => Spec::Float(*FLOATS.choose(rng).unwrap()),
        Spec::List(items) => {
            let mut items = items.clone();
            match rng.next_u32() % 5 {
                0 => items.clear(),
                1 => {
                    items.pop();
                }
                2 if !items.is_empty() => items.push(items[0].clone()),
                _ if !items.is_empty() => {
                    let at = rng.next_u32() as usize % items.len();
                    let from = items[at].clone();
                    items[at] = change(rng, &from, &from);
                }
                _ => return fresh.clone(),
            }
            Spec::List(items)
        }
        _ => fresh.clone(),
    }
}
