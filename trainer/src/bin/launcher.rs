//! `digits-trainer`: checks that the engine in the same folder finds its shared libraries, then
//! replaces itself by it; else prints which library is missing. It links no libtorch and reads no
//! arguments.

use std::{
    env, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const ENGINE: &str = "digits-trainer-engine";
/// EX_USAGE of `sysexits.h`.
const USAGE: u8 = 64;
/// EX_UNAVAILABLE of `sysexits.h`.
const UNAVAILABLE: u8 = 69;

fn main() -> ExitCode {
    // Here, because OpenMP reads its variables while the engine is loaded.
    if let Err(error) = digits_environment::tidy() {
        eprintln!("digits-trainer: {error}");
        return ExitCode::from(USAGE);
    }
    let engine = match engine() {
        Ok(engine) => engine,
        Err(reason) => return refuse(&reason),
    };
    if let Some(reason) = missing(&engine) {
        return refuse(&reason);
    }
    let mut command = Command::new(&engine);
    command.args(env::args_os().skip(1));
    // OpenMP's threads of large networks sleep while they wait, unless the environment differs:
    // spinning ones starve each other on a busy machine, and the engine then uses one thread.
    if env::var_os("OMP_WAIT_POLICY").is_none() {
        command.env("OMP_WAIT_POLICY", "PASSIVE");
    }
    // Returns only when it fails.
    let error = command.exec();
    refuse(&format!("{} cannot be started: {error}", engine.display()))
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("digits-trainer: {reason}");
    ExitCode::from(UNAVAILABLE)
}

/// Path of the engine in the folder of this program, symbolic links followed.
fn engine() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let engine = own.with_file_name(ENGINE);
    if engine.is_file() {
        Ok(engine)
    } else {
        Err(format!(
            "{ENGINE} is missing in {}: install both together, or build them with `make build`",
            own.parent().unwrap_or(Path::new(".")).display()
        ))
    }
}

/// Reason why the engine would not start, according to the dynamic loader; `None` if the loader
/// finds every library or cannot be run.
fn missing(engine: &Path) -> Option<String> {
    let output = trace(engine).ok()?;
    let libraries = not_found(&output);
    let first = libraries.first()?;
    let others = match libraries.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let remedy = if libraries.iter().any(|library| is_torch(library)) {
        "libtorch is not where it was at build time: fetch it with `make libtorch`, or name the folder with libtorch_cpu.so in LD_LIBRARY_PATH"
    } else {
        "install the package that has it, or name its folder in LD_LIBRARY_PATH (libtorch may need it: `make libtorch` fetches a whole one)"
    };
    Some(format!(
        "the shared library {first}{others} cannot be found; {remedy}"
    ))
}

/// The dynamic loader's list of libraries, as ldd prints it; the program itself does not run.
fn trace(engine: &Path) -> io::Result<String> {
    let output = Command::new(engine)
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Libraries that the loader did not find, those of libtorch first.
fn not_found(list: &str) -> Vec<String> {
    let mut libraries: Vec<String> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix("=> not found"))
        .map(|name| name.trim().to_owned())
        .collect();
    libraries.sort();
    libraries.dedup();
    libraries.sort_by_key(|library| !is_torch(library));
    libraries
}

fn is_torch(library: &str) -> bool {
    library.starts_with("libtorch") || library.starts_with("libc10")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_libraries_are_found_in_the_list() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibgomp.so.1 => not found\n\tlibtorch_cpu.so => not found\n\
                    \tlibc10.so => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n\tlibc10.so => not found\n";
        assert_eq!(
            not_found(list),
            ["libc10.so", "libtorch_cpu.so", "libgomp.so.1"]
        );
        assert!(not_found("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)\n").is_empty());
    }
}
