//! A TorchScript program put together from its archive. libtorch reads neither the archive nor the pickles in it: it is handed the text of the
//! code and one value after the other, each of which was checked by then.

use super::super::pickle::{Id, Node};
use super::super::pt::{PtValue, PtView, read_program_part};
use super::archive::Archive;
use crate::error::{Error, Result};
use crate::torch::Device;
use crate::torch::bridge::{Item, Program, ProgramResult};
use std::collections::HashMap;
use std::path::Path;

/// Loads a program onto a device.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is no TorchScript archive or its program does what programs may not.
pub fn load_program(path: &Path, device: Device) -> Result<Program> {
    let archive = Archive::open(path)?;
    let mut program = Program::new(archive.version).map_err(|e| refused(path, &e))?;
    for (name, text) in &archive.code {
        program.source(name, text).map_err(|e| refused(path, &e))?;
    }
    let constants = read_program_part(path, archive.handle()?, "constants")?;
    let Node::Tuple(ids) = constants.node() else { return Err(Error::data(path, "its constants are no tuple")) };
    let mut values = Values { program: &mut program, path, device, numbers: HashMap::new() };
    for id in ids.iter() {
        let number = values.put(&constants.at(*id))?;
        values.program.constant(number).map_err(|e| refused(path, &e))?;
    }
    let mut values = Values { program: &mut program, path, device, numbers: HashMap::new() };
    let root = values.put(&read_program_part(path, archive.handle()?, "data")?)?;
    program.build(root).map_err(|e| refused(path, &e))?;
    Ok(program)
}

/// What is said of a program that does not load.
fn refused(path: &Path, message: &str) -> Error {
    let plain = plain(message);
    let line = plain.split("\nException raised from").next().unwrap_or(&plain).lines().find(|l| !l.trim().is_empty()).unwrap_or_default();
    let export = "export the network alone, in evaluation mode, with plain operators: `torch.jit.trace(model.eval(), example).save(path)`";
    Error::data(path, format!("this TorchScript program is not loaded: {line}")).help(export)
}

/// A message without characters that would steer a terminal: a program words its own.
pub(in crate::torch) fn plain(message: &str) -> String {
    message.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Values of one pickle on their way into a program, each once.
struct Values<'a> {
    program: &'a mut Program,
    path: &'a Path,
    device: Device,
    numbers: HashMap<Id, i64>,
}

impl Values<'_> {
    /// Takes a value in, after everything that it holds; gives its number.
    fn put(&mut self, root: &PtValue) -> Result<i64> {
        let mut todo = vec![(root.clone(), false)];
        let mut open = std::collections::HashSet::new();
        while let Some((value, is_ready)) = todo.pop() {
            let id = value.identity();
            if self.numbers.contains_key(&id) {
                continue;
            }
            let children = children(&value);
            if is_ready || children.is_empty() {
                let number = self.one(&value, &children)?;
                self.numbers.insert(id, number);
                open.remove(&id);
                continue;
            }
            if !open.insert(id) {
                return Err(Error::data(self.path, "it holds a value that contains itself"));
            }
            todo.push((value.clone(), true));
            todo.extend(children.into_iter().rev().map(|id| (value.at(id), false)));
        }
        self.numbers.get(&root.identity()).copied().ok_or_else(|| Error::data(self.path, "it holds no value"))
    }

    fn one(&mut self, value: &PtValue, children: &[Id]) -> Result<i64> {
        let no = |what: String| Error::data(self.path, format!("its program holds {what}, which is not supported"));
        let numbers: Vec<i64> = children.iter().filter_map(|id| self.numbers.get(id).copied()).collect();
        if numbers.len() != children.len() {
            return Err(Error::data(self.path, "it holds a value that contains itself"));
        }
        let tensor;
        let item = match value.node() {
            Node::None => Item::None,
            Node::Bool(b) => Item::Bool(*b),
            Node::Int(i) => Item::Int(*i),
            Node::Float(f) => Item::Float(*f),
            Node::Str(s) => Item::Str(s),
            Node::Tuple(_) => Item::Tuple(&numbers),
            Node::List(_) => Item::List(&numbers),
            Node::Dict(_) => Item::Dict(&numbers),
            Node::Tensor(_) => match value.view()? {
                PtView::Tensor(t) => {
                    tensor = t.to_device(self.device)?;
                    Item::Tensor(&tensor)
                }
                _ => return Err(no("a tensor that cannot be read".into())),
            },
            Node::Object(o) if &*o.class == "torch.device" => Item::Device(self.device_of(value)?),
            Node::Object(o) => match (&numbers[..], o.class.starts_with("__torch__.")) {
                ([state], true) => Item::Object(&o.class, *state),
                _ => return Err(no(format!("a value of the class `{}`", o.class))),
            },
            Node::Class(class) => return Err(no(format!("the class `{class}`"))),
            Node::Long(_) | Node::Bytes(_) | Node::Storage(_) => return Err(no("a value that TorchScript has no type for".into())),
        };
        let done: ProgramResult<i64> = self.program.value(&item);
        done.map_err(|e| refused(self.path, &e))
    }

    /// Where a device of the archive is on this machine: the processor stays it, any other is the one that the program is loaded onto.
    fn device_of(&self, value: &PtValue) -> Result<&'static str> {
        let name = value.state().and_then(|args| match args.node() {
            Node::Tuple(a) if a.len() == 1 => a.first().map(|id| args.at(*id)),
            _ => None,
        });
        match name.as_ref().and_then(PtValue::as_str) {
            Some("cpu") => Ok("cpu"),
            Some(name) if name.starts_with("cuda") => Ok(if self.device == Device::Cpu { "cpu" } else { "cuda" }),
            _ => Err(Error::data(self.path, "its program names a device that is neither `cpu` nor `cuda`")),
        }
    }
}

/// What has to be taken in before a value.
fn children(value: &PtValue) -> Vec<Id> {
    match value.node() {
        Node::Tuple(ids) => ids.to_vec(),
        Node::List(ids) => ids.clone(),
        Node::Dict(pairs) => pairs.iter().flat_map(|(k, v)| [*k, *v]).collect(),
        Node::Object(o) if &*o.class != "torch.device" => o.state.into_iter().collect(),
        _ => Vec::new(),
    }
}
