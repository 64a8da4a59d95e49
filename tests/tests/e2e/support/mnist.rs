//! The real MNIST for tests that need it.

use digits_dataset::{Dataset, mnist};
use std::io::Write as _;

/// MNIST from `DIGITS_MNIST_DIR` or the cache folder, without a download. Where there is none, the caller's
/// test is skipped: said loudly, and a failure with `DIGITS_FORBID_SKIP=1`.
#[must_use]
pub fn for_test(test: &str) -> Option<Dataset> {
    let source = mnist::MnistSource {
        download: false,
        ..mnist::MnistSource::default()
    };
    match mnist::load(&source, &mut |_| {}) {
        Ok(dataset) => Some(dataset),
        Err(error) => {
            skip(
                test,
                &format!("MNIST is not here ({error}); set DIGITS_MNIST_DIR"),
            );
            None
        }
    }
}

/// Says that a test is skipped, and why.
///
/// # Panics
///
/// With `DIGITS_FORBID_SKIP=1`.
pub fn skip(test: &str, why: &str) {
    assert!(
        std::env::var_os("DIGITS_FORBID_SKIP").is_none_or(|value| value != "1"),
        "{test} may not be skipped: {why}"
    );
    // Not `eprintln!`, which the test harness hides from whoever passes.
    let _ = writeln!(std::io::stderr(), "\n*** SKIPPED {test}: {why} ***\n");
}
