//! Guards the wire contract against unintended changes: every message field, enum value and method
//! must be listed in `golden/contract.txt`. After an intended change, record its reason in the
//! commit message and run the test with `UPDATE_GOLDEN=1` to update the file.

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use std::fmt::Write as _;

fn describe_enum(prefix: &str, enumeration: &EnumDescriptorProto, out: &mut Vec<String>) {
    for value in &enumeration.value {
        out.push(format!(
            "enum {prefix}.{} {} = {}",
            enumeration.name(),
            value.name(),
            value.number()
        ));
    }
}

fn describe_message(prefix: &str, message: &DescriptorProto, out: &mut Vec<String>) {
    let name = format!("{prefix}.{}", message.name());
    if message.field.is_empty() {
        out.push(format!("message {name} (no fields)"));
    }
    for field in &message.field {
        let mut line = format!("message {name} {} = {}:", field.name(), field.number());
        write!(
            line,
            " {} {}",
            field.label().as_str_name(),
            field.r#type().as_str_name()
        )
        .expect("writing to a string");
        if !field.type_name().is_empty() {
            write!(line, " {}", field.type_name()).expect("writing to a string");
        }
        if field.proto3_optional() {
            line.push_str(" optional");
        } else if let Some(index) = field.oneof_index {
            let oneof = &message.oneof_decl[index as usize];
            write!(line, " oneof {}", oneof.name()).expect("writing to a string");
        }
        out.push(line);
    }
    for nested in &message.nested_type {
        describe_message(&name, nested, out);
    }
    for nested in &message.enum_type {
        describe_enum(&name, nested, out);
    }
}

fn contract() -> String {
    let set = FileDescriptorSet::decode(digits_proto::FILE_DESCRIPTOR_SET)
        .expect("the build script encoded it");
    let mut lines = Vec::new();
    for file in set
        .file
        .iter()
        .filter(|file| !file.package().starts_with("google."))
    {
        for service in &file.service {
            for method in &service.method {
                lines.push(format!(
                    "rpc {}.{}/{}({}{}) returns ({}{})",
                    file.package(),
                    service.name(),
                    method.name(),
                    if method.client_streaming() {
                        "stream "
                    } else {
                        ""
                    },
                    method.input_type(),
                    if method.server_streaming() {
                        "stream "
                    } else {
                        ""
                    },
                    method.output_type(),
                ));
            }
        }
        for message in &file.message_type {
            describe_message(file.package(), message, &mut lines);
        }
        for enumeration in &file.enum_type {
            describe_enum(file.package(), enumeration, &mut lines);
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn wire_contract_matches_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/contract.txt");
    let contract = contract();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &contract).expect("golden file is writable");
    }
    let golden = std::fs::read_to_string(path).expect("golden file is readable");
    for (line, (have, want)) in contract.lines().zip(golden.lines()).enumerate() {
        assert_eq!(have, want, "line {} of {path}", line + 1);
    }
    assert_eq!(
        contract.lines().count(),
        golden.lines().count(),
        "number of lines of {path}"
    );
}

/// The codec limits what it decodes as a request, and tells requests by their names.
#[test]
fn requests_and_only_requests_are_named_request() {
    let set = FileDescriptorSet::decode(digits_proto::FILE_DESCRIPTOR_SET)
        .expect("the build script encoded it");
    let services = set.file.iter().flat_map(|file| &file.service);
    for method in services.flat_map(|service| &service.method) {
        assert!(method.input_type().ends_with("Request"), "{method:?}");
        assert!(!method.output_type().ends_with("Request"), "{method:?}");
    }
}
