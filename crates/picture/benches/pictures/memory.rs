//! The memory that a process needs to read one picture, measured in a process of its own.

use anyhow::{Context as _, Result};
use std::{env, fs, path::Path, process::Command};

/// Starts this program to read the picture whose file follows.
pub const OPTION: &str = "--peak-of";

/// Prints the largest resident memory of this process after `read`, in kB.
pub fn print_peak(read: impl FnOnce() -> Result<()>) -> Result<()> {
    read()?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|it| it.trim().strip_suffix(" kB"));
    println!("{}", peak.context("no VmHWM")?);
    Ok(())
}

/// Bytes of resident memory at most, of a process that reads a picture and the file with it.
pub fn peak_of(file: &Path) -> Result<u64> {
    let program = env::current_exe()?;
    let output = Command::new(program).arg(OPTION).arg(file).output()?;
    let kilobytes: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
    Ok(kilobytes * 1024)
}
