//! Counts the values of an encoded message, and the bytes that decoding has to look at, without
//! decoding them (<https://protobuf.dev/programming-guides/encoding/>).

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::{Message as _, decode_length_delimiter as decode_varint};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::FILE_DESCRIPTOR_SET;

/// Depth at which messages are not looked into any more; the decoder refuses deeper ones.
const MAX_DEPTH: usize = 100;

/// Wire types; the others begin and end groups.
const VARINT: usize = 0;
const FIXED_64: usize = 1;
const LENGTH_DELIMITED: usize = 2;
const FIXED_32: usize = 5;

static SCHEMAS: LazyLock<HashMap<String, Schema>> = LazyLock::new(schemas);

/// The fields of a message type that are messages themselves or byte strings, by their numbers.
#[derive(Debug)]
pub(super) struct Schema(HashMap<usize, Field>);

#[derive(Debug)]
enum Field {
    /// A message of this type.
    Message(String),
    /// Bytes, which are not looked into.
    Bytes,
}

impl Schema {
    /// The schema of a message of this crate, by its full name.
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        SCHEMAS.get(name)
    }
}

fn schemas() -> HashMap<String, Schema> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default();
    let mut schemas = HashMap::new();
    for file in &files.file {
        for message in &file.message_type {
            add(&mut schemas, file.package(), message);
        }
    }
    schemas
}

fn add(schemas: &mut HashMap<String, Schema>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        add(schemas, &name, nested);
    }
    let fields = message.field.iter().filter_map(|field| {
        let number = usize::try_from(field.number()).unwrap_or_default();
        match field.r#type() {
            Type::Message => {
                let name = field.type_name().trim_start_matches('.').to_owned();
                Some((number, Field::Message(name)))
            }
            Type::Bytes => Some((number, Field::Bytes)),
            _ => None,
        }
    });
    let schema = Schema(fields.collect());
    schemas.insert(name, schema);
}

/// What decoding a message has to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Length-delimited values: messages, strings, byte strings and packed lists.
    values: usize,
    /// Bytes of byte strings, which are taken over as they are.
    bytes: usize,
}

impl Work {
    /// The work of decoding a message; `None` if it holds more than `max` values. Counts up to the
    /// first malformed field, at which the decoder stops as well.
    pub(super) fn of(max: usize, encoded: &[u8], schema: Option<&Schema>) -> Option<Self> {
        let mut work = Self::default();
        work.add(max, encoded, schema, 0).map(|()| work)
    }

    /// Bytes of a message of `length` bytes that are looked at.
    pub(super) fn parsed(&self, length: usize) -> usize {
        length.saturating_sub(self.bytes)
    }

    fn add(
        &mut self,
        max: usize,
        mut encoded: &[u8],
        schema: Option<&Schema>,
        depth: usize,
    ) -> Option<()> {
        while let Ok(key) = decode_varint(&mut encoded) {
            let length = match key & 7 {
                VARINT => {
                    let value = decode_varint(&mut encoded);
                    value.map(|_| 0)
                }
                FIXED_64 => Ok(8),
                FIXED_32 => Ok(4),
                LENGTH_DELIMITED => decode_varint(&mut encoded),
                // The fields of a group, which no message has, are counted like those around it.
                _ => Ok(0),
            };
            let split = length.ok().map(|length| encoded.split_at_checked(length));
            let Some((value, rest)) = split.flatten() else {
                return Some(());
            };
            encoded = rest;
            if key & 7 != LENGTH_DELIMITED {
                continue;
            }
            self.values += 1;
            if self.values > max {
                return None;
            }
            match schema.and_then(|schema| schema.0.get(&(key >> 3))) {
                Some(Field::Message(name)) if depth < MAX_DEPTH => {
                    self.add(max, value, Schema::of(name), depth + 1)?;
                }
                Some(Field::Bytes) => self.bytes += value.len(),
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open_inference::model_infer_request::InferInputTensor;
    use crate::open_inference::{InferParameter, ModelInferRequest};
    use crate::v1::PredictRequest;
    use prost::Name;

    fn work<M: prost::Message + Name>(message: &M) -> Work {
        let schema = Schema::of(&M::full_name());
        Work::of(1_000, &message.encode_to_vec(), schema).expect("few values")
    }

    fn exceeds(max: usize, encoded: &[u8], schema: Option<&Schema>) -> bool {
        Work::of(max, encoded, schema).is_none()
    }

    #[test]
    fn values_are_counted_at_every_depth() {
        let parameter = |name: &str| (name.to_owned(), InferParameter::default());
        let input = InferInputTensor {
            name: "images".to_owned(),
            shape: vec![1, 784],
            parameters: [parameter("a"), parameter("b")].into(),
            ..InferInputTensor::default()
        };
        let request = ModelInferRequest {
            inputs: vec![input, InferInputTensor::default()],
            ..ModelInferRequest::default()
        };
        // Both inputs, one name, one list of sizes, and of each parameter the entry and its key.
        assert_eq!(work(&request).values, 8);
        assert!(exceeds(
            7,
            &request.encode_to_vec(),
            Schema::of(&ModelInferRequest::full_name())
        ));
    }

    #[test]
    fn fields_within_groups_are_counted() {
        let schema = Schema::of(&ModelInferRequest::full_name());
        let group = [0x0b, 0x2a, 0x00, 0x2a, 0x00, 0x0c];
        assert!(exceeds(1, &group, schema) && !exceeds(2, &group, schema));
    }

    #[test]
    fn bytes_are_not_looked_into() {
        // Bytes that would be 500 empty fields.
        let pixels = [0x0a, 0x00].repeat(500);
        let request = ModelInferRequest {
            raw_input_contents: vec![pixels.into()],
            ..ModelInferRequest::default()
        };
        assert_eq!(work(&request).values, 1);
        // The field's key and its length.
        assert_eq!(work(&request).parsed(request.encoded_len()), 3);
    }

    #[test]
    fn a_malformed_message_is_counted_up_to_its_fault() {
        let schema = Schema::of(&PredictRequest::full_name());
        for encoded in [&[0x0a][..], &[0x0a, 0x05, 0x00], &[0xff; 20]] {
            assert!(!exceeds(0, encoded, schema), "{encoded:?}");
        }
        assert!(exceeds(1, &[0x0a, 0x00, 0x0a, 0x00, 0x0a, 0x05], schema));
    }
}
