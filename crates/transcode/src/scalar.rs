//! Numbers, strings, bytes and values of enums: JSON to wire.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeSeed, Deserializer, Error, Expected, Unexpected, Visitor};

use crate::schema::{Kind, Schema};
use crate::wire::Output;

/// Padding may be there or not, in both alphabets.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// From here on, not every integer has a float of its own.
const TWO_TO_53: f64 = 9_007_199_254_740_992.0;

/// Reads a value of `kind`, which is no message, and writes it without a key.
pub(crate) struct Scalar<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) kind: Kind,
    pub(crate) out: &'a mut Output,
}

/// A number as JSON has it.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.kind {
            Kind::String | Kind::Bytes => deserializer.deserialize_str(self),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl Visitor<'_> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.kind {
            Kind::Bool => "true or false",
            Kind::String => "a string",
            Kind::Bytes => "base64 in a string",
            Kind::Enum(index) => {
                let name = &self.schema.enumeration(index).name;
                return write!(formatter, "the name of a value of {name}");
            }
            Kind::Float | Kind::Double => "a number",
            _ => "an integer",
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        if self.kind != Kind::Bool {
            return Err(E::invalid_type(Unexpected::Bool(value), &self));
        }
        self.out.varint(u64::from(value));
        self.out.check(0)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(Number::Integer(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(Number::Integer(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(Number::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.kind {
            Kind::String => {
                self.out.check(text.len())?;
                self.out.varint(text.len() as u64);
                self.out.bytes.extend_from_slice(text.as_bytes());
                self.out.check(0)
            }
            Kind::Bytes => self.base64(text),
            Kind::Enum(index) => match self.schema.enumeration(index).number(text) {
                Some(number) => self.number(Number::Integer(number.into())),
                None => {
                    let name = &self.schema.enumeration(index).name;
                    let text = shortened(text);
                    Err(E::custom(format!("{name} has no value {text:?}")))
                }
            },
            Kind::Bool => Err(unexpected_text(text, &self)),
            kind => match number_in(text, kind) {
                Some(number) => self.number(number),
                None => Err(E::invalid_value(Unexpected::Str(&shortened(text)), &self)),
            },
        }
    }
}

impl Scalar<'_> {
    /// The key of a map's entry, which JSON has as a string.
    pub(crate) fn key<E: Error>(self, text: &str) -> Result<(), E> {
        match (self.kind, text) {
            (Kind::Bool, "true") => self.visit_bool(true),
            (Kind::Bool, "false") => self.visit_bool(false),
            (Kind::Bool, _) => Err(E::custom("a key of this map is true or false")),
            _ => self.visit_str(text),
        }
    }

    fn number<E: Error>(self, number: Number) -> Result<(), E> {
        let written = match self.kind {
            Kind::Double => {
                let value = number.float();
                self.out.bytes.extend(value.to_le_bytes());
                // Text such as 1e999.
                value.is_finite() || matches!(number, Number::Float(value) if !value.is_finite())
            }
            Kind::Float => {
                let (value, single) = (number.float(), number.float() as f32);
                self.out.bytes.extend(single.to_le_bytes());
                single.is_finite() || !value.is_finite()
            }
            kind => number
                .integer()
                .is_some_and(|value| put_integer(value, kind, self.out)),
        };
        if !written {
            let number = match number {
                Number::Integer(value) => format!("integer `{value}`"),
                Number::Float(value) => format!("number `{value:e}`"),
            };
            return Err(E::invalid_value(Unexpected::Other(&number), &self));
        }
        self.out.check(0)
    }

    fn base64<E: Error>(self, text: &str) -> Result<(), E> {
        let engine = if text.contains(['-', '_']) {
            BASE64_URL
        } else {
            BASE64
        };
        self.out.check(text.len() / 4 * 3)?;
        let start = self.out.bytes.len();
        if let Err(error) = engine.decode_vec(text, &mut self.out.bytes) {
            return Err(E::custom(format!("not base64: {error}")));
        }
        self.out.close(start);
        self.out.check(0)
    }
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// The integer, also of a float such as 1e3; of one beyond 2^53 - 1 there could be several.
    fn integer(self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < TWO_TO_53 => {
                Some(value as i128)
            }
            Self::Float(_) => None,
        }
    }
}

/// The number in a string.
fn number_in(text: &str, kind: Kind) -> Option<Number> {
    if matches!(kind, Kind::Double | Kind::Float) {
        match text {
            "NaN" => return Some(Number::Float(f64::NAN)),
            "Infinity" => return Some(Number::Float(f64::INFINITY)),
            "-Infinity" => return Some(Number::Float(f64::NEG_INFINITY)),
            _ => {}
        }
    }
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && text.bytes().all(|byte| b"+-.eE0123456789".contains(&byte));
    if !is_number {
        return None;
    }
    if let Ok(integer) = text.parse() {
        return Some(Number::Integer(integer));
    }
    let float = text.parse().ok().filter(|value: &f64| value.is_finite());
    float.map(Number::Float)
}

/// Writes an integer; false if it is out of range.
fn put_integer(value: i128, kind: Kind, out: &mut Output) -> bool {
    let signed_32 = || i32::try_from(value).ok();
    let signed_64 = || i64::try_from(value).ok();
    let unsigned_32 = || u32::try_from(value).ok();
    let unsigned_64 = || u64::try_from(value).ok();
    let written = match kind {
        Kind::Int32 | Kind::Enum(_) => {
            signed_32().map(|value| out.varint(i64::from(value).cast_unsigned()))
        }
        Kind::Int64 => signed_64().map(|value| out.varint(value.cast_unsigned())),
        Kind::Uint32 => unsigned_32().map(|value| out.varint(value.into())),
        Kind::Uint64 => unsigned_64().map(|value| out.varint(value)),
        Kind::Sint32 => signed_32()
            .map(|value| out.varint(((value << 1) ^ (value >> 31)).cast_unsigned().into())),
        Kind::Sint64 => {
            signed_64().map(|value| out.varint(((value << 1) ^ (value >> 63)).cast_unsigned()))
        }
        Kind::Fixed32 => unsigned_32().map(|value| out.bytes.extend(value.to_le_bytes())),
        Kind::Fixed64 => unsigned_64().map(|value| out.bytes.extend(value.to_le_bytes())),
        Kind::Sfixed32 => signed_32().map(|value| out.bytes.extend(value.to_le_bytes())),
        Kind::Sfixed64 => signed_64().map(|value| out.bytes.extend(value.to_le_bytes())),
        _ => None,
    };
    written.is_some()
}

/// The error of a string that is there instead of something else.
pub(crate) fn unexpected_text<E: Error>(text: &str, expected: &dyn Expected) -> E {
    E::invalid_type(Unexpected::Str(&shortened(text)), expected)
}

/// The beginning of a client's text.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 40;
    if text.chars().nth(MAX_CHARS).is_none() {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARS).chain(['…']).collect()
}
