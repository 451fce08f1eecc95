//! What scripts may read and write: paths, settings, and every function that reaches a file.

use super::Scripts;
use crate::files::{Access, resolve};
use crate::script::settings::params::{Arg, Origin, Params};
use crate::script::{Engine, EngineOptions, Permissions};
use rhai::{Array, Dynamic, Map};
use std::os::unix::fs::symlink;
use std::path::Path;

/// A project beside a folder that does not belong to it, and links from one to the other.
fn place() -> Scripts {
    let s = Scripts::new(&[
        ("project/lathe.toml", ""),
        ("project/data/a.txt", "inside"),
        ("outside/secret.txt", "secret"),
        ("project/out/keep.txt", "1"),
    ]);
    symlink(s.path("outside"), s.path("project/link")).unwrap();
    symlink(s.path("outside/new"), s.path("project/out/dangling")).unwrap();
    symlink("../data", s.path("project/out/near")).unwrap();
    symlink("circle", s.path("project/circle")).unwrap();
    s
}

/// The program's rights in that project: reads it, writes `out`.
fn rights(s: &Scripts) -> Permissions {
    let mut p = Permissions::for_script(&s.path("project/main.rhai"));
    p.allow_write(&s.path("project/out"));
    p
}

fn run(s: &Scripts, permissions: Permissions, code: &str) -> crate::error::Result<Dynamic> {
    s.write("project/main.rhai", &format!("fn main(cfg) {{\n    {code}\n}}"));
    let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai"))?;
    let cfg: Map = [("p", "project"), ("o", "outside")].into_iter().map(|(k, f)| (k.into(), s.path(f).display().to_string().into())).collect();
    engine.run(cfg)
}

#[test]
fn paths_are_resolved_whether_they_exist_or_not() {
    let s = place();
    let root = s.folder().canonicalize().unwrap();
    let cases = [
        ("project/data/a.txt", "project/data/a.txt"),
        ("project/data/../../outside", "outside"),
        ("project/./data//a.txt", "project/data/a.txt"),
        ("project/link/secret.txt", "outside/secret.txt"),
        ("project/link/none/deep.txt", "outside/none/deep.txt"),
        ("project/link/..", ""),
        ("project/out/dangling", "outside/new"),
        ("project/out/dangling/x", "outside/new/x"),
        ("project/out/near/a.txt", "project/data/a.txt"),
        ("project/none/../link/x", "outside/x"),
        ("project/circle", "project/circle"),
        ("../../../../../../../../../..", "/"),
    ];
    for (path, want) in cases {
        let want = if want == "/" { Path::new("/").to_owned() } else { root.join(want) };
        assert!(resolve(&s.path(path)).components().eq(want.components()), "{path}: {}", resolve(&s.path(path)).display());
    }
    assert_eq!(resolve(Path::new("x/../y")), std::env::current_dir().unwrap().canonicalize().unwrap().join("y"));
}

#[test]
fn a_script_stays_in_its_project() {
    let s = place();
    let cases = [
        ("io::load(`${cfg.p}/data/a.txt`)", Ok("inside")),
        ("io::load(`${cfg.p}/out/near/a.txt`)", Ok("inside")),
        ("io::load(`${cfg.p}/data/../data/a.txt`)", Ok("inside")),
        ("let d = io::temp_dir(); io::save(d + \"/x.txt\", \"t\"); io::load(d + \"/x.txt\")", Ok("t")),
        ("io::save(`${cfg.p}/out/x.txt`, \"w\"); io::load(`${cfg.p}/out/x.txt`)", Ok("w")),
        ("io::load(\"/etc/passwd\")", Err("read")),
        ("io::load(\"/proc/self/root/etc/passwd\")", Err("read")),
        ("io::load(`${cfg.p}/../outside/secret.txt`)", Err("read")),
        ("io::load(`${cfg.o}/secret.txt`)", Err("read")),
        ("io::load(`${cfg.p}/link/secret.txt`)", Err("read")),
        ("io::exists(`${cfg.p}/link/secret.txt`)", Err("read")),
        ("io::save(`${cfg.p}/data/x.txt`, \"w\")", Err("write")),
        ("io::save(`${cfg.p}/out/../x.txt`, \"w\")", Err("write")),
        ("io::save(`${cfg.p}/out/dangling`, \"w\")", Err("write")),
        ("io::save(`${cfg.p}/link/x.txt`, \"w\")", Err("write")),
        ("io::save(`${cfg.p}/out/../link/x.txt`, \"w\")", Err("write")),
        ("io::save(`${cfg.o}/x.txt`, \"w\")", Err("write")),
        ("io::save(`${io::temp_dir()}/../x.txt`, \"w\")", Err("write")),
    ];
    for (code, want) in cases {
        match (run(&s, rights(&s), code), want) {
            (Ok(v), Ok(w)) => assert_eq!(v.to_string(), w, "{code}"),
            (Err(e), Err(what)) => {
                let text = e.render(false);
                assert!(text.contains("error[E0701]") && text.contains(&format!("needs {what} access to")), "{code}: {text}");
                assert!(text.contains(&format!("run again with `--allow-{what} ")) && text.contains("main.rhai:2:"), "{code}: {text}");
            }
            (got, _) => panic!("{code}: {got:?}"),
        }
    }
    let files: Vec<_> = std::fs::read_dir(s.path("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["secret.txt"], "nothing was written outside");
    // The message shows where a link leads, and what to type.
    let e = run(&s, rights(&s), "io::load(`${cfg.p}/link/secret.txt`)").unwrap_err().to_string();
    let real = s.path("outside/secret.txt").canonicalize().unwrap().display().to_string();
    assert!(e.contains(&format!("needs read access to `{real}` (`")) && e.ends_with(&format!("--allow-read {real}`")), "{e}");
    // With the flag it goes; writing needs its own.
    let mut more = rights(&s);
    more.allow_read(&s.path("outside"));
    assert_eq!(run(&s, more.clone(), "io::load(`${cfg.p}/link/secret.txt`)").unwrap().to_string(), "secret");
    assert_eq!(run(&s, more.clone(), "io::save(`${cfg.o}/x.txt`, \"w\")").unwrap_err().code(), "E0701");
    more.allow_write(&s.path("outside/x.txt"));
    assert!(run(&s, more, "io::save(`${cfg.o}/x.txt`, \"w\")").is_ok());
    // A script can catch the refusal, and constants and `params` are held to it as well.
    let caught = run(&s, rights(&s), "let code = \"\"; try { io::load(\"/etc/passwd\") } catch (e) { code = e.code; } code").unwrap();
    assert_eq!(caught.to_string(), "E0701");
    s.write("project/main.rhai", "const SECRET = io::load(\"/etc/passwd\");\nfn main() { global::SECRET }");
    let engine = Engine::new(EngineOptions { permissions: Some(rights(&s)), ..EngineOptions::default() });
    assert_eq!(engine.load(s.path("project/main.rhai")).unwrap_err().code(), "E0701");
}

/// Every function that takes a path, with one outside of the project.
const REACHING: &[&str] = &[
    "io::load(o + \"/secret.txt\")",
    "io::save(o + \"/x.json\", #{})",
    "io::npz(o + \"/x.npz\")",
    "io::save_npz(o + \"/x.npz\", #{ a: torch::zeros([1]) })",
    "io::npz_writer(o + \"/x.npz\")",
    "io::info(o + \"/x.safetensors\")",
    "io::exists(o + \"/secret.txt\")",
    "viz::save_png(o + \"/x.png\", torch::zeros([3, 4, 4], #{ dtype: \"u8\" }))",
    "viz::plot(o + \"/x.svg\", [1, 2])",
    "viz::hist(o + \"/x.svg\", [1, 2])",
    "show(torch::zeros([3, 4, 4]), #{ dir: o })",
    "data::preprocess(o, io::temp_dir())",
    "data::preprocess(p + \"/data\", o + \"/set\")",
    "data::preprocess(o + \"/x-{0..1}.tar\", io::temp_dir())",
    "data::images(o)",
    "data::images(o + \"/x-*.tar\")",
    "data::latents(o)",
    "data::latent_writer(o + \"/latents\", #{ channels: 1, size: 2 })",
    "data::sample_writer(o + \"/samples\", #{ total: 1 })",
    "nn::linear(1, 1).save(o + \"/x.safetensors\")",
    "nn::linear(1, 1).load(o + \"/x.safetensors\")",
    "nn::linear(1, 1).load(o + \"/x.pt\")",
    "models::vae(#{ ch: 32, ch_mult: [1, 1], num_res_blocks: 1, z_channels: 4, attn_resolutions: [], resolution: 16 }, #{ weights: o + \"/x.pt\" })",
    "models::discriminator(#{ ndf: 8, weights: o + \"/x.pt\" })",
    "models::lpips(#{ weights: [o + \"/a.pth\", o + \"/b.pth\"] })",
    "models::encoder(\"torchscript:\" + o + \"/x.pt\")",
    "models::encoder(\"efficientnet-lite0\", #{ weights: o + \"/x.pth\" })",
    "train::run(#{ output_dir: o, exp_name: \"x\" })",
    "train::checkpoint(o)",
    "train::load_checkpoint(o)",
    "train::is_run(o)",
    "train::metrics(o)",
];

#[test]
fn every_function_that_reaches_a_file_asks() {
    let s = place();
    for call in REACHING {
        let e = run(&s, rights(&s), &format!("let p = cfg.p; let o = cfg.o; {call}")).expect_err(call);
        assert_eq!(e.code(), "E0701", "{call}: {e}");
    }
    let files: Vec<_> = std::fs::read_dir(s.path("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["secret.txt"], "nothing was written outside");
}

#[test]
fn links_inside_a_folder_are_held_to_the_same() {
    let s = place();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/avatars64/bun/000008.png"), s.path("outside/a.png")).unwrap();
    for (folder, file) in [("pictures/bun", "000008.png"), ("pictures/deep", "000023.png")] {
        std::fs::create_dir_all(s.path("project").join(folder)).unwrap();
        let from = format!("{}/tests/data/avatars64/bun/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(from, s.path("project").join(folder).join(file)).unwrap();
    }
    let preprocess = "data::preprocess(cfg.p + \"/pictures\", io::temp_dir(), #{ resolution: 16, quiet: true }).count";
    symlink("../bun/000008.png", s.path("project/pictures/deep/again.png")).unwrap();
    assert_eq!(run(&s, rights(&s), preprocess).unwrap().to_string(), "3", "a link that stays inside");
    // One that leads out, and one behind a link that stays inside.
    symlink(s.path("outside/a.png"), s.path("project/data/far.png")).unwrap();
    symlink(s.path("project/data"), s.path("project/pictures/near")).unwrap();
    let e = run(&s, rights(&s), preprocess).unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains("outside/a.png"), "{e}");
    let mut more = rights(&s);
    more.allow_read(&s.path("outside"));
    assert_eq!(run(&s, more, preprocess).unwrap().to_string(), "4");
    // A run folder that came with the project, whose checkpoints would go elsewhere.
    std::fs::create_dir_all(s.path("project/out/a")).unwrap();
    symlink(s.path("outside"), s.path("project/out/a/checkpoints")).unwrap();
    let e = run(&s, rights(&s), "train::run(#{output_dir: cfg.p + \"/out\", exp_name: \"a\", seed: 1}).save()").unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains("needs write access"), "{e}");
    assert!(!s.path("outside/0000000").exists());
    let e = run(&s, rights(&s), "train::checkpoint(cfg.p + \"/out/a\")").unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains("needs read access"), "{e}");
}

#[test]
fn a_link_to_nothing_needs_no_permission_and_many_links_name_their_folder_once() {
    let s = place();
    let picture = |name: &str| std::fs::read(format!("{}/tests/data/avatars64/bun/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for folder in ["outside/disk/set/bun", "outside/disk/set/spiky", "project/pictures/bun", "project/pictures/spiky"] {
        std::fs::create_dir_all(s.path(folder)).unwrap();
    }
    let preprocess = "data::preprocess(cfg.p + \"/pictures\", io::temp_dir(), #{ resolution: 16, quiet: true })";
    let skipped = format!("{preprocess}.skipped.map(|x| x.path).to_string()");
    std::fs::write(s.path("project/pictures/bun/a.png"), picture("000008.png")).unwrap();
    symlink("/nonexistent/x.png", s.path("project/pictures/bun/dead.png")).unwrap();
    symlink("loop", s.path("project/pictures/spiky/loop")).unwrap();
    assert_eq!(run(&s, rights(&s), &skipped).unwrap().to_string(), r#"["bun/dead.png", "spiky/loop"]"#);
    // What may be written is asked for all the same: writing would make it.
    let e = run(&s, rights(&s), "data::preprocess(cfg.p + \"/pictures\", cfg.p + \"/out\", #{ resolution: 16, quiet: true })").unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains("write access"), "{e}");

    for class in ["bun", "spiky"] {
        for i in 0..3 {
            let file = s.path(&format!("outside/disk/set/{class}/{i}.png"));
            std::fs::write(&file, picture("000008.png")).unwrap();
            symlink(&file, s.path(&format!("project/pictures/{class}/{i}.png"))).unwrap();
        }
    }
    let e = run(&s, rights(&s), preprocess).unwrap_err();
    let set = resolve(&s.path("outside/disk/set"));
    let all = format!("{e} {:?}", e.contexts());
    assert!(e.code() == "E0701" && all.contains(&format!("--allow-read {}`", set.display())) && all.contains("6 links in"), "{all}");
    assert!(!all.contains("0.png"), "{all}");
    let mut more = rights(&s);
    more.allow_read(&set);
    assert_eq!(run(&s, more, &format!("{preprocess}.count")).unwrap().to_string(), "7");
}

#[test]
fn checkpoints_do_not_lead_out_of_their_folder() {
    let s = place();
    s.write("project/out/run/config.toml", "secret = 1\n");
    let good = "let run = train::run(#{output_dir: cfg.p + \"/out\", exp_name: \"a\", seed: 1}); run.track(\"net\", nn::linear(2, 3)); run.save()";
    let _ = run(&s, rights(&s), good).unwrap();
    let state = s.path("project/out/a/checkpoints/0000000/state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace("\"net\"", "\"../../../../../outside/net\"")).unwrap();
    let e = run(&s, rights(&s), "train::checkpoint(cfg.p + \"/out/a/checkpoints/0000000\")").unwrap_err();
    assert!(e.to_string().contains("would lie outside of the folder"), "{e}");
}

#[test]
fn a_run_folder_allows_nothing_by_what_it_says() {
    let s = place();
    let (outside, secret) = (s.path("outside"), resolve(&s.path("outside/secret.txt")));
    // A run from somebody else: its settings and its links name what is not theirs to give; so does a run that those name.
    for run in ["elsewhere/evil", "elsewhere/inner"] {
        s.write(&format!("{run}/run.json"), "{}");
        let inner = s.path("elsewhere/inner");
        s.write(&format!("{run}/config.toml"), &format!("data_dir = {outside:?}\nvae = [{secret:?}]\n[deep]\nfrom = {inner:?}\n"));
    }
    symlink(&outside, s.path("elsewhere/evil/samples")).unwrap();
    let mut params = Params::default();
    for name in ["vae_ckpt", "exp_path"] {
        let arg = Arg::plain(Dynamic::from(String::new()));
        params.declare(name, arg);
        let mut config = params.defaults();
        params.set_text(&mut config, name, &s.path("elsewhere/evil").display().to_string(), Origin::Flag(format!("--{name}"))).unwrap();
        let mut p = Permissions::for_script(&s.path("project/main.rhai"));
        p.allow_settings(&config);
        let reads = |path: &Path| p.allows(Access::Read, &resolve(path));
        assert!(reads(&s.path("elsewhere/evil/config.toml")), "{name}");
        for path in ["outside/secret.txt", "elsewhere/evil/samples/secret.txt", "elsewhere/inner/config.toml"] {
            assert!(!reads(&s.path(path)), "{name}: {path}");
        }
    }
}

#[test]
fn what_decides_over_a_project_is_not_written() {
    let s = place();
    let mut all = rights(&s);
    all.allow_write(&s.path("project"));
    for name in ["lathe.toml", "sub/recipe.toml", "lathe.lock", "main.rhai", ".git/hooks/post-checkout"] {
        let target = resolve(&s.path("project").join(name));
        assert!(!all.allows(Access::Write, &target) && all.allows(Access::Read, &target), "{name}");
    }
    assert!(all.allows(Access::Write, &resolve(&s.path("project/x.json"))));
}

#[test]
fn settings_name_what_may_be_read_and_written() {
    let s = place();
    // The working directory is the repository: defaults are relative to it.
    let here = std::env::current_dir().unwrap();
    let mut params = Params::default();
    let defaults = [
        ("data_dir", "data/images"),
        ("output_dir", "exps_x/demo"),
        ("exp_path", ""),
        ("exp_name", "src"),
        ("vae_ckpt", ""),
        ("hidden_output", ".git/hooks"),
        ("up_output", "../elsewhere"),
        ("absolute_output", "/tmp/elsewhere"),
        ("same_output", "."),
    ];
    let arg = Arg::plain;
    for (name, default) in defaults {
        params.declare(name, arg(default.to_owned().into()));
    }
    params.declare("parts", arg(Array::from([Dynamic::from("x".to_owned())]).into()));
    let flag = |config: &mut _, name: &str, text: &str| params.set_text(config, name, text, Origin::Flag(format!("--{name}"))).unwrap();
    let allowed = |config: &_, access, path: &str| {
        let mut p = Permissions::for_script(&s.path("project/main.rhai"));
        p.allow_settings(config);
        p.allows(access, &resolve(Path::new(path)))
    };
    let mut config = params.defaults();
    let in_repository = |name: &str| here.join(name).display().to_string();
    for (path, read, write) in [
        (in_repository("data/images/x"), true, false),
        (in_repository("exps_x/demo/x.json"), true, true),
        (in_repository("exps_x/demo.npz"), true, true),
        (in_repository("exps_x/demo2"), true, false),
        (in_repository("exps_x"), true, false),
        (in_repository("exps/any/x"), true, true),
        (in_repository("src/x"), true, false),
        (in_repository(".git/hooks/x"), true, false),
        (in_repository("x"), true, false),
        ("../elsewhere/x".into(), false, false),
        ("/tmp/elsewhere/x".into(), false, false),
        ("/weights/vae.pt".into(), false, false),
    ] {
        assert_eq!((allowed(&config, Access::Read, &path), allowed(&config, Access::Write, &path)), (read, write), "default: {path}");
    }
    flag(&mut config, "data_dir", "/big/latents");
    flag(&mut config, "vae_ckpt", "torchscript:/weights/vae.pt");
    flag(&mut config, "output_dir", "/scratch/me");
    flag(&mut config, "exp_path", "/runs/ldm");
    flag(&mut config, "exp_name", "/etc");
    flag(&mut config, "up_output", "/");
    flag(&mut config, "parts", "/a,/b");
    for (path, read, write) in [
        ("/big/latents/x", true, false),
        ("/big/other", false, false),
        ("/weights/vae.pt", true, false),
        ("/weights/vae-latents-stats.pt", true, false),
        ("/weights/vae.safetensors", true, false),
        ("/weights/vae2.pt", false, false),
        ("/weights/other.pt", false, false),
        ("/scratch/me/x", true, true),
        ("/scratch/me.npz", true, true),
        ("/scratch/me2", false, false),
        ("/runs/ldm/samples-1/x.png", true, true),
        ("/etc/passwd", true, false),
        ("/a/x", true, false),
        ("/b", true, false),
        ("/", false, false),
        ("/usr", false, false),
    ] {
        assert_eq!((allowed(&config, Access::Read, path), allowed(&config, Access::Write, path)), (read, write), "flag: {path}");
    }
    // With a container of HDF5 goes the list of its keys, and nothing else that is called alike.
    flag(&mut config, "data_dir", "/big/images.h5");
    flag(&mut config, "output_dir", "/scratch/vae.h5");
    for (path, read, write) in [
        ("/big/images.h5", true, false),
        ("/big/images_h5.json", true, false),
        ("/big/images_h5.txt", false, false),
        ("/big/images2_h5.json", false, false),
        ("/big/sub/images_h5.json", false, false),
        ("/scratch/vae_h5.json", true, true),
        ("/scratch/other_h5.json", false, false),
    ] {
        assert_eq!((allowed(&config, Access::Read, path), allowed(&config, Access::Write, path)), (read, write), "container: {path}");
    }
    let mut given = rights(&s);
    given.allow_read(Path::new("/big/latents.hdf5"));
    let list = resolve(Path::new("/big/latents_h5.json"));
    assert!(given.allows(Access::Read, &list) && !given.allows(Access::Write, &list));
    let read_only = rights(&s).read_only();
    let out = resolve(&s.path("project/out/x"));
    assert!(read_only.allows(Access::Read, &out) && !read_only.allows(Access::Write, &out));
}

#[test]
fn no_operator_opens_a_file() {
    use crate::torch::bridge;
    let mut seen = 0;
    for name in bridge::names() {
        for schema in bridge::schemas(name) {
            let arguments = schema.split_once('(').map_or("", |(_, rest)| rest);
            let is_path = |a: &str| a.trim().starts_with("str") && ["file", "path", "url", "uri"].iter().any(|w| a.contains(w));
            if arguments.split(',').any(is_path) {
                seen += 1;
                assert!(!crate::torch::operators::allowed(name), "scripts can call {schema}");
            }
        }
    }
    assert!(seen >= 2, "from_file and from_file.out are known to open files");
    let s = place();
    for op in ["from_file", "aten::from_file", "from_file.out", "save", "aten::save", "load", "aten::load", "aten::_save", "prim::open"] {
        let e = run(&s, rights(&s), &format!("torch::op(\"{op}\", [cfg.o + \"/secret.txt\", false, 6])")).expect_err(op);
        assert!(matches!(e.code(), "E0202" | "E0201"), "{op}: {e}");
    }
}

/// The text of each function in a file of `script/api`, with its signature.
fn functions(text: &str) -> Vec<String> {
    let starts = |line: &str| line.trim_start().starts_with("fn ") || line.trim_start().starts_with("pub fn ") || line.starts_with("pub(super) fn ");
    let mut list: Vec<String> = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        match list.last_mut() {
            _ if starts(line) => list.push(line.to_owned()),
            Some(last) => {
                last.push('\n');
                last.push_str(line);
            }
            None => {}
        }
    }
    list
}

/// Whether a parameter or an option is called like a path.
fn takes_path(function: &str) -> bool {
    const NAMES: &[&str] = &["path", "paths", "dir", "src", "dst", "file", "files", "folder", "archive", "weights", "output", "cache"];
    let signature = function.split(" -> ").next().unwrap_or_default();
    let is = |n: &str, kinds: &[&str]| kinds.iter().any(|kind| signature.contains(&format!("{n}: {kind}")));
    // The option `output` of an encoder names a tensor.
    NAMES.iter().any(|n| is(n, &["String", "Vec<String>", "Option<String>"]) || (*n != "output" && is(n, &["Option<Dynamic>"])))
}

#[test]
fn every_api_file_asks_before_it_opens_a_path() {
    let mut taking = 0;
    for entry in walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/script/api")) {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|e| e != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let asks = |text: &str| text.contains(".readable") || text.contains(".writable");
        for f in functions(&text).iter().filter(|f| takes_path(f)) {
            taking += 1;
            // Helpers that get the call ask for it.
            assert!(asks(f) || f.contains("(cx, "), "{}: this function takes a path and asks nobody:\n{f}", path.display());
        }
        let code: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let opens = ["std::fs", "fs::", "File::", "Path::new(", "PathBuf::from("].iter().any(|word| code.contains(word));
        assert!(!opens || asks(&code), "{}: it makes paths and never asks whether it may", path.display());
    }
    assert!(taking >= 20, "the functions were found: {taking}");
    // The rule itself can fail.
    assert!(
        takes_path("fn peek(path: String) -> String { read(&path) }") && takes_path("fn f(x: Tensor;\n dir: Option<String>,\n) -> () { save(&dir) }")
    );
    assert!(!takes_path("fn f(x: Tensor) -> Tensor { x.get(\"name\") }"));
}
