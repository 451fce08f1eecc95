//! What `lathe kernel` does not start with.

use crate::support::process::{Place, ok, refused};
use std::net::TcpListener;

fn connection(ip: &str, first: u16, key: &str) -> String {
    let ports: Vec<String> =
        ["shell", "iopub", "stdin", "control", "hb"].iter().zip(first..).map(|(name, port)| format!("\"{name}_port\": {port}, ")).collect();
    format!("{{{}\"ip\": \"{ip}\", \"transport\": \"tcp\", \"key\": \"{key}\", \"signature_scheme\": \"hmac-sha256\"}}", ports.concat())
}

#[test]
fn what_is_wrong_with_a_connection_is_said_with_a_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let place = Place::new(&[
        ("remote.json", &connection("0.0.0.0", 40_001, "k")),
        ("unsigned.json", &connection("127.0.0.1", 40_001, "")),
        ("taken.json", &connection("127.0.0.1", port, "k")),
        ("half.json", "{\"ip\": \"127.0.0.1\""),
    ]);
    let said = |file: &str, words: &[&str]| drop(refused(&mut place.command(&["kernel", "--connection", file]), words));
    said("remote.json", &["remote.json", "0.0.0.0", "--allow-remote"]);
    said("unsigned.json", &["unsigned.json", "no key"]);
    said("taken.json", &[&format!("tcp://127.0.0.1:{port}"), "another program has it"]);
    said("half.json", &["half.json", "Jupyter writes this file"]);
    said("absent.json", &["absent.json", "Jupyter writes this file"]);
    refused(&mut place.command(&["kernel"]), &["--connection FILE", "lathe kernel install"]);

    // The user's folder is that of Jupyter's own rules.
    ok(place.command(&["kernel", "install", "--user"]).env("JUPYTER_DATA_DIR", place.path("data")));
    ok(place.command(&["kernel", "install"]).env_remove("JUPYTER_DATA_DIR").env("XDG_DATA_HOME", place.path("xdg")));
    let spec = place.read("data/kernels/lathe/kernel.json");
    assert!(spec.contains("{connection_file}") && spec.contains("\"message\""), "{spec}");
    assert_eq!(place.read("xdg/jupyter/kernels/lathe/kernel.json"), spec);
}
