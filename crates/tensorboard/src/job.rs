//! The events of a training job: its hyperparameters, each row of its curves, and how it ended.

use crate::{
    event::{Moment, scalars, session},
    messages::{Event, Session, SessionEndInfo, SessionStartInfo},
};
use digits_proto::{
    json,
    v1::{CurveRow, Job, JobSpec, JobState},
};
use prost_types::{Timestamp, Value as Scalar, value::Kind};
use serde_json::Value;

const SUCCESS: i32 = 1;
const FAILURE: i32 = 2;

/// The name of a job's run, which is that of its folder: the name of the job or of its preset, and
/// the job's id.
#[must_use]
pub fn run_name(job: &Job) -> String {
    let name = spec(job).map_or("", |spec| match &*spec.name {
        "" => &spec.preset,
        name => name,
    });
    format!("{}-{}", plain(name), plain(&job.job_id))
}

/// The hyperparameters of a job: the fields of its resolved spec, with dots between their names.
#[must_use]
pub fn started(job: &Job) -> Event {
    let hparams = spec(job).map(json::flat).unwrap_or_default();
    let hparams = hparams.into_iter();
    let hparams = hparams.map(|(name, value)| (name, scalar(value))).collect();
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

fn spec(job: &Job) -> Option<&JobSpec> {
    job.resolved.as_ref().or(job.requested.as_ref())
}

/// A value of the spec; a list becomes a text.
fn scalar(value: Value) -> Scalar {
    let kind = match value {
        Value::Bool(truth) => Kind::BoolValue(truth),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        value => Kind::StringValue(value.to_string()),
    };
    Scalar { kind: Some(kind) }
}

/// A part of a file name, without separators, and so short that two fit.
fn plain(text: &str) -> String {
    const MAX_BYTES: usize = 100;
    let text = &text[..text.floor_char_boundary(MAX_BYTES)];
    let letters = text.chars().map(|letter| match letter {
        '-' | '_' | '.' => letter,
        letter if letter.is_alphanumeric() => letter,
        _ => '-',
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_by_job_and_cannot_leave_the_folder() {
        for (given, preset, expected) in [
            ("my first", "fast", "my-first-7"),
            ("", "fast", "fast-7"),
            ("../../etc", "fast", "..-..-etc-7"),
            ("épreuve/2", "fast", "épreuve-2-7"),
        ] {
            let spec = JobSpec {
                name: given.to_owned(),
                preset: preset.to_owned(),
                ..JobSpec::default()
            };
            let job = Job {
                job_id: "7".to_owned(),
                resolved: Some(spec),
                ..Job::default()
            };
            assert_eq!(run_name(&job), expected);
        }
        let job = Job {
            job_id: "x/../../../etc".to_owned(),
            resolved: Some(JobSpec {
                name: "é".repeat(127),
                ..JobSpec::default()
            }),
            ..Job::default()
        };
        assert_eq!(run_name(&job), format!("{}-x-..-..-..-etc", "é".repeat(50)));
    }
}
