//! What can be wrong with a serving log while it is followed: noticed, and gone once it is mended.

use crate::record::ServingRecord;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// Tolerated difference between two clocks.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(10);

/// Something wrong with a serving log. None of it decides what is served: records are ordered by
/// their sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// The newest record is gone.
    RecordGone {
        /// Its sequence.
        sequence: u64,
        /// Sequence of the newest record in its place; `None` for an empty log.
        newest: Option<u64>,
    },
    /// A key has the form of a record's, and a number that no log reaches.
    StrayRecord {
        /// The key.
        key: String,
    },
    /// A folder has the name of a record.
    NameTaken {
        /// The name.
        key: String,
    },
    /// The newest record is dated before the one before it.
    ClockSetBack {
        /// Its sequence.
        sequence: u64,
        /// Its time.
        at: Timestamp,
        /// The time of the record before.
        before: Timestamp,
    },
    /// The newest record is dated in the future.
    ClockAhead {
        /// Its sequence.
        sequence: u64,
        /// Its time.
        at: Timestamp,
    },
}

impl LogFault {
    /// All kinds, for metrics that start at zero.
    pub const KINDS: [&'static str; 4] = ["record_gone", "stray_record", "name_taken", "clock"];

    /// Its kind, as metrics name it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RecordGone { .. } => "record_gone",
            Self::StrayRecord { .. } => "stray_record",
            Self::NameTaken { .. } => "name_taken",
            Self::ClockSetBack { .. } | Self::ClockAhead { .. } => "clock",
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RecordGone { sequence, newest } => {
                write!(
                    f,
                    "the serving record {sequence} is gone from the storage, "
                )?;
                match newest {
                    Some(newest) => write!(f, "whose newest record is {newest}")?,
                    None => write!(f, "which has none for this model")?,
                }
                write!(
                    f,
                    ": it was emptied, restored or swapped for another one; check what is mounted"
                )
            }
            Self::StrayRecord { key } => write!(
                f,
                "{key} is ignored: no serving log reaches this number; remove the file"
            ),
            Self::NameTaken { key } => write!(
                f,
                "{key} is a folder where a serving record belongs, so no checkpoint can be promoted: \
                 remove or rename the folder"
            ),
            Self::ClockSetBack {
                sequence,
                at,
                before,
            } => write!(
                f,
                "the serving record {sequence} is dated {at}, and the one before it {before}: correct the \
                 clock of the machine that wrote them; they are ordered by their numbers"
            ),
            Self::ClockAhead { sequence, at } => write!(
                f,
                "the serving record {sequence} is dated {at}, in the future: correct the clock of this \
                 machine, or of the one that wrote it"
            ),
        }
    }
}

/// The faults of a log at this time, at most one of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFaults {
    gone: Option<LogFault>,
    stray: Option<LogFault>,
    name_taken: Option<LogFault>,
    clock: Option<LogFault>,
}

impl LogFaults {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &LogFault> {
        let all = [&self.gone, &self.stray, &self.name_taken, &self.clock];
        all.into_iter().flatten()
    }

    pub(super) fn set_gone(&mut self, gone: Option<(u64, Option<u64>)>) {
        self.gone = gone.map(|(sequence, newest)| LogFault::RecordGone { sequence, newest });
    }

    pub(super) fn set_stray(&mut self, key: Option<String>) {
        self.stray = key.map(|key| LogFault::StrayRecord { key });
    }

    pub(super) fn set_name_taken(&mut self, key: Option<String>) {
        self.name_taken = key.map(|key| LogFault::NameTaken { key });
    }

    /// Compares the time of the newest record with this machine's, and with that of the record read
    /// before it.
    pub(super) fn check_clock(&mut self, record: &ServingRecord, before: Option<Timestamp>) {
        let (sequence, at) = (record.sequence, record.at);
        let set_back = before.filter(|before| before.duration_since(at) > CLOCK_DIFFERENCE);
        let is_ahead = at.duration_since(Timestamp::now()) > CLOCK_DIFFERENCE;
        self.clock = match set_back {
            Some(before) => Some(LogFault::ClockSetBack {
                sequence,
                at,
                before,
            }),
            None if is_ahead => Some(LogFault::ClockAhead { sequence, at }),
            None => None,
        };
    }

    /// A record of the future is none any more once its time has come.
    pub(super) fn recheck_clock(&mut self) {
        self.clock.take_if(
            |fault| matches!(fault, LogFault::ClockAhead { at, .. } if *at <= Timestamp::now()),
        );
    }
}
