//! A pickle interpreter that calls nothing: Python objects become inert data.
//!
//! Everything lives in one flat list and refers to other entries by index, so that shared and cyclic objects cost nothing,
//! and neither reading nor dropping recurses. Work and memory are bounded by the length of the input: single bytes that
//! would copy long lists (`OrderedDict(list)`) draw on a budget.

mod text;

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

/// Why a pickle cannot be read.
pub type PickleResult<T> = Result<T, String>;

/// The index of an object.
pub type Id = u32;

/// A Python object.
#[derive(Debug)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 8 bytes, little-endian.
    Long(Box<[u8]>),
    Float(f64),
    Str(Rc<str>),
    Bytes(Rc<[u8]>),
    Tuple(Box<[Id]>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by its dotted name.
    Class(Rc<str>),
    Storage(Rc<Storage>),
    Tensor(Rc<Strided>),
    Object(Box<Object>),
}

/// An instance of a class that is not interpreted.
#[derive(Debug)]
pub struct Object {
    /// Its class, by its dotted name.
    pub class: Rc<str>,
    /// What its state was restored from: usually the dict of its attributes.
    pub state: Option<Id>,
    /// What was put into it as into a dict.
    pub items: Vec<(Id, Id)>,
}

/// A run of elements in the file.
#[derive(Debug)]
pub struct Storage {
    /// The name of its record.
    pub key: String,
    /// The class name without `torch.` and `Storage`: `Float`, `Untyped`.
    pub class: String,
    /// Its elements (bytes, if untyped).
    pub numel: u64,
    /// Where a view of it begins, in elements: only in old files.
    pub start: u64,
}

/// A tensor as a window on a storage.
#[derive(Debug)]
pub struct Strided {
    pub storage: Rc<Storage>,
    /// The dtype, where the storage is untyped.
    pub dtype: Option<Rc<str>>,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub stride: Vec<i64>,
}

impl Strided {
    /// The name of its dtype, or of its storage's class.
    pub fn type_name(&self) -> &str {
        self.dtype.as_deref().unwrap_or(&self.storage.class)
    }
}

/// The objects of all pickles of one file.
#[derive(Debug)]
pub struct Objects {
    nodes: Vec<Node>,
    /// What may still be made or copied.
    budget: usize,
}

/// Entries that every file has, so that single bytes need no room.
const NONE: Id = 0;
const FALSE: Id = 1;
const TRUE: Id = 2;
const EMPTY_TUPLE: Id = 3;

/// No checkpoint has more objects, and their list stays below a gigabyte.
const MAX_OBJECTS: usize = 1 << 24;
/// Of an entry of a dict made from a list, which takes no bytes of the pickle: nobody needs two million of them.
const COPY_COST: usize = 8;
const MAX_NAME: usize = 1024;
/// Of a text in protocol 0.
const MAX_TEXT: usize = 1 << 24;
const MAX_RANK: usize = 64;

impl Default for Objects {
    fn default() -> Self {
        Objects { nodes: vec![Node::None, Node::Bool(false), Node::Bool(true), Node::Tuple([].into())], budget: MAX_OBJECTS }
    }
}

impl Objects {
    /// The object of that index.
    pub fn get(&self, id: Id) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::None)
    }

    /// All storages by key. Views of one storage must agree on its type.
    pub fn storages(&self) -> PickleResult<HashMap<&str, Rc<Storage>>> {
        let mut all: HashMap<&str, Rc<Storage>> = HashMap::new();
        for node in &self.nodes {
            let Node::Storage(s) = node else { continue };
            if let Some(other) = all.insert(&s.key, s.clone())
                && other.class != s.class
            {
                return Err(format!("storage `{}` is described as {} and as {}", s.key, other.class, s.class));
            }
        }
        Ok(all)
    }

    fn spend(&mut self, n: usize) -> PickleResult<()> {
        self.budget = self.budget.checked_sub(n).ok_or("the pickle holds too many objects")?;
        Ok(())
    }

    fn add(&mut self, node: Node) -> PickleResult<Id> {
        self.spend(1)?;
        self.nodes.push(node);
        Id::try_from(self.nodes.len() - 1).map_err(|_| "the pickle holds too many objects".into())
    }

    fn int(&self, id: Id) -> PickleResult<i64> {
        if let Node::Int(i) = self.get(id) { Ok(*i) } else { Err("a number is expected in a tensor's description".into()) }
    }

    fn ints(&self, id: Id) -> PickleResult<Vec<i64>> {
        match self.get(id) {
            Node::Tuple(t) if t.len() <= MAX_RANK => t.iter().map(|x| self.int(*x)).collect(),
            Node::List(t) if t.len() <= MAX_RANK => t.iter().map(|x| self.int(*x)).collect(),
            _ => Err("sizes are expected in a tensor's description".into()),
        }
    }

    fn text(&self, id: Id) -> Option<&Rc<str>> {
        if let Node::Str(s) = self.get(id) { Some(s) } else { None }
    }

    /// Pairs of a list of pairs, as `OrderedDict([(k, v), ..])` takes it.
    fn pairs(&mut self, id: Id) -> PickleResult<Vec<(Id, Id)>> {
        let list: Vec<Id> = match self.get(id) {
            Node::List(l) => l.clone(),
            Node::Tuple(l) => l.to_vec(),
            Node::Dict(d) => {
                let d = d.clone();
                self.spend(COPY_COST * d.len())?;
                return Ok(d);
            }
            _ => return Ok(Vec::new()),
        };
        self.spend(COPY_COST * list.len())?;
        let pair = |id: Id| match self.get(id) {
            Node::Tuple(p) if p.len() == 2 => Ok((p[0], p[1])),
            Node::List(p) if p.len() == 2 => Ok((p[0], p[1])),
            _ => Err("a dict is made from something that is not a pair".to_owned()),
        };
        list.into_iter().map(pair).collect()
    }
}

/// The bytes of a pickle, which never claim more than there are.
pub struct Input<R> {
    reader: R,
    left: u64,
    taken: u64,
}

impl<R: Read> Input<R> {
    /// At most `len` bytes of `reader`.
    pub fn new(reader: R, len: u64) -> Self {
        Input { reader, left: len, taken: 0 }
    }

    /// How many bytes were read.
    pub fn position(&self) -> u64 {
        self.taken
    }

    fn count(&mut self, n: u64) -> PickleResult<()> {
        self.left = self.left.checked_sub(n).ok_or("the pickle ends too early")?;
        self.taken += n;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> PickleResult<[u8; N]> {
        self.count(N as u64)?;
        let mut out = [0; N];
        self.reader.read_exact(&mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    fn u8(&mut self) -> PickleResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn bytes(&mut self, n: u64) -> PickleResult<Vec<u8>> {
        self.count(n)?;
        let mut out = Vec::new();
        // Grows as data arrives: a wrong length cannot reserve memory that the file does not fill.
        let got = (&mut self.reader).take(n).read_to_end(&mut out).map_err(|e| e.to_string())?;
        if got as u64 == n { Ok(out) } else { Err("the pickle ends too early".into()) }
    }

    /// Bytes behind a length of `N` bytes.
    fn sized<const N: usize>(&mut self) -> PickleResult<Vec<u8>> {
        let mut len = [0u8; 8];
        len[..N].copy_from_slice(&self.array::<N>()?);
        self.bytes(u64::from_le_bytes(len))
    }

    fn line(&mut self) -> PickleResult<String> {
        String::from_utf8(self.line_of(MAX_NAME)?).map_err(|_| "a name is not UTF-8".into())
    }

    fn line_of(&mut self, most: usize) -> PickleResult<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.u8()? {
                b'\n' => return Ok(out),
                _ if out.len() >= most => return Err("a name is too long".into()),
                b => out.push(b),
            }
        }
    }
}

/// Reads one pickle up to its end and returns its object.
pub fn read<R: Read>(input: &mut Input<R>, objects: &mut Objects) -> PickleResult<Id> {
    Machine { objects, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }.run(input)
}

struct Machine<'a> {
    objects: &'a mut Objects,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run<R: Read>(mut self, r: &mut Input<R>) -> PickleResult<Id> {
        loop {
            let op = r.u8()?;
            match op {
                // PROTO, FRAME: lengths of frames say nothing that the opcodes do not.
                0x80 => match r.u8()? {
                    0..=5 => {}
                    v => return Err(format!("pickle protocol {v} is not known")),
                },
                0x95 => drop(r.array::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.until_mark()?),
                b'2' => self.stack.push(self.top()?),
                b'N' => self.stack.push(NONE),
                0x88 => self.stack.push(TRUE),
                0x89 => self.stack.push(FALSE),
                b'J' => self.int(i64::from(i32::from_le_bytes(r.array()?)))?,
                b'K' => self.int(i64::from(r.u8()?))?,
                b'M' => self.int(i64::from(u16::from_le_bytes(r.array()?)))?,
                0x8a => self.long(r.sized::<1>()?)?,
                0x8b => self.long(r.sized::<4>()?)?,
                b'G' => self.add(Node::Float(f64::from_be_bytes(r.array()?)))?,
                b'I' | b'L' => self.text_int(&r.line()?)?,
                b'F' => {
                    let x = r.line()?.trim().parse().map_err(|_| "a float is malformed")?;
                    self.add(Node::Float(x))?;
                }
                b'X' => self.string(r.sized::<4>()?)?,
                0x8c => self.string(r.sized::<1>()?)?,
                0x8d => self.string(r.sized::<8>()?)?,
                b'V' => {
                    let text = text::unicode(&r.line_of(MAX_TEXT)?);
                    self.string(text.into_bytes())?;
                }
                b'S' => {
                    let bytes = text::repr(&r.line_of(MAX_TEXT)?);
                    self.string(bytes)?;
                }
                // Python 2's `str`: text in every checkpoint seen.
                b'U' => self.string(r.sized::<1>()?)?,
                b'T' => self.string(r.sized::<4>()?)?,
                b'C' => self.add_bytes(r.sized::<1>()?)?,
                b'B' => self.add_bytes(r.sized::<4>()?)?,
                0x8e | 0x96 => self.add_bytes(r.sized::<8>()?)?,
                b')' => self.stack.push(EMPTY_TUPLE),
                b't' => {
                    let items = self.until_mark()?;
                    self.add(Node::Tuple(items.into()))?;
                }
                0x85..=0x87 => {
                    let items = self.last(usize::from(op - 0x84))?;
                    self.add(Node::Tuple(items.into()))?;
                }
                b']' | 0x8f => self.add(Node::List(Vec::new()))?,
                b'l' | 0x91 => {
                    let items = self.until_mark()?;
                    self.add(Node::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.until_mark()?;
                    self.extend(items)?;
                }
                b'}' => self.add(Node::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.until_mark()?;
                    self.add(Node::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                b's' => {
                    let items = self.last(2)?;
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.until_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let at = u32::from(r.u8()?);
                    self.memo.insert(at, self.top()?);
                }
                b'r' => {
                    let at = u32::from_le_bytes(r.array()?);
                    self.memo.insert(at, self.top()?);
                }
                b'p' => {
                    let at = r.line()?.trim().parse().map_err(|_| "a memo index is malformed")?;
                    self.memo.insert(at, self.top()?);
                }
                0x94 => {
                    let at = u32::try_from(self.memo.len()).map_err(|_| "the memo is too large")?;
                    self.memo.insert(at, self.top()?);
                }
                b'h' => {
                    let at = u32::from(r.u8()?);
                    self.recall(at)?;
                }
                b'j' => {
                    let at = u32::from_le_bytes(r.array()?);
                    self.recall(at)?;
                }
                b'g' => {
                    let at = r.line()?.trim().parse().map_err(|_| "a memo index is malformed")?;
                    self.recall(at)?;
                }
                b'c' => {
                    let (module, name) = (r.line()?, r.line()?);
                    self.class(&module, &name)?;
                }
                0x93 => {
                    let pair = self.last(2)?;
                    let (Some(module), Some(name)) = (self.objects.text(pair[0]).cloned(), self.objects.text(pair[1]).cloned()) else {
                        return Err("a class name is not a string".into());
                    };
                    self.class(&module, &name)?;
                }
                b'i' => {
                    let (module, name) = (r.line()?, r.line()?);
                    let args = self.until_mark()?;
                    self.class(&module, &name)?;
                    let class = self.pop()?;
                    self.construct(class, &args)?;
                }
                b'o' => {
                    let mut items = self.until_mark()?;
                    if items.is_empty() {
                        return Err("an object without a class".into());
                    }
                    let class = items.remove(0);
                    self.construct(class, &items)?;
                }
                // REDUCE, NEWOBJ, NEWOBJ_EX: a call in Python, a description here.
                b'R' | 0x81 => {
                    let pair = self.last(2)?;
                    self.reduce(pair[0], pair[1])?;
                }
                0x92 => {
                    let triple = self.last(3)?;
                    self.reduce(triple[0], triple[1])?;
                }
                b'b' => {
                    let state = self.pop()?;
                    let to = self.top()?;
                    self.build(to, state);
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.persistent(id)?;
                }
                // Protocol 0 has the tuple as text.
                b'P' => {
                    let line = r.line()?;
                    let id = self.described(&line)?;
                    self.persistent(id)?;
                }
                other => return Err(format!("pickle opcode {other:#04x} at byte {} is not supported", r.position() - 1)),
            }
        }
    }

    fn add(&mut self, node: Node) -> PickleResult<()> {
        let id = self.objects.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> PickleResult<Id> {
        if self.stack.len() <= self.floor() {
            return Err("the pickle takes more than it gave".into());
        }
        self.stack.pop().ok_or_else(|| "the pickle takes more than it gave".into())
    }

    fn top(&self) -> PickleResult<Id> {
        self.stack.last().copied().ok_or_else(|| "the pickle takes more than it gave".into())
    }

    fn last(&mut self, n: usize) -> PickleResult<Vec<Id>> {
        let at = self.stack.len().checked_sub(n).filter(|at| *at >= self.floor()).ok_or("the pickle takes more than it gave")?;
        Ok(self.stack.split_off(at))
    }

    fn until_mark(&mut self) -> PickleResult<Vec<Id>> {
        let at = self.marks.pop().ok_or("a mark is missing")?;
        if at > self.stack.len() {
            return Err("a mark is misplaced".into());
        }
        Ok(self.stack.split_off(at))
    }

    fn recall(&mut self, at: u32) -> PickleResult<()> {
        let id = *self.memo.get(&at).ok_or("the pickle recalls what it never stored")?;
        self.stack.push(id);
        Ok(())
    }

    fn int(&mut self, i: i64) -> PickleResult<()> {
        self.add(Node::Int(i))
    }

    fn long(&mut self, bytes: Vec<u8>) -> PickleResult<()> {
        if bytes.len() > 8 {
            return self.add(Node::Long(bytes.into()));
        }
        let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut all = [sign; 8];
        all[..bytes.len()].copy_from_slice(&bytes);
        self.int(i64::from_le_bytes(all))
    }

    fn text_int(&mut self, line: &str) -> PickleResult<()> {
        match line.trim() {
            "00" => self.stack.push(FALSE),
            "01" => self.stack.push(TRUE),
            digits => {
                let digits = digits.trim_end_matches('L');
                match digits.parse() {
                    Ok(i) => self.int(i)?,
                    Err(_) => self.long(text::long(digits).ok_or("an integer is malformed")?)?,
                }
            }
        }
        Ok(())
    }

    /// A persistent id of protocol 0: `('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 432)`, as text.
    fn described(&mut self, line: &str) -> PickleResult<Id> {
        let inner = line.trim().strip_prefix('(').and_then(|l| l.strip_suffix(')')).ok_or("a persistent id is not a tuple")?;
        let mut items = Vec::new();
        for word in inner.split(", ") {
            let word = word.trim_end_matches(',');
            let node = if let Some(class) = word.strip_prefix("<class '").and_then(|w| w.strip_suffix("'>")) {
                Node::Class(class.into())
            } else if word == "None" {
                Node::None
            } else if let Ok(i) = word.parse() {
                Node::Int(i)
            } else {
                Node::Str(word.trim_matches('\'').into())
            };
            items.push(self.objects.add(node)?);
        }
        self.objects.add(Node::Tuple(items.into()))
    }

    fn string(&mut self, bytes: Vec<u8>) -> PickleResult<()> {
        match String::from_utf8(bytes) {
            Ok(s) => self.add(Node::Str(s.into())),
            Err(e) => self.add_bytes(e.into_bytes()),
        }
    }

    fn add_bytes(&mut self, bytes: Vec<u8>) -> PickleResult<()> {
        self.add(Node::Bytes(bytes.into()))
    }

    fn class(&mut self, module: &str, name: &str) -> PickleResult<()> {
        if module.len() + name.len() > MAX_NAME {
            return Err("a class name is too long".into());
        }
        self.add(Node::Class(format!("{module}.{name}").into()))
    }

    fn extend(&mut self, items: Vec<Id>) -> PickleResult<()> {
        let to = self.top()?;
        if let Some(Node::List(l)) = self.objects.nodes.get_mut(to as usize) {
            l.extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> PickleResult<()> {
        let to = self.top()?;
        let pairs = items.chunks_exact(2).map(|p| (p[0], p[1]));
        match self.objects.nodes.get_mut(to as usize) {
            Some(Node::Dict(d)) => d.extend(pairs),
            Some(Node::Object(o)) => o.items.extend(pairs),
            _ => {}
        }
        Ok(())
    }

    /// The state of dicts (`_metadata`) and of tensors carries nothing that is wanted.
    fn build(&mut self, to: Id, state: Id) {
        if let Some(Node::Object(o)) = self.objects.nodes.get_mut(to as usize) {
            o.state = Some(state);
        }
    }

    fn construct(&mut self, class: Id, args: &[Id]) -> PickleResult<()> {
        let args = self.objects.add(Node::Tuple(args.into()))?;
        self.reduce(class, args)
    }

    /// What a call would give: the few functions that make containers and tensors, and an inert object for all others.
    fn reduce(&mut self, mut class: Id, mut args: Id) -> PickleResult<()> {
        // Each turn steps into one wrapper; a wrapper of itself would never end.
        for _ in 0..4 {
            let Node::Class(name) = self.objects.get(class) else {
                return self.object("?".into(), None);
            };
            let name = name.clone();
            let Node::Tuple(a) = self.objects.get(args) else {
                // TorchScript makes a member of an enumeration from its bare value.
                let value = name.starts_with("__torch__.").then_some(args);
                return self.object(name, value);
            };
            match (&*name, a.len()) {
                ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor", 4..) => {
                    let a = [a[0], a[1], a[2], a[3]];
                    return self.tensor(a, None);
                }
                ("torch._utils._rebuild_tensor_v3", 7..) => {
                    let (dtype, a) = (a[6], [a[0], a[1], a[2], a[3]]);
                    let Node::Class(dtype) = self.objects.get(dtype) else { return Err("a tensor's dtype is missing".into()) };
                    let dtype = dtype.clone();
                    return self.tensor(a, Some(dtype));
                }
                ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", 1..) => {
                    self.stack.push(a[0]);
                    return Ok(());
                }
                ("torch._tensor._rebuild_from_type_v2", 3..) => (class, args) = (a[0], a[2]),
                ("collections.OrderedDict" | "builtins.dict" | "__builtin__.dict", 0) => return self.add(Node::Dict(Vec::new())),
                ("collections.defaultdict", 0 | 1) => return self.add(Node::Dict(Vec::new())),
                ("collections.OrderedDict" | "builtins.dict" | "__builtin__.dict", 1) => {
                    let from = a[0];
                    let pairs = self.objects.pairs(from)?;
                    return self.add(Node::Dict(pairs));
                }
                // What protocols 0 and 1 write for an object: its class comes first.
                ("copy_reg._reconstructor" | "copyreg._reconstructor", 1..) => {
                    let class = if let Node::Class(class) = self.objects.get(a[0]) { class.clone() } else { name };
                    return self.object(class, None);
                }
                ("torch.Size" | "builtins.list" | "builtins.tuple" | "builtins.set" | "__builtin__.set" | "builtins.frozenset", 1) => {
                    self.stack.push(a[0]);
                    return Ok(());
                }
                // What TorchScript writes around lists and dicts, to say their types.
                ("torch.jit._pickle.restore_type_tag", 2)
                | (
                    "torch.jit._pickle.build_intlist"
                    | "torch.jit._pickle.build_doublelist"
                    | "torch.jit._pickle.build_boollist"
                    | "torch.jit._pickle.build_tensorlist",
                    1,
                ) => {
                    self.stack.push(a[0]);
                    return Ok(());
                }
                ("torch.device", 1) => return self.object(name, Some(args)),
                _ => return self.object(name, None),
            }
        }
        Err("a tensor is wrapped too often".into())
    }

    fn object(&mut self, class: Rc<str>, state: Option<Id>) -> PickleResult<()> {
        self.add(Node::Object(Box::new(Object { class, state, items: Vec::new() })))
    }

    fn tensor(&mut self, [storage, offset, shape, stride]: [Id; 4], dtype: Option<Rc<str>>) -> PickleResult<()> {
        let o = &*self.objects;
        let Node::Storage(storage) = o.get(storage) else { return Err("a tensor without a storage".into()) };
        let strided = Strided { storage: storage.clone(), dtype, offset: o.int(offset)?, shape: o.ints(shape)?, stride: o.ints(stride)? };
        self.add(Node::Tensor(Rc::new(strided)))
    }

    /// `('storage', class, key, location, numel)`, in old files with `(view key, start, numel)` at the end.
    fn persistent(&mut self, id: Id) -> PickleResult<()> {
        let o = &*self.objects;
        let Node::Tuple(t) = o.get(id) else { return Err("a persistent id is not a tuple".into()) };
        // `('module', class, file, source)`: old files carry the source code of classes.
        if let (Some(&kind), Some(&class)) = (t.first(), t.get(1))
            && o.text(kind).is_some_and(|k| &**k == "module")
        {
            self.stack.push(class);
            return Ok(());
        }
        let (Some(&kind), Some(&class), Some(&key), Some(&numel)) = (t.first(), t.get(1), t.get(2), t.get(4)) else {
            return Err("a persistent id is incomplete".into());
        };
        let Node::Class(class) = o.get(class) else { return Err("a storage without a type".into()) };
        let bare = class.rsplit('.').next().unwrap_or(class).strip_suffix("Storage").ok_or("a storage of unknown type")?;
        let key = o.text(key).filter(|k| k.len() <= MAX_NAME).ok_or("a storage without a key")?.to_string();
        if o.text(kind).is_none_or(|k| &**k != "storage") {
            return Err("a persistent id that is not a storage".into());
        }
        let count = |id| u64::try_from(o.int(id)?).map_err(|_| "a negative size".to_owned());
        let numel = count(numel)?;
        let start = match t.get(5).map(|v| o.get(*v)) {
            Some(Node::Tuple(view)) if view.len() >= 2 => count(view[1])?,
            _ => 0,
        };
        let storage = Storage { key, class: bare.to_owned(), numel, start };
        self.add(Node::Storage(Rc::new(storage)))
    }
}
