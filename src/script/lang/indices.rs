//! Several indices in one pair of brackets, as PyTorch has them: `x[0, 1]`, `x[:, 1:3]`, `x[.., -1]`, `x[::2]`.
//!
//! [`super::reading`] turns the separators between the brackets into operators; these build the list, and an indexer takes it.

use rhai::{Dynamic, Engine, ImmutableString};

/// What stands for `..` by itself: all dimensions that are not named. No text of a script begins with this character.
pub(super) const ELLIPSIS: &str = "\u{1}..";

/// What stands between two indices, or between the bounds of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    Colon,
    Colons,
}

const ALL: [Separator; 3] = [Separator::Comma, Separator::Colon, Separator::Colons];

impl Separator {
    /// As it is written.
    pub(super) fn text(self) -> &'static str {
        match self {
            Separator::Comma => ",",
            Separator::Colon => ":",
            Separator::Colons => "::",
        }
    }

    /// The operator between two operands.
    pub(super) fn between(self) -> &'static str {
        match self {
            Separator::Comma => "[,]",
            Separator::Colon => "[:]",
            Separator::Colons => "[::]",
        }
    }

    /// The prefix in front of an operand.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Separator::Comma => "[,",
            Separator::Colon => "[:",
            Separator::Colons => "[::",
        }
    }

    /// The operand.
    pub(super) fn alone(self) -> &'static str {
        match self {
            Separator::Comma => "\u{1},",
            Separator::Colon => "\u{1}:",
            Separator::Colons => "\u{1}::",
        }
    }
}

/// Below every operator of the language; with 1 the parser ends an expression.
const PRECEDENCE: u8 = 2;

/// The tokens that the parser gets.
pub(super) fn set_syntax(rhai: &mut Engine) {
    for separator in ALL {
        rhai.register_custom_operator(separator.between(), PRECEDENCE).expect("the name is no symbol of the language");
        rhai.register_custom_syntax_with_state_raw(
            separator.prefix(),
            |symbols, _, _| Ok((symbols.len() == 1).then(|| "$expr$".into())),
            false,
            move |cx, inputs, _| Ok(Dynamic::from(Indices::joined(None, separator, cx.eval_expression_tree(&inputs[0])?))),
        );
    }
}

/// What the operators do.
pub(crate) fn install(rhai: &mut Engine) {
    rhai.register_type_with_name::<Indices>("indices");
    for separator in ALL {
        rhai.register_fn(separator.between(), move |a: Dynamic, b: Dynamic| Indices::joined(Some(a), separator, b));
    }
}

#[derive(Debug, Clone)]
enum Part {
    Value(Dynamic),
    Separator(Separator),
}

/// What stands between the brackets, from left to right.
#[derive(Debug, Clone)]
pub struct Indices(Vec<Part>);

/// One index.
#[derive(Debug, Clone)]
pub enum Index {
    /// A value, whatever it means to what is indexed.
    Value(Dynamic),
    /// `a:b:c`; what is left out is `()`.
    Slice(Dynamic, Dynamic, Dynamic),
    /// `..`
    Rest,
}

impl Indices {
    fn joined(a: Option<Dynamic>, separator: Separator, b: Dynamic) -> Indices {
        let mut parts = a.map_or(Vec::new(), parts);
        parts.push(Part::Separator(separator));
        parts.extend(self::parts(b));
        Indices(parts)
    }

    /// The indices between the brackets, if they are of this kind: more than one, with a `:`, or `..` alone.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn of(index: &Dynamic) -> Result<Option<Vec<Index>>, String> {
        if let Some(list) = index.read_lock::<Indices>() {
            return list.list().map(Some);
        }
        match self::parts(index.clone()).as_slice() {
            [Part::Separator(_)] => Indices(parts(index.clone())).list().map(Some),
            [Part::Value(v)] if is_rest(v) => Ok(Some(vec![Index::Rest])),
            _ => Ok(None),
        }
    }

    fn list(&self) -> Result<Vec<Index>, String> {
        let items = self.0.split(|p| matches!(p, Part::Separator(Separator::Comma)));
        items.map(item).collect()
    }
}

/// A value between the brackets as a part of the list.
fn parts(value: Dynamic) -> Vec<Part> {
    if let Some(list) = value.read_lock::<Indices>() {
        return list.0.clone();
    }
    let separator = value.read_lock::<ImmutableString>().and_then(|text| ALL.into_iter().find(|s| s.alone() == text.as_str()));
    vec![separator.map_or(Part::Value(value), Part::Separator)]
}

/// Whether a value between the brackets stands for a separator or `..`: no property, although it is a text.
pub(crate) fn is_mark(value: &Dynamic) -> bool {
    value.read_lock::<ImmutableString>().is_some_and(|text| text.starts_with('\u{1}'))
}

fn is_rest(value: &Dynamic) -> bool {
    value.read_lock::<ImmutableString>().is_some_and(|text| text.as_str() == ELLIPSIS)
}

/// What stands between two commas.
fn item(parts: &[Part]) -> Result<Index, String> {
    if let [Part::Value(value)] = parts {
        return Ok(if is_rest(value) { Index::Rest } else { Index::Value(value.clone()) });
    }
    let mut bounds = [None, None, None];
    let mut at = 0;
    for part in parts {
        match part {
            Part::Separator(Separator::Colon) => at += 1,
            Part::Separator(_) => at += 2,
            Part::Value(_) if bounds.get(at).is_none_or(Option::is_some) => {}
            // `a:b:` ends with an open range of the parser's own.
            Part::Value(value) => bounds[at] = Some(value.read_lock::<std::ops::Range<i64>>().map_or_else(|| value.clone(), |r| r.start.into())),
        }
    }
    if parts.is_empty() || at > 2 {
        return Err(if at > 2 { "a slice is `start:stop:step`, with two `:` at most" } else { "there is nothing between two commas" }.into());
    }
    let [start, stop, step] = bounds.map(Option::unwrap_or_default);
    Ok(Index::Slice(start, stop, step))
}
