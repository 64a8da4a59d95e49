//! Links the engine and the tests against the libtorch they are built with. For the engine,
//! `libtorch_cuda` is linked explicitly: no symbol of it is referenced, so a plain link would drop
//! it, and libtorch would find no GPU. The launcher is not linked against libtorch: it must start
//! without it.
//!
//! Compiles the shim, for what the bindings lack.

use std::path::{Path, PathBuf};
use std::{env, fs};

const ENGINE: &str = "digits-trainer-engine";
const SHIM: &str = "shim/tf32.cpp";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={SHIM}");
    // Set by torch-sys, whose `links` key is "tch"; unset in a build for documentation only.
    let library = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    if let Some(folder) = &library {
        compile_shim(folder);
        println!(
            "cargo:rerun-if-changed={}",
            folder.join("libtorch.so").display()
        );
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder.display());
        if folder.join("libtorch_cuda.so").exists() {
            for argument in [
                &format!("-L{}", folder.display()),
                "-Wl,--no-as-needed",
                "-ltorch_cuda",
                "-Wl,--as-needed",
            ] {
                println!("cargo:rustc-link-arg-bin={ENGINE}={argument}");
            }
        }
    }
    let version = library
        .as_deref()
        .and_then(libtorch_version)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=DIGITS_LIBTORCH_VERSION={version}");
}

/// With the headers that torch-sys takes.
fn compile_shim(folder: &Path) {
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");
    let root = env::var_os("LIBTORCH_INCLUDE").map(PathBuf::from);
    let root = root.as_deref().or(folder.parent());
    cc::Build::new()
        .cpp(true)
        .warnings(false)
        .std("c++17")
        .includes(root.map(|root| root.join("include")))
        .file(SHIM)
        .compile("digits_shim");
}

/// The version in the headers next to the library folder.
fn libtorch_version(folder: &Path) -> Option<String> {
    let include = folder.parent()?.join("include/torch");
    let text = ["headeronly/version.h", "csrc/api/include/torch/version.h"]
        .iter()
        .filter_map(|file| fs::read_to_string(include.join(file)).ok())
        .find(|text| text.contains("TORCH_VERSION_MAJOR "))?;
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines()
            .find_map(|line| line.strip_prefix(&prefix))
            .map(str::trim)
    };
    Some(format!(
        "{}.{}.{}",
        part("MAJOR")?,
        part("MINOR")?,
        part("PATCH")?
    ))
}
