//! The comments of `.proto` files, by the full names of what they describe.

use std::collections::HashMap;

use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

/// Numbers of the fields of descriptors that lead to what has comments.
mod path {
    pub(super) const MESSAGE: i32 = 4;
    pub(super) const ENUM: i32 = 5;
    pub(super) const SERVICE: i32 = 6;
    pub(super) const FIELD: i32 = 2;
    pub(super) const NESTED_MESSAGE: i32 = 3;
    pub(super) const NESTED_ENUM: i32 = 4;
    pub(super) const VALUE: i32 = 2;
    pub(super) const METHOD: i32 = 2;
}

/// Comments by full name: of messages, fields, enums, values, services and methods.
#[derive(Debug, Default)]
pub(super) struct Comments(HashMap<String, String>);

impl Comments {
    pub(super) fn of(files: &[FileDescriptorProto]) -> Self {
        let mut comments = Self::default();
        for file in files {
            comments.add_file(file);
        }
        comments
    }

    /// The comment of a name, with or without a point before it; empty without one.
    pub(super) fn text(&self, name: &str) -> String {
        let text = self.0.get(name.trim_start_matches('.'));
        text.cloned().unwrap_or_default()
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let texts: HashMap<&[i32], &str> = locations
            .map(|location| (&*location.path, location.leading_comments()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        let mut named = Vec::new();
        for (index, message) in file.message_type.iter().enumerate() {
            let path = vec![path::MESSAGE, number(index)];
            name_message(file.package(), message, path, &mut named);
        }
        for (index, declared) in file.enum_type.iter().enumerate() {
            let path = vec![path::ENUM, number(index)];
            name_enum(file.package(), declared, path, &mut named);
        }
        for (index, service) in file.service.iter().enumerate() {
            let path = vec![path::SERVICE, number(index)];
            let name = format!("{}.{}", file.package(), service.name());
            for (index, method) in service.method.iter().enumerate() {
                let path = [&*path, &[path::METHOD, number(index)]].concat();
                named.push((path, format!("{name}.{}", method.name())));
            }
            named.push((path, name));
        }
        let found = named
            .into_iter()
            .filter_map(|(path, name)| Some((name, unindented(texts.get(&*path)?))));
        self.0.extend(found);
    }
}

type Named = Vec<(Vec<i32>, String)>;

fn name_message(scope: &str, message: &DescriptorProto, path: Vec<i32>, named: &mut Named) {
    let name = format!("{scope}.{}", message.name());
    for (index, field) in message.field.iter().enumerate() {
        let path = [&*path, &[path::FIELD, number(index)]].concat();
        named.push((path, format!("{name}.{}", field.name())));
    }
    for (index, nested) in message.nested_type.iter().enumerate() {
        let path = [&*path, &[path::NESTED_MESSAGE, number(index)]].concat();
        name_message(&name, nested, path, named);
    }
    for (index, nested) in message.enum_type.iter().enumerate() {
        let path = [&*path, &[path::NESTED_ENUM, number(index)]].concat();
        name_enum(&name, nested, path, named);
    }
    named.push((path, name));
}

fn name_enum(scope: &str, declared: &EnumDescriptorProto, path: Vec<i32>, named: &mut Named) {
    let name = format!("{scope}.{}", declared.name());
    for (index, value) in declared.value.iter().enumerate() {
        let path = [&*path, &[path::VALUE, number(index)]].concat();
        named.push((path, format!("{name}.{}", value.name())));
    }
    named.push((path, name));
}

fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// A comment without the space after its slashes.
fn unindented(text: &&str) -> String {
    let lines = text.trim_end().lines();
    let lines: Vec<_> = lines
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    lines.join("\n")
}
