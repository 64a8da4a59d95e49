//! Ids of sweeps.

use std::{fmt, str::FromStr};
use uuid::Uuid;

/// Id of a sweep: a UUIDv7. Never used for order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SweepId(Uuid);

impl SweepId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SweepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for SweepId {
    type Err = InvalidSweepId;

    fn from_str(text: &str) -> Result<Self, InvalidSweepId> {
        match Uuid::try_parse(text) {
            Ok(id) if id.hyphenated().to_string() == text => Ok(Self(id)),
            _ => Err(InvalidSweepId),
        }
    }
}

/// The text is not the id of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a sweep id: give a UUID in its hyphenated form, as SubmitSweep and ListSweeps return it"
)]
pub struct InvalidSweepId;
