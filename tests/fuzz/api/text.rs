//! Scripts that call a function.

use lathe::script::{ApiFn, Receiver};
use rand::RngCore;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

const INTS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-2",
    "7",
    "1000",
    "65536",
    "1000000000",
    "2147483647",
    "2147483648",
    "4294967296",
    "1099511627776",
    "4611686018427387904",
    "9223372036854775807",
    "(-9223372036854775807 - 1)",
];
const FLOATS: &[&str] = &["0.0", "-1.0", "0.5", "1e308", "-1e308", "(0.0/0.0)", "(1.0/0.0)", "(-1.0/0.0)", "1e-320", "2.5"];
const TEXTS: &[&str] = &[
    "",
    "x",
    "mean",
    "f16",
    "i64",
    "bool",
    "c64",
    "cuda:9",
    "a/b",
    "../../x",
    "/etc/passwd",
    "/proc/self/mem",
    ".",
    "a\\nb",
    "\\u{202e}x",
    "%s%n",
    "nan",
    "reflect",
    "bilinear",
    "sum",
    "none",
];

fn pick<'a>(rng: &mut ChaCha8Rng, of: &[&'a str]) -> &'a str {
    of.choose(rng).unwrap()
}

fn chance(rng: &mut ChaCha8Rng, percent: u32) -> bool {
    rng.next_u32() % 100 < percent
}

fn tensor(rng: &mut ChaCha8Rng) -> String {
    let shape = pick(
        rng,
        &[
            "[2, 3]",
            "[2, 3]",
            "[3]",
            "[2, 4, 4]",
            "[1, 3, 8, 8]",
            "[2, 4, 6, 6]",
            "[2, 5, 8]",
            "[0]",
            "[2, 0]",
            "[0, 3, 4, 4]",
            "[]",
            "[1]",
            "[1, 1, 1, 1]",
            "[2, 2, 2, 2, 2]",
            "[4, 4]",
            "[17]",
            "[2, 3, 0, 5]",
            "[1073741824, 0]",
        ],
    );
    let base = match rng.next_u32() % 12 {
        0..5 => format!("torch::randn({shape})"),
        5 => format!("torch::zeros({shape})"),
        6 => format!("torch::full({shape}, {})", pick(rng, FLOATS)),
        7 => format!("torch::full({shape}, {}, #{{dtype: \"i64\"}})", pick(rng, INTS)),
        8 => format!("torch::ones({shape}, #{{dtype: \"{}\"}})", pick(rng, &["i64", "bool", "f64", "f16", "bf16", "u8", "i32", "c64"])),
        9 => format!("torch::randint(0, 4, {shape})"),
        10 => "torch::zeros([1]).expand([4611686018427387904, 0])".into(),
        _ => "torch::zeros([1]).expand([100000, 3])".into(),
    };
    match rng.next_u32() % 12 {
        0 => format!("{base}.transpose(0, -1)"),
        1 => format!("{base}.requires_grad_()"),
        2 => format!("{base}.unsqueeze(0)"),
        3 => format!("{base}.flatten(0, -1)"),
        4 => format!("{base}.detach()"),
        _ => base,
    }
}

fn anything(rng: &mut ChaCha8Rng) -> String {
    match rng.next_u32() % 14 {
        0..5 => tensor(rng),
        5 | 6 => pick(rng, INTS).into(),
        7 => pick(rng, FLOATS).into(),
        8 => format!("\"{}\"", pick(rng, TEXTS)),
        9 => pick(rng, &["true", "false", "()"]).into(),
        10 => ints(rng),
        11 => pick(rng, &["[]", "#{}", "[1.5, ()]", "[[1, 2], [3]]", "#{x: 1}", "|x| x", "|a, b| throw 1", "0..3"]).into(),
        12 => handle(rng),
        _ => format!("[{}, {}]", tensor(rng), tensor(rng)),
    }
}

fn ints(rng: &mut ChaCha8Rng) -> String {
    let n = rng.next_u32() % 5;
    let some: Vec<&str> = (0..n).map(|_| if chance(rng, 75) { pick(rng, &INTS[..6]) } else { pick(rng, INTS) }).collect();
    format!("[{}]", some.join(", "))
}

fn handle(rng: &mut ChaCha8Rng) -> String {
    pick(
        rng,
        &[
            "nn::linear(4, 3)",
            "nn::conv2d(3, 4, 3)",
            "nn::layer_norm(4)",
            "nn::group()",
            "optim::adamw([torch::zeros([2]).requires_grad_()])",
            "optim::sgd([torch::zeros([2]).requires_grad_()])",
            "nn::batch_norm2d(3)",
            "nn::embedding(4, 3)",
        ],
    )
    .into()
}

/// An expression of that kind, or of another.
fn of(rng: &mut ChaCha8Rng, kind: &str) -> String {
    if chance(rng, 12) {
        return anything(rng);
    }
    match kind {
        k if k.contains("array of tensors") || k.contains("list of tensors") => {
            let n = rng.next_u32() % 4;
            format!("[{}]", (0..n).map(|_| tensor(rng)).collect::<Vec<_>>().join(", "))
        }
        k if k.contains("array of") || k.contains("shape") => ints(rng),
        k if k.contains("tensor") => tensor(rng),
        k if k.contains("int") => {
            let few = chance(rng, 60);
            pick(rng, if few { &INTS[..6] } else { INTS }).into()
        }
        k if k.contains("number") || k.contains("float") => pick(rng, FLOATS).into(),
        k if k.contains("string") || k.contains("name") || k.contains("path") => format!("\"{}\"", pick(rng, TEXTS)),
        k if k.contains("bool") => pick(rng, &["true", "false"]).into(),
        k if k.contains("module") || k.contains("optimizer") => handle(rng),
        k if k.contains("function") => pick(rng, &["|x| x", "|| 1", "|a, b| a", "|x| throw \"no\""]).into(),
        k if k.contains("map") => pick(rng, &["#{}", "#{x: torch::ones([2])}", "#{a: 1, b: \"c\"}"]).into(),
        _ => anything(rng),
    }
}

/// `f(..)` with arguments of the right kinds, mostly.
pub fn call(rng: &mut ChaCha8Rng, f: &ApiFn) -> String {
    let mut args = Vec::new();
    for p in f.params.iter() {
        if p.optional && chance(rng, 40) {
            break;
        }
        if p.options.is_some() && !f.options().is_empty() {
            let options = f.options();
            let n = rng.next_u32() % 3;
            let mut some = Vec::new();
            for _ in 0..n {
                let Some(o) = options.choose(rng) else { continue };
                some.push(format!("\"{}\": {}", o.name, of(rng, o.kind.as_ref())));
            }
            args.push(format!("#{{{}}}", some.join(", ")));
        } else {
            args.push(of(rng, p.kind));
        }
    }
    let name = f.name;
    let written = match f.receiver {
        Receiver::Namespace(ns) => format!("{ns}::{name}({})", args.join(", ")),
        Receiver::Global => format!("{name}({})", args.join(", ")),
        Receiver::Method(ty, ..) => {
            let own = match ty {
                "Tensor" => tensor(rng),
                "i64" => pick(rng, INTS).into(),
                "f64" => pick(rng, FLOATS).into(),
                "Module" | "Optimizer" => handle(rng),
                _ => anything(rng),
            };
            let rest = args.get(1..).unwrap_or_default();
            if let Some(p) = name.strip_prefix("get$") {
                format!("({own}).{p}")
            } else if let Some(p) = name.strip_prefix("set$") {
                format!("let own = {own}; own.{p} = {}; own", rest.first().cloned().unwrap_or("1".into()))
            } else if name == "index$set$" {
                let (i, v) = (rest.first().cloned().unwrap_or("0".into()), rest.get(1).cloned().unwrap_or("0".into()));
                format!("let own = {own}; own[{i}] = {v}; own")
            } else if name.starts_with("index$") {
                format!("let own = {own}; own[{}]", rest.first().cloned().unwrap_or("0".into()))
            } else if !name.starts_with(|c: char| c.is_alphabetic()) {
                format!("({own}) {name} {}", rest.first().cloned().unwrap_or("1".into()))
            } else {
                format!("({own}).{}({})", name.trim_end_matches('$'), rest.join(", "))
            }
        }
        Receiver::Model(..) => format!("({}).{name}({})", handle(rng), args.get(1..).unwrap_or_default().join(", ")),
    };
    // What it gives is used: shown, turned into numbers, gone back through.
    let after = match rng.next_u32() % 4 {
        0 => "try { print(`${result}`); } catch {}",
        1 => "try { result.to_array(); } catch {}",
        2 => "try { result.sum().backward(); } catch {}",
        _ => "",
    };
    match written.strip_suffix("; own") {
        Some(statements) => format!("{statements};\n"),
        None => format!("let result = {written};\n{after}"),
    }
}

/// The example with one or two of its literals changed.
pub fn mutate(rng: &mut ChaCha8Rng, example: &str) -> String {
    let mut text = example.to_owned();
    for _ in 0..1 + rng.next_u32() % 2 {
        let found = literals(&text);
        let Some(&(from, to)) = found.choose(rng) else { break };
        let old = &text[from..to];
        let new = if old.starts_with('"') {
            format!("\"{}\"", pick(rng, TEXTS))
        } else if old.contains('.') {
            pick(rng, FLOATS).into()
        } else if chance(rng, 15) {
            anything(rng)
        } else {
            pick(rng, INTS).into()
        };
        text.replace_range(from..to, &new);
    }
    text
}

/// What stands in for a number, a text and an option in [`sweep`].
const EXTREMES: &[&str] = &["0", "-1", "(-9223372036854775807 - 1)", "9223372036854775807", "4294967296", "(0.0/0.0)"];
const ODD_TEXTS: &[&str] = &["", "x"];
const ODD_OPTIONS: &[&str] =
    &["0", "-1", "(-9223372036854775807 - 1)", "9223372036854775807", "(0.0/0.0)", "1e308", "[]", "[0, 0]", "[-1, 9223372036854775807]"];

/// Every literal of the examples at each extreme, and every option of `f` at each, in the map that an example gives it or in one of its own.
/// What draws alone would miss: a size of zero that only one of twenty options is.
pub fn sweep(f: &ApiFn, examples: &[String]) -> Vec<String> {
    let mut out = Vec::new();
    for example in examples {
        for (from, to) in literals(example) {
            let odd = if example[from..to].starts_with('"') { ODD_TEXTS } else { EXTREMES };
            for value in odd {
                let value = if odd == ODD_TEXTS { format!("\"{value}\"") } else { (*value).to_owned() };
                out.push(format!("{}{value}{}", &example[..from], &example[to..]));
            }
        }
    }
    let name = format!("{}(", f.name);
    let calls: Vec<(&String, usize)> =
        examples.iter().flat_map(|e| e.match_indices(&name).map(|(at, _)| (e, at + name.len())).collect::<Vec<_>>()).collect();
    for option in f.options() {
        for value in ODD_OPTIONS {
            let given = format!("\"{}\": {value}", option.name);
            for &(example, at) in &calls {
                let Some(close) = closing(example, at) else { continue };
                let inside = &example[at..close];
                // A key that stands twice is refused when the script is read: the example's own one goes.
                let changed = match inside.rfind("#{") {
                    Some(map) if !inside[map..].contains(&format!("{}:", option.name)) => {
                        let rest = &inside[map + 2..];
                        let comma = if rest.trim_start().starts_with('}') { "" } else { ", " };
                        format!("{}#{{{given}{comma}{rest}", &inside[..map])
                    }
                    Some(_) => continue,
                    None if inside.trim().is_empty() => format!("#{{{given}}}"),
                    None => format!("{inside}, #{{{given}}}"),
                };
                out.push(format!("{}{changed}{}", &example[..at], &example[close..]));
            }
        }
    }
    out
}

/// Where the bracket closes whose inside begins at `from`.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut open = 0;
    for (i, c) in text[from..].char_indices() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' if open == 0 => return Some(from + i),
            ')' | ']' | '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Where numbers and strings stand.
fn literals(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut i, mut out) = (0, Vec::new());
    while i < bytes.len() {
        let from = i;
        match bytes[i] {
            b'/' if bytes.get(i + 1) == Some(&b'/') => {
                while i < bytes.len() && bytes[i] != b'\n' {
                    i += 1;
                }
            }
            b'"' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'"' {
                    i += if bytes[i] == b'\\' { 2 } else { 1 };
                }
                i = (i + 1).min(bytes.len());
                if text.is_char_boundary(from) && text.is_char_boundary(i) {
                    out.push((from, i));
                }
            }
            c if c.is_ascii_digit() => {
                while i < bytes.len() && (bytes[i].is_ascii_alphanumeric() || (bytes[i] == b'.' && bytes.get(i + 1).is_some_and(u8::is_ascii_digit)))
                {
                    i += 1;
                }
                let is_name = from > 0 && (bytes[from - 1].is_ascii_alphanumeric() || bytes[from - 1] == b'_');
                if !is_name {
                    out.push((from, i));
                }
            }
            _ => i += 1,
        }
    }
    out
}
