//! Parses whole numbers of flags; an error names the range.

use std::ops::RangeInclusive;

use crate::error::FlagError;

/// A parser of whole numbers in a range, for a flag's `value_parser`.
pub fn parse_whole<T>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, FlagError> + Clone
where
    T: TryFrom<u64>,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or(FlagError::Whole {
                from: *range.start(),
                to: *range.end(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_range() {
        let workers = parse_whole::<u16>(1..=64);
        assert_eq!(workers("64").ok(), Some(64));
        for bad in ["0", "65", "-1", "many", ""] {
            let error = workers(bad).expect_err(bad).to_string();
            assert_eq!(error, "must be a whole number from 1 to 64", "{bad}");
        }
        let bytes = parse_whole::<u64>(1..=u64::MAX);
        let error = bytes("0").expect_err("0").to_string();
        assert_eq!(error, "must be a whole number from 1 on");
    }
}
