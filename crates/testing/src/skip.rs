//! How a test that cannot run on this machine is skipped.

use std::{env, io::Write as _};

/// Environment variable that, when it is `1`, makes a skipped test fail.
pub const FORBID_SKIP: &str = "DIGITS_FORBID_SKIP";

/// Reports on standard error that `test` is skipped and `why`, with the remedy. The caller returns.
///
/// # Panics
/// With `DIGITS_FORBID_SKIP=1`, as CI sets it: there every test runs.
pub fn skip(test: &str, why: &str) {
    let forbidden = env::var_os(FORBID_SKIP).is_some_and(|value| value == "1");
    assert!(!forbidden, "{test} may not be skipped: {why}");
    // Not `eprintln!`, whose output the test harness hides when a test passes.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why} ***\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const SKIPS: &str = "TEST_SKIPS";

    /// Not a test by itself: the test below runs it in a process with other variables.
    #[test]
    fn skipping_process() {
        if env::var_os(SKIPS).is_some() {
            skip("a_test", "a tool is missing");
        }
    }

    #[test]
    fn a_skipped_test_is_reported_and_fails_where_skips_are_forbidden() {
        for (value, passes, line) in [
            (None, true, "*** SKIPPED a_test: a tool is missing ***"),
            (Some("0"), true, "*** SKIPPED a_test: a tool is missing ***"),
            (
                Some("1"),
                false,
                "a_test may not be skipped: a tool is missing",
            ),
        ] {
            let mut command = Command::new(env::current_exe().expect("this program"));
            command
                .args(["--exact", "skip::tests::skipping_process"])
                .env(SKIPS, "1")
                .env_remove(FORBID_SKIP);
            if let Some(value) = value {
                command.env(FORBID_SKIP, value);
            }
            let output = command.output().expect("a process");
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(output.status.success(), passes, "{value:?}: {text}");
            assert!(text.contains(line), "{value:?}: {text}");
        }
    }
}
