//! Heights and widths: of pictures in pixels, of grids in patches.

use crate::error::{Error, Result};

/// `[height, width]`, or `[rows, columns]`.
pub type Size = [i64; 2];

/// As a script writes it: one number for a square, else both.
pub fn text([height, width]: Size) -> String {
    if height == width { height.to_string() } else { format!("[{height}, {width}]") }
}

/// How many places a grid has.
pub fn area([rows, columns]: Size) -> i64 {
    rows.saturating_mul(columns)
}

/// The side of a square.
///
/// # Errors
/// `E0202` for another size: `what` says of what, `property` where a script finds both sides.
pub fn square(size: Size, what: &str, property: &str) -> Result<i64> {
    let [height, width] = size;
    if height == width {
        return Ok(height);
    }
    Err(Error::value("encoder", format!("{what} is {height} x {width}, which has no single side"))
        .help(format!("`encoder.{property}` is {}", text(size))))
}
