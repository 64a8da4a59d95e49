//! Identifiers of checkpoints and models.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Id of a checkpoint: a UUIDv7. Never used for order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(Uuid);

impl CheckpointId {
    /// Draws a new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for CheckpointId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        // Only the hyphenated form: an id is also a folder's name.
        match Uuid::try_parse(text) {
            Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
            _ => Err(InvalidId::Checkpoint),
        }
    }
}

/// Name of a model: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

impl ModelName {
    /// The default model.
    pub const DEFAULT: &'static str = "digits";

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ModelName {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = matches!(bytes.len(), 1..=63)
            && bytes.iter().all(|&byte| edge(byte) || byte == b'-')
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1]);
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::Model)
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Not a checkpoint id.
    #[error("not a checkpoint id: give a UUID in its hyphenated form")]
    Checkpoint,
    /// Not a model name.
    #[error(
        "not a model name: use 1 to 63 lower-case letters, digits and inner hyphens, such as `digits`"
    )]
    Model,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_model_names_are_accepted() {
        for good in ["digits", "a", "a-b", "7", &"x".repeat(63)] {
            assert_eq!(good.parse::<ModelName>().expect("good").as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a/b",
            "..",
            "a b",
            "é",
            &"x".repeat(64),
        ] {
            assert_eq!(bad.parse::<ModelName>(), Err(InvalidId::Model), "{bad:?}");
        }
    }

    #[test]
    fn only_hyphenated_lower_case_ids_are_accepted() {
        let id = CheckpointId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "..",
            &id.to_string().to_uppercase(),
            &id.to_string().replace('-', ""),
        ] {
            assert_eq!(
                bad.parse::<CheckpointId>(),
                Err(InvalidId::Checkpoint),
                "{bad:?}"
            );
        }
    }
}
