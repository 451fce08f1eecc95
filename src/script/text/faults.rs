//! What is wrong with a text as far as its tokens tell: all of it, where a parser stops at the first.

use super::code::Code;
use super::token::{Fault, Kind};
use std::ops::Range;

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What is wrong there.
    pub message: String,
}

/// Open strings, comments and brackets, and characters of no token.
pub fn faults(script: &Code) -> Vec<Wrong> {
    let tokens = script.code.iter().enumerate().filter_map(|(i, token)| {
        let text = token.text(&script.source);
        let message = match token.kind {
            Kind::Fault(fault) => said(fault, text),
            Kind::Open(_) if script.pairs[i].is_none() => format!("`{text}` is not closed"),
            Kind::Close(_) if script.pairs[i].is_none() => format!("`{text}` closes nothing"),
            _ => return None,
        };
        Some(Wrong { range: token.range(), message })
    });
    let open = script.comments.iter().filter(|t| matches!(t.kind, Kind::Fault(_)));
    let comments = open.map(|t| Wrong { range: t.start..t.start + 2, message: said(Fault::OpenComment, "") });
    let mut all: Vec<Wrong> = tokens.chain(comments).collect();
    all.sort_by_key(|w| w.range.start);
    all
}

/// What is wrong with a token, in words.
pub fn said(fault: Fault, text: &str) -> String {
    match fault {
        Fault::OpenText => "this string has no closing `\"` on its line".into(),
        Fault::OpenTemplate => "this template has no closing backtick".into(),
        Fault::OpenRaw => "this raw string has no end".into(),
        Fault::OpenComment => "this comment has no `*/`".into(),
        Fault::Char => "a character is written as `'a'`".into(),
        Fault::Unknown => format!("`{text}` is no part of the language"),
    }
}
