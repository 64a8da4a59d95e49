//! Support for the tests of all crates: one patience, polling with a deadline, skipping of tests
//! that cannot run here, buckets, a trace collector, an issuer of JWTs, and scripted services for
//! the tests of clients.
//!
//! No test waits a fixed time or asserts how long something took. A test polls until the condition
//! holds and fails after [`patience`], which a slow machine raises with `DIGITS_TEST_PATIENCE`.

pub mod bucket;
pub mod collector;
pub mod jwt;
mod polling;
pub mod roles;
pub mod services;
mod skip;

pub use polling::Polling;
pub use skip::{FORBID_SKIP, skip};

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Result;

/// Environment variable with the factor by which [`patience`] is scaled, such as `3` or `0.5`.
pub const PATIENCE_FACTOR: &str = "DIGITS_TEST_PATIENCE";

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// How long a test waits for something before it fails: 60 s times `DIGITS_TEST_PATIENCE`.
///
/// # Panics
/// When the variable is set to something other than a positive number.
#[must_use]
pub fn patience() -> Duration {
    static SCALED: OnceLock<Duration> = OnceLock::new();
    *SCALED.get_or_init(|| match std::env::var(PATIENCE_FACTOR) {
        Ok(factor) => scaled(&factor).unwrap_or_else(|reason| panic!("{reason}")),
        Err(_) => PATIENCE,
    })
}

fn scaled(factor: &str) -> Result<Duration, String> {
    let number: Option<f64> = factor.trim().parse().ok();
    number
        .filter(|&number| number > 0.0 && number <= 1e3)
        .map(|number| PATIENCE.mul_f64(number))
        .ok_or(format!(
            "{PATIENCE_FACTOR}={factor}: takes a number above 0 and up to 1000"
        ))
}

/// Calls `check` every few milliseconds until it returns a value.
///
/// # Errors
/// The first error of `check`, or, after [`patience`], one that names `what` was awaited, even when
/// a check is still pending.
pub async fn until<T>(what: &str, check: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    until_every(PAUSE, what, check).await
}

/// As [`until`], with `pause` between two calls.
///
/// # Errors
/// As [`until`].
pub async fn until_every<T>(
    pause: Duration,
    what: &str,
    check: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let limit = patience();
    Polling { pause, limit }.until(what, check).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_scales_the_patience() {
        assert_eq!(scaled("3"), Ok(Duration::from_secs(180)));
        assert_eq!(scaled(" 0.5\n"), Ok(Duration::from_secs(30)));
        for wrong in ["", "0", "-1", "many", "NaN", "1e9"] {
            let reason = scaled(wrong).expect_err(wrong);
            assert!(reason.starts_with("DIGITS_TEST_PATIENCE="), "{reason}");
        }
    }
}
