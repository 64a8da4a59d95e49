//! Parses the values of flags; each error says what the flag takes.

use digits_cli::{format::grouped, image_set::Size};
use digits_dataset::MAX_SIDE;
use std::{ops::RangeInclusive, str::FromStr};

/// Two numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair(pub f64, pub f64);

/// Widths of hidden layers; none for a linear classifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths(pub Vec<u32>);

/// A whole number within a range.
pub fn whole<T>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: TryFrom<u64>,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| {
                let (least, most) = (*range.start(), *range.end());
                match most {
                    _ if most < u64::from(u32::MAX) => format!(
                        "takes a whole number from {} to {}",
                        grouped(least),
                        grouped(most)
                    ),
                    _ if least > 0 => format!("takes a whole number, at least {least}"),
                    _ => "takes a whole number".to_owned(),
                }
            })
    }
}

/// A whole number that the service checks further; `range` describes the values it takes.
pub fn whole_as<T: FromStr>(range: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok();
        number.ok_or_else(|| format!("takes a whole number {range}"))
    }
}

/// A number that the service checks further; `range` describes the values it takes.
pub fn number_as(range: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| number(text).map_err(|_| format!("takes a number {range}"))
}

/// A number, such as 0.1 or 1e-4.
pub fn number(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| !number.is_nan());
    number.ok_or_else(|| "takes a number, such as 0.1".to_owned())
}

/// A part of a whole: more than 0 and less than 1.
pub fn share(text: &str) -> Result<f64, String> {
    let share = number(text)
        .ok()
        .filter(|share| (f64::EPSILON..1.0).contains(share));
    share.ok_or_else(|| "takes a number between 0 and 1, such as 0.2".to_owned())
}

/// The value of a white pixel.
pub fn white(text: &str) -> Result<f32, String> {
    let white = text
        .parse()
        .ok()
        .filter(|white: &f32| white.is_finite() && *white > 0.0);
    white.ok_or_else(|| "takes a number above 0, such as 255".to_owned())
}

/// Height and width of an image.
pub fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        text.parse()
            .ok()
            .filter(|side| (1..=MAX_SIDE).contains(side))
    };
    text.split_once(['x', 'X', '×'])
        .and_then(|(height, width)| {
            Some(Size {
                height: side(height)?,
                width: side(width)?,
            })
        })
        .ok_or_else(|| {
            format!("takes a height and a width of 1 to {MAX_SIDE} pixels, such as 28x28")
        })
}

/// A number that is sent in single precision.
pub fn single(text: &str) -> Result<f32, String> {
    number(text).map(|number| number as f32)
}

/// Two numbers with a comma between them.
pub fn pair(text: &str) -> Result<Pair, String> {
    let part = |text: &str| number(text.trim()).ok();
    text.split_once(',')
        .and_then(|(first, second)| Some(Pair(part(first)?, part(second)?)))
        .ok_or_else(|| "takes two numbers with a comma between them, such as 36,5".to_owned())
}

/// Whole numbers with commas between them, or `none`.
pub fn widths(text: &str) -> Result<Widths, String> {
    if text.is_empty() || text == "none" {
        return Ok(Widths(Vec::new()));
    }
    let widths = text.split(',').map(|width| width.trim().parse::<u32>());
    let widths: Result<Vec<u32>, _> = widths.collect();
    widths.map(Widths).map_err(|_| {
        "takes whole numbers with commas between them, such as 128,64, or none".to_owned()
    })
}

/// A label, KEY=VALUE.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("takes KEY=VALUE, such as team=vision".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        let epochs = whole::<u32>(1..=10_000);
        assert_eq!(epochs("10000"), Ok(10_000));
        for bad in ["0", "10001", "-1", "1.5", "many", ""] {
            let expected = "takes a whole number from 1 to 10,000";
            assert_eq!(epochs(bad), Err(expected.to_owned()), "{bad}");
        }
        let seed = whole::<u64>(0..=u64::MAX);
        assert_eq!(seed("4294967296"), Ok(1 << 32));
        assert_eq!(seed("x"), Err("takes a whole number".to_owned()));
        assert_eq!(number("1e-4"), Ok(1e-4));
        let dropout = number_as("from 0 to less than 1");
        assert_eq!(dropout("7"), Ok(7.0), "the trainer checks the range");
        assert_eq!(
            dropout("x"),
            Err("takes a number from 0 to less than 1".to_owned())
        );
        let batch = whole_as::<u32>("from 1 on");
        assert_eq!(batch("0"), Ok(0), "the trainer checks the range");
        assert_eq!(
            batch("-1"),
            Err("takes a whole number from 1 on".to_owned())
        );
        assert!(number("fast").is_err() && number("NaN").is_err());
    }

    #[test]
    fn a_pair_is_two_numbers() {
        assert_eq!(pair("0.85, 1.15"), Ok(Pair(0.85, 1.15)));
        for bad in ["", "1", "1,", "a,b", "1,2,3"] {
            assert!(pair(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn widths_are_a_list_of_whole_numbers() {
        assert_eq!(widths("128, 64"), Ok(Widths(vec![128, 64])));
        assert_eq!(widths("none"), Ok(Widths(vec![])));
        for bad in ["128,", "-1", "a"] {
            assert!(widths(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_label_is_a_key_with_a_value() {
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(key_value("a").is_err() && key_value("=b").is_err());
    }
}
