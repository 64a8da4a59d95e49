//! The messages of `digits.v1` as JSON tables for the page's scripts, generated from the
//! descriptors, so that the page and the service know the same fields.

use digits_proto::json::DESCRIPTORS;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// The tables. `messages`: full name → field number → [name, type, repeated, optional, "bool" or
/// the name of an enum]; the type is one that `wire.js` knows or the full name of a message.
/// `enums`: full name → number → name of the value.
pub(super) fn tables() -> Value {
    let is_ours = |name: &str| {
        name.starts_with("digits.v1.")
            || ["google.protobuf.Timestamp", "google.protobuf.Duration"].contains(&name)
    };
    let messages: Map<String, Value> = DESCRIPTORS
        .all_messages()
        .filter(|message| is_ours(message.full_name()))
        .map(|message| (message.full_name().to_owned(), table(&message)))
        .collect();
    let enums: Map<String, Value> = DESCRIPTORS
        .all_enums()
        .filter(|described| is_ours(described.full_name()))
        .map(|described| {
            let values = described
                .values()
                .map(|value| (value.number().to_string(), json!(value.name())));
            let values: Map<String, Value> = values.collect();
            (described.full_name().to_owned(), Value::Object(values))
        })
        .collect();
    json!({ "messages": messages, "enums": enums })
}

fn table(message: &MessageDescriptor) -> Value {
    let fields = message
        .fields()
        .map(|field| (field.number().to_string(), row(&field)));
    Value::Object(fields.collect())
}

fn row(field: &FieldDescriptor) -> Value {
    let (word, shown) = match field.kind() {
        Kind::Double => ("double".to_owned(), None),
        Kind::Float => ("float".to_owned(), None),
        Kind::String => ("string".to_owned(), None),
        Kind::Bytes => ("bytes".to_owned(), None),
        Kind::Message(message) => (message.full_name().to_owned(), None),
        Kind::Bool => ("uint".to_owned(), Some("bool".to_owned())),
        Kind::Enum(described) => ("uint".to_owned(), Some(described.full_name().to_owned())),
        _ => ("uint".to_owned(), None),
    };
    let optional = field.supports_presence();
    json!([
        field.name(),
        word,
        field.is_list() || field.is_map(),
        optional,
        shown
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_table_of_its_fields() {
        let tables = tables();
        let spec = &tables["messages"]["digits.v1.JobSpec"];
        assert_eq!(spec["1"], json!(["preset", "string", false, false, null]));
        assert_eq!(
            spec["3"],
            json!(["labels", "digits.v1.JobSpec.LabelsEntry", true, false, null])
        );
        assert_eq!(
            spec["8"],
            json!(["sgd", "digits.v1.Sgd", false, true, null])
        );
        assert_eq!(spec["15"], json!(["epochs", "uint", false, true, null]));
        assert_eq!(
            spec["27"],
            json!(["calibrate", "uint", false, true, "bool"])
        );
        let job = &tables["messages"]["digits.v1.Job"];
        assert_eq!(
            job["5"],
            json!(["state", "uint", false, false, "digits.v1.JobState"])
        );
        assert_eq!(
            tables["enums"]["digits.v1.JobState"]["2"],
            "JOB_STATE_RUNNING"
        );
        // Every message that a field refers to has a table.
        let messages = tables["messages"].as_object().expect("an object");
        for fields in messages.values() {
            for field in fields.as_object().expect("an object").values() {
                let word = field[1].as_str().expect("a word");
                assert!(!word.contains('.') || messages.contains_key(word), "{word}");
            }
        }
    }
}
