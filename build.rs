//! Makes every binary find the libtorch at run time that the core was built with, and tells the build scripts of programs that depend on Lathe what theirs need.

#![expect(clippy::disallowed_macros, reason = "cargo reads what a build script prints")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Embedded in the binary.
    println!("cargo:rerun-if-changed=stdlib");
    let told = |name: &str| {
        println!("cargo:rerun-if-env-changed={name}");
        std::env::var(name).ok()
    };
    let folder = told("DEP_LATHE_BRIDGE_LIBTORCH").expect("lathe-core is a direct dependency and reports its libtorch");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    println!("cargo:libtorch={folder}");
    // What decides how long libgomp's threads spin, before libgomp looks: an object of the executables alone.
    if let Some(object) = told("DEP_LATHE_BRIDGE_EARLY") {
        for kind in ["bins", "tests", "benches"] {
            println!("cargo:rustc-link-arg-{kind}={object}");
        }
    }
}
