//! Compiles the C++ bridge against the libtorch that torch-sys found, and tells the dependents' build scripts what their binaries need.

#![expect(clippy::disallowed_macros, reason = "cargo reads what a build script prints, and shows why it stopped")]
#![expect(clippy::disallowed_methods, reason = "notes beside the objects, in the folder that cargo gives: nothing of a user's")]

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

const FOLDER: &str = "torch/bridge";
const SOURCES: [&str; 19] = [
    "adamw.cpp",
    "autograd.cpp",
    "bounded.cpp",
    "convert.cpp",
    "dispatch.cpp",
    "dist/dist.cpp",
    "dist/nccl.cpp",
    "dist/order.cpp",
    "dist/sync.cpp",
    "dual.cpp",
    "finite.cpp",
    "guarded.cpp",
    "profiler.cpp",
    "program/graph.cpp",
    "program/operators.cpp",
    "program/program.cpp",
    "program/text.cpp",
    "recompute.cpp",
    "runtime.cpp",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    // torch-sys says where libtorch lies, to its direct dependents only.
    let lib = PathBuf::from(std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys is a direct dependency and reports its libtorch"));
    let root = lib.parent().unwrap_or(&lib);
    let include = root.join("include");
    let core = lib.join("libtorch_cpu.so");
    for (what, path) in [("libtorch_cpu.so", &core), ("its headers", &include.join("ATen/ATen.h"))] {
        assert!(path.exists(), "{what} not found at {}: run `make`, or set LIBTORCH to a libtorch 2.11 with lib and include", path.display());
    }

    let mut build = cc::Build::new();
    build
        .cpp(true)
        .pic(true)
        .opt_level(2)
        .debug(false)
        .warnings(false)
        .flag("-std=c++17")
        // Loops over numbers become vectors, and give the same bits whatever vectors the processor has.
        .flag_if_supported("-ftree-vectorize")
        .flag_if_supported("-fno-math-errno")
        .flag_if_supported("-ffp-contract=off")
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // Parts of c10d's headers are behind these.
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .include(Path::new(FOLDER).join("dist/gloo"))
        .include(&include)
        .include(include.join("torch/csrc/api/include"));
    for name in SOURCES {
        println!("cargo:rerun-if-changed={FOLDER}/{name}");
    }
    let headers = headers(Path::new(FOLDER));
    for header in &headers {
        println!("cargo:rerun-if-changed={}", header.display());
    }
    let objects = objects(&build, &include, &headers);
    let mut build = cc::Build::new();
    build.cpp(true).objects(objects);
    // Another libtorch under the same path means other headers.
    println!("cargo:rerun-if-changed={}", include.join("torch/headeronly/version.h").display());
    spin(&mut build);
    build.compile("lathe_bridge");

    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=torch_cpu");
    println!("cargo:rustc-link-lib=c10");
    // The wheel's libraries find their own neighbours by $ORIGIN, which is not resolved through symbolic links: name the real folder.
    let real = std::fs::canonicalize(&core).unwrap_or(core);
    let folder = real.parent().unwrap_or(&lib);
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
    println!("cargo:libtorch={}", folder.display());
}

/// The object of each source. One whose source, headers, compiler and libtorch are those that it was made of is taken as it is: a line of another source
/// makes this program run again as well, and C++ takes minutes. They lie beside the folders of build scripts, where a changed copy of this package finds
/// them too.
fn objects(build: &cc::Build, include: &Path, headers: &[PathBuf]) -> Vec<PathBuf> {
    let text = |path: &Path| std::fs::read(path).unwrap_or_default();
    let mut common = std::collections::hash_map::DefaultHasher::new();
    headers.iter().for_each(|header| text(header).hash(&mut common));
    text(Path::new("build.rs")).hash(&mut common);
    text(&include.join("torch/headeronly/version.h")).hash(&mut common);
    // Where libtorch's headers are, and all that variables of the environment say.
    let compiler = build.get_compiler();
    (compiler.path(), compiler.args()).hash(&mut common);
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names it"));
    // target/PROFILE/build/NAME-HASH/out
    let out = out.ancestors().nth(3).unwrap_or(&out).join("bridge");
    std::fs::create_dir_all(&out).expect("a folder beside those of build scripts");
    let mut build = build.clone();
    build.out_dir(&out);
    let mut parsed = None;
    let object = |name: &str| {
        let source = Path::new(FOLDER).join(name);
        let mut of = common.clone();
        text(&source).hash(&mut of);
        let (key, note) = (of.finish().to_string(), out.join(format!("{}.made", name.replace('/', "-"))));
        let known = std::fs::read_to_string(&note).unwrap_or_default();
        if let Some((made, path)) = known.split_once(' ')
            && made == key
            && Path::new(path).exists()
        {
            return PathBuf::from(path);
        }
        let made = parsed.get_or_insert_with(|| parsed_once(&build, &out)).clone().file(&source).compile_intermediates().remove(0);
        // Without the note it is made again the next time.
        let _ = std::fs::write(note, format!("{key} {}", made.display()));
        made
    };
    let objects = SOURCES.map(object).into();
    // Half a gigabyte.
    let _ = std::fs::remove_dir_all(out.join(PARSED));
    objects
}

/// The headers of a folder and those in it, in an order that stays.
fn headers(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).expect("a folder of this package").flatten().map(|e| e.path()).collect();
    entries.sort();
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.into_iter().partition(|p| p.is_dir());
    let own = files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "h"));
    own.chain(folders.iter().flat_map(|f| headers(f))).collect()
}

/// The folder of the headers that are parsed once.
const PARSED: &str = "parsed";
/// What most sources read: most of the time of each would be for these.
const SHARED: [&str; 8] = [
    "ATen/ATen.h",
    "ATen/core/dispatch/Dispatcher.h",
    "torch/csrc/autograd/custom_function.h",
    "torch/csrc/autograd/function.h",
    "torch/csrc/autograd/variable.h",
    "torch/csrc/distributed/c10d/comm.hpp",
    "torch/csrc/jit/ir/ir.h",
    "torch/csrc/jit/runtime/operator.h",
];

/// A build whose sources find libtorch's headers parsed already, by GCC alone. Where that fails each source reads them for itself.
fn parsed_once(build: &cc::Build, out: &Path) -> cc::Build {
    let compiler = build.get_compiler();
    let folder = out.join(PARSED);
    let header = folder.join("shared.h");
    let text = SHARED.map(|name| format!("#include <{name}>\n")).concat();
    if !compiler.is_like_gnu() || std::fs::create_dir_all(&folder).is_err() || std::fs::write(&header, text).is_err() {
        return build.clone();
    }
    let made = compiler.to_command().args(["-x", "c++-header"]).arg(&header).arg("-o").arg(folder.join("shared.h.gch")).status();
    let mut with = build.clone();
    if made.is_ok_and(|s| s.success()) {
        with.flag("-include").flag(&header);
    }
    with
}

/// What decides how long libgomp's threads spin. The part that runs before libgomp is an object of the executables alone: a linker that makes
/// a shared library of a program that embeds Lathe refuses it, and in an archive nothing would ask for it.
fn spin(bridge: &mut cc::Build) {
    let file = Path::new(FOLDER).join("spin.c");
    println!("cargo:rerun-if-changed={}", file.display());
    bridge.objects(cc::Build::new().file(&file).pic(true).debug(false).compile_intermediates());
    let is = |variable, value| std::env::var(variable).is_ok_and(|v| v == value);
    // libgomp is libtorch's on Linux alone.
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        // In a folder of its own: the other object has the same name.
        let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names it")).join("early");
        let objects = cc::Build::new().file(&file).define("LATHE_EARLY", None).pic(true).debug(false).out_dir(out).compile_intermediates();
        for object in objects {
            println!("cargo:early={}", object.display());
        }
    }
}
