//! Reports of attempts as protobuf messages, as they are below `runs/` on the storage.
//!
//! Tags are a contract between versions: fields are added, never changed.

use super::{WireError, evaluation_back, micros_of, row, row_back, state_back};
use crate::{
    attempt::{AttemptReport, BundleReport, DraftReport, Report, TrainingFacts, WorkerEnd},
    job::JobOutcome,
};
use digits_checkpoint::messages::evaluation;
use digits_proto::v1;
use prost::Message;
use std::time::Duration;

#[derive(Clone, PartialEq, Message)]
struct ReportMessage {
    #[prost(uint64, tag = "1")]
    spent_us: u64,
    #[prost(uint64, tag = "2")]
    step: u64,
    #[prost(oneof = "ReportContent", tags = "3, 4, 5, 6, 7, 8, 9, 10")]
    content: Option<ReportContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum ReportContent {
    #[prost(message, tag = "3")]
    Opened(OpenedMessage),
    #[prost(message, tag = "4")]
    Began(BeganMessage),
    #[prost(message, tag = "5")]
    Started(StartedMessage),
    #[prost(message, tag = "6")]
    Rows(RowsMessage),
    #[prost(message, tag = "7")]
    Progress(ProgressMessage),
    #[prost(message, tag = "8")]
    Checkpoint(DraftMessage),
    #[prost(message, tag = "9")]
    Bundle(BundleMessage),
    #[prost(message, tag = "10")]
    Ended(EndedMessage),
}

#[derive(Clone, PartialEq, Eq, Message)]
struct OpenedMessage {
    #[prost(string, tag = "1")]
    nonce: String,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct BeganMessage {
    #[prost(string, tag = "1")]
    device: String,
    #[prost(string, tag = "2")]
    dataset_digest: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct StartedMessage {
    #[prost(uint64, tag = "1")]
    steps: u64,
    #[prost(uint64, tag = "2")]
    steps_per_epoch: u64,
    #[prost(uint64, tag = "3")]
    train_images: u64,
    #[prost(uint64, tag = "4")]
    steps_done: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RowsMessage {
    #[prost(message, repeated, tag = "1")]
    rows: Vec<v1::CurveRow>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct ProgressMessage {}

#[derive(Clone, PartialEq, Eq, Message)]
struct DraftMessage {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint32, tag = "2")]
    epoch: u32,
    #[prost(uint64, tag = "3")]
    step: u64,
    #[prost(string, tag = "4")]
    weights_sha256: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct BundleMessage {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(uint64, tag = "2")]
    step: u64,
    #[prost(uint64, tag = "3")]
    elapsed_us: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EndedMessage {
    #[prost(message, optional, tag = "1")]
    outcome: Option<OutcomeMessage>,
    #[prost(bool, tag = "2")]
    loss_not_finite: bool,
    #[prost(bool, tag = "3")]
    stopped: bool,
}

#[derive(Clone, PartialEq, Message)]
struct OutcomeMessage {
    #[prost(int32, tag = "1")]
    state: i32,
    #[prost(string, tag = "2")]
    error: String,
    #[prost(message, optional, tag = "3")]
    test: Option<v1::Evaluation>,
    #[prost(uint64, optional, tag = "4")]
    step: Option<u64>,
    #[prost(double, tag = "5")]
    train_seconds: f64,
    #[prost(double, tag = "6")]
    validation_seconds: f64,
}

/// Bytes of a report.
#[must_use]
pub fn report_bytes(from: &AttemptReport) -> Vec<u8> {
    use ReportContent as Wire;
    let content = match &from.report {
        Report::Opened { nonce } => Wire::Opened(OpenedMessage {
            nonce: nonce.clone(),
        }),
        Report::Began {
            device,
            dataset_digest,
        } => Wire::Began(BeganMessage {
            device: device.clone(),
            dataset_digest: dataset_digest.clone(),
        }),
        Report::Started(facts) => Wire::Started(StartedMessage {
            steps: facts.steps,
            steps_per_epoch: facts.steps_per_epoch,
            train_images: facts.train_images,
            steps_done: facts.steps_done,
        }),
        Report::Rows(rows) => Wire::Rows(RowsMessage {
            rows: rows.iter().map(row).collect(),
        }),
        Report::Progress => Wire::Progress(ProgressMessage {}),
        Report::Checkpoint(draft) => Wire::Checkpoint(DraftMessage {
            number: draft.number,
            epoch: draft.epoch,
            step: draft.step,
            weights_sha256: draft.weights_sha256.clone(),
        }),
        Report::Bundle(bundle) => Wire::Bundle(BundleMessage {
            number: bundle.number,
            step: bundle.step,
            elapsed_us: micros_of(bundle.elapsed),
        }),
        Report::Ended(end) => Wire::Ended(ended(end)),
    };
    ReportMessage {
        spent_us: micros_of(from.spent),
        step: from.step,
        content: Some(content),
    }
    .encode_to_vec()
}

fn ended(from: &WorkerEnd) -> EndedMessage {
    let (outcome, loss_not_finite, stopped) = match from {
        WorkerEnd::Stopped(outcome) => (outcome, false, true),
        WorkerEnd::Finished {
            outcome,
            loss_not_finite,
        } => (outcome, *loss_not_finite, false),
    };
    EndedMessage {
        outcome: Some(OutcomeMessage {
            state: outcome.state.number(),
            error: outcome.error.clone(),
            test: outcome.test.as_ref().map(evaluation),
            step: outcome.step,
            train_seconds: outcome.train_seconds,
            validation_seconds: outcome.validation_seconds,
        }),
        loss_not_finite,
        stopped,
    }
}

/// The report of [`report_bytes`].
///
/// # Errors
/// [`WireError`] where they are not such bytes, or the report of a newer version.
pub fn report_from(bytes: &[u8]) -> Result<AttemptReport, WireError> {
    use ReportContent as Wire;
    let message = ReportMessage::decode(bytes)?;
    let report = match message.content.ok_or(WireError::Missing("content"))? {
        Wire::Opened(opened) => Report::Opened {
            nonce: opened.nonce,
        },
        Wire::Began(began) => Report::Began {
            device: began.device,
            dataset_digest: began.dataset_digest,
        },
        Wire::Started(facts) => Report::Started(TrainingFacts {
            steps: facts.steps,
            steps_per_epoch: facts.steps_per_epoch,
            train_images: facts.train_images,
            steps_done: facts.steps_done,
        }),
        Wire::Rows(new) => Report::Rows(new.rows.iter().map(row_back).collect::<Result<_, _>>()?),
        Wire::Progress(_) => Report::Progress,
        Wire::Checkpoint(draft) => Report::Checkpoint(DraftReport {
            number: draft.number,
            epoch: draft.epoch,
            step: draft.step,
            weights_sha256: draft.weights_sha256,
        }),
        Wire::Bundle(bundle) => Report::Bundle(BundleReport {
            number: bundle.number,
            step: bundle.step,
            elapsed: Duration::from_micros(bundle.elapsed_us),
        }),
        Wire::Ended(ended) => Report::Ended(ended_back(ended)?),
    };
    Ok(AttemptReport {
        spent: Duration::from_micros(message.spent_us),
        step: message.step,
        report,
    })
}

fn ended_back(from: EndedMessage) -> Result<WorkerEnd, WireError> {
    let outcome = from.outcome.ok_or(WireError::Missing("outcome"))?;
    let outcome = JobOutcome {
        state: state_back(outcome.state)?,
        error: outcome.error,
        test: outcome.test.as_ref().map(evaluation_back),
        step: outcome.step,
        train_seconds: outcome.train_seconds,
        validation_seconds: outcome.validation_seconds,
    };
    Ok(match from.stopped {
        true => WorkerEnd::Stopped(outcome),
        false => WorkerEnd::Finished {
            outcome,
            loss_not_finite: from.loss_not_finite,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{CurveRow, JobState};
    use digits_checkpoint::manifest::Evaluation;

    fn reports() -> Vec<Report> {
        let validation = Evaluation {
            images: 10,
            correct: 5,
            loss: 0.1 + 0.2,
            loss_batch_mean: 0.25,
            batch_size: 5,
        };
        let row = CurveRow {
            at_us: 5,
            step: 7,
            epoch: 1,
            step_in_epoch: 7,
            train_loss: f64::MIN_POSITIVE,
            validation,
            learning_rate: 0.1,
            samples_per_second: 1e6,
        };
        let outcome = JobOutcome {
            test: Some(validation),
            step: Some(7),
            ..JobOutcome::failed("a reason".to_owned())
        };
        let succeeded = JobOutcome {
            state: JobState::Succeeded,
            ..JobOutcome::cancelled()
        };
        let finished = |outcome, loss_not_finite| {
            Report::Ended(WorkerEnd::Finished {
                outcome,
                loss_not_finite,
            })
        };
        vec![
            Report::Opened {
                nonce: "n".to_owned(),
            },
            Report::Began {
                device: "cpu".to_owned(),
                dataset_digest: "d".to_owned(),
            },
            Report::Started(TrainingFacts {
                steps: 4,
                steps_per_epoch: 2,
                train_images: 20,
                steps_done: 1,
            }),
            Report::Rows(vec![row.clone(), row]),
            Report::Progress,
            Report::Checkpoint(DraftReport {
                number: 1,
                epoch: 2,
                step: 3,
                weights_sha256: "w".to_owned(),
            }),
            Report::Bundle(BundleReport {
                number: 1,
                step: 2,
                elapsed: Duration::from_millis(3),
            }),
            finished(outcome, true),
            finished(succeeded, false),
            Report::Ended(WorkerEnd::Stopped(JobOutcome::cancelled())),
        ]
    }

    #[test]
    fn reports_are_read_back() {
        for report in reports() {
            let report = AttemptReport {
                spent: Duration::from_micros(5),
                step: 6,
                report,
            };
            let bytes = report_bytes(&report);
            assert_eq!(report_from(&bytes).expect("read"), report);
        }
        assert!(report_from(&[]).is_err(), "a report of a newer version");
    }

    /// The tags are a contract with workers of other versions.
    #[test]
    fn tags_keep_their_numbers() {
        let tags = reports().into_iter().map(|report| {
            let report = AttemptReport {
                spent: Duration::ZERO,
                step: 0,
                report,
            };
            report_bytes(&report)[0] >> 3
        });
        assert_eq!(tags.collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
    }
}
