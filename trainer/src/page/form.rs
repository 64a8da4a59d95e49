//! The fields of a job spec as JSON for the page's form: names, types and help, generated from the
//! descriptors and from the comments of the `.proto` files, so that a new field appears by itself.

use digits_proto::json::DESCRIPTORS;
use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

const SPEC: &str = "digits.v1.JobSpec";
const DURATION: &str = "google.protobuf.Duration";

/// Fields of `digits.v1.JobSpec` in the order of the `.proto` file. Each has `name`, `help`,
/// `optional` and `kind`: `text`, `whole` (with `max`), `number`, `bool`, `duration`, `list` (whole
/// numbers), `map` (text to text), `choice` (with `values`), or `group` (a message, with `fields`).
/// A oneof is the kind `one`, and `fields` are its members. `unknown` is a type that the page has
/// no input for.
pub(super) fn fields() -> Value {
    let spec = DESCRIPTORS.get_message_by_name(SPEC);
    members(&spec.expect("the descriptors have the job spec"))
}

fn members(message: &MessageDescriptor) -> Value {
    let mut found = Vec::new();
    for field in message.fields() {
        match field.containing_oneof().filter(|one| !one.is_synthetic()) {
            None => found.push(member(&field)),
            Some(one) if one.fields().next().as_ref() == Some(&field) => found.push(json!({
                "name": one.name(),
                "kind": "one",
                "help": comment(&one.parent_message().parent_file(), one.path()),
                "fields": one.fields().map(|field| member(&field)).collect::<Vec<_>>(),
            })),
            Some(_) => {}
        }
    }
    Value::Array(found)
}

fn member(field: &FieldDescriptor) -> Value {
    let mut described = kind(field);
    described["name"] = json!(field.name());
    described["help"] = json!(comment(&field.parent_file(), field.path()));
    described["optional"] = json!(field.supports_presence());
    described
}

fn kind(field: &FieldDescriptor) -> Value {
    let whole = |max: u64| {
        let kind = if field.is_list() { "list" } else { "whole" };
        json!({ "kind": kind, "max": max })
    };
    match field.kind() {
        Kind::Uint32 => whole(u32::MAX.into()),
        // The largest that JavaScript counts exactly.
        Kind::Uint64 => whole((1 << 53) - 1),
        Kind::Message(_) if is_text_map(field) => json!({ "kind": "map" }),
        _ if field.is_list() || field.is_map() => json!({ "kind": "unknown" }),
        Kind::String => json!({ "kind": "text" }),
        Kind::Float | Kind::Double => json!({ "kind": "number" }),
        Kind::Bool => json!({ "kind": "bool" }),
        Kind::Enum(described) => json!({ "kind": "choice", "values": values(&described) }),
        Kind::Message(message) if message.full_name() == DURATION => json!({ "kind": "duration" }),
        Kind::Message(message) => json!({ "kind": "group", "fields": members(&message) }),
        _ => json!({ "kind": "unknown" }),
    }
}

fn is_text_map(field: &FieldDescriptor) -> bool {
    let Kind::Message(entry) = field.kind() else {
        return false;
    };
    field.is_map() && entry.fields().all(|field| field.kind() == Kind::String)
}

/// The values of an enum, without the one that stands for an unset field.
fn values(described: &EnumDescriptor) -> Value {
    let values = described.values().filter(|value| value.number() != 0);
    let values = values.map(|value| {
        let help = comment(&described.parent_file(), value.path());
        json!({ "name": value.name(), "number": value.number(), "help": help })
    });
    values.collect()
}

/// The comment above what is at `path`, one line for each paragraph and list item.
fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let places = info.map_or(&[][..], |info| &info.location);
    let place = places.iter().find(|place| place.path == path);
    let text = place.map_or("", |place| place.leading_comments());
    let mut lines: Vec<String> = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let last = lines.last_mut().expect("there is always a line");
        if line.is_empty() || (line.starts_with("* ") && !last.is_empty()) {
            lines.push(line.to_owned());
        } else {
            let space = if last.is_empty() { "" } else { " " };
            *last += &format!("{space}{line}");
        }
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(fields: &Value, above: &str, visit: &mut impl FnMut(String, &Value)) {
        for field in fields.as_array().expect("a list") {
            let name = field["name"].as_str().expect("a name");
            let is_one = field["kind"] == "one";
            let path = format!("{above}{name}");
            if let Some(inner) = field.get("fields") {
                let above = if is_one { above } else { &format!("{path}.") };
                paths(inner, above, visit);
            }
            visit(path, field);
        }
    }

    fn count(message: &MessageDescriptor) -> usize {
        let inner = message.fields().map(|field| match field.kind() {
            Kind::Message(inner) if !field.is_map() && inner.full_name() != DURATION => {
                1 + count(&inner)
            }
            _ => 1,
        });
        inner.sum()
    }

    #[test]
    fn every_field_of_the_spec_has_an_input_and_help() {
        let (mut seen, mut ones) = (0, 0);
        paths(&fields(), "", &mut |path, field| {
            match field["kind"].as_str() {
                Some("one") => ones += 1,
                kind => {
                    assert_ne!(kind, Some("unknown"), "the page has no input for {path}");
                    seen += 1;
                }
            }
            assert_ne!(field["help"], "", "{path} has no comment");
        });
        let spec = DESCRIPTORS.get_message_by_name(SPEC).expect("it exists");
        assert_eq!(seen, count(&spec));
        assert_eq!(ones, 3, "optimizer, schedule and split");
    }

    #[test]
    fn fields_are_described_by_type_and_comment() {
        let mut found = std::collections::BTreeMap::new();
        paths(&fields(), "", &mut |path, field| {
            found.insert(path, field.clone());
        });
        let rate = &found["sgd.learning_rate"];
        assert_eq!(rate["kind"], "number");
        assert_eq!(rate["optional"], true);
        assert_eq!(
            rate["help"],
            "Learning rate, more than 0 and at most 100. PyTorch: 0.001."
        );
        assert_eq!(found["epochs"]["max"], u32::MAX);
        assert_eq!(found["architecture.hidden.widths"]["kind"], "list");
        assert_eq!(found["labels"]["kind"], "map");
        assert_eq!(found["limits.deadline"]["kind"], "duration");
        let policy = &found["publish.policy"]["values"][1];
        assert_eq!(policy["name"], "PUBLISH_POLICY_BEST");
        assert_eq!(policy["number"], 2);
        let device = found["device"]["help"].as_str().expect("a text");
        assert_eq!(device.lines().count(), 2, "two paragraphs: {device}");
    }
}
