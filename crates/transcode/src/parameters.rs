//! Messages of other parts of an HTTP request than JSON: the parameters of a query, and bytes that
//! are the value of one field.

use serde::de::Visitor as _;

use crate::error::InvalidJson;
use crate::scalar::{Scalar, shortened};
use crate::schema::{Kind, MessageId, Schema, Shape};
use crate::wire::Output;

/// A field of type `bytes`, within messages.
#[derive(Debug, Clone)]
pub struct BytesField {
    /// Numbers of the fields that lead to it, and its own.
    numbers: Vec<u32>,
}

impl Schema {
    /// The field of type `bytes` at a path of names, such as `pictures.encoded`; `None` if there is
    /// none. A list of the path gets one element.
    #[must_use]
    pub fn bytes_field(&self, message: MessageId, path: &str) -> Option<BytesField> {
        let (mut kind, mut numbers) = (Kind::Message(message), Vec::new());
        for name in path.split('.') {
            let Kind::Message(id) = kind else {
                return None;
            };
            let message = self.message(id);
            let field = &message.fields[message.index_of(name)?];
            if field.shape == Shape::Map {
                return None;
            }
            numbers.push(field.number);
            kind = field.kind;
        }
        (kind == Kind::Bytes).then_some(BytesField { numbers })
    }

    /// The wire format of a message with these fields, by the names and values of a query: numbers,
    /// strings, `true` and `false`, and values of enums by the end of their names.
    ///
    /// # Errors
    /// When the message has no such field, or the field is a message, a list or bytes, or has no
    /// such value.
    pub fn parameters_to_wire<'a>(
        &self,
        message: MessageId,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<u8>, InvalidJson> {
        let mut out = Output::new(usize::MAX);
        let message = self.message(message);
        for (name, value) in parameters {
            let field = message.index_of(name).map(|index| &message.fields[index]);
            let field = field.filter(|field| {
                let is_value = !matches!(field.kind, Kind::Message(_) | Kind::Bytes);
                is_value && matches!(field.shape, Shape::Singular { .. })
            });
            let Some(field) = field else {
                let name = shortened(name);
                return Err(InvalidJson::Syntax(format!(
                    "{} has no parameter {name:?}",
                    message.name
                )));
            };
            out.key(field.number, field.kind);
            let number = match field.kind {
                Kind::Enum(index) => self.enumeration(index).number_by_end(value),
                _ => None,
            };
            let scalar = Scalar {
                schema: self,
                kind: field.kind,
                out: &mut out,
            };
            let written: Result<(), serde_json::Error> = match number {
                Some(number) => scalar.visit_i64(number.into()),
                None => scalar.key(value),
            };
            written.map_err(|error| InvalidJson::Syntax(format!("{name}: {error}")))?;
        }
        Ok(out.bytes)
    }
}

impl BytesField {
    /// The wire format of a message in which this field alone has a value.
    #[must_use]
    pub fn to_wire(&self, value: &[u8]) -> Vec<u8> {
        // Lengths from the inside outwards, so that the value is copied once.
        let mut lengths = vec![value.len()];
        for &number in self.numbers.iter().skip(1).rev() {
            let inner = lengths[lengths.len() - 1];
            let mut head = Output::new(usize::MAX);
            head.delimited_key(number);
            head.varint(inner as u64);
            lengths.push(head.bytes.len() + inner);
        }
        let mut out = Output::new(usize::MAX);
        out.bytes.reserve(lengths[lengths.len() - 1] + 16);
        for (&number, &length) in self.numbers.iter().zip(lengths.iter().rev()) {
            out.delimited_key(number);
            out.varint(length as u64);
        }
        out.bytes.extend_from_slice(value);
        out.bytes
    }
}
