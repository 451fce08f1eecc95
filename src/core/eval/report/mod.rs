//! Pages for people: one HTML file that holds everything it shows, so that it can be mailed, put on a web space or opened from a disk years
//! later. Tables, pictures as PNG inside the file, charts as inline SVG; no script, nothing fetched.

mod cell;
mod names;
mod page;
mod picture;
#[cfg(test)]
mod tests;

pub use cell::{Cell, shown};
pub use names::names;
pub use page::{Page, Plot, Strip};
pub use picture::Picture;
