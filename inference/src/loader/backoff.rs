//! The delay before the next attempt.

use std::time::Duration;

/// Longest delay, unless the interval itself is longer.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// Longest delay after damage, unless the interval itself is longer.
const MAX_LONG_DELAY: Duration = Duration::from_mins(10);

/// The interval, doubled with each failure after the first.
pub(super) fn delay(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(10));
    if failures == 0 {
        interval
    } else {
        doubled.min(MAX_DELAY.max(interval))
    }
}

/// The delay before files are read again that were damaged: 40 intervals, doubled with each failure
/// after the first, as each attempt reads a whole checkpoint.
pub(super) fn long_delay(interval: Duration, failures: u32) -> Duration {
    let doubled = interval.saturating_mul(40 << failures.saturating_sub(1).min(10));
    doubled.min(MAX_LONG_DELAY.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_maximum() {
        let interval = Duration::from_millis(250);
        let cases = [
            (0, 250),
            (1, 250),
            (2, 500),
            (4, 2_000),
            (6, 5_000),
            (1_000_000, 5_000),
        ];
        for (failures, expected) in cases {
            assert_eq!(
                delay(interval, failures),
                Duration::from_millis(expected),
                "{failures} failures"
            );
        }
        assert_eq!(delay(Duration::from_secs(60), 9), Duration::from_secs(60));
        for (failures, expected) in [(1, 10), (2, 20), (4, 80), (7, 600), (1_000_000, 600)] {
            let delay = long_delay(interval, failures);
            assert_eq!(delay, Duration::from_secs(expected), "{failures} failures");
        }
    }
}
