//! Fields of a request in JSON, read as leniently as their meaning allows: `null` is an absent
//! field, an id may be a number, and a size may be written with a fraction of zero.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// The value of a field, or its default where the field is `null`.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Id of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Id(pub(super) String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(id) => Ok(Self(id)),
            Value::Number(id) => Ok(Self(id.to_string())),
            _ => Err(D::Error::custom("id must be a string")),
        }
    }
}

/// Shape of a tensor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) Vec<i64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong =
            || D::Error::custom("shape must be a list of whole numbers, such as [1, 28, 28]");
        let Value::Array(sizes) = Value::deserialize(deserializer)? else {
            return Err(wrong());
        };
        let sizes: Option<Vec<i64>> = sizes.iter().map(whole).collect();
        Ok(Self(sizes.ok_or_else(wrong)?))
    }
}

fn whole(value: &Value) -> Option<i64> {
    let is_whole = |number: &f64| number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX);
    let float = || value.as_f64().filter(is_whole);
    value
        .as_i64()
        .or_else(|| float().map(|number| number as i64))
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
}
