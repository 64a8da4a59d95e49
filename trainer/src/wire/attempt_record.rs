//! Records of attempts as protobuf messages, as they are below `runs/` on the storage.
//!
//! Tags are a contract between versions: fields are added, never changed.

use super::{WireError, micros_of};
use crate::attempt::{AttemptRecord, ResumePoint};
use prost::Message;
use std::time::Duration;

#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(bytes = "vec", tag = "1")]
    resolved: Vec<u8>,
    #[prost(uint32, tag = "2")]
    attempts: u32,
    #[prost(uint64, tag = "3")]
    spent_us: u64,
    #[prost(message, repeated, tag = "4")]
    resume: Vec<ResumeMessage>,
    #[prost(string, tag = "5")]
    nonce: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct ResumeMessage {
    #[prost(uint32, tag = "1")]
    attempt: u32,
    #[prost(uint64, tag = "2")]
    number: u64,
}

/// Bytes of the record of an attempt.
#[must_use]
pub fn attempt_record_bytes(from: &AttemptRecord) -> Vec<u8> {
    let resume = from.resume.iter().map(|point| ResumeMessage {
        attempt: point.attempt,
        number: point.number,
    });
    RecordMessage {
        resolved: from.resolved.clone(),
        attempts: from.attempts,
        spent_us: micros_of(from.spent),
        resume: resume.collect(),
        nonce: from.nonce.clone(),
    }
    .encode_to_vec()
}

/// The record of [`attempt_record_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes.
pub fn attempt_record_from(bytes: &[u8]) -> Result<AttemptRecord, WireError> {
    let from = RecordMessage::decode(bytes)?;
    let resume = from.resume.iter().map(|point| ResumePoint {
        attempt: point.attempt,
        number: point.number,
    });
    Ok(AttemptRecord {
        resume: resume.collect(),
        resolved: from.resolved,
        attempts: from.attempts,
        spent: Duration::from_micros(from.spent_us),
        nonce: from.nonce,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back() {
        let record = AttemptRecord {
            resolved: vec![1, 2],
            attempts: 3,
            spent: Duration::from_secs(4),
            resume: vec![
                ResumePoint {
                    attempt: 2,
                    number: 7,
                },
                ResumePoint {
                    attempt: 1,
                    number: 9,
                },
            ],
            nonce: "n".to_owned(),
        };
        let bytes = attempt_record_bytes(&record);
        assert_eq!(attempt_record_from(&bytes).expect("read"), record);
        for point in record.resume {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
    }
}
