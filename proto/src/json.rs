//! Messages as JSON and back, by reflection on the descriptors.
//!
//! Both forms are protobuf's JSON mapping with the field names of the `.proto` files: enums by
//! name, times in RFC 3339, bytes in base64. [`write()`] is the form of files: default values are
//! left out, 64-bit integers are strings. [`display`] is the form of output: every field is
//! present, and integers are numbers.

use crate::FILE_DESCRIPTOR_SET;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use std::{collections::BTreeMap, sync::LazyLock};

/// The descriptors of all `.proto` files.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are part of the program")
});

/// A message that protobuf's JSON cannot express, such as one with a duration of more than 10,000
/// years.
#[derive(Debug, thiserror::Error)]
#[error("{name} has no JSON form: {reason}")]
pub struct NoJsonForm {
    /// Full name of the message.
    pub name: String,
    /// What is wrong in it.
    pub reason: String,
}

/// Text that is not the JSON form of the message: what is wrong, with line and column.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

/// A message in the form of files.
///
/// # Errors
/// [`NoJsonForm`] when a value is beyond what protobuf's JSON allows.
pub fn write<M: Message + Name>(message: &M) -> Result<Value, NoJsonForm> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    dynamic(message)
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| NoJsonForm {
            name: M::full_name(),
            reason: error.to_string(),
        })
}

/// A message of its JSON form; a field that it does not have is an error.
///
/// # Errors
/// [`InvalidJson`].
pub fn read<M: Message + Name + Default>(text: &str) -> Result<M, InvalidJson> {
    let mut json = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor::<M>(), &mut json)
        .and_then(|message| json.end().map(|()| message))
        .map_err(|error| InvalidJson(error.to_string()))?;
    M::decode(message.encode_to_vec().as_slice()).map_err(|error| InvalidJson(error.to_string()))
}

/// A message of a service in the form of output.
///
/// # Panics
/// When a value is beyond what protobuf's JSON allows, which the services do not send.
#[must_use]
pub fn display<M: Message + Name>(message: &M) -> Value {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let mut text = Vec::new();
    // Through text, so that a float32 keeps its shortest form.
    dynamic(message)
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .expect("messages of the services have a JSON form");
    serde_json::from_slice(&text).expect("what was just written is JSON")
}

/// Messages as a JSON array, each as by [`display`].
#[must_use]
pub fn display_all<M: Message + Name>(messages: &[M]) -> Value {
    Value::Array(messages.iter().map(display).collect())
}

/// The fields of a message by path, with dots between the names: numbers, truth values and texts,
/// and each list as one value. Fields without a value and empty texts are left out.
///
/// # Panics
/// As [`display`].
#[must_use]
pub fn flat<M: Message + Name>(message: &M) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    flatten("", display(message), &mut found);
    found
}

fn flatten(path: &str, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = match path {
                    "" => name,
                    path => format!("{path}.{name}"),
                };
                flatten(&path, field, into);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        value => {
            into.insert(path.to_owned(), value);
        }
    }
}

fn dynamic<M: Message + Name>(message: &M) -> DynamicMessage {
    DynamicMessage::decode(descriptor::<M>(), message.encode_to_vec().as_slice())
        .expect("what was just encoded decodes")
}

fn descriptor<M: Name>() -> MessageDescriptor {
    DESCRIPTORS
        .get_message_by_name(&M::full_name())
        .expect("every generated message is in the descriptors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{self, CurveRow, JobSpec, LimitsSpec, Prediction, Sgd, job_spec::Optimizer};
    use serde_json::json;

    #[test]
    fn a_row_is_displayed_with_all_of_its_fields() {
        let row = CurveRow {
            step: 101,
            epoch: 1,
            step_in_epoch: 101,
            at: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 500_000_000,
            }),
            train_loss: 2.25,
            ..Default::default()
        };
        assert_eq!(
            display(&row),
            json!({"step": 101, "epoch": 1, "step_in_epoch": 101, "at": "1970-01-01T00:00:01.500Z",
                   "train_loss": 2.25, "learning_rate": 0.0, "samples_per_second": 0.0})
        );
    }

    #[test]
    fn single_precision_is_displayed_in_its_shortest_form() {
        let prediction = Prediction {
            probabilities: vec![0.1],
            verdict: 1,
            ..Default::default()
        };
        let value = display(&prediction);
        assert_eq!(value["probabilities"].to_string(), "[0.1]");
        assert_eq!(value["verdict"], "VERDICT_LABEL");
    }

    #[test]
    fn every_message_that_is_displayed_is_in_the_descriptors() {
        let _ = display(&v1::Checkpoint::default());
        let _ = display(&v1::Dataset::default());
        let _ = display(&v1::Evaluation::default());
        let _ = display(&v1::GetHistoryResponse::default());
        let _ = display(&v1::GetModelResponse::default());
        let _ = display(&v1::Job::default());
        let _ = display(&v1::JobFinished::default());
        let _ = display(&v1::PredictResponse::default());
        let _ = display(&v1::Preset::default());
        let _ = display(&v1::ReportCheckpointResponse::default());
        let _ = display(&v1::ServedBy::default());
        let _ = display(&v1::ServingRecord::default());
        let _ = display(&v1::WatchJobResponse::default());
    }

    #[test]
    fn a_spec_in_json_is_read_and_written() {
        let text = r#"{"preset": "fast", "epochs": 3, "batchSize": 7, "sgd": {"learning_rate": 0.5}, "seed": "4"}"#;
        let spec: JobSpec = read(text).expect("a spec");
        let expected = JobSpec {
            preset: "fast".to_owned(),
            epochs: Some(3),
            batch_size: Some(7),
            seed: Some(4),
            optimizer: Some(Optimizer::Sgd(Sgd {
                learning_rate: Some(0.5),
                ..Sgd::default()
            })),
            ..JobSpec::default()
        };
        assert_eq!(spec, expected);
        let written = write(&spec).expect("written");
        assert_eq!(read(&written.to_string()), Ok(spec));
    }

    #[test]
    fn fields_are_found_by_path() {
        let spec = JobSpec {
            preset: "fast".to_owned(),
            epochs: Some(3),
            labels: [("team".to_owned(), "a".to_owned())].into(),
            optimizer: Some(Optimizer::Sgd(Sgd {
                learning_rate: Some(0.5),
                ..Sgd::default()
            })),
            ..JobSpec::default()
        };
        let fields = flat(&spec);
        assert_eq!(fields["sgd.learning_rate"], 0.5);
        assert_eq!(fields["labels.team"], "a");
        assert!(!fields.contains_key("name"), "{fields:?}");
    }

    #[test]
    fn a_message_without_a_json_form_is_an_error() {
        let deadline = Some(prost_types::Duration {
            seconds: i64::MAX,
            nanos: 0,
        });
        let spec = JobSpec {
            limits: Some(LimitsSpec { deadline }),
            ..JobSpec::default()
        };
        let error = write(&spec).expect_err("no JSON form").to_string();
        assert_eq!(
            error,
            "digits.v1.JobSpec has no JSON form: duration out of range"
        );
    }

    #[test]
    fn invalid_json_is_refused_with_its_place() {
        for (text, part) in [
            ("", "EOF"),
            (r#"{"epoch": 3}"#, "epoch"),
            (r#"{"epochs": "many"}"#, "line 1"),
            (r#"{"epochs": 1} {}"#, "trailing"),
            ("[]", "line 1"),
        ] {
            let error = read::<JobSpec>(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
