//! `lathe fmt`.

use crate::support::process::{Place, parts, refused};
use std::io::Write;
use std::process::Stdio;

#[test]
fn scripts_are_laid_out_checked_and_piped() {
    let ugly = "fn f(a,b){\na+b }\n";
    let good = "fn f(a, b) {\n    a + b }\n";
    let place = Place::new(&[("ugly.rhai", ugly), ("good.rhai", good), ("sub/open.rhai", "fn g( {\n")]);
    refused(&mut place.command(&["fmt", "--check", "ugly.rhai", "good.rhai"]), &["1 of 2 scripts are laid out otherwise", "`lathe fmt`"]);
    assert_eq!(place.read("ugly.rhai"), ugly);
    refused(&mut place.command(&["fmt"]), &["sub/open.rhai:1:7", "not closed"]);
    assert_eq!((place.read("ugly.rhai").as_str(), place.read("sub/open.rhai").as_str()), (good, "fn g( {\n"));
    let (code, out, _) = place.lathe(&["fmt", "--check", "ugly.rhai", "good.rhai"]);
    assert_eq!((code, out.as_str()), (0, ""));
    let mut child = place.command(&["fmt", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ugly.as_bytes()).unwrap();
    assert_eq!(parts(child.wait_with_output().unwrap()), (0, good.into(), String::new()));
}
