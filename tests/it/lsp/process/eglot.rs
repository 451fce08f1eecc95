//! Emacs' eglot with the settings of docs/editor.md: that of an Emacs that is there, else Debian's, unpacked into `target/editors`.

use crate::support::process::{LATHE, Place, ok};
use crate::support::root;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's packages. What else they need is on nearly every machine; where it is not, Emacs does not start.
const PACKAGES: [&str; 5] = ["emacs-nox", "emacs-common", "emacs-bin-common", "libgccjit0", "elpa-eglot"];

/// A batch Emacs that knows eglot, without its arguments.
fn emacs() -> Result<Vec<(String, String)>, String> {
    let mut tried = String::new();
    for environment in [|| Ok(vec![("EMACS".to_owned(), "emacs".to_owned())]), unpacked] {
        match environment().and_then(|environment| {
            let out = command(&environment).args(["--eval", "(require 'eglot)"]).output().map_err(|e| format!("emacs: {e}"))?;
            if out.status.success() { Ok(environment) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
        }) {
            Ok(found) => return Ok(found),
            Err(why) => tried += &format!("{}; ", why.trim()),
        }
    }
    Err(tried)
}

fn command(environment: &[(String, String)]) -> Command {
    let value = |name: &str| environment.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let mut command = Command::new(value("EMACS").unwrap());
    if let Some(dump) = value("EMACSPATH") {
        command.arg(format!("--dump-file={dump}/emacs.pdmp"));
    }
    command.args(["--batch", "-Q"]).envs(environment.iter().cloned());
    command
}

/// Debian's Emacs, and where in its folder things are.
fn unpacked() -> Result<Vec<(String, String)>, String> {
    let folder = root().join("target/editors/emacs");
    let stamp = folder.join("unpacked");
    if !stamp.is_file() {
        let done = |command: &mut Command| {
            let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
            if out.status.success() { Ok(()) } else { Err(format!("{command:?}: {}", String::from_utf8_lossy(&out.stderr))) }
        };
        std::fs::create_dir_all(&folder).unwrap();
        done(Command::new("apt-get").args(["download", "-qq"]).args(PACKAGES).current_dir(&folder))?;
        for package in crate::support::files(&folder).iter().filter(|f| f.extension().is_some_and(|e| e == "deb")) {
            done(Command::new("dpkg-deb").arg("-x").args([package, &folder]))?;
            std::fs::remove_file(package).unwrap();
        }
        std::fs::write(&stamp, PACKAGES.join("\n")).unwrap();
    }
    let one = |under: &str, end: &str| {
        let found = walkdir::WalkDir::new(folder.join(under)).min_depth(1).max_depth(1).into_iter().flatten().map(|e| e.into_path());
        found.into_iter().find(|p| p.is_dir() && crate::support::name(p).contains(end)).ok_or_else(|| format!("no {under}/{end} of Debian's Emacs"))
    };
    let version = walkdir::WalkDir::new(folder.join("usr/libexec/emacs")).into_iter().flatten().find(|e| e.file_name() == "emacs.pdmp");
    let programs = version.ok_or("Debian's Emacs has no dump")?.into_path().parent().unwrap().to_owned();
    let number = programs.parent().unwrap().file_name().unwrap().to_owned();
    let share = folder.join("usr/share/emacs").join(number);
    let lisp = walkdir::WalkDir::new(share.join("lisp")).into_iter().flatten().filter(|e| e.file_type().is_dir()).map(|e| e.into_path());
    let all: Vec<PathBuf> = [one("usr/share/emacs/site-lisp/elpa-src", "eglot")?].into_iter().chain(lisp).collect();
    let text = |p: &Path| p.to_str().unwrap().to_owned();
    let given = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let libraries = std::env::join_paths([one("usr/lib", "-linux-gnu")?].into_iter().chain(std::env::split_paths(&given))).unwrap();
    Ok(vec![
        ("EMACS".into(), text(&folder.join("usr/bin/emacs-nox"))),
        ("EMACSPATH".into(), text(&programs)),
        ("EMACSDATA".into(), text(&share.join("etc"))),
        ("EMACSDOC".into(), text(&share.join("etc"))),
        ("EMACSLOADPATH".into(), std::env::join_paths(all).unwrap().into_string().unwrap()),
        ("LD_LIBRARY_PATH".into(), libraries.into_string().unwrap()),
    ])
}

#[test]
fn eglot_with_the_settings_of_the_page() {
    let environment = match emacs() {
        Ok(environment) => environment,
        Err(why) => return println!("skipped: eglot_with_the_settings_of_the_page: {why}"),
    };
    let page = std::fs::read_to_string(root().join("docs/editor.md")).unwrap();
    let settings = page.split("```elisp\n").nth(1).and_then(|s| s.split("```").next()).expect("the page has the settings of Emacs");
    let helper = "/// Doubles it.\nfn double(x) { x * 2 }\n";
    let main = "import \"./helper\" as helper;\n\nfn main(cfg) {\n    let e = \"🙂\"; let t = torch::zeors([2, 3]);\n    t = helper::double(t);\n    F::conv2d(t,t, (), #{ stride: 2 });\n}\n";
    let place = Place::new(&[("init.el", settings), ("project/lathe.toml", ""), ("project/helper.rhai", helper), ("project/main.rhai", main)]);
    let folders = std::env::join_paths([Path::new(LATHE).parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut emacs = command(&environment);
    emacs.current_dir(place.path("project")).arg("-l").arg(place.path("init.el"));
    emacs.arg("-l").arg(root().join("tests/it/lsp/process/eglot.el"));
    emacs.env("PATH", folders).env("HOME", place.folder()).env("LATHE_CACHE", place.path("cache"));
    let said = ok(&mut emacs);
    assert!(said.contains("all well"), "{said}");
    assert_eq!(place.read("project/helper.rhai"), helper.replace("double", "twice"));
    assert_eq!(place.read("project/main.rhai"), main.replace("zeors", "zeros").replace("t,t", "t, t").replace("double", "twice"));
}
