//! The JSON schemas of message and enum types.

use std::collections::{BTreeMap, HashMap};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
};
use serde_json::{Map, Value, json};

use super::comments::Comments;
use crate::error::SchemaError;

/// The types of all files, and the schemas of those that were referred to.
pub(super) struct Types<'a> {
    messages: HashMap<String, &'a DescriptorProto>,
    enums: HashMap<String, &'a EnumDescriptorProto>,
    comments: &'a Comments,
    schemas: BTreeMap<String, Value>,
}

impl<'a> Types<'a> {
    pub(super) fn of(files: &'a [FileDescriptorProto], comments: &'a Comments) -> Self {
        let mut types = Self {
            messages: HashMap::new(),
            enums: HashMap::new(),
            comments,
            schemas: BTreeMap::new(),
        };
        for file in files {
            for message in &file.message_type {
                types.add(file.package(), message);
            }
            for declared in &file.enum_type {
                let name = format!("{}.{}", file.package(), declared.name());
                types.enums.insert(name, declared);
            }
        }
        types
    }

    fn add(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.add(&name, nested);
        }
        for nested in &message.enum_type {
            self.enums
                .insert(format!("{name}.{}", nested.name()), nested);
        }
        self.messages.insert(name, message);
    }

    /// The schemas of what was referred to, by full name.
    pub(super) fn into_schemas(self) -> BTreeMap<String, Value> {
        self.schemas
    }

    /// A schema that refers to the message type, which becomes a component.
    pub(super) fn reference(&mut self, name: &str) -> Result<Value, SchemaError> {
        let name = name.trim_start_matches('.');
        match name {
            "google.protobuf.Timestamp" => {
                return Ok(json!({ "type": "string", "format": "date-time" }));
            }
            "google.protobuf.Duration" => {
                let pattern = r"^-?[0-9]+(\.[0-9]{1,9})?s$";
                return Ok(json!({ "type": "string", "pattern": pattern, "examples": ["1.5s"] }));
            }
            _ => {}
        }
        if !self.schemas.contains_key(name) {
            // Before its fields, because types may hold each other.
            self.schemas.insert(name.to_owned(), Value::Null);
            let schema = self.object(name)?;
            self.schemas.insert(name.to_owned(), schema);
        }
        Ok(json!({ "$ref": format!("#/components/schemas/{name}") }))
    }

    /// The fields of a message that a query can have.
    pub(super) fn parameters(&mut self, name: &str) -> Result<Vec<Value>, SchemaError> {
        let name = name.trim_start_matches('.');
        let fields = self.message(name)?.field.iter().filter(|field| {
            field.label() != Label::Repeated
                && !matches!(field.r#type(), Type::Message | Type::Bytes)
        });
        let mut parameters = Vec::new();
        for field in fields {
            parameters.push(json!({
                "name": field.json_name(),
                "in": "query",
                "description": self.comments.text(&format!("{name}.{}", field.name())),
                "schema": self.value(field)?,
            }));
        }
        Ok(parameters)
    }

    fn message(&self, name: &str) -> Result<&'a DescriptorProto, SchemaError> {
        let message = self.messages.get(name.trim_start_matches('.'));
        message
            .copied()
            .ok_or_else(|| SchemaError::Missing(name.to_owned()))
    }

    fn object(&mut self, name: &str) -> Result<Value, SchemaError> {
        let message = self.message(name)?;
        let mut properties = Map::new();
        for field in &message.field {
            let mut schema = self.field(field)?;
            let text = self.comments.text(&format!("{name}.{}", field.name()));
            // In 3.1, a reference may have a description beside it.
            if !text.is_empty() {
                schema["description"] = text.into();
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut text = self.comments.text(name);
        for (index, _) in message.oneof_decl.iter().enumerate() {
            let members = message.field.iter();
            let members = members.filter(|field| {
                !field.proto3_optional()
                    && field.oneof_index.and_then(|it| usize::try_from(it).ok()) == Some(index)
            });
            let members: Vec<_> = members.map(FieldDescriptorProto::json_name).collect();
            if members.len() > 1 {
                text.push_str(&format!("\n\nAt most one of: {}.", members.join(", ")));
            }
        }
        Ok(json!({
            "type": "object",
            "description": text.trim_start(),
            "properties": properties,
        }))
    }

    fn field(&mut self, field: &FieldDescriptorProto) -> Result<Value, SchemaError> {
        if field.label() != Label::Repeated {
            return self.value(field);
        }
        if field.r#type() == Type::Message {
            let entry = self.message(field.type_name())?;
            if entry.options.as_ref().is_some_and(|it| it.map_entry()) {
                let value = entry.field.iter().find(|field| field.number() == 2);
                let value = value.ok_or_else(|| SchemaError::Missing(entry.name().to_owned()))?;
                return Ok(json!({ "type": "object", "additionalProperties": self.value(value)? }));
            }
        }
        Ok(json!({ "type": "array", "items": self.value(field)? }))
    }

    fn value(&mut self, field: &FieldDescriptorProto) -> Result<Value, SchemaError> {
        Ok(match field.r#type() {
            Type::Message | Type::Group => self.reference(field.type_name())?,
            Type::Enum => self.enumeration(field.type_name())?,
            Type::Bool => json!({ "type": "boolean" }),
            Type::String => json!({ "type": "string" }),
            Type::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Type::Float => json!({ "type": "number", "format": "float" }),
            Type::Double => json!({ "type": "number", "format": "double" }),
            Type::Uint32 | Type::Fixed32 => {
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
            }
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => {
                json!({ "type": "integer", "format": "int32" })
            }
            Type::Uint64 | Type::Fixed64 => {
                json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]+$" })
            }
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => {
                json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]+$" })
            }
        })
    }

    fn enumeration(&mut self, name: &str) -> Result<Value, SchemaError> {
        let name = name.trim_start_matches('.');
        if !self.schemas.contains_key(name) {
            let declared = self.enums.get(name);
            let declared = declared.ok_or_else(|| SchemaError::Missing(name.to_owned()))?;
            let values: Vec<_> = declared.value.iter().map(|value| value.name()).collect();
            let mut text = self.comments.text(name);
            for value in &values {
                let about = self.comments.text(&format!("{name}.{value}"));
                if !about.is_empty() {
                    text.push_str(&format!("\n\n`{value}`: {about}"));
                }
            }
            let schema = json!({
                "type": "string",
                "enum": values,
                "description": text.trim_start(),
            });
            self.schemas.insert(name.to_owned(), schema);
        }
        Ok(json!({ "$ref": format!("#/components/schemas/{name}") }))
    }
}
