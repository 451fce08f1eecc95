//! pytest-lsp, a client that takes every message apart by the specification's own model, with what three editors say of themselves.

use crate::support::process::{LATHE, Place, ok, python};
use crate::support::root;
use std::process::Command;

/// The packages and their versions.
const PACKAGES: &str = "pytest-lsp==1.0.1 pygls==2.1.1 lsprotocol==2025.0.0 pytest==9.2.0 pytest-asyncio==1.5.0";

#[test]
fn messages_are_those_of_the_specification() {
    let packages = match python(PACKAGES, "pytest_lsp") {
        Ok(packages) => packages,
        Err(why) => return println!("skipped: messages_are_those_of_the_specification: {why}"),
    };
    let helper = "/// Doubles it.\nfn double(x) { x * 2 }\n";
    let main = "import \"./helper\" as helper;\n\nfn main(cfg) {\n    let e = \"🙂\"; let t = torch::zeors([2, 3]);\n    t = helper::double(t);\n    F::conv2d(t,t, (), #{ stride: 2 });\n}\n";
    let place = Place::new(&[("lathe.toml", ""), ("helper.rhai", helper), ("main.rhai", main)]);
    let mut pytest = Command::new("python3");
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]);
    pytest.args(["-W", "error::pytest_lsp.checks.LspSpecificationWarning"]).arg(root().join("tests/it/lsp/process/specified.py"));
    pytest.current_dir(place.folder()).env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = ok(pytest.env("LATHE", LATHE).env("LATHE_CACHE", place.path("cache")).env("OMP_NUM_THREADS", "1"));
    assert!(said.contains("12 passed"), "{said}");
}
