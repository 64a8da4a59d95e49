//! Wire to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::InvalidWire;
use crate::schema::{Field, Form, Kind, Message, MessageId, Schema, Shape};
use crate::well_known::{duration_text, timestamp_text};
use crate::wire::{Value, next_field, next_packed};

/// Deepest nesting of messages.
const MAX_DEPTH: usize = 100;

const MALFORMED: &str = "it is malformed";

/// What is wrong, within the message that is named by whoever calls.
type Written = Result<(), &'static str>;

impl Schema {
    /// The JSON form of an encoded message, without the fields that have their default value.
    /// Fields have their names of JSON, enums are names, and integers of 64 bits are strings.
    ///
    /// # Errors
    /// When the bytes are no message, or it has no JSON form, such as a time in the year 10,000.
    pub fn to_json(&self, message: MessageId, wire: &[u8]) -> Result<Vec<u8>, InvalidWire> {
        let message = self.message(message);
        // Base64 is the longest form of what large messages hold.
        let mut out = Vec::with_capacity(wire.len() / 3 * 4 + 64);
        let written = self.write_message(message, wire, 0, &mut out);
        written.map(|()| out).map_err(|reason| InvalidWire {
            message: message.name.clone(),
            reason,
        })
    }

    fn write_message(
        &self,
        message: &Message,
        wire: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        if depth > MAX_DEPTH {
            return Err("it is nested too deeply");
        }
        let values = values(message, wire)?;
        if message.form != Form::Object {
            return write_time(message.form, &values, out);
        }
        out.push(b'{');
        let mut is_first = true;
        for values in values.chunk_by(|(one, _), (other, _)| one == other) {
            let field = &message.fields[values[0].0];
            if is_default(field, values) {
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                out.push(b',');
            }
            write_string(&field.json_name, out);
            out.push(b':');
            self.write_field(field, values, depth, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_field(
        &self,
        field: &Field,
        values: &[(usize, Value<'_>)],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        match field.shape {
            // Of several values, the last counts.
            Shape::Singular { .. } => {
                self.write_value(field.kind, values[values.len() - 1].1, depth, out)
            }
            Shape::List => {
                out.push(b'[');
                let mut separator = Separator::default();
                for &(_, value) in values {
                    match value {
                        Value::Delimited(mut packed) if field.kind.is_packed() => {
                            while !packed.is_empty() {
                                let value = next_packed(field.kind, &mut packed);
                                separator.write(out);
                                self.write_value(field.kind, value.ok_or(MALFORMED)?, depth, out)?;
                            }
                        }
                        value => {
                            separator.write(out);
                            self.write_value(field.kind, value, depth, out)?;
                        }
                    }
                }
                out.push(b']');
                Ok(())
            }
            Shape::Map => self.write_map(field, values, depth, out),
        }
    }

    fn write_map(
        &self,
        field: &Field,
        entries: &[(usize, Value<'_>)],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        let Kind::Message(entry) = field.kind else {
            return Err(MALFORMED);
        };
        let entry = self.message(entry);
        out.push(b'{');
        let mut separator = Separator::default();
        for &(_, value) in entries {
            let Value::Delimited(wire) = value else {
                return Err(MALFORMED);
            };
            separator.write(out);
            let values = values(entry, wire)?;
            for (number, is_key) in [(1, true), (2, false)] {
                let index = entry.index_of_number(number).ok_or(MALFORMED)?;
                let kind = entry.fields[index].kind;
                let value = values.iter().rfind(|(field, _)| *field == index);
                let value = value.map_or_else(|| default_of(kind), |&(_, value)| value);
                if is_key {
                    let start = out.len();
                    self.write_value(kind, value, depth, out)?;
                    if out[start] != b'"' {
                        out.insert(start, b'"');
                        out.push(b'"');
                    }
                    out.push(b':');
                } else {
                    self.write_value(kind, value, depth, out)?;
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn write_value(
        &self,
        kind: Kind,
        value: Value<'_>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Written {
        match (kind, value) {
            (Kind::Double, Value::Fixed64(bits)) => {
                let value = f64::from_bits(bits);
                write_float(value.is_finite().then_some(&value), value, out);
            }
            (Kind::Float, Value::Fixed32(bits)) => {
                let value = f32::from_bits(bits);
                write_float(value.is_finite().then_some(&value), value.into(), out);
            }
            (Kind::Int32, Value::Varint(bits)) => write_json(&(bits as i32), out),
            (Kind::Uint32, Value::Varint(bits)) => write_json(&(bits as u32), out),
            (Kind::Sint32, Value::Varint(bits)) => write_json(&(zigzag(bits) as i32), out),
            (Kind::Fixed32, Value::Fixed32(bits)) => write_json(&bits, out),
            (Kind::Sfixed32, Value::Fixed32(bits)) => write_json(&bits.cast_signed(), out),
            (Kind::Int64, Value::Varint(bits)) | (Kind::Sfixed64, Value::Fixed64(bits)) => {
                write_quoted(&bits.cast_signed(), out);
            }
            (Kind::Uint64, Value::Varint(bits)) | (Kind::Fixed64, Value::Fixed64(bits)) => {
                write_quoted(&bits, out);
            }
            (Kind::Sint64, Value::Varint(bits)) => write_quoted(&zigzag(bits), out),
            (Kind::Bool, Value::Varint(bits)) => write_json(&(bits != 0), out),
            (Kind::Enum(index), Value::Varint(bits)) => {
                let number = bits as i32;
                match self.enumeration(index).value(number) {
                    Some(name) => write_string(name, out),
                    None => write_json(&number, out),
                }
            }
            (Kind::String, Value::Delimited(bytes)) => {
                let text = str::from_utf8(bytes);
                write_string(text.map_err(|_| "a string is not UTF-8")?, out);
            }
            (Kind::Bytes, Value::Delimited(bytes)) => write_base64(bytes, out),
            (Kind::Message(id), Value::Delimited(wire)) => {
                self.write_message(self.message(id), wire, depth + 1, out)?;
            }
            _ => return Err(MALFORMED),
        }
        Ok(())
    }
}

/// Writes nothing the first time, then commas.
#[derive(Default)]
struct Separator(bool);

impl Separator {
    fn write(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.0, true) {
            out.push(b',');
        }
    }
}

/// The fields of an encoded message by their index, in the order of their declaration.
fn values<'a>(
    message: &Message,
    mut wire: &'a [u8],
) -> Result<Vec<(usize, Value<'a>)>, &'static str> {
    let mut values = Vec::new();
    while !wire.is_empty() {
        let (number, value) = next_field(&mut wire).ok_or(MALFORMED)?;
        if let Some(index) = message.index_of_number(number) {
            values.push((index, value));
        }
    }
    values.sort_by_key(|&(index, _)| index);
    Ok(values)
}

/// Whether a field is left out.
fn is_default(field: &Field, values: &[(usize, Value<'_>)]) -> bool {
    match (field.shape, values[values.len() - 1].1) {
        (Shape::Singular { explicit: true } | Shape::Map, _) => false,
        (Shape::Singular { explicit: false }, Value::Varint(bits)) => bits == 0,
        (Shape::Singular { explicit: false }, Value::Fixed64(bits)) => bits == 0,
        (Shape::Singular { explicit: false }, Value::Fixed32(bits)) => bits == 0,
        (Shape::Singular { explicit: false }, Value::Delimited(bytes)) => bytes.is_empty(),
        (Shape::List, _) => {
            let is_empty =
                |&(_, value): &_| matches!(value, Value::Delimited(packed) if packed.is_empty());
            field.kind.is_packed() && values.iter().all(is_empty)
        }
    }
}

/// The value of an entry's key or value that is not on the wire.
fn default_of(kind: Kind) -> Value<'static> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Value::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Value::Fixed32(0),
        Kind::String | Kind::Bytes | Kind::Message(_) => Value::Delimited(&[]),
        _ => Value::Varint(0),
    }
}

fn write_time(form: Form, values: &[(usize, Value<'_>)], out: &mut Vec<u8>) -> Written {
    // Both messages declare seconds first and nanos second.
    let value = |index| match values.iter().rfind(|&&(field, _)| field == index) {
        Some((_, Value::Varint(bits))) => bits.cast_signed(),
        _ => 0,
    };
    let (seconds, nanos) = (value(0), value(1) as i32);
    let (text, reason) = match form {
        Form::Timestamp => (timestamp_text(seconds, nanos), "a time is out of range"),
        _ => (duration_text(seconds, nanos), "a duration is out of range"),
    };
    write_string(&text.ok_or(reason)?, out);
    Ok(())
}

fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()
}

/// A float, if it is finite, in the shortest form of its type.
fn write_float(finite: Option<&impl serde::Serialize>, value: f64, out: &mut Vec<u8>) {
    match finite {
        Some(finite) => write_json(finite, out),
        None if value.is_nan() => write_string("NaN", out),
        None if value > 0.0 => write_string("Infinity", out),
        None => write_string("-Infinity", out),
    }
}

fn write_quoted(number: &impl serde::Serialize, out: &mut Vec<u8>) {
    out.push(b'"');
    write_json(number, out);
    out.push(b'"');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    write_json(&text, out);
}

fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("numbers and strings have a JSON form");
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    // Four characters for each three bytes, the last of which may be padding.
    out.resize(start + bytes.len().div_ceil(3) * 4, b'=');
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    let length = written.expect("there is room");
    out.truncate(start + length);
    out.push(b'"');
}
