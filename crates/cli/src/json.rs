//! Messages of the protocol as JSON: the names of the .proto files, defaults written out, 64-bit numbers as
//! numbers, enums by name, times in RFC 3339, bytes in base64 (the protobuf JSON mapping, but for the numbers).

use digits_proto::{FILE_DESCRIPTOR_SET, v1};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use std::sync::LazyLock;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("the descriptors are part of the program")
});

/// A message of `digits.v1` that can be printed as JSON.
pub trait Named: Message {
    /// Its full name.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident),+ $(,)?) => {
        $(impl Named for v1::$message {
            const NAME: &'static str = concat!("digits.v1.", stringify!($message));
        })+
    };
}

named!(
    Checkpoint,
    CurveRow,
    Dataset,
    Evaluation,
    GetHistoryResponse,
    GetModelResponse,
    Job,
    JobFinished,
    PredictResponse,
    Prediction,
    Preset,
    ReportCheckpointResponse,
    ServedBy,
    ServingRecord,
    WatchJobResponse,
);

/// A message as JSON.
#[must_use]
pub fn of<M: Named>(message: &M) -> Value {
    let descriptor = POOL
        .get_message_by_name(M::NAME)
        .expect("the message is in the descriptors");
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .expect("what was just encoded decodes");
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let mut text = Vec::new();
    // By way of text, so that a float32 keeps its shortest form.
    dynamic
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .expect("messages of the protocol have a JSON form");
    serde_json::from_slice(&text).expect("what was just written is JSON")
}

/// Several messages as a JSON array.
#[must_use]
pub fn all<M: Named>(messages: &[M]) -> Value {
    Value::Array(messages.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn golden_row() {
        let row = v1::CurveRow {
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
            of(&row),
            json!({"step": 101, "epoch": 1, "step_in_epoch": 101, "at": "1970-01-01T00:00:01.500Z",
                   "train_loss": 2.25, "learning_rate": 0.0, "samples_per_second": 0.0})
        );
    }

    #[test]
    fn single_precision_keeps_its_shortest_form() {
        let prediction = v1::Prediction {
            probabilities: vec![0.1],
            verdict: 1,
            ..Default::default()
        };
        let value = of(&prediction);
        assert_eq!(value["probabilities"].to_string(), "[0.1]");
        assert_eq!(value["verdict"], "VERDICT_LABEL");
    }

    #[test]
    fn every_named_message_is_in_the_descriptors() {
        let _ = of(&v1::Checkpoint::default());
        let _ = of(&v1::Dataset::default());
        let _ = of(&v1::Evaluation::default());
        let _ = of(&v1::GetHistoryResponse::default());
        let _ = of(&v1::GetModelResponse::default());
        let _ = of(&v1::Job::default());
        let _ = of(&v1::JobFinished::default());
        let _ = of(&v1::PredictResponse::default());
        let _ = of(&v1::Preset::default());
        let _ = of(&v1::ReportCheckpointResponse::default());
        let _ = of(&v1::ServedBy::default());
        let _ = of(&v1::ServingRecord::default());
        let _ = of(&v1::WatchJobResponse::default());
    }
}
