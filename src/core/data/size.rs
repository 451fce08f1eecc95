//! How large pictures are.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::fmt;

/// Pixels of a side are never more.
const MOST: usize = 8192;

/// Height and width of pictures, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// That of a square.
    pub fn square(side: usize) -> Size {
        Size { height: side, width: side }
    }

    /// That of the options `resolution` and `width`, where a width of 0 is that of a square.
    ///
    /// # Errors
    /// `E0202` for a side that is not in 1..=8192.
    pub fn of_options(op: &str, resolution: usize, width: usize) -> Result<Size> {
        let size = Size::of_kept(resolution, width);
        for (name, side) in [("resolution", size.height), ("width", size.width)] {
            if !(1..=MOST).contains(&side) {
                return Err(Error::value(op, format!("option `{name}` must be in 1..={MOST}, got {side}")));
            }
        }
        Ok(size)
    }

    /// That of a file, which keeps a width of 0 for squares.
    pub(super) fn of_kept(height: usize, width: usize) -> Size {
        Size { height, width: if width == 0 { height } else { width } }
    }

    /// The side of a square.
    pub fn side(self) -> Option<usize> {
        (self.height == self.width).then_some(self.height)
    }

    /// Bytes of such a picture in RGB.
    pub fn bytes(self) -> usize {
        3 * self.height * self.width
    }

    /// The width as files keep it: 0 of a square, whose height tells both.
    pub(super) fn width_kept(self) -> usize {
        if self.side().is_some() { 0 } else { self.width }
    }

    /// As identities hold it: the side of a square, `[height, width]` of others.
    pub(super) fn json(self) -> Value {
        self.side().map_or_else(|| json!([self.height, self.width]), |side| json!(side))
    }
}

/// `256 x 256`, `256 x 384 (height x width)`.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.height, self.width)?;
        if self.side().is_none() { f.write_str(" (height x width)") } else { Ok(()) }
    }
}

/// Whether a width needs no place in a file.
pub(super) fn is_square(width: &usize) -> bool {
    *width == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_of_0_is_that_of_a_square() {
        let square = Size::of_options("test", 256, 0).unwrap();
        assert_eq!((square, square.side(), square.bytes()), (Size { height: 256, width: 256 }, Some(256), 3 * 256 * 256));
        assert_eq!((square.to_string(), square.width_kept(), square.json()), ("256 x 256".into(), 0, json!(256)));
        assert_eq!(Size::of_options("test", 256, 256).unwrap(), square);
        let wide = Size::of_options("test", 256, 384).unwrap();
        assert_eq!((wide.side(), wide.width_kept(), wide.json()), (None, 384, json!([256, 384])));
        assert_eq!(wide.to_string(), "256 x 384 (height x width)");
        for (height, width, name) in [(0, 0, "resolution"), (8193, 0, "resolution"), (8, 9000, "width")] {
            let e = Size::of_options("test", height, width).unwrap_err();
            assert!(e.to_string().contains(&format!("option `{name}` must be in 1..=8192")), "{e}");
        }
    }
}
