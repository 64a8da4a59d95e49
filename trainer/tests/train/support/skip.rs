//! How a test that cannot run here says so.

use std::io::Write as _;

/// Says loudly that a test is skipped and why; with `DIGITS_FORBID_SKIP=1` that is a failure.
pub fn skip(test: &str, why: &str) {
    let forbidden = std::env::var_os("DIGITS_FORBID_SKIP").is_some_and(|value| value == "1");
    assert!(!forbidden, "{test} may not be skipped: {why}");
    // Not eprintln!, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {test}: {why} ***\n");
}
