//! `google.protobuf.Timestamp` and `Duration`, which are strings in JSON.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::de::{DeserializeSeed, Deserializer, Error, Visitor};

use crate::scalar::shortened;
use crate::schema::{Form, Kind};
use crate::wire::Output;

const NANOS: i128 = 1_000_000_000;
/// From the year 1 to jiff's last second, which is two days before the end of the year 9999.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_207_200;
/// Ten thousand years.
const MAX_DURATION_SECONDS: i64 = 315_576_000_000;

/// Reads the string and writes the fields of its message.
pub(crate) struct Time<'a> {
    pub(crate) form: Form,
    pub(crate) out: &'a mut Output,
}

impl<'de> DeserializeSeed<'de> for Time<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Time<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.form {
            Form::Timestamp => "a time such as \"2026-01-31T12:00:00Z\"",
            _ => "a duration in seconds such as \"1.5s\"",
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let read = match self.form {
            Form::Timestamp => timestamp(text),
            _ => duration(text),
        };
        let Some((seconds, nanos)) = read else {
            let text = shortened(text);
            return Err(E::invalid_value(serde::de::Unexpected::Str(&text), &self));
        };
        if seconds != 0 {
            self.out.key(1, Kind::Int64);
            self.out.varint(seconds.cast_unsigned());
        }
        if nanos != 0 {
            self.out.key(2, Kind::Int32);
            self.out.varint(i64::from(nanos).cast_unsigned());
        }
        self.out.check(0)
    }
}

fn timestamp(text: &str) -> Option<(i64, i32)> {
    let nanos = text.parse::<Timestamp>().ok()?.as_nanosecond();
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    let nanos = i32::try_from(nanos.rem_euclid(NANOS)).ok()?;
    TIMESTAMP_SECONDS
        .contains(&seconds)
        .then_some((seconds, nanos))
}

fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    (seconds <= MAX_DURATION_SECONDS).then_some((sign * seconds, sign as i32 * nanos))
}

/// The text of a timestamp; `None` beyond [`TIMESTAMP_SECONDS`].
pub(crate) fn timestamp_text(seconds: i64, nanos: i32) -> Option<String> {
    let is_valid = TIMESTAMP_SECONDS.contains(&seconds) && (0..NANOS).contains(&nanos.into());
    let time = Timestamp::new(seconds, 0).ok().filter(|_| is_valid)?;
    let time = time.checked_add(jiff::SignedDuration::from_nanos(nanos.into()));
    let precision = u8::try_from(fraction(nanos.unsigned_abs()).len().saturating_sub(1)).ok();
    let printer = DateTimePrinter::new().precision(precision);
    Some(printer.timestamp_to_string(&time.ok()?))
}

/// The text of a duration; `None` beyond ten thousand years, or if the signs differ.
pub(crate) fn duration_text(seconds: i64, nanos: i32) -> Option<String> {
    let is_valid = seconds.unsigned_abs() <= MAX_DURATION_SECONDS.unsigned_abs()
        && i128::from(nanos.unsigned_abs()) < NANOS
        && seconds.signum() * i64::from(nanos.signum()) >= 0;
    if !is_valid {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let mut text = format!("{sign}{}", seconds.unsigned_abs());
    let _ = write!(text, "{}s", fraction(nanos.unsigned_abs()));
    Some(text)
}

/// The point and three, six or nine digits; nothing for 0.
fn fraction(nanos: u32) -> String {
    let mut digits = format!(".{nanos:09}");
    while digits.len() > 1 && digits.ends_with("000") {
        digits.truncate(digits.len() - 3);
    }
    if digits == "." { String::new() } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_with_a_fraction() {
        for (text, expected) in [
            ("0s", Some((0, 0))),
            ("1.5s", Some((1, 500_000_000))),
            ("-1.5s", Some((-1, -500_000_000))),
            ("-0.000001s", Some((0, -1_000))),
            ("315576000000s", Some((315_576_000_000, 0))),
            ("315576000001s", None),
            ("1.5", None),
            ("s", None),
            (".5s", None),
            ("1.0000000001s", None),
            ("1e3s", None),
            ("+1s", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
            if let Some((seconds, nanos)) = expected {
                let written = duration_text(seconds, nanos).expect("valid");
                assert_eq!(duration(&written), expected, "{written}");
            }
        }
        assert_eq!(duration_text(1, -1), None);
    }

    #[test]
    fn times_have_three_six_or_nine_digits() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1, 500_000_000, "1970-01-01T00:00:01.500Z"),
            (1, 1_000, "1970-01-01T00:00:01.000001Z"),
            (-1, 1, "1969-12-31T23:59:59.000000001Z"),
            (253_402_207_200, 0, "9999-12-30T22:00:00Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp_text(seconds, nanos).as_deref(), Some(text));
            assert_eq!(timestamp(text), Some((seconds, nanos)), "{text}");
        }
        assert_eq!(timestamp_text(253_402_207_201, 0), None);
        assert_eq!(timestamp_text(0, -1), None);
        assert_eq!(timestamp("yesterday"), None);
        assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some((0, 0)));
    }
}
