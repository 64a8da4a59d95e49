//! Fields of a job spec by their names: finds and sets them, by reflection on the descriptors, so
//! that a new field is known by itself.

use super::SpecMessage;
use crate::similar::similar;
use digits_proto::{json::DESCRIPTORS, v1};
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value,
};
use std::sync::LazyLock;

/// Message that is set as a whole: widths of hidden layers.
const HIDDEN: &str = "digits.v1.HiddenLayers";
const PACKAGE: &str = "digits.v1";

/// Why a field of a job spec cannot be set; a client reads the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// No field has this name.
    #[error("a job spec has no field {name:?}{hint}")]
    Unknown {
        /// The name.
        name: String,
        /// A similar one.
        hint: String,
    },
    /// Several fields have this name.
    #[error("{name:?} is the name of several fields: use one of {paths}")]
    Ambiguous {
        /// The name.
        name: String,
        /// Their paths.
        paths: String,
    },
    /// The field belongs to another optimizer or schedule than that of the spec.
    #[error("{path} belongs to {member}, and the job has another one, {chosen}")]
    Excluded {
        /// Path of the field.
        path: String,
        /// The member of the oneof that it belongs to.
        member: String,
        /// The one that the spec has.
        chosen: String,
    },
    /// The field does not take this value.
    #[error("{value:?} is not {expected}")]
    Value {
        /// The value.
        value: String,
        /// What the field takes.
        expected: String,
    },
}

/// A field of a job spec that has a value, or one of its oneofs.
#[derive(Clone, Debug)]
pub struct ParameterField {
    /// Path of the field below the job spec, such as `sgd.learning_rate`.
    pub path: String,
    target: Target,
}

#[derive(Clone, Debug)]
enum Target {
    /// The descriptors from the job spec down to the field.
    Leaf(Vec<FieldDescriptor>),
    /// The members of a oneof.
    Member(Vec<FieldDescriptor>),
}

/// What a range of numbers is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberKind {
    /// Whole numbers.
    Whole,
    /// All numbers.
    Real,
}

static FIELDS: LazyLock<Vec<ParameterField>> = LazyLock::new(|| {
    let spec = descriptor();
    let mut fields = Vec::new();
    for oneof in spec.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        fields.push(ParameterField {
            path: oneof.name().to_owned(),
            target: Target::Member(oneof.fields().collect()),
        });
    }
    add_leaves(&spec, &[], &mut fields);
    fields
});

fn descriptor() -> MessageDescriptor {
    let spec = DESCRIPTORS.get_message_by_name("digits.v1.JobSpec");
    spec.expect("the descriptors have the job spec")
}

fn add_leaves(
    message: &MessageDescriptor,
    above: &[FieldDescriptor],
    found: &mut Vec<ParameterField>,
) {
    for field in message.fields() {
        let path = [above, std::slice::from_ref(&field)].concat();
        match field.kind() {
            Kind::Message(inner)
                if !field.is_map()
                    && inner.package_name() == PACKAGE
                    && inner.full_name() != HIDDEN =>
            {
                add_leaves(&inner, &path, found);
            }
            _ => found.push(ParameterField {
                path: path
                    .iter()
                    .map(FieldDescriptor::name)
                    .collect::<Vec<_>>()
                    .join("."),
                target: Target::Leaf(path),
            }),
        }
    }
}

impl ParameterField {
    /// The field that `name`, its path or the last name of it, means in `spec`, whose unset
    /// optimizer and schedule are those of `preset`.
    ///
    /// # Errors
    /// [`FieldError`].
    pub fn find(name: &str, spec: &SpecMessage, preset: &SpecMessage) -> Result<Self, FieldError> {
        if let Some(exact) = FIELDS.iter().find(|field| field.path == name) {
            exact.check_member(spec)?;
            return Ok(exact.clone());
        }
        let (spec_message, preset) = (spec.dynamic(), preset.dynamic());
        let mut named: Vec<&Self> = FIELDS.iter().filter(|field| field.last() == name).collect();
        if named.len() > 1 {
            named.retain(|field| field.is_chosen(&spec_message, &preset));
        }
        let nearest = named.iter().map(|field| field.depth()).min();
        named.retain(|field| Some(field.depth()) == nearest);
        match named[..] {
            [field] => {
                field.check_member(spec)?;
                Ok(field.clone())
            }
            [] => Err(unknown(name)),
            _ => Err(FieldError::Ambiguous {
                name: name.to_owned(),
                paths: named
                    .iter()
                    .map(|field| field.path.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// Sets the field in a spec.
    ///
    /// # Errors
    /// [`FieldError::Value`].
    pub fn set(&self, spec: &SpecMessage, value: &str) -> Result<SpecMessage, FieldError> {
        let mut message = spec.dynamic();
        match &self.target {
            Target::Leaf(path) => {
                let last = path.last().expect("a path has at least one field");
                set(&mut message, path, leaf_value(last, value)?);
            }
            Target::Member(members) => {
                let name = value.replace('-', "_").to_ascii_lowercase();
                let member = members.iter().find(|member| member.name() == name);
                let member = member.ok_or_else(|| {
                    let names: Vec<&str> = members.iter().map(FieldDescriptor::name).collect();
                    refused(value, &format!("one of {}", names.join(", ")))
                })?;
                // What the spec has of this member stays.
                message.get_field_mut(member);
            }
        }
        let bytes = message.encode_to_vec();
        Ok(SpecMessage::decode(&bytes).expect("a job spec, whose field has a value of its type"))
    }

    /// The numbers that a field of this path or last name takes; `None` where it takes none.
    #[must_use]
    pub fn numbers(name: &str) -> Option<NumberKind> {
        let named = |field: &&Self| field.path == name || field.last() == name;
        let Target::Leaf(path) = &FIELDS.iter().find(named)?.target else {
            return None;
        };
        match path.last().filter(|field| !field.is_list())?.kind() {
            Kind::Uint32 | Kind::Uint64 => Some(NumberKind::Whole),
            Kind::Float | Kind::Double => Some(NumberKind::Real),
            _ => None,
        }
    }

    /// Whether a field of this name decides which other fields there are.
    #[must_use]
    pub fn chooses_member(name: &str) -> bool {
        let mut fields = FIELDS.iter();
        fields.any(|field| field.path == name && matches!(field.target, Target::Member(_)))
    }

    fn last(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    fn depth(&self) -> usize {
        self.path.split('.').count()
    }

    /// The member of a oneof of the job spec that the field is in.
    fn member(&self) -> Option<&FieldDescriptor> {
        let Target::Leaf(path) = &self.target else {
            return None;
        };
        let first = path.first()?;
        let oneof = first.containing_oneof()?;
        (!oneof.is_synthetic()).then_some(first)
    }

    fn is_chosen(&self, spec: &DynamicMessage, preset: &DynamicMessage) -> bool {
        self.member().is_none_or(|member| {
            let chosen = chosen(spec, member).or_else(|| chosen(preset, member));
            chosen.is_none_or(|chosen| chosen == *member)
        })
    }

    /// Checks that the spec itself has no other member of the oneof.
    fn check_member(&self, spec: &SpecMessage) -> Result<(), FieldError> {
        let Some(member) = self.member() else {
            return Ok(());
        };
        match chosen(&spec.dynamic(), member) {
            Some(chosen) if chosen != *member => Err(FieldError::Excluded {
                path: self.path.clone(),
                member: member.name().to_owned(),
                chosen: chosen.name().to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

impl SpecMessage {
    /// The spec of one trial of a sweep: labelled with both, and named NAME/TRIAL where the sweep
    /// has a name. It may be that of another trial.
    #[must_use]
    pub fn of_trial(&self, sweep: &str, trial: u32) -> Self {
        let mut spec = v1::JobSpec::from(self.clone());
        let other = spec.labels.get("trial").map(|other| format!("/{other}"));
        let base = other.and_then(|other| spec.name.strip_suffix(&other));
        let base = base.unwrap_or(&spec.name);
        if !base.is_empty() {
            spec.name = format!("{base}/{trial}");
        }
        spec.labels.insert("sweep".to_owned(), sweep.to_owned());
        spec.labels.insert("trial".to_owned(), trial.to_string());
        spec.into()
    }

    fn dynamic(&self) -> DynamicMessage {
        DynamicMessage::decode(descriptor(), self.encode().as_slice())
            .expect("what was just encoded decodes")
    }
}

/// The member that a message has of the oneof of `member`.
fn chosen(message: &DynamicMessage, member: &FieldDescriptor) -> Option<FieldDescriptor> {
    let mut members = member
        .containing_oneof()?
        .fields()
        .collect::<Vec<_>>()
        .into_iter();
    members.find(|member| message.has_field(member))
}

fn unknown(name: &str) -> FieldError {
    let paths = FIELDS.iter().map(|field| field.path.as_str());
    let names = FIELDS.iter().map(ParameterField::last);
    let hint = similar(name, names).or_else(|| similar(name, paths));
    FieldError::Unknown {
        name: name.to_owned(),
        hint: hint.map_or_else(String::new, |known| format!("; did you mean {known:?}?")),
    }
}

fn set(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    match path {
        [] => {}
        [last] => message.set_field(last, value),
        [first, rest @ ..] => {
            if let Value::Message(inner) = message.get_field_mut(first) {
                set(inner, rest, value);
            }
        }
    }
}

fn refused(value: &str, expected: &str) -> FieldError {
    FieldError::Value {
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

fn leaf_value(field: &FieldDescriptor, text: &str) -> Result<Value, FieldError> {
    let whole = || refused(text, "a whole number");
    let number = || {
        let number = text.parse().ok().filter(|number: &f64| !number.is_nan());
        number.ok_or_else(|| refused(text, "a number"))
    };
    if field.is_list() || field.is_map() {
        return Err(refused(text, "a single value, and the field takes several"));
    }
    match field.kind() {
        Kind::Uint32 => text.parse().map(Value::U32).map_err(|_| whole()),
        Kind::Uint64 => text.parse().map(Value::U64).map_err(|_| whole()),
        Kind::Float => Ok(Value::F32(number()? as f32)),
        Kind::Double => Ok(Value::F64(number()?)),
        Kind::Bool => text
            .parse()
            .map(Value::Bool)
            .map_err(|_| refused(text, "true or false")),
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Enum(described) => enum_value(&described, text),
        Kind::Message(message) if message.full_name() == HIDDEN => hidden(&message, text),
        _ => Err(refused(text, "a value that can be given as text")),
    }
}

/// A value of an enum by its name, with or without the prefix that all of its values have.
fn enum_value(described: &EnumDescriptor, text: &str) -> Result<Value, FieldError> {
    let name = text.replace('-', "_").to_ascii_uppercase();
    let unset = described.default_value();
    let prefix = unset.name().trim_end_matches("UNSPECIFIED");
    let mut values = described.values().filter(|value| value.number() != 0);
    let found = values.find(|value| {
        value.name() == name || value.name().strip_prefix(prefix) == Some(name.as_str())
    });
    found
        .map(|value| Value::EnumNumber(value.number()))
        .ok_or_else(|| {
            let values = described.values().filter(|value| value.number() != 0);
            let names = values.map(|value| value.name().replace(prefix, ""));
            refused(
                text,
                &format!("one of {}", names.collect::<Vec<_>>().join(", ")),
            )
        })
}

fn hidden(message: &MessageDescriptor, text: &str) -> Result<Value, FieldError> {
    let widths = match text {
        "none" => Vec::new(),
        _ => {
            let widths = text.split('-').map(|width| width.parse().map(Value::U32));
            let widths: Result<Vec<Value>, _> = widths.collect();
            widths.map_err(|_| refused(text, "widths joined by \"-\", such as 128-64, or none"))?
        }
    };
    let mut hidden = DynamicMessage::new(message.clone());
    hidden.set_field_by_name("widths", Value::List(widths));
    Ok(Value::Message(hidden))
}

#[cfg(test)]
mod tests;
