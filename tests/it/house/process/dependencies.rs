//! Dependencies of tests ask for no more of a crate than the product does: else `cargo build` after `cargo test` would build that crate, and with it the
//! whole of Lathe, once more.

use crate::support::root;
use std::collections::BTreeSet;
use std::process::Command;

/// Each crate with its version and features.
fn tree(edges: &str) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    let out = cargo.current_dir(root()).args(["tree", "--offline", "--locked", "-e", edges, "-f", "{p} {f}", "--prefix", "none"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|l| l.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn tests_ask_for_no_more_of_a_dependency_than_the_product_does() {
    let (product, tests) = (tree("normal,build"), tree("normal,build,dev"));
    assert!(product.len() > 100 && tests.len() > product.len(), "{} and {}", product.len(), tests.len());
    let other: Vec<&String> = product.difference(&tests).collect();
    assert!(other.is_empty(), "with other features in tests: {other:?}");
}
