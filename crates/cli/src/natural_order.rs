//! The order of names in which people expect them.

use std::cmp::Ordering;

/// Orders names as people do: 2 before 10.
#[must_use]
pub fn natural(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    while let (Some(first), Some(second)) = (left_rest.chars().next(), right_rest.chars().next()) {
        let both = first.is_ascii_digit() && second.is_ascii_digit();
        let (one, other) = match both {
            true => (number(left_rest), number(right_rest)),
            false => (
                &left_rest[..first.len_utf8()],
                &right_rest[..second.len_utf8()],
            ),
        };
        (left_rest, right_rest) = (&left_rest[one.len()..], &right_rest[other.len()..]);
        let (one, other) = match both {
            true => (one.trim_start_matches('0'), other.trim_start_matches('0')),
            false => (one, other),
        };
        let by_length = if both {
            one.len().cmp(&other.len())
        } else {
            Ordering::Equal
        };
        match by_length.then_with(|| one.cmp(other)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    left_rest
        .len()
        .cmp(&right_rest.len())
        .then_with(|| left.cmp(right))
}

/// The digits that a text begins with.
fn number(text: &str) -> &str {
    let end = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let mut names = ["b", "10", "a2", "2", "a10", "02", "a", "1", "é"];
        names.sort_by(|left, right| natural(left, right));
        assert_eq!(names, ["1", "02", "2", "10", "a", "a2", "a10", "b", "é"]);
    }
}
