//! What happens to jobs and checkpoints, as CloudEvents 1.0 in JSON (structured mode).
//!
//! An event's id follows from what it is about, so that two notifications of the same thing have the
//! same id. It has no full stop, which separates the parts of what is signed.

use crate::job::{JobId, JobOutcome, now_us};
use digits_checkpoint::{
    id::{CheckpointId, ModelName},
    manifest::Manifest,
    messages::{promotion, serving_record},
    record::ServingRecord,
    serving::{Decision, NotPromoted},
};
use digits_proto::{
    json,
    v1::{self, JobSpec},
};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::{Value, json};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvent {
    /// Its id.
    pub id: String,
    /// The event, encoded.
    pub body: String,
}

/// What events about a job have in common.
pub struct JobSubject {
    id: JobId,
    spec: JobSpec,
}

/// A checkpoint that a job published.
pub struct Publication<'a> {
    /// The checkpoint.
    pub id: CheckpointId,
    /// Epoch after which it was taken.
    pub epoch: u32,
    /// Steps done.
    pub step: u64,
    /// Digest of `model.safetensors`.
    pub weights_sha256: &'a str,
    /// Decision about its promotion.
    pub decision: &'a Decision,
}

/// A job has ended.
#[must_use]
pub fn job_ended(job: &JobSubject, outcome: &JobOutcome) -> CloudEvent {
    let message = v1::JobFinished {
        state: outcome.state.number(),
        error: outcome.error.clone(),
        test: outcome
            .test
            .as_ref()
            .map(digits_checkpoint::messages::evaluation),
    };
    let data = merged(job.fields(), json::display(&message));
    event("job.ended", &job.id.to_string(), "ended", data)
}

/// A job has published a checkpoint: with what came of its promotion, unless nobody expects one.
#[must_use]
pub fn published(job: &JobSubject, publication: &Publication<'_>) -> Vec<CloudEvent> {
    let (id, decision) = (publication.id.to_string(), publication.decision);
    let about = json!({
        "checkpoint_id": id,
        "epoch": publication.epoch,
        "step": publication.step,
        "weights_sha256": publication.weights_sha256,
        "promotion": json::display(&promotion(publication.id, decision)),
    });
    let data = merged(job.fields(), about);
    let mut events = vec![event(
        "checkpoint.published",
        &id,
        "published",
        data.clone(),
    )];
    if decision.sequence > 0 {
        let suffix = format!("promoted-{}", decision.sequence);
        events.push(event("checkpoint.promoted", &id, &suffix, data));
    } else if decision
        .not_promoted
        .is_some_and(|reason| reason != NotPromoted::Manual)
    {
        events.push(event("checkpoint.refused", &id, "refused", data));
    }
    events
}

/// A checkpoint was imported.
#[must_use]
pub fn imported(manifest: &Manifest) -> CloudEvent {
    let id = manifest.id.to_string();
    let data = json!({
        "checkpoint_id": id,
        "model": manifest.model.to_string(),
        "weights_sha256": manifest.files.model.sha256,
    });
    event("checkpoint.published", &id, "published", data)
}

/// Change of what is served that a client made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A checkpoint was promoted.
    Promoted(CheckpointId),
    /// An earlier record serves again.
    RolledBack,
}

/// A client has changed what is served; nothing for a record without a checkpoint.
#[must_use]
pub fn served(model: &ModelName, change: Change, record: &ServingRecord) -> Option<CloudEvent> {
    let sequence = record.sequence;
    let (kind, name, id) = match change {
        Change::Promoted(id) => ("checkpoint.promoted", "promoted", id),
        Change::RolledBack => ("checkpoint.rolled_back", "rolled-back", record.primary()?),
    };
    let id = id.to_string();
    let data = json!({
        "checkpoint_id": id,
        "model": model.to_string(),
        "record": json::display(&serving_record(record)),
    });
    Some(event(kind, &id, &format!("{name}-{sequence}"), data))
}

impl JobSubject {
    /// A job with its resolved spec, encoded.
    #[must_use]
    pub fn new(id: JobId, spec: &[u8]) -> Self {
        // A spec that this version cannot read is no reason to hold back what happened to the job.
        let spec = JobSpec::decode(spec).unwrap_or_default();
        Self { id, spec }
    }

    fn fields(&self) -> Value {
        json!({
            "job_id": self.id.to_string(),
            "name": self.spec.name,
            "model": self.spec.model(),
            "labels": self.spec.labels,
        })
    }
}

/// An object with the fields of two.
fn merged(mut fields: Value, more: Value) -> Value {
    if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

fn event(kind: &str, subject: &str, suffix: &str, data: Value) -> CloudEvent {
    let id = format!("{subject}-{suffix}");
    let time = Timestamp::from_microsecond(now_us()).unwrap_or_default();
    let body = json!({
        "specversion": "1.0",
        "id": id,
        "source": "digits-trainer",
        "type": format!("digits.v1.{kind}"),
        "subject": subject,
        "time": time.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    });
    CloudEvent {
        id,
        body: body.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobSubject {
        JobSubject {
            id: JobId::generate(),
            spec: JobSpec {
                name: "night run".to_owned(),
                model: Some("digits".to_owned()),
                ..JobSpec::default()
            },
        }
    }

    fn types(decision: &Decision) -> Vec<String> {
        let publication = Publication {
            id: CheckpointId::generate(),
            epoch: 2,
            step: 10,
            weights_sha256: "ab",
            decision,
        };
        let events = published(&job(), &publication);
        let parsed = events.iter().map(|event| {
            let value: Value = serde_json::from_str(&event.body).expect("JSON");
            assert_eq!(value["id"], *event.id);
            assert!(!event.id.contains('.'), "{}", event.id);
            assert_eq!(value["data"]["epoch"], 2);
            assert_eq!(value["data"]["model"], "digits");
            value["type"].as_str().expect("a type").to_owned()
        });
        parsed.collect()
    }

    #[test]
    fn a_publication_is_followed_by_what_came_of_its_promotion() {
        let refused = |reason| Decision {
            not_promoted: Some(reason),
            ..Decision::default()
        };
        let promoted = Decision {
            sequence: 4,
            ..Decision::default()
        };
        let (published, refusal) = (
            "digits.v1.checkpoint.published",
            "digits.v1.checkpoint.refused",
        );
        assert_eq!(
            types(&promoted),
            [published, "digits.v1.checkpoint.promoted"]
        );
        assert_eq!(types(&refused(NotPromoted::Guard)), [published, refusal]);
        assert_eq!(types(&refused(NotPromoted::Manual)), [published]);
    }

    #[test]
    fn the_end_of_a_job_has_its_state_and_error() {
        let job = job();
        let event = job_ended(&job, &JobOutcome::failed("no disk".to_owned()));
        let value: Value = serde_json::from_str(&event.body).expect("JSON");
        assert_eq!(event.id, format!("{}-ended", job.id));
        assert_eq!(value["type"], "digits.v1.job.ended");
        assert_eq!(value["data"]["name"], "night run");
        assert_eq!(value["data"]["state"], "JOB_STATE_FAILED");
        assert_eq!(value["data"]["error"], "no disk");
        assert!(value["time"].as_str().expect("a time").ends_with('Z'));
    }
}
