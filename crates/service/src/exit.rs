//! Exit codes of the binaries, after `sysexits.h`.

/// The work was done and its result is negative: a job failed, a service is not ready.
pub const FAILED: u8 = 1;
/// Bad flags, environment or configuration file: a person must correct them.
pub const USAGE: u8 = 64;
/// A resource is unavailable: a port, the storage, the state folder.
pub const UNAVAILABLE: u8 = 69;
/// A bug.
pub const SOFTWARE: u8 = 70;
/// Another process has taken the work and does it.
pub const TAKEN: u8 = 73;
/// Stopped before the end; running it again continues.
pub const TEMPORARY: u8 = 75;
