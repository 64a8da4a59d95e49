//! The events of a training job: its hyperparameters, each row of its curves, and how it ended.

use crate::{
    event::{Moment, scalars, session},
    messages::{Event, Session, SessionEndInfo, SessionStartInfo},
};
use digits_proto::{
    json,
    v1::{CurveRow, Job, JobState},
};
use prost_types::{Timestamp, Value as Scalar, value::Kind};
use serde_json::Value;
use std::collections::BTreeMap;

const SUCCESS: i32 = 1;
const FAILURE: i32 = 2;

/// The hyperparameters of a job: the fields of its resolved spec, with dots between their names.
#[must_use]
pub fn started(job: &Job) -> Event {
    let spec = job.resolved.as_ref().or(job.requested.as_ref());
    let mut hparams = BTreeMap::new();
    if let Some(spec) = spec {
        flatten("", &json::display(spec), &mut hparams);
    }
    let seconds = seconds(job.started_at.as_ref().or(job.created_at.as_ref()));
    let start = SessionStartInfo {
        hparams,
        group_name: job.job_id.clone(),
        start_time_secs: seconds,
    };
    let at = Moment { step: 0, seconds };
    session(at, "_hparams_/session_start_info", Session::Start(start))
}

/// A row of a job's curves.
#[must_use]
pub fn curve(row: &CurveRow) -> Event {
    let at = Moment {
        step: row.step,
        seconds: seconds(row.at.as_ref()),
    };
    let mut values = vec![
        ("loss/train", row.train_loss),
        ("learning_rate", row.learning_rate),
        ("samples_per_second", row.samples_per_second),
    ];
    if let Some(validation) = &row.validation {
        values.push(("loss/validation", validation.loss));
        values.push(("accuracy/validation", validation.accuracy));
    }
    scalars(at, &values)
}

/// How a job ended, with its result on the test set; nothing for one that has not ended.
#[must_use]
pub fn finished(job: &Job) -> Vec<Event> {
    let at = Moment {
        step: job.progress.as_ref().map_or(0, |progress| progress.step),
        seconds: seconds(job.finished_at.as_ref()),
    };
    let status = match job.state() {
        JobState::Succeeded => SUCCESS,
        JobState::Failed | JobState::Cancelled => FAILURE,
        JobState::Unspecified | JobState::Queued | JobState::Running => return Vec::new(),
    };
    let test = job.test.as_ref().map(|test| {
        let values = [("loss/test", test.loss), ("accuracy/test", test.accuracy)];
        scalars(at, &values)
    });
    let end = SessionEndInfo {
        status,
        end_time_secs: at.seconds,
    };
    let end = session(at, "_hparams_/session_end_info", Session::End(end));
    test.into_iter().chain([end]).collect()
}

/// Seconds since 1970, 0 where there is no time.
#[must_use]
pub fn seconds(time: Option<&Timestamp>) -> f64 {
    time.map_or(0.0, |time| {
        time.seconds as f64 + f64::from(time.nanos) / 1e9
    })
}

/// Numbers, truth values and texts of a JSON document by path; a list becomes a text.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Scalar>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(&path, field, into);
            }
            return;
        }
        Value::Null => return,
        Value::Bool(truth) => Kind::BoolValue(*truth),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) if text.is_empty() => return,
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(_) => Kind::StringValue(value.to_string()),
    };
    into.insert(path.to_owned(), Scalar { kind: Some(kind) });
}
