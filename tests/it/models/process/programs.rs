//! TorchScript programs from the command line: who may run them, and how one without an end is stopped.

use crate::models::encoder_files::file;
use crate::support::path;
use crate::support::process::{Place, lathe, ok, refused, said, signal, until};
use std::io::{Read, Write};
use std::process::Stdio;

const SCRIPT: &str = "fn params() { #{ p: arg(\"\", \"a program\") } }\nfn main(cfg) {\n    let m = models::encoder(\"torchscript:\" + cfg.p, #{ \
                      resolution: 16 });\n    print(`width ${m.dim}`);\n}\n";
const FIXED: &str = "fn main(cfg) {\n    let m = models::encoder(\"torchscript:own.pt\", #{ resolution: 16 });\n    print(`width ${m.dim}`);\n}\n\
                     fn test_program() { main(#{}) }\n";

fn place() -> Place {
    let place = Place::new(&[("lathe.toml", ""), ("s.rhai", SCRIPT), ("fixed.rhai", FIXED)]);
    std::fs::copy(file("map.pt"), place.path("own.pt")).unwrap();
    place
}

#[test]
fn programs_run_by_a_flag_that_names_them_or_allows_them() {
    let place = place();
    let run = |args: &[&str]| lathe(place.folder(), args);
    assert!(ok(&mut run(&["run", "s.rhai", "--p", "own.pt"])).contains("width 6"));
    refused(&mut run(&["run", "fixed.rhai"]), &["E0701", "--allow-torchscript=", "fixed.rhai:2:"]);
    refused(&mut run(&["run", "fixed.rhai", "--allow-read", "own.pt"]), &["E0701", "--allow-torchscript="]);
    for args in [
        &["run", "fixed.rhai", "--allow-torchscript"][..],
        &["run", "fixed.rhai", "--allow-torchscript=own.pt"],
        &["run", "--allow-torchscript", "fixed.rhai"],
        &["run", "--allow-torchscript=own.pt", "fixed.rhai"],
    ] {
        assert!(ok(&mut run(args)).contains("width 6"), "{args:?}");
    }
    refused(&mut run(&["run", "fixed.rhai", "--allow-torchscript=other.pt"]), &["E0701"]);
    let out = run(&["test", "fixed.rhai"]).output().unwrap();
    assert!(!out.status.success() && said(&out).contains("error[E0701]"), "{}", said(&out));
    ok(&mut run(&["test", "fixed.rhai", "--allow-torchscript"]));
    // The prompt may write its folder, so a program in it has to be named.
    let line = "models::encoder(\"torchscript:own.pt\", #{resolution: 16}).dim";
    refused(&mut run(&["repl", "-e", line]), &["E0701", "--allow-torchscript="]);
    refused(&mut run(&["repl", "--allow-torchscript", "-e", line]), &["E0701", "lies where the script may write"]);
    assert!(ok(&mut run(&["repl", "--allow-torchscript=own.pt", "-e", line])).contains('6'));
}

/// The good program with a `forward` that never returns.
fn endless(to: &std::path::Path) {
    let mut from = zip::ZipArchive::new(std::fs::File::open(file("map.pt")).unwrap()).unwrap();
    let mut out = zip::ZipWriter::new(std::fs::File::create(to).unwrap());
    for i in 0..from.len() {
        let mut entry = from.by_index(i).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        if name == "map/code/__torch__.py" {
            let text = String::from_utf8(bytes).unwrap();
            let head = text.find("  def forward").unwrap();
            let body = "  def forward(self: __torch__.Map,\n    x: Tensor) -> Tensor:\n    i = 0\n    while True:\n      i = torch.add(i, 1)\n    return x\n";
            bytes = format!("{}{body}", &text[..head]).into_bytes();
        }
        out.start_file(name, zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
        out.write_all(&bytes).unwrap();
    }
    out.finish().unwrap();
}

#[test]
fn a_program_without_an_end_ends_at_the_second_interrupt() {
    let place = place();
    place.write("loop.rhai", &SCRIPT.replace("    let m", "    print(\"begins\");\n    let m"));
    endless(&place.path("loop.pt"));
    let mut command = lathe(place.folder(), &["run", "loop.rhai", "--p", path(&place.path("loop.pt"))]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    signal(&child, "-INT");
    std::thread::sleep(std::time::Duration::from_millis(500));
    signal(&child, "-INT");
    let id = child.id();
    let ended = || {
        !std::path::Path::new(&format!("/proc/{id}/task")).exists()
            || std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|s| s.contains(") Z "))
    };
    until("the program to end", 20, ended);
    let out = child.wait_with_output().unwrap();
    assert!(!out.status.success() && said(&out).contains("begins"), "{}", said(&out));
}
