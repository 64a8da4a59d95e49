//! Names of data sets, and names with the digest of one content.

use super::{PushedError, is_digest, is_hexadecimal};
use digits_checkpoint::manifest::PictureNormalization;
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
/// one content, whose digest may be shortened to 8 digits if they are unique. `+handwriting` or
/// `+plain` behind the digest names the picture normalization, where it is not that of the first
/// push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// The name.
    pub name: DatasetName,
    /// 8 to 64 digits of the digest.
    pub prefix: Option<String>,
    /// The picture normalization; only with a digest.
    pub picture_normalization: Option<PictureNormalization>,
}

impl FromStr for Reference {
    type Err = PushedError;

    fn from_str(text: &str) -> Result<Self, PushedError> {
        let Some((name, prefix)) = text.split_once('@') else {
            return Ok(Self {
                name: text.parse()?,
                prefix: None,
                picture_normalization: None,
            });
        };
        let prefix = prefix.to_ascii_lowercase();
        let (prefix, picture_normalization) = without_suffix(&prefix);
        match name.parse() {
            Ok(name)
                if (MIN_PREFIX_DIGITS..=64).contains(&prefix.len()) && is_hexadecimal(prefix) =>
            {
                Ok(Self {
                    name,
                    prefix: Some(prefix.to_owned()),
                    picture_normalization,
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
            Some(prefix) => {
                let suffix = suffix(self.picture_normalization);
                write!(f, "{}@{prefix}{suffix}", self.name)
            }
            None => self.name.fmt(f),
        }
    }
}

/// How a reference names a picture normalization.
fn suffix(picture_normalization: Option<PictureNormalization>) -> &'static str {
    match picture_normalization {
        None => "",
        Some(PictureNormalization::None) => "+plain",
        Some(PictureNormalization::Mnist) => "+handwriting",
    }
}

fn without_suffix(text: &str) -> (&str, Option<PictureNormalization>) {
    [PictureNormalization::None, PictureNormalization::Mnist]
        .into_iter()
        .map(Some)
        .find_map(|it| Some((text.strip_suffix(suffix(it))?, it)))
        .unwrap_or((text, None))
}

/// A name with the complete digest of one content, so that it never changes its meaning. Written as
/// `NAME@DIGEST`, with `+handwriting` or `+plain` where the picture normalization is not that of the
/// content's manifest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pinned {
    /// The name.
    pub name: DatasetName,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
    /// The picture normalization, where it is not that of the content's manifest.
    pub picture_normalization: Option<PictureNormalization>,
}

impl FromStr for Pinned {
    type Err = PushedError;

    fn from_str(text: &str) -> Result<Self, PushedError> {
        match text.parse()? {
            Reference {
                name,
                prefix: Some(digest),
                picture_normalization,
            } if is_digest(&digest) => Ok(Self {
                name,
                digest,
                picture_normalization,
            }),
            _ => Err(PushedError::Name {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = suffix(self.picture_normalization);
        write!(f, "{}@{}{suffix}", self.name, self.digest)
    }
}
