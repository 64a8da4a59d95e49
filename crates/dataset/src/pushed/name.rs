//! Names of data sets, and names with the digest of one content.

use super::{PushedError, is_digest, is_hexadecimal};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Minimum length of a digest's prefix in a reference.
const MIN_PREFIX_DIGITS: usize = 8;

/// Name of a data set: `[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatasetName(String);

impl DatasetName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DatasetName {
    type Err = PushedError;

    fn from_str(text: &str) -> Result<Self, PushedError> {
        let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = bytes.len() <= 63
            && bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|byte| edge(byte) || b"._-".contains(byte));
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(PushedError::Name {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for DatasetName {
    type Error = PushedError;

    fn try_from(text: String) -> Result<Self, PushedError> {
        text.parse()
    }
}

impl From<DatasetName> for String {
    fn from(name: DatasetName) -> Self {
        name.0
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A reference as users write it: `NAME` for the newest content of that name, or `NAME@DIGEST` for
/// one content, whose digest may be shortened to 8 digits if they are unique.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// The name.
    pub name: DatasetName,
    /// 8 to 64 digits of the digest.
    pub prefix: Option<String>,
}

impl FromStr for Reference {
    type Err = PushedError;

    fn from_str(text: &str) -> Result<Self, PushedError> {
        let Some((name, prefix)) = text.split_once('@') else {
            return Ok(Self {
                name: text.parse()?,
                prefix: None,
            });
        };
        let prefix = prefix.to_ascii_lowercase();
        match name.parse() {
            Ok(name)
                if (MIN_PREFIX_DIGITS..=64).contains(&prefix.len()) && is_hexadecimal(&prefix) =>
            {
                Ok(Self {
                    name,
                    prefix: Some(prefix),
                })
            }
            _ => Err(PushedError::Name {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{}@{prefix}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// A name with the complete digest of one content, so that it never changes its meaning. Written as
/// `NAME@DIGEST`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pinned {
    /// The name.
    pub name: DatasetName,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
}

impl FromStr for Pinned {
    type Err = PushedError;

    fn from_str(text: &str) -> Result<Self, PushedError> {
        match text.parse()? {
            Reference {
                name,
                prefix: Some(digest),
            } if is_digest(&digest) => Ok(Self { name, digest }),
            _ => Err(PushedError::Name {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.digest)
    }
}
