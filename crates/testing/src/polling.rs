//! Polls a condition for a limited time.

use anyhow::{Result, bail};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How often a condition is checked, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polling {
    /// Pause between two checks.
    pub pause: Duration,
    /// Time after which the wait fails, in the middle of a check too.
    pub limit: Duration,
}

impl Polling {
    /// Calls `check` until it returns a value. A check that is still pending at the limit is
    /// dropped.
    ///
    /// # Errors
    /// The first error of `check`, or, after the limit, one that names `what` was awaited.
    pub async fn until<T>(
        self,
        what: &str,
        mut check: impl AsyncFnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let Self { pause, limit } = self;
        let deadline = Instant::now() + limit;
        loop {
            match timeout_at(deadline, check()).await {
                Ok(checked) => {
                    if let Some(value) = checked? {
                        return Ok(value);
                    }
                }
                Err(_) => bail!("{what}: a check of it was still pending after {limit:?}"),
            }
            if Instant::now() >= deadline {
                bail!("{what}: did not happen within {limit:?}");
            }
            sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLLING: Polling = Polling {
        pause: Duration::from_millis(5),
        limit: Duration::from_secs(60),
    };

    #[tokio::test]
    async fn a_condition_is_polled_until_it_holds_and_errors_end_the_wait() {
        let mut calls = 0;
        let found = POLLING.until("the third call", async || {
            calls += 1;
            Ok((calls == 3).then_some(calls))
        });
        assert_eq!(found.await.expect("found"), 3);
        let failed = POLLING.until::<()>("nothing", async || bail!("broken"));
        assert_eq!(failed.await.expect_err("an error").to_string(), "broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_holds_ends_the_wait_at_the_limit() {
        let begun = Instant::now();
        let failed = POLLING.until::<()>("rain", async || Ok(None)).await;
        assert_eq!(
            failed.expect_err("an error").to_string(),
            "rain: did not happen within 60s"
        );
        assert!(begun.elapsed() >= POLLING.limit, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_ends_the_wait_at_the_limit() {
        let begun = Instant::now();
        let mut calls = 0;
        let failed = POLLING.until::<()>("rain", async || {
            calls += 1;
            if calls == 3 {
                std::future::pending::<()>().await;
            }
            Ok(None)
        });
        assert_eq!(
            failed.await.expect_err("an error").to_string(),
            "rain: a check of it was still pending after 60s"
        );
        assert_eq!(calls, 3);
        // The clock is paused: this is the timer's time, not the machine's.
        let late = Duration::from_millis(5);
        assert!(
            (POLLING.limit..=POLLING.limit + late).contains(&begun.elapsed()),
            "{:?}",
            begun.elapsed()
        );
    }
}
