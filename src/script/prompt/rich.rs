//! A value as more than a line of text, for prompts that can show more: tensors of pictures, rows of a table, and what says itself how it looks
//! as SVG or HTML.

use crate::error::Result;
use crate::eval::{GridOptions, Range, grid, pictures, png};
use crate::script::units::at::At;
use crate::torch::{DType, Tensor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use rhai::{Array, Dynamic, ImmutableString, Map, Scope};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Pictures of a batch that are shown.
const PICTURES: i64 = 64;
/// More pixels than this are shown by `show` alone.
const PIXELS: i64 = 1 << 24;
/// What is smaller than this is no picture that anybody would know.
const LEAST: (i64, i64) = (8, 16);
/// Rows and columns of a table that are shown.
const ROWS: usize = 200;
const COLUMNS: usize = 50;
/// Longer pages and charts are written to files.
const LONGEST: usize = 16 << 20;

/// What is shown beside the text of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rich {
    /// `image/png`, `image/svg+xml` or `text/html`.
    pub kind: String,
    /// The text of it; of a picture the bytes in base64.
    pub data: String,
}

impl Rich {
    fn new(kind: &str, data: String) -> Rich {
        Rich { kind: kind.to_owned(), data }
    }

    /// A file that `show` wrote, by the end of its name.
    ///
    /// # Errors
    /// `E0301` when it cannot be read.
    pub fn of_file(path: &Path) -> Result<Rich> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("svg") => Ok(Rich::new("image/svg+xml", crate::files::read_text(path)?)),
            Some("html") => Ok(framed(&crate::files::read_text(path)?)),
            _ => Ok(Rich::new("image/png", STANDARD.encode(crate::files::read(path)?))),
        }
    }
}

/// How a value looks; `None` where its text says all.
pub(super) fn rich(at: At, value: &Dynamic) -> Option<Rich> {
    if let Some(x) = value.read_lock::<Tensor>() {
        // What libtorch refuses here the text tells.
        return picture(&x).ok().flatten();
    }
    if let Some(rows) = value.read_lock::<Array>() {
        return table(&rows).map(|t| Rich::new("text/html", t.into_string()));
    }
    let is_plain = value.is_map() || value.is_string() || value.is_int() || value.is_float() || value.is_bool() || value.is_char();
    if is_plain || value.is_unit() || value.is_fnptr() {
        return None;
    }
    let said = |method: &str| {
        let mut scope = Scope::new();
        scope.push_dynamic("x", value.clone());
        let text = at.rhai.eval_with_scope::<ImmutableString>(&mut scope, &format!("x.{method}()")).ok()?;
        (text.len() <= LONGEST).then(|| text.to_string())
    };
    said("svg").map(|svg| Rich::new("image/svg+xml", svg)).or_else(|| said("html").map(|page| framed(&page)))
}

/// A page of its own inside of another: neither's style touches the other, and nothing in it can run.
fn framed(page: &str) -> Rich {
    let frame = html! {
        iframe srcdoc=(page) sandbox="" style="width: 100%; height: 32em; border: 1px solid #8884; resize: vertical; background: #fff" {}
    };
    Rich::new("text/html", frame.into_string())
}

/// A tensor of pictures as a PNG: `[C, H, W]` or `[B, C, H, W]` with 1 or 3 channels, u8 or float. Floats in `[0, 1]` or `[-1, 1]` are shown by
/// that range, others from their least to their largest value.
fn picture(x: &Tensor) -> Result<Option<Rich>> {
    let shape = x.shape();
    let (b, c, h, w) = match shape[..] {
        [c, h, w] => (1, c, h, w),
        [b, c, h, w] => (b, c, h, w),
        _ => return Ok(None),
    };
    let least = if x.dtype() == DType::Uint8 { LEAST.0 } else { LEAST.1 };
    let is_picture = (c == 1 || c == 3) && h >= least && w >= least && b >= 1 && (x.dtype() == DType::Uint8 || x.is_float());
    let few = b.min(PICTURES);
    if !is_picture || few.saturating_mul(h).saturating_mul(w) > PIXELS {
        return Ok(None);
    }
    let x = if shape.len() == 4 { x.narrow(0, 0, few)? } else { x.clone() };
    let range = if x.is_float() { Some(shades(Range::of(&x)?)?) } else { None };
    let all = pictures("show", &x, range)?;
    let one = if few == 1 { all.select(0, 0)? } else { grid(&all, GridOptions::default())? };
    let (_, _, bytes) = png(&one)?;
    Ok(Some(Rich::new("image/png", STANDARD.encode(bytes))))
}

fn shades(found: Range) -> Result<Range> {
    match (found.low(), found.high()) {
        (low, high) if low >= 0.0 && high <= 1.0 => Range::new(0.0, 1.0),
        (low, high) if low >= -1.0 && high <= 1.0 => Range::new(-1.0, 1.0),
        _ => Ok(found),
    }
}

/// Rows with the same names and plain values as a table.
fn table(rows: &Array) -> Option<Markup> {
    let maps: Vec<Map> = rows.iter().map(|r| r.read_lock::<Map>().map(|m| m.clone())).collect::<Option<_>>()?;
    let names: Vec<&str> = maps.first()?.keys().map(|k| k.as_str()).collect();
    let is_even = maps.iter().all(|m| m.len() == names.len() && names.iter().all(|n| m.contains_key(*n)));
    if !is_even || names.is_empty() || names.len() > COLUMNS {
        return None;
    }
    let texts: Vec<Vec<String>> =
        maps.iter().take(ROWS).map(|m| names.iter().map(|n| cell(m.get(*n)?)).collect::<Option<_>>()).collect::<Option<_>>()?;
    let more = maps.len() - texts.len();
    Some(html! {
        table {
            thead { tr { @for name in &names { th { (name) } } } }
            tbody { @for row in &texts { tr { @for text in row { td { (text) } } } } }
        }
        @if more > 0 { p { (more) " more rows" } }
    })
}

fn cell(value: &Dynamic) -> Option<String> {
    if let Some(x) = value.read_lock::<Tensor>() {
        return (x.numel() == 1).then(|| x.item().ok().map(crate::progress::short)).flatten();
    }
    if let Ok(x) = value.as_float() {
        return Some(crate::progress::short(x));
    }
    let is_plain = value.is_int() || value.is_bool() || value.is_string() || value.is_char();
    (is_plain || value.is_unit()).then(|| value.to_string())
}
