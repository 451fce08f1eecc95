//! The call and the map that a place stands in: what is called, with which argument, under which key.

use super::code::Code;
use super::token::{Bracket, Kind};
use std::ops::Range;

/// A call around a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// What is called, as written: `F::conv2d`, `loss`, or `.sum` for a method.
    pub callee: String,
    /// The number of the callee's last token.
    pub name: usize,
    /// The number of the `(`.
    pub open: usize,
    /// Which argument, from 0.
    pub argument: usize,
    /// The map literal that is the argument and holds the place.
    pub map: Option<MapSite>,
}

/// A map literal around a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapSite {
    /// The number of its `#{`.
    pub open: usize,
    /// Its other keys.
    pub keys: Vec<String>,
    /// The key whose value the place stands in; `None` where a key is to be typed.
    pub value_of: Option<String>,
}

/// The innermost call around a byte whose argument, or map of options, is being written there.
pub fn site(script: &Code, offset: usize) -> Option<Site> {
    let mut map = None;
    for open in script.enclosing(offset).into_iter().rev() {
        match script.kind(open) {
            Some(Kind::Open(Bracket::Map)) if map.is_none() => map = Some(map_site(script, open, offset)),
            Some(Kind::Open(Bracket::Paren)) => {
                let Some((callee, name)) = callee(script, open) else {
                    // Parentheses around an expression.
                    if map.is_some() { return None } else { continue }
                };
                let argument = commas(script, open, offset);
                return Some(Site { callee, name, open, argument, map });
            }
            _ => return None,
        }
    }
    None
}

/// The map literal around a byte, whatever it is given to.
pub fn map_at(script: &Code, offset: usize) -> Option<MapSite> {
    let open = script.enclosing(offset).pop()?;
    (script.kind(open) == Some(Kind::Open(Bracket::Map))).then(|| map_site(script, open, offset))
}

/// What the parenthesis at `open` calls, and the number of its last token.
pub fn callee(script: &Code, open: usize) -> Option<(String, usize)> {
    let mut name = open.checked_sub(1)?;
    if script.kind(name) == Some(Kind::CallBang) {
        name = name.checked_sub(1)?;
    }
    if script.kind(name) != Some(Kind::Word) {
        return None;
    }
    let is_declared = name.checked_sub(1).is_some_and(|f| script.kind(f) == Some(Kind::Keyword) && script.text(f) == "fn");
    (!is_declared).then(|| (path(script, name), name))
}

/// A name with the modules before it, or the dot.
pub fn path(script: &Code, name: usize) -> String {
    let mut text = script.text(name).to_owned();
    let mut i = name;
    while i >= 2 && script.kind(i - 1) == Some(Kind::Path) && script.kind(i - 2) == Some(Kind::Word) {
        i -= 2;
        text = format!("{}::{text}", script.text(i));
    }
    if i >= 1 && script.kind(i - 1) == Some(Kind::Dot) { format!(".{text}") } else { text }
}

/// The places of a call's arguments, as numbers of tokens.
pub fn arguments(script: &Code, open: usize) -> Vec<Range<usize>> {
    let close = script.pairs.get(open).copied().flatten().unwrap_or(script.code.len());
    let mut out = Vec::new();
    let (mut i, mut from) = (open + 1, open + 1);
    while i < close {
        match script.kind(i) {
            Some(Kind::Open(_)) => i = script.pairs[i].filter(|p| *p < close).unwrap_or(close),
            Some(Kind::ClosureOpen) => {
                while i < close && script.kind(i) != Some(Kind::ClosureClose) {
                    i += 1;
                }
            }
            Some(Kind::Comma) => {
                out.push(from..i);
                from = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    if from < close {
        out.push(from..close);
    }
    out
}

/// How many arguments a call has.
pub(super) fn count_arguments(script: &Code, open: usize) -> usize {
    let open = if script.kind(open) == Some(Kind::CallBang) { open + 1 } else { open };
    arguments(script, open).len()
}

/// How many commas stand between a bracket and a byte, in no bracket between.
fn commas(script: &Code, open: usize, offset: usize) -> usize {
    let (mut i, mut n) = (open + 1, 0);
    while script.code.get(i).is_some_and(|t| t.end <= offset) {
        match script.kind(i) {
            Some(Kind::Open(_)) => match script.pairs[i].filter(|p| script.code[*p].end <= offset) {
                Some(close) => i = close,
                None => return n,
            },
            Some(Kind::ClosureOpen) => {
                while script.code.get(i + 1).is_some_and(|t| t.end <= offset) && script.kind(i) != Some(Kind::ClosureClose) {
                    i += 1;
                }
            }
            Some(Kind::Comma) => n += 1,
            _ => {}
        }
        i += 1;
    }
    n
}

fn map_site(script: &Code, open: usize, offset: usize) -> MapSite {
    let close = script.pairs[open].unwrap_or(script.code.len());
    let (mut keys, mut value_of) = (Vec::new(), None);
    let (mut i, mut begins) = (open + 1, true);
    while i < close && !(script.pairs[open].is_none() && script.begins_item(i)) {
        let is_before = script.code[i].start < offset;
        match script.kind(i) {
            Some(Kind::Open(_)) => i = script.pairs[i].filter(|p| *p < close).unwrap_or(close),
            Some(Kind::Comma) => {
                begins = true;
                if script.code[i].end <= offset {
                    value_of = None;
                }
            }
            Some(Kind::Word | Kind::Text) if begins && script.kind(i + 1) == Some(Kind::Colon) => {
                let key = script.text(i).trim_matches('"').to_owned();
                let is_here = script.code[i].start <= offset && offset <= script.code[i].end;
                if is_before && script.code[i + 1].end <= offset {
                    value_of = Some(key.clone());
                }
                if !is_here {
                    keys.push(key);
                }
                begins = false;
            }
            _ => begins = false,
        }
        i += 1;
    }
    MapSite { open, keys, value_of }
}
