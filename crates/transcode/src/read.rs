//! JSON to wire.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::InvalidJson;
use crate::scalar::{Scalar, shortened, unexpected_text};
use crate::schema::{Field, Form, Kind, Message, MessageId, Schema, Shape};
use crate::well_known::Time;
use crate::wire::Output;

impl Schema {
    /// The wire format of a message in JSON; at most `max_bytes` of it.
    ///
    /// Fields have their names of JSON or of the `.proto` file. `null` is an absent field. A field
    /// that the message does not have is an error, because a slip would otherwise go unnoticed.
    ///
    /// # Errors
    /// When the text is not the JSON form of this message, or the message is too long.
    pub fn to_wire(
        &self,
        message: MessageId,
        json: &[u8],
        max_bytes: usize,
    ) -> Result<Vec<u8>, InvalidJson> {
        let mut out = Output::new(max_bytes);
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let seed = Body {
            schema: self,
            message: self.message(message),
            out: &mut out,
        };
        let read = seed.deserialize(&mut deserializer);
        match read.and_then(|()| deserializer.end()) {
            Ok(()) => Ok(out.bytes),
            Err(_) if out.is_full() => Err(InvalidJson::TooLong(max_bytes)),
            Err(error) => Err(InvalidJson::Syntax(error.to_string())),
        }
    }
}

/// Reads a message and writes it without key and length.
struct Body<'a> {
    schema: &'a Schema,
    message: &'a Message,
    out: &'a mut Output,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.message.form {
            // As any value: for a string, serde_json's own error would hold all of it.
            Form::Object => deserializer.deserialize_any(self),
            form => Time {
                form,
                out: self.out,
            }
            .deserialize(deserializer),
        }
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object: {}", self.message.name)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        Err(unexpected_text(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = vec![false; self.message.fields.len()];
        let mut oneofs = vec![false; self.message.oneofs];
        while let Some(index) = map.next_key_seed(FieldName(self.message))? {
            let field = &self.message.fields[index];
            let name = &field.json_name;
            if std::mem::replace(&mut seen[index], true) {
                return Err(A::Error::custom(format!("the field {name} is there twice")));
            }
            let is_set = map.next_value_seed(FieldValue {
                schema: self.schema,
                field,
                out: self.out,
            })?;
            if let Some(oneof) = field.oneof
                && is_set
                && std::mem::replace(&mut oneofs[oneof], true)
            {
                let message = &self.message.name;
                return Err(A::Error::custom(format!(
                    "the field {name} excludes another field of {message} that is set"
                )));
            }
        }
        Ok(())
    }
}

/// The name of a field; its index.
struct FieldName<'a>(&'a Message);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        self.0.index_of(name).ok_or_else(|| {
            let (message, name) = (&self.0.name, shortened(name));
            E::custom(format!("{message} has no field {name:?}"))
        })
    }
}

/// The value of a field, which is written with its key; false for `null`.
struct FieldValue<'a> {
    schema: &'a Schema,
    field: &'a Field,
    out: &'a mut Output,
}

impl<'de> DeserializeSeed<'de> for FieldValue<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FieldValue<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value or null")
    }

    fn visit_none<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Self { schema, field, out } = self;
        let (number, kind) = (field.number, field.kind);
        match field.shape {
            Shape::Singular { .. } => {
                out.key(number, kind);
                Value { schema, kind, out }.deserialize(deserializer)?;
            }
            Shape::List => deserializer.deserialize_any(List { schema, field, out })?,
            Shape::Map => deserializer.deserialize_any(Entries { schema, field, out })?,
        }
        Ok(true)
    }
}

/// One value, which is written without its key.
struct Value<'a> {
    schema: &'a Schema,
    kind: Kind,
    out: &'a mut Output,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { schema, kind, out } = self;
        let Kind::Message(id) = kind else {
            return Scalar { schema, kind, out }.deserialize(deserializer);
        };
        let start = out.bytes.len();
        let message = schema.message(id);
        Body {
            schema,
            message,
            out: &mut *out,
        }
        .deserialize(deserializer)?;
        out.close(start);
        out.check(0)
    }
}

/// The elements of a list.
struct List<'a> {
    schema: &'a Schema,
    field: &'a Field,
    out: &'a mut Output,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        Err(unexpected_text(text, &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { schema, field, out } = self;
        let (number, kind) = (field.number, field.kind);
        if kind.is_packed() {
            let before = out.bytes.len();
            out.delimited_key(number);
            let start = out.bytes.len();
            while let Some(()) = elements.next_element_seed(Value {
                schema,
                kind,
                out: &mut *out,
            })? {}
            if out.bytes.len() == start {
                out.bytes.truncate(before);
            } else {
                out.close(start);
            }
            return out.check(0);
        }
        while let Some(()) = elements.next_element_seed(Element {
            schema,
            field,
            out: &mut *out,
        })? {}
        Ok(())
    }
}

/// An element of a list that is not packed, which is written with its key.
struct Element<'a> {
    schema: &'a Schema,
    field: &'a Field,
    out: &'a mut Output,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { schema, field, out } = self;
        let kind = field.kind;
        out.key(field.number, kind);
        Value { schema, kind, out }.deserialize(deserializer)
    }
}

/// The entries of a map.
struct Entries<'a> {
    schema: &'a Schema,
    field: &'a Field,
    out: &'a mut Output,
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object: a map")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        Err(unexpected_text(text, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let Self { schema, field, out } = self;
        let Kind::Message(entry) = field.kind else {
            return Ok(());
        };
        let [key, value] = [1, 2].map(|number| {
            let entry = schema.message(entry);
            entry
                .index_of_number(number)
                .map(|index| entry.fields[index].kind)
        });
        let (Some(key), Some(kind)) = (key, value) else {
            return Ok(());
        };
        loop {
            let before = out.bytes.len();
            out.key(field.number, field.kind);
            let start = out.bytes.len();
            out.key(1, key);
            let seed = Key(Scalar {
                schema,
                kind: key,
                out: &mut *out,
            });
            if entries.next_key_seed(seed)?.is_none() {
                out.bytes.truncate(before);
                return Ok(());
            }
            out.key(2, kind);
            entries.next_value_seed(Value {
                schema,
                kind,
                out: &mut *out,
            })?;
            out.close(start);
            out.check(0)?;
        }
    }
}

/// The key of an entry.
struct Key<'a>(Scalar<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.key(text)
    }
}
