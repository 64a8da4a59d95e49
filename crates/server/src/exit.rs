//! Exit codes of the services, after `sysexits.h`.

/// Bad flags, environment or configuration file: a person must correct them.
pub const USAGE: u8 = 64;
/// Something that is needed is not there: a port, the storage.
pub const UNAVAILABLE: u8 = 69;
/// A bug.
pub const SOFTWARE: u8 = 70;
