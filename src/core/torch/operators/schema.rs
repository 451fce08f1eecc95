//! The schema of an operator's overload, read from libtorch's text of it.

/// What a parameter takes, without the `?` and `[]` around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A tensor.
    Tensor,
    /// An int or a float.
    Scalar,
    /// An int, also one that libtorch calls symbolic.
    Int,
    /// A float.
    Float,
    /// A truth value.
    Bool,
    /// A string.
    Str,
    /// A dtype.
    DType,
    /// A device.
    Device,
    /// How the elements lie: `strided`, `sparse_coo`, ..
    Layout,
    /// `contiguous`, `channels_last`, ..
    MemoryFormat,
    /// A random generator, which scripts have no handle of.
    Generator,
    /// Anything else.
    Other(String),
}

/// How many of them a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// One.
    One,
    /// A list.
    List,
    /// A list, or one value that stands for so many.
    Sized(i64),
}

/// A parameter of an overload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// How many.
    pub count: Count,
    /// Whether None stands for it.
    pub optional: bool,
    /// Whether None stands for an element of the list.
    pub optional_elements: bool,
    /// Whether it is taken by name only.
    pub by_name: bool,
    /// Whether the operator writes into it.
    pub written: bool,
    /// Whether it has a default.
    pub has_default: bool,
}

/// An overload: `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `aten::add`.
    pub name: String,
    /// `Tensor`; empty for the one without a name.
    pub overload: String,
    /// What it takes.
    pub params: Vec<Param>,
    /// What it returns, as libtorch writes it.
    pub returns: String,
}

impl Schema {
    /// Reads libtorch's text; `None` for one of another form.
    pub fn parse(text: &str) -> Option<Schema> {
        let (head, rest) = text.split_once('(')?;
        let (inner, returns) = rest.rsplit_once(" -> ").map(|(inner, returns)| (inner, returns.to_owned()))?;
        let inner = inner.strip_suffix(')')?;
        let (name, overload) = match head.split_once("::")?.1.split_once('.') {
            Some((_, overload)) => (head.strip_suffix(overload)?.strip_suffix('.')?, overload),
            None => (head, ""),
        };
        let mut params = Vec::new();
        let mut by_name = false;
        for part in split(inner) {
            if part == "*" {
                by_name = true;
            } else {
                params.push(Param { by_name, ..param(part)? });
            }
        }
        Some(Schema { name: name.to_owned(), overload: overload.to_owned(), params, returns })
    }

    /// The parameters that take tensors for the results.
    pub fn out_params(&self) -> Vec<String> {
        self.params.iter().filter(|p| p.by_name && p.written).map(|p| p.name.clone()).collect()
    }

    /// Whether this is `plain` with tensors for its results.
    pub fn is_out_of(&self, plain: &Schema) -> bool {
        let mut rest = plain.params.iter().peekable();
        let is_out = |p: &Param| p.by_name && p.written;
        // What the plain one takes besides must have a default: the dtype of the result, mostly.
        let found = self.params.iter().filter(|p| !is_out(p)).all(|p| {
            while rest.next_if(|q| q.name != p.name && (q.has_default || q.optional)).is_some() {}
            rest.next().is_some_and(|q| q.name == p.name && q.kind == p.kind && q.count == p.count)
        });
        let writes = |s: &Schema| s.params.iter().any(|p| p.written && !p.by_name);
        found
            && rest.all(|q| q.has_default || q.optional)
            && self.name == plain.name
            && !self.out_params().is_empty()
            && plain.out_params().is_empty()
            && !writes(plain)
    }

    /// `add.Tensor`, as `torch::op` takes it: without the `aten::`, and `add.default` for the overload without a name.
    pub fn full_name(&self) -> String {
        let name = self.name.strip_prefix("aten::").unwrap_or(&self.name);
        if self.overload.is_empty() { format!("{name}.default") } else { format!("{name}.{}", self.overload) }
    }
}

/// Parts between the commas that are in no brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

/// `SymInt[2] stride=[1, 1]`.
fn param(text: &str) -> Option<Param> {
    let (text, has_default) = match text.split_once('=') {
        Some((before, _)) => (before, true),
        None => (text, false),
    };
    let (ty, name) = text.rsplit_once(' ')?;
    let written = ty.contains('!');
    // `Tensor(a!)` and `Tensor(a -> *)`: what shares memory with what.
    let mut plain = String::new();
    let mut depth = 0;
    for c in ty.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let (ty, optional) = plain.strip_suffix('?').map_or((plain.as_str(), false), |t| (t, true));
    let (ty, count) = match ty.strip_suffix(']').and_then(|t| t.rsplit_once('[')) {
        Some((t, "")) => (t, Count::List),
        Some((t, n)) => (t, Count::Sized(n.parse().ok()?)),
        None => (ty, Count::One),
    };
    let (ty, optional_elements) = if count == Count::One { (ty, false) } else { ty.strip_suffix('?').map_or((ty, false), |t| (t, true)) };
    let kind = match ty {
        "Tensor" => Kind::Tensor,
        "Scalar" => Kind::Scalar,
        "int" | "SymInt" => Kind::Int,
        "float" => Kind::Float,
        "bool" => Kind::Bool,
        "str" => Kind::Str,
        "ScalarType" => Kind::DType,
        "Device" => Kind::Device,
        "Layout" => Kind::Layout,
        "MemoryFormat" => Kind::MemoryFormat,
        "Generator" => Kind::Generator,
        other => Kind::Other(other.to_owned()),
    };
    Some(Param { name: name.to_owned(), kind, count, optional, optional_elements, by_name: false, written, has_default })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::bridge;

    #[test]
    fn parameters_are_read_with_all_that_stands_around_them() {
        let s = Schema::parse(
            "aten::x.out(Tensor(a!) self, Tensor?[] indices, SymInt[2]? stride=[1, 1], *, str mode=\"a\", bool[3] m=[True, True, True]) -> Tensor(a!)",
        )
        .unwrap();
        assert_eq!((s.name.as_str(), s.overload.as_str(), s.full_name().as_str()), ("aten::x", "out", "x.out"));
        let shown: Vec<_> = s.params.iter().map(|p| (p.name.as_str(), &p.kind, p.count, p.optional, p.by_name)).collect();
        assert_eq!(
            shown,
            [
                ("self", &Kind::Tensor, Count::One, false, false),
                ("indices", &Kind::Tensor, Count::List, false, false),
                ("stride", &Kind::Int, Count::Sized(2), true, false),
                ("mode", &Kind::Str, Count::One, false, true),
                ("m", &Kind::Bool, Count::Sized(3), false, true),
            ]
        );
        assert!(s.params[0].written && s.params[1].optional_elements && s.params[2].has_default && !s.params[1].has_default);
    }

    #[test]
    fn every_schema_of_libtorch_is_read() {
        let mut seen = 0;
        for name in bridge::names() {
            for text in bridge::schemas(name) {
                // Variadic operators of compiled graphs.
                if text.contains("(...)") {
                    continue;
                }
                let s = Schema::parse(&text).unwrap_or_else(|| panic!("not read: {text}"));
                assert_eq!(s.name, *name, "{text}");
                seen += 1;
            }
        }
        assert!(seen > 3_000, "{seen}");
    }
}
