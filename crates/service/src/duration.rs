//! Durations on the command line: `250ms`, `1.5s`, `30m`, `12h`, `7d`; a bare number is seconds.
//!
//! The parsers of `humantime` and `jiff` accept neither bare numbers nor fractions of a day.

use std::time::Duration;

use crate::error::FlagError;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Parses a duration of at most 24 hours.
///
/// # Errors
/// When it has another form, or is longer.
pub fn parse_duration(text: &str) -> Result<Duration, FlagError> {
    parse(text, DAY, "24h")
}

/// Parses a duration of at most 3660 days (ten years).
///
/// # Errors
/// When it has another form, or is longer.
pub fn parse_age(text: &str) -> Result<Duration, FlagError> {
    parse(text, DAY * 3_660, "3660d")
}

fn parse(text: &str, max: Duration, limit: &'static str) -> Result<Duration, FlagError> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let seconds = match unit {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => DAY.as_secs_f64(),
        _ => return Err(FlagError::Duration),
    };
    let number: f64 = number.parse().map_err(|_| FlagError::Duration)?;
    Duration::try_from_secs_f64(number * seconds)
        .ok()
        .filter(|duration| *duration <= max)
        .ok_or(FlagError::DurationLimit(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases = [
            ("250ms", Some(250)),
            ("2s", Some(2_000)),
            ("1.5s", Some(1_500)),
            ("3", Some(3_000)),
            ("30m", Some(1_800_000)),
            ("24h", Some(86_400_000)),
            ("0.5d", Some(43_200_000)),
            ("25h", None),
            ("", None),
            ("-1s", None),
            ("5 s", None),
            ("s", None),
            ("1e9s", None),
            ("1.2.3s", None),
        ];
        for (text, milliseconds) in cases {
            let parsed = parse_duration(text).ok();
            assert_eq!(parsed, milliseconds.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn ages_may_be_years() {
        assert_eq!(parse_age("1.5d"), Ok(DAY * 3 / 2));
        assert_eq!(parse_age("3660d"), Ok(DAY * 3_660));
        let error = parse_age("3661d").expect_err("too long");
        assert_eq!(error.to_string(), "must be at most 3660d");
    }
}
