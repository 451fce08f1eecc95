//! One overload in a process of its own.

use super::make::{Maker, mutate};
use super::spec::{Spec, is_complex, make};
use crate::flags::Flags;
use lathe::error::Result;
use lathe::torch::bridge::{self, GradOptions, Value};
use lathe::torch::operators::{self, Kind, Schema};
use lathe::torch::{DType, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

/// Bytes of all tensors at once.
const MEMORY: i64 = 1 << 30;
/// What new memory holds; results that differ with it show memory that nobody wrote.
const FILLS: [u8; 2] = [0x5a, 0x3c];
/// Calls that worked and are changed a little.
const KEPT: usize = 24;

/// The overload of that name.
pub fn schema(full: &str) -> Option<Schema> {
    let base = full.split('.').next()?;
    bridge::schemas(&format!("aten::{base}")).iter().filter_map(|t| Schema::parse(t)).find(|s| s.full_name() == full)
}

/// Makes all calls.
pub fn work(name: &str, flags: &Flags) -> bool {
    let Some(schema) = schema(name) else { return false };
    bridge::guard_memory(FILLS[0], MEMORY);
    let mut kept: Vec<Vec<Spec>> = Vec::new();
    let (mut returned, mut faults) = (0u64, BTreeSet::new());
    let mut out = std::io::stdout().lock();
    let most = flags.case.map_or(flags.calls, |c| c + 1);
    lathe::interrupt::install().unwrap();
    for case in 0..most {
        let mut rng = ChaCha8Rng::seed_from_u64(seed(name, flags.seed, case));
        let fresh = kept.is_empty() || rng.next_u32() % 100 < 35;
        let specs = if fresh {
            Maker::new(&mut rng, &schema).call()
        } else {
            let base = kept[rng.next_u32() as usize % kept.len()].clone();
            mutate(&mut rng, &schema, &base)
        };
        // Those that another process has made.
        if case < flags.from {
            if fresh {
                kept.push(specs);
            }
            continue;
        }
        let _ = writeln!(out, "call {case}");
        if flags.case == Some(case) {
            let shown: Vec<String> = schema.params.iter().zip(&specs).map(|(p, s)| format!("{}: {s}", p.name)).collect();
            let _ = writeln!(out, "show {name}({})", shown.join(", "));
        }
        let _ = out.flush();
        let call = Call { name, schema: &schema, specs: &specs, listed: !flags.all };
        match call.run(case) {
            Ok(found) => {
                returned += 1;
                if fresh || kept.len() < KEPT / 2 {
                    kept.push(specs);
                    if kept.len() > KEPT {
                        kept.remove(rng.next_u32() as usize % KEPT);
                    }
                }
                for what in found {
                    if faults.insert(what.clone()) {
                        let _ = writeln!(out, "fault {what} (call {case})");
                    }
                }
            }
            Err(e) if flags.case == Some(case) => {
                let _ = writeln!(out, "show   {e}");
            }
            Err(_) => {}
        }
    }
    let _ = writeln!(out, "returned {returned}");
    let _ = writeln!(out, "end");
    let _ = out.flush();
    true
}

fn seed(name: &str, seed: u64, case: u64) -> u64 {
    let mut h = DefaultHasher::new();
    (name, seed, case).hash(&mut h);
    h.finish()
}

struct Call<'a> {
    name: &'a str,
    schema: &'a Schema,
    specs: &'a [Spec],
    listed: bool,
}

/// What is known of an argument before the call.
struct Before {
    shape: Vec<i64>,
    strides: Vec<i64>,
    storage: (i64, i64),
    version: i64,
    bytes: Option<Vec<u8>>,
}

impl Call<'_> {
    /// The faults of one call: with both fills, with gradients, and with what it did to its arguments.
    fn run(&self, case: u64) -> Result<BTreeSet<String>> {
        let mut faults = BTreeSet::new();
        bridge::guard_memory(FILLS[0], MEMORY);
        let first = self.once(&mut faults)?;
        bridge::guard_memory(FILLS[1], MEMORY);
        let second = self.once(&mut BTreeSet::new());
        bridge::guard_memory(FILLS[0], MEMORY);
        if let Ok(second) = second
            && first != second
        {
            faults.insert("returns memory that nobody wrote".to_owned());
        }
        if case % 3 == 0 && self.reads_scalars() {
            // A second derivative: what is saved there is used as well.
            let _ = self.twice();
        }
        Ok(faults)
    }

    fn reads_scalars(&self) -> bool {
        self.schema.params.iter().any(|p| p.kind == Kind::Tensor)
    }

    fn arguments(&self, values: &[Value]) -> (Vec<Value>, Vec<(&str, Value)>) {
        let mut args = Vec::new();
        let mut kw = Vec::new();
        for (p, v) in self.schema.params.iter().zip(values) {
            let leave = matches!(v, Value::None) && p.has_default;
            if p.by_name || !kw.is_empty() || (leave && p.has_default) {
                if !leave {
                    kw.push((p.name.as_str(), v.clone()));
                } else if !p.by_name && kw.is_empty() {
                    // Left out in the middle: the rest goes by name.
                    kw.push(("", Value::None));
                }
            } else {
                args.push(v.clone());
            }
        }
        kw.retain(|(k, _)| !k.is_empty());
        (args, kw)
    }

    fn call(&self, values: &[Value]) -> Result<Vec<Value>> {
        let (args, kw) = self.arguments(values);
        if self.listed { operators::script_call(self.name, &args, &kw) } else { operators::call_unlisted(self.name, &args, &kw) }
    }

    fn once(&self, faults: &mut BTreeSet<String>) -> Result<Vec<Vec<u8>>> {
        bridge::manual_seed(7)?;
        let made = make(self.specs)?;
        let before = made.tensors.iter().map(before).collect::<Result<Vec<_>>>()?;
        let results = self.call(&made.values)?;
        let mut tensors = Vec::new();
        results.iter().for_each(|v| collect(v, &mut tensors));
        for (t, b) in made.tensors.iter().zip(&before) {
            inspect(t, b, faults);
            for r in &tensors {
                escapes(t, r, faults)?;
            }
        }
        let mut shown: Vec<Vec<u8>> = results.iter().filter_map(number).collect();
        for t in tensors.iter().chain(&made.tensors) {
            shown.extend(bytes(t));
        }
        shown.extend(gradients(&tensors, &made.tensors)?);
        Ok(shown)
    }

    fn twice(&self) -> Result<()> {
        let made = make(self.specs)?;
        let results = self.call(&made.values)?;
        let mut tensors = Vec::new();
        results.iter().for_each(|v| collect(v, &mut tensors));
        let leaves: Vec<Tensor> = made.tensors.into_iter().filter(Tensor::requires_grad).collect();
        let Some(loss) = loss(&tensors)? else { return Ok(()) };
        if leaves.is_empty() {
            return Ok(());
        }
        let options = GradOptions { create_graph: true, allow_unused: true, ..GradOptions::default() };
        let grads: Vec<Tensor> = bridge::grad(&[loss], &leaves, &options)?.into_iter().flatten().filter(Tensor::requires_grad).collect();
        if let Some(loss) = self::loss(&grads)? {
            bridge::grad(&[loss], &leaves, &GradOptions { allow_unused: true, ..GradOptions::default() })?;
        }
        Ok(())
    }
}

fn before(t: &Tensor) -> Result<Before> {
    let bytes = if t.is_float() { None } else { bytes(t) };
    Ok(Before { shape: t.shape(), strides: t.strides(), storage: bridge::storage(t)?, version: t.version()?, bytes })
}

/// What a call did to an argument.
fn inspect(t: &Tensor, b: &Before, faults: &mut BTreeSet<String>) {
    if t.shape() != b.shape || t.strides() != b.strides {
        faults.insert("gives its argument another shape in place".to_owned());
    } else if bridge::storage(t).is_ok_and(|s| s != b.storage) {
        faults.insert("gives its argument other memory in place".to_owned());
    } else if b.bytes.is_some() && bytes(t) != b.bytes && t.version().is_ok_and(|v| v == b.version) {
        faults.insert("changes its argument without autograd's knowledge".to_owned());
    }
}

/// Whether a result shares the memory of an argument, but not its count of changes: writes through it would be unknown to autograd.
fn escapes(t: &Tensor, r: &Tensor, faults: &mut BTreeSet<String>) -> Result<()> {
    let ((at, size), (there, _)) = (bridge::storage(t)?, bridge::storage(r)?);
    if at == 0 || size == 0 || at != there {
        return Ok(());
    }
    let version = t.version()?;
    bridge::bump_version(r);
    if t.version()? == version {
        faults.insert("shares memory without autograd's knowledge".to_owned());
    }
    Ok(())
}

fn collect(v: &Value, out: &mut Vec<Tensor>) {
    match v {
        Value::Tensor(t) => out.push(t.clone()),
        Value::List(items) | Value::Tuple(items) => items.iter().for_each(|v| collect(v, out)),
        _ => {}
    }
}

fn number(v: &Value) -> Option<Vec<u8>> {
    match v {
        Value::Int(i) => Some(i.to_le_bytes().to_vec()),
        Value::Float(x) => Some(x.to_bits().to_le_bytes().to_vec()),
        Value::Bool(b) => Some(vec![u8::from(*b)]),
        _ => None,
    }
}

/// The values; every NaN is one.
fn bytes(t: &Tensor) -> Option<Vec<u8>> {
    let t = lathe::torch::no_grad(|| t.detach()).ok()?;
    if t.numel() > 1 << 20 || t.numel() == 0 {
        return None;
    }
    if is_complex(t.dtype()) {
        let parts = bridge::call1("view_as_real", &[bridge::call1("resolve_conj", &[t.into()], &[]).ok()?.into()], &[]).ok()?;
        return bytes(&parts);
    }
    if t.is_float() {
        let all = t.to_vec_f64().ok()?;
        return Some(all.iter().flat_map(|x| if x.is_nan() { [0xff; 8] } else { x.to_bits().to_le_bytes() }).collect());
    }
    let all = t.to_dtype(DType::Int64).ok()?.to_vec_i64().ok()?;
    Some(all.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// The sum of all that has a gradient.
fn loss(tensors: &[Tensor]) -> Result<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for t in tensors.iter().filter(|t| t.requires_grad() && t.numel() < 1 << 20) {
        let t = if is_complex(t.dtype()) {
            bridge::call1("view_as_real", &[bridge::call1("resolve_conj", &[t.into()], &[])?.into()], &[])?
        } else {
            t.clone()
        };
        let s = t.to_dtype(DType::Double)?.sum(&[], false)?;
        sum = Some(match sum {
            Some(a) => a.add(&s)?,
            None => s,
        });
    }
    Ok(sum)
}

fn gradients(results: &[Tensor], arguments: &[Tensor]) -> Result<Vec<Vec<u8>>> {
    let leaves: Vec<Tensor> = arguments.iter().filter(|t| t.requires_grad()).cloned().collect();
    let Ok(Some(loss)) = loss(results) else { return Ok(Vec::new()) };
    if leaves.is_empty() || !loss.requires_grad() {
        return Ok(Vec::new());
    }
    let grads = bridge::grad(&[loss], &leaves, &GradOptions { allow_unused: true, ..GradOptions::default() });
    Ok(grads.map(|all| all.iter().flatten().filter_map(bytes).collect()).unwrap_or_default())
}
