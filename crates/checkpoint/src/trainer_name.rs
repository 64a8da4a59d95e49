//! The name of a trainer, a folder on the storage.

use std::{fmt, str::FromStr};

const MAX_CHARS: usize = 63;

/// Name of a trainer: lower-case letters, digits and inner hyphens, at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrainerName(String);

/// The text is no name of a trainer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("takes 1 to 63 lower-case letters, digits and inner hyphens, such as trainer-1")]
pub struct InvalidName;

impl FromStr for TrainerName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_name = (1..=MAX_CHARS).contains(&text.len())
            && text.bytes().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');
        match is_name {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidName),
        }
    }
}

impl fmt::Display for TrainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folders_without_surprises() {
        for (text, is_name) in [
            ("trainer", true),
            ("trainer-1", true),
            ("7", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("A", false),
            ("a/b", false),
            ("..", false),
            (&"a".repeat(63), true),
            (&"a".repeat(64), false),
        ] {
            assert_eq!(text.parse::<TrainerName>().is_ok(), is_name, "{text:?}");
        }
    }
}
