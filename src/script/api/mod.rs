//! What scripts can call: one file for each namespace. Thin: convert, call down, convert back.

pub mod f;
pub mod global;

use super::ApiFn;

/// Every function that scripts can call, in the order of the files.
pub fn all() -> Vec<ApiFn> {
    #[rustfmt::skip]
    let lists = [
        f::functions(),
        global::functions(),
    ];
    lists.into_iter().flatten().collect()
}
