//! Exit codes of the services, after `sysexits.h`.

/// The work was done and its result is "no": a job failed.
pub const FAILED: u8 = 1;
/// Bad flags, environment or configuration file: a person must correct them.
pub const USAGE: u8 = 64;
/// Something that is needed is not there: a port, the storage.
pub const UNAVAILABLE: u8 = 69;
/// A bug.
pub const SOFTWARE: u8 = 70;
/// Stopped before the end; trying again goes on.
pub const TEMPORARY: u8 = 75;
