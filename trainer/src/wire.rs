//! Domain types as protobuf messages, and back: for the wire and, as the same bytes, for the
//! database. Besides `grpc`, the only place that names generated types.

mod attempt;
mod attempt_record;
pub mod cloud_event;
mod job_spec;
mod parameter;
mod spec_fields;
mod sweep;

pub use attempt::{report_bytes, report_from};
pub use attempt_record::{attempt_record_bytes, attempt_record_from};
pub use job_spec::{LineageSpec, SpecMessage, activation, promotion_number, promotion_policy};
pub use parameter::{FieldError, NumberKind, ParameterField};
pub use spec_fields::{SpecFields, spec_fields};
pub use sweep::{SweepMessage, sweep_state};

use crate::job::{CurveRow, Event, JobState, NetworkSize, Publishing};
use digits_checkpoint::{
    id::CheckpointId,
    manifest::Evaluation,
    messages::{decision, evaluation, promotion},
    serving::Decision,
};
use digits_proto::v1;
use prost::Message as _;
use prost_types::Timestamp;
use std::time::Duration;

/// Errors of decoding a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are not a protobuf message.
    #[error("not a protobuf message: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The message lacks a field, or its value is unknown.
    #[error("a protobuf message without a valid {0}")]
    Missing(&'static str),
}

/// Microseconds since 1970 as a timestamp.
#[must_use]
pub fn timestamp(us: i64) -> Timestamp {
    Timestamp {
        seconds: us.div_euclid(1_000_000),
        nanos: i32::try_from(us.rem_euclid(1_000_000) * 1_000).expect("less than a second"),
    }
}

fn micros(at: Option<&Timestamp>) -> i64 {
    at.map_or(0, |at| {
        at.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(at.nanos) / 1_000)
    })
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The message's value of a state.
#[must_use]
pub fn state(state: JobState) -> v1::JobState {
    match state {
        JobState::Queued => v1::JobState::Queued,
        JobState::Running => v1::JobState::Running,
        JobState::Succeeded => v1::JobState::Succeeded,
        JobState::Failed => v1::JobState::Failed,
        JobState::Cancelled => v1::JobState::Cancelled,
    }
}

fn evaluation_back(from: &v1::Evaluation) -> Evaluation {
    Evaluation {
        images: from.images,
        correct: from.correct,
        loss: from.loss,
        loss_batch_mean: from.loss_batch_mean,
        batch_size: from.batch_size,
    }
}

/// A row of the curves as a message.
#[must_use]
pub fn row(from: &CurveRow) -> v1::CurveRow {
    v1::CurveRow {
        step: from.step,
        epoch: from.epoch,
        step_in_epoch: from.step_in_epoch,
        at: Some(timestamp(from.at_us)),
        train_loss: from.train_loss,
        validation: Some(evaluation(&from.validation)),
        learning_rate: from.learning_rate,
        samples_per_second: from.samples_per_second,
    }
}

fn row_back(from: &v1::CurveRow) -> Result<CurveRow, WireError> {
    Ok(CurveRow {
        at_us: micros(from.at.as_ref()),
        step: from.step,
        epoch: from.epoch,
        step_in_epoch: from.step_in_epoch,
        train_loss: from.train_loss,
        validation: evaluation_back(
            from.validation
                .as_ref()
                .ok_or(WireError::Missing("validation"))?,
        ),
        learning_rate: from.learning_rate,
        samples_per_second: from.samples_per_second,
    })
}

/// The wait of a checkpoint as a message.
#[must_use]
pub fn publishing(from: &Publishing) -> v1::Publishing {
    v1::Publishing {
        epoch: from.epoch,
        reason: from.reason.clone(),
        since: Some(timestamp(from.since_us)),
        until: Some(timestamp(from.until_us)),
        failed_attempts: from.failed_attempts,
    }
}

fn publishing_back(from: v1::Publishing) -> Publishing {
    Publishing {
        epoch: from.epoch,
        since_us: micros(from.since.as_ref()),
        until_us: micros(from.until.as_ref()),
        failed_attempts: from.failed_attempts,
        reason: from.reason,
    }
}

/// The numbers of a network as a message.
#[must_use]
pub fn network(from: &NetworkSize) -> v1::NetworkSize {
    v1::NetworkSize {
        parameters: from.parameters,
        parameter_bytes: from.parameter_bytes,
        multiply_adds: from.multiply_adds,
        activation_bytes: from.activation_bytes,
    }
}

/// An event as the message of WatchJob.
#[must_use]
pub fn event(sequence: u64, at_us: i64, from: &Event) -> v1::WatchJobResponse {
    use v1::watch_job_response::Event as Wire;
    let event = match from {
        Event::StateChanged {
            state: now,
            device,
            reason,
        } => Wire::StateChanged(v1::JobStateChanged {
            state: state(*now).into(),
            device: device.clone(),
            reason: reason.clone(),
        }),
        Event::Row(new) => Wire::Row(row(new)),
        Event::CheckpointPublished {
            id,
            epoch,
            decision,
        } => Wire::CheckpointPublished(v1::CheckpointPublished {
            checkpoint_id: id.to_string(),
            epoch: *epoch,
            sequence: decision.sequence,
            promotion: Some(promotion(*id, decision)),
        }),
        Event::Publishing(waiting) => Wire::PublishingChanged(v1::PublishingChanged {
            publishing: waiting.as_ref().map(publishing),
        }),
        Event::Finished {
            state: end,
            error,
            test,
        } => Wire::Finished(v1::JobFinished {
            state: state(*end).into(),
            error: error.clone(),
            test: test.as_ref().map(evaluation),
        }),
    };
    v1::WatchJobResponse {
        sequence,
        at: Some(timestamp(at_us)),
        event: Some(event),
    }
}

/// The event of an encoded message of WatchJob.
///
/// # Errors
/// [`WireError`] where the bytes are not such a message.
pub fn event_from(bytes: &[u8]) -> Result<Event, WireError> {
    use v1::watch_job_response::Event as Wire;
    let message = v1::WatchJobResponse::decode(bytes)?;
    Ok(match message.event.ok_or(WireError::Missing("event"))? {
        Wire::StateChanged(changed) => Event::StateChanged {
            state: state_back(changed.state)?,
            device: changed.device,
            reason: changed.reason,
        },
        Wire::Row(new) => Event::Row(row_back(&new)?),
        Wire::CheckpointPublished(published) => Event::CheckpointPublished {
            id: published
                .checkpoint_id
                .parse()
                .map_err(|_| WireError::Missing("checkpoint_id"))?,
            epoch: published.epoch,
            decision: match published.promotion {
                Some(message) => decision(message).map_err(|_| WireError::Missing("promotion"))?,
                // Of an earlier version.
                None => Decision {
                    sequence: published.sequence,
                    ..Decision::default()
                },
            },
        },
        Wire::PublishingChanged(changed) => {
            Event::Publishing(changed.publishing.map(publishing_back))
        }
        Wire::Finished(finished) => Event::Finished {
            state: state_back(finished.state)?,
            error: finished.error,
            test: finished.test.as_ref().map(evaluation_back),
        },
        // Never stored.
        Wire::Heartbeat(_) => return Err(WireError::Missing("event")),
    })
}

fn state_back(number: i32) -> Result<JobState, WireError> {
    JobState::from_number(number).ok_or(WireError::Missing("state"))
}

/// Bytes of an evaluation for the database.
#[must_use]
pub fn evaluation_bytes(from: &Evaluation) -> Vec<u8> {
    evaluation(from).encode_to_vec()
}

/// The evaluation of [`evaluation_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes.
pub fn evaluation_from(bytes: &[u8]) -> Result<Evaluation, WireError> {
    Ok(evaluation_back(&v1::Evaluation::decode(bytes)?))
}

/// Bytes of the decision about a checkpoint's promotion for the database.
#[must_use]
pub fn decision_bytes(id: CheckpointId, from: &Decision) -> Vec<u8> {
    promotion(id, from).encode_to_vec()
}

/// The decision of [`decision_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes.
pub fn decision_from(bytes: &[u8]) -> Result<Decision, WireError> {
    let message = v1::PromotionDecision::decode(bytes)?;
    decision(message).map_err(|_| WireError::Missing("promotion"))
}

/// Bytes of a row for the database.
#[must_use]
pub fn row_bytes(from: &CurveRow) -> Vec<u8> {
    row(from).encode_to_vec()
}

/// The row of [`row_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes.
pub fn row_from(bytes: &[u8]) -> Result<CurveRow, WireError> {
    row_back(&v1::CurveRow::decode(bytes)?)
}

/// Bytes of a network's numbers for the database.
#[must_use]
pub fn network_bytes(from: &NetworkSize) -> Vec<u8> {
    network(from).encode_to_vec()
}

/// The numbers of [`network_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes.
pub fn network_from(bytes: &[u8]) -> Result<NetworkSize, WireError> {
    let from = v1::NetworkSize::decode(bytes)?;
    Ok(NetworkSize {
        parameters: from.parameters,
        parameter_bytes: from.parameter_bytes,
        multiply_adds: from.multiply_adds,
        activation_bytes: from.activation_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::serving::NotPromoted;

    #[test]
    fn events_are_read_back() {
        let evaluation = Evaluation {
            images: 10,
            correct: 5,
            loss: 0.5,
            loss_batch_mean: 0.25,
            batch_size: 5,
        };
        let row = CurveRow {
            at_us: 5,
            step: 7,
            epoch: 1,
            step_in_epoch: 7,
            train_loss: 2.5,
            validation: evaluation,
            learning_rate: 0.1,
            samples_per_second: 1e6,
        };
        for from in [
            Event::StateChanged {
                state: JobState::Running,
                device: "cpu".to_owned(),
                reason: "no room".to_owned(),
            },
            Event::Row(row),
            Event::CheckpointPublished {
                id: CheckpointId::generate(),
                epoch: 2,
                decision: Decision {
                    not_promoted: Some(NotPromoted::Hold),
                    ..Decision::default()
                },
            },
            Event::Publishing(None),
            Event::Publishing(Some(Publishing {
                epoch: 3,
                reason: "the storage is full".to_owned(),
                since_us: 5,
                until_us: 6,
                failed_attempts: 2,
            })),
            Event::Finished {
                state: JobState::Succeeded,
                error: String::new(),
                test: Some(evaluation),
            },
        ] {
            let bytes = event(1, 2, &from).encode_to_vec();
            assert_eq!(event_from(&bytes).expect("read"), from);
        }
        assert!(event_from(&[]).is_err(), "a message without an event");
    }

    #[test]
    fn states_have_their_numbers_on_the_wire() {
        for from in JobState::ALL {
            assert_eq!(i32::from(state(from)), from.number());
        }
    }
}
