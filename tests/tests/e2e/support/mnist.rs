//! The real MNIST for tests that need it.

use digits_dataset::{Dataset, mnist};
use digits_testing::skip;

/// MNIST from `DIGITS_MNIST_DIR` or the cache folder, without a download. Where there is none,
/// `test` is skipped.
///
/// # Panics
/// With `DIGITS_FORBID_SKIP=1` and without MNIST.
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
