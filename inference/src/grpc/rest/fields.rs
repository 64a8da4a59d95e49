//! Fields of a request in JSON, read as leniently as their meaning allows: `null` is an absent
//! field, an id may be a number, and a size may be written with a fraction of zero.

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::{collections::HashMap, fmt, marker::PhantomData};

/// The value of a field, or its default where the field is `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Most entries of a list or of parameters: a body of many short ones would take many times its
/// size in memory. A request has one input, three outputs and a few parameters.
const MAX_ENTRIES: usize = 256;

/// A list of at most [`MAX_ENTRIES`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            check_room(entries.len())?;
            entries.push(entry);
        }
        Ok(List(entries))
    }
}

/// The parameters of a request or of a tensor, at most [`MAX_ENTRIES`].
#[derive(Debug, Default)]
pub(super) struct Parameters(pub(super) HashMap<String, Parameter>);

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ParametersVisitor)
    }
}

struct ParametersVisitor;

impl<'de> Visitor<'de> for ParametersVisitor {
    type Value = Parameters;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
        let mut entries = HashMap::new();
        while let Some((name, value)) = map.next_entry()? {
            check_room(entries.len())?;
            entries.insert(name, value);
        }
        Ok(Parameters(entries))
    }
}

fn check_room<E: Error>(entries: usize) -> Result<(), E> {
    if entries < MAX_ENTRIES {
        return Ok(());
    }
    let message = format!("a list or object has more than {MAX_ENTRIES} entries, the limit");
    Err(E::custom(message))
}

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Parameter {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// A list or an object, whose contents are not kept.
    Nested,
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParameterVisitor)
    }
}

struct ParameterVisitor;

impl<'de> Visitor<'de> for ParameterVisitor {
    type Value = Parameter;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a boolean, a number or a string")
    }

    fn visit_unit<E>(self) -> Result<Parameter, E> {
        Ok(Parameter::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parameter, E> {
        Ok(Parameter::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Parameter, E> {
        Ok(Parameter::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Parameter, E> {
        Ok(i64::try_from(value).map_or(Parameter::Number(value as f64), Parameter::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Parameter, E> {
        Ok(Parameter::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Parameter, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Parameter::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameter, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Parameter::Nested)
    }
}

/// Id of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Parameter::deserialize(deserializer)? {
            Parameter::Text(id) => Ok(Self(id)),
            Parameter::Integer(id) => Ok(Self(id.to_string())),
            Parameter::Number(id) => Ok(Self(id.to_string())),
            _ => Err(D::Error::custom("id must be a string")),
        }
    }
}

/// Shape of a tensor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) Vec<i64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sizes: Option<List<Parameter>> = Deserialize::deserialize(deserializer).ok();
        let sizes: Option<Vec<i64>> = sizes.and_then(|it| it.0.iter().map(whole).collect());
        let wrong = "shape must be a list of whole numbers, such as [1, 28, 28]";
        sizes.map(Self).ok_or_else(|| D::Error::custom(wrong))
    }
}

fn whole(size: &Parameter) -> Option<i64> {
    match *size {
        Parameter::Integer(size) => Some(size),
        Parameter::Number(size) if size.fract() == 0.0 && size.abs() <= f64::from(u32::MAX) => {
            Some(size as i64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_whole_numbers() {
        let shape = |text: &str| serde_json::from_str::<Shape>(text);
        for text in ["[1, 28, 28]", "[1.0, 28.0, 28e0]"] {
            assert_eq!(shape(text).ok(), Some(Shape(vec![1, 28, 28])), "{text}");
        }
        for text in [
            "[\"1\", 784]",
            "[1.5, 784]",
            "[null]",
            "[1e30]",
            "784",
            "{}",
        ] {
            let error = shape(text).expect_err(text).to_string();
            assert!(error.contains("list of whole numbers"), "{error}");
        }
    }

    #[test]
    fn an_id_is_a_string_or_a_number() {
        let id = |text: &str| serde_json::from_str::<Id>(text).ok().map(|id| id.0);
        assert_eq!(id("\"a\"").as_deref(), Some("a"));
        assert_eq!(id("7").as_deref(), Some("7"));
        assert_eq!(id("[7]"), None);
    }

    #[test]
    fn lists_and_parameters_have_a_limit() {
        let list = |entries: usize| format!("[{}]", vec!["[]"; entries].join(","));
        let parse = |text: String| serde_json::from_str::<List<Parameter>>(&text).map(|it| it.0);
        assert_eq!(parse(list(256)).expect("a list").len(), 256);
        let error = parse(list(257)).expect_err("too long").to_string();
        assert!(error.contains("more than 256 entries"), "{error}");

        let entries: Vec<String> = (0..257).map(|name| format!("\"{name}\":1")).collect();
        let error = serde_json::from_str::<Parameters>(&format!("{{{}}}", entries.join(",")));
        let error = error.expect_err("too many").to_string();
        assert!(error.contains("more than 256 entries"), "{error}");
    }
}
