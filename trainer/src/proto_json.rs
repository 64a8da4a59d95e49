//! Messages of the contract as protobuf-JSON, and back.

use digits_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

fn descriptor(name: &str) -> MessageDescriptor {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET)
        .ok()
        .and_then(|pool| pool.get_message_by_name(name))
        .expect("the descriptors are part of the program")
}

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

/// The message `name` (such as `digits.v1.Job`) with the names of its fields as the .proto has them.
///
/// # Errors
/// [`NoJsonForm`] when a value is beyond what protobuf's JSON allows.
///
/// # Panics
/// When `message` is not of that name.
pub fn write(name: &str, message: &impl Message) -> Result<Value, NoJsonForm> {
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor(name), bytes.as_slice())
        .expect("what was just encoded decodes");
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| NoJsonForm {
            name: name.to_owned(),
            reason: error.to_string(),
        })
}

/// The message `name` of protobuf-JSON; a field that it does not have is an error.
///
/// # Errors
/// What is wrong, with line and column.
pub fn read<M: Message + Default>(name: &str, text: &str) -> Result<M, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize(descriptor(name), &mut json)
        .and_then(|message| json.end().map(|()| message))
        .map_err(|error| error.to_string())?;
    M::decode(message.encode_to_vec().as_slice()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_proto::v1::{JobSpec, LimitsSpec, Sgd, job_spec::Optimizer};

    const NAME: &str = "digits.v1.JobSpec";

    #[test]
    fn a_spec_in_json() {
        let text = r#"{"preset": "fast", "epochs": 3, "batchSize": 7, "sgd": {"learning_rate": 0.5}, "seed": "4"}"#;
        let spec: JobSpec = read(NAME, text).expect("a spec");
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
        let written = write(NAME, &spec).expect("written");
        assert_eq!(read(NAME, &written.to_string()), Ok(spec));
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
        let error = write(NAME, &spec).expect_err("no JSON form").to_string();
        assert_eq!(
            error,
            "digits.v1.JobSpec has no JSON form: duration out of range"
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("", "EOF"),
            (r#"{"epoch": 3}"#, "epoch"),
            (r#"{"epochs": "many"}"#, "line 1"),
            (r#"{"epochs": 1} {}"#, "trailing"),
            ("[]", "line 1"),
        ] {
            let error = read::<JobSpec>(NAME, text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
