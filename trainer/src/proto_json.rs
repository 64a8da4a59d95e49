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

/// The message `name` (such as `digits.v1.Job`) with the names of its fields as the .proto has them.
///
/// # Panics
/// When `message` is not of that name.
#[must_use]
pub fn write(name: &str, message: &impl Message) -> Value {
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor(name), bytes.as_slice())
        .expect("what was just encoded decodes");
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .expect("messages of the contract have a JSON form")
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
    use digits_proto::v1::{JobSpec, Sgd, job_spec::Optimizer};

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
        assert_eq!(read(NAME, &write(NAME, &spec).to_string()), Ok(spec));
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
