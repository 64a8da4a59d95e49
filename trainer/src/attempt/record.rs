//! The record of an attempt, from which its worker begins.

use std::{fmt, str::FromStr, time::Duration};

/// What the worker of an attempt knows of its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The resolved spec, encoded.
    pub resolved: Vec<u8>,
    /// How often the training of the job was started, for the log.
    pub attempts: u32,
    /// Time of training in earlier attempts.
    pub spent: Duration,
    /// The bundles to resume from, newest first. All output before them is in the job database.
    pub resume: Vec<ResumePoint>,
    /// Differs in each record, so that two of the same attempt are told apart: a state that was put
    /// back from a backup counts attempts again.
    pub nonce: String,
}

/// A resume bundle of an earlier attempt, as `attempt/number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The attempt that made it.
    pub attempt: u32,
    /// Its number in that attempt.
    pub number: u64,
}

impl fmt::Display for ResumePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.attempt, self.number)
    }
}

impl FromStr for ResumePoint {
    type Err = InvalidResumePoint;

    fn from_str(text: &str) -> Result<Self, InvalidResumePoint> {
        let (attempt, number) = text.split_once('/').ok_or(InvalidResumePoint)?;
        Ok(Self {
            attempt: attempt.parse().map_err(|_| InvalidResumePoint)?,
            number: number.parse().map_err(|_| InvalidResumePoint)?,
        })
    }
}

/// The text names no resume bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resume bundle is named by its attempt and its number, as in 2/7")]
pub struct InvalidResumePoint;
