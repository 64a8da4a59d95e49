//! Message types, enums and methods of `.proto` files, in the form that transcoding needs.

use std::collections::HashMap;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
};

use crate::error::SchemaError;

/// The types and methods of a set of `.proto` files.
#[derive(Debug, Default)]
pub struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    names: HashMap<String, MessageId>,
    methods: HashMap<String, Method>,
}

/// A message type of a [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(usize);

/// A method of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Type of the requests.
    pub input: MessageId,
    /// Type of the responses.
    pub output: MessageId,
    /// Whether there can be several requests.
    pub streams_requests: bool,
    /// Whether there can be several responses.
    pub streams_responses: bool,
}

#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) name: String,
    pub(crate) form: Form,
    /// In the order of their declaration.
    pub(crate) fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    by_number: HashMap<u32, usize>,
    pub(crate) oneofs: usize,
}

/// The JSON form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An object with its fields.
    Object,
    /// `google.protobuf.Timestamp`: a time of RFC 3339.
    Timestamp,
    /// `google.protobuf.Duration`: seconds and the letter s.
    Duration,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) number: u32,
    /// Name in JSON that is written; its name in the `.proto` file is read too.
    pub(crate) json_name: String,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) oneof: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One value. `explicit`: a default value differs from an absent one.
    Singular { explicit: bool },
    /// A list, whose scalars are written packed.
    List,
    /// A map, whose entries are messages with the fields 1 and 2.
    Map,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(MessageId),
}

impl Kind {
    /// Whether a list of it is one length-delimited value.
    pub(crate) fn is_packed(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_))
    }
}

#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) name: String,
    by_name: HashMap<String, i32>,
    by_number: HashMap<i32, String>,
}

impl Enum {
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        self.by_name.get(name).copied()
    }

    /// The number of a value by the end of its name, in either case: `number` for `EXPECT_NUMBER`.
    pub(crate) fn number_by_end(&self, end: &str) -> Option<i32> {
        let end = format!("_{}", end.to_ascii_uppercase());
        let mut found = self.by_name.iter().filter(|(name, _)| name.ends_with(&end));
        let (_, number) = found.next()?;
        found.next().is_none().then_some(*number)
    }

    pub(crate) fn value(&self, number: i32) -> Option<&str> {
        self.by_number.get(&number).map(String::as_str)
    }
}

impl Message {
    /// Index of the field with a name of JSON or of the `.proto` file.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn index_of_number(&self, number: u32) -> Option<usize> {
        self.by_number.get(&number).copied()
    }
}

impl Schema {
    /// The types of encoded `google.protobuf.FileDescriptorSet`s, and the methods of `services`
    /// (full names).
    ///
    /// # Errors
    /// When a set cannot be decoded, lacks a type, or has a field whose JSON form is not
    /// implemented: groups, and the types of `google.protobuf` other than `Timestamp`, `Duration`
    /// and `Empty`. Fields of `google.protobuf.Any` are allowed outside of the methods' messages.
    pub fn new<'a>(
        sets: impl IntoIterator<Item = &'a [u8]>,
        services: &[&str],
    ) -> Result<Self, SchemaError> {
        let mut files = Vec::new();
        for set in sets {
            files.extend(FileDescriptorSet::decode(set)?.file);
        }
        let mut names = Names::default();
        for file in &files {
            names.add(file);
        }
        let mut schema = Self::default();
        for (name, declared) in &names.messages {
            let message = Message::of(name, declared, &names)?;
            schema.messages.push(message);
        }
        for (name, declared) in &names.enums {
            schema.enums.push(Enum::of(name, declared));
        }
        let ids = names.message_ids.into_iter();
        schema.names = ids.map(|(name, id)| (name, MessageId(id))).collect();
        schema.add_methods(&files, services)?;
        Ok(schema)
    }

    /// The method of a path, such as `/digits.v1.InferenceService/Predict`.
    #[must_use]
    pub fn method(&self, path: &str) -> Option<Method> {
        self.methods.get(path).copied()
    }

    /// The message type with this full name.
    #[must_use]
    pub fn message_named(&self, name: &str) -> Option<MessageId> {
        self.names.get(name).copied()
    }

    /// Full name of a message type.
    #[must_use]
    pub fn name(&self, id: MessageId) -> &str {
        &self.message(id).name
    }

    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub(crate) fn enumeration(&self, index: usize) -> &Enum {
        &self.enums[index]
    }

    fn add_methods(
        &mut self,
        files: &[FileDescriptorProto],
        services: &[&str],
    ) -> Result<(), SchemaError> {
        let mut checked = vec![false; self.messages.len()];
        for (file, service) in files
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file, service)))
        {
            let name = format!("{}.{}", file.package(), service.name());
            if !services.contains(&name.as_str()) {
                continue;
            }
            for declared in &service.method {
                let method = Method {
                    input: self.type_named(declared.input_type())?,
                    output: self.type_named(declared.output_type())?,
                    streams_requests: declared.client_streaming(),
                    streams_responses: declared.server_streaming(),
                };
                self.check(method.input, &mut checked)?;
                self.check(method.output, &mut checked)?;
                let path = format!("/{name}/{}", declared.name());
                self.methods.insert(path, method);
            }
        }
        Ok(())
    }

    fn type_named(&self, name: &str) -> Result<MessageId, SchemaError> {
        self.message_named(name.trim_start_matches('.'))
            .ok_or_else(|| SchemaError::Missing(name.to_owned()))
    }

    /// Checks that a message and those that it holds have a JSON form.
    fn check(&self, id: MessageId, checked: &mut [bool]) -> Result<(), SchemaError> {
        if std::mem::replace(&mut checked[id.0], true) {
            return Ok(());
        }
        let message = self.message(id);
        for field in &message.fields {
            let Kind::Message(inner) = field.kind else {
                continue;
            };
            let name = &self.message(inner).name;
            let is_implemented = self.message(inner).form != Form::Object
                || name == "google.protobuf.Empty"
                || !name.starts_with("google.protobuf.");
            if !is_implemented {
                return Err(SchemaError::Unsupported {
                    field: format!("{}.{}", message.name, field.json_name),
                    kind: name.clone(),
                });
            }
            self.check(inner, checked)?;
        }
        Ok(())
    }
}

/// The declarations of all files; each type has an index.
#[derive(Default)]
struct Names<'a> {
    messages: Vec<(String, &'a DescriptorProto)>,
    enums: Vec<(String, &'a EnumDescriptorProto)>,
    message_ids: HashMap<String, usize>,
    enum_ids: HashMap<String, usize>,
}

impl<'a> Names<'a> {
    fn add(&mut self, file: &'a FileDescriptorProto) {
        for message in &file.message_type {
            self.add_message(file.package(), message);
        }
        for declared in &file.enum_type {
            self.add_enum(file.package(), declared);
        }
    }

    /// Sets may share files: the first declaration of a name counts.
    fn add_message(&mut self, scope: &str, declared: &'a DescriptorProto) {
        let name = format!("{scope}.{}", declared.name());
        for nested in &declared.nested_type {
            self.add_message(&name, nested);
        }
        for nested in &declared.enum_type {
            self.add_enum(&name, nested);
        }
        if !self.message_ids.contains_key(&name) {
            self.message_ids.insert(name.clone(), self.messages.len());
            self.messages.push((name, declared));
        }
    }

    fn add_enum(&mut self, scope: &str, declared: &'a EnumDescriptorProto) {
        let name = format!("{scope}.{}", declared.name());
        if !self.enum_ids.contains_key(&name) {
            self.enum_ids.insert(name.clone(), self.enums.len());
            self.enums.push((name, declared));
        }
    }

    fn message(&self, name: &str) -> Result<usize, SchemaError> {
        let id = self.message_ids.get(name.trim_start_matches('.'));
        id.copied()
            .ok_or_else(|| SchemaError::Missing(name.to_owned()))
    }

    fn kind(&self, field: &FieldDescriptorProto, owner: &str) -> Result<Kind, SchemaError> {
        Ok(match field.r#type() {
            Type::Double => Kind::Double,
            Type::Float => Kind::Float,
            Type::Int32 => Kind::Int32,
            Type::Int64 => Kind::Int64,
            Type::Uint32 => Kind::Uint32,
            Type::Uint64 => Kind::Uint64,
            Type::Sint32 => Kind::Sint32,
            Type::Sint64 => Kind::Sint64,
            Type::Fixed32 => Kind::Fixed32,
            Type::Fixed64 => Kind::Fixed64,
            Type::Sfixed32 => Kind::Sfixed32,
            Type::Sfixed64 => Kind::Sfixed64,
            Type::Bool => Kind::Bool,
            Type::String => Kind::String,
            Type::Bytes => Kind::Bytes,
            Type::Message => Kind::Message(MessageId(self.message(field.type_name())?)),
            Type::Enum => {
                let name = field.type_name();
                let id = self.enum_ids.get(name.trim_start_matches('.'));
                let id = id.ok_or_else(|| SchemaError::Missing(name.to_owned()))?;
                Kind::Enum(*id)
            }
            Type::Group => {
                return Err(SchemaError::Unsupported {
                    field: format!("{owner}.{}", field.name()),
                    kind: "group".to_owned(),
                });
            }
        })
    }
}

impl Message {
    fn of(name: &str, declared: &DescriptorProto, names: &Names<'_>) -> Result<Self, SchemaError> {
        let mut message = Self {
            name: name.to_owned(),
            form: match name {
                "google.protobuf.Timestamp" => Form::Timestamp,
                "google.protobuf.Duration" => Form::Duration,
                _ => Form::Object,
            },
            fields: Vec::with_capacity(declared.field.len()),
            by_name: HashMap::new(),
            by_number: HashMap::new(),
            oneofs: declared.oneof_decl.len(),
        };
        for (index, field) in declared.field.iter().enumerate() {
            let number = u32::try_from(field.number()).unwrap_or_default();
            let kind = names.kind(field, name)?;
            message.by_name.insert(field.name().to_owned(), index);
            message.by_name.insert(field.json_name().to_owned(), index);
            message.by_number.insert(number, index);
            message.fields.push(Field {
                number,
                json_name: field.json_name().to_owned(),
                kind,
                shape: shape(field, kind, names),
                oneof: field
                    .oneof_index
                    .and_then(|index| usize::try_from(index).ok()),
            });
        }
        Ok(message)
    }
}

fn shape(field: &FieldDescriptorProto, kind: Kind, names: &Names<'_>) -> Shape {
    let is_entry = |id: MessageId| {
        let options = names.messages[id.0].1.options.as_ref();
        options.is_some_and(|options| options.map_entry())
    };
    match (field.label(), kind) {
        (Label::Repeated, Kind::Message(id)) if is_entry(id) => Shape::Map,
        (Label::Repeated, _) => Shape::List,
        (_, kind) => Shape::Singular {
            explicit: field.oneof_index.is_some() || matches!(kind, Kind::Message(_)),
        },
    }
}

impl Enum {
    fn of(name: &str, declared: &EnumDescriptorProto) -> Self {
        let values = || {
            let values = declared.value.iter();
            values.map(|value| (value.name().to_owned(), value.number()))
        };
        let mut by_number = HashMap::new();
        for (name, number) in values() {
            // Of two names of a number, the first is written.
            by_number.entry(number).or_insert(name);
        }
        Self {
            name: name.to_owned(),
            by_name: values().collect(),
            by_number,
        }
    }
}
