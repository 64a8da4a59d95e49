//! The wire format (<https://protobuf.dev/programming-guides/encoding/>): a bounded output, and the
//! fields of an encoded message.

use prost::encoding::{WireType, decode_varint, encode_varint, encoded_len_varint};

use crate::schema::Kind;

/// An encoded message that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    max: usize,
    is_full: bool,
}

impl Output {
    /// An output of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            max,
            is_full: false,
        }
    }

    /// Checks that `length` more bytes may be written. Keys and numbers are checked once they are
    /// written, because they are short.
    ///
    /// # Errors
    /// A placeholder, when the output would be too long: [`Self::is_full`] is true then.
    pub(crate) fn check<E: serde::de::Error>(&mut self, length: usize) -> Result<(), E> {
        if self.bytes.len().saturating_add(length) > self.max {
            self.is_full = true;
            return Err(E::custom("too long"));
        }
        Ok(())
    }

    /// Whether a check failed.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(crate) fn key(&mut self, number: u32, kind: Kind) {
        encode_varint(
            u64::from(number << 3 | wire_type(kind) as u32),
            &mut self.bytes,
        );
    }

    /// The key of a length-delimited field.
    pub(crate) fn delimited_key(&mut self, number: u32) {
        let wire_type = WireType::LengthDelimited as u32;
        encode_varint(u64::from(number << 3 | wire_type), &mut self.bytes);
    }

    pub(crate) fn varint(&mut self, value: u64) {
        encode_varint(value, &mut self.bytes);
    }

    /// Puts the length of what was written since `start` before it.
    pub(crate) fn close(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u64;
        let end = self.bytes.len();
        // Makes room behind, and moves what was written.
        self.bytes.resize(end + encoded_len_varint(length), 0);
        self.bytes
            .copy_within(start..end, start + encoded_len_varint(length));
        let mut head = &mut self.bytes[start..];
        encode_varint(length, &mut head);
    }
}

fn wire_type(kind: Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
        _ => WireType::Varint,
    }
}

/// A value as it is on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Delimited(&'a [u8]),
}

/// Splits the next field off an encoded message; `None` if it is malformed.
pub(crate) fn next_field<'a>(encoded: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let key = decode_varint(encoded).ok()?;
    let number = u32::try_from(key >> 3).ok()?;
    let wire_type = WireType::try_from(key & 7).ok()?;
    Some((number, next_value(wire_type, encoded)?))
}

/// Splits the next value of a packed list off.
pub(crate) fn next_packed<'a>(kind: Kind, encoded: &mut &'a [u8]) -> Option<Value<'a>> {
    next_value(wire_type(kind), encoded)
}

fn next_value<'a>(wire_type: WireType, encoded: &mut &'a [u8]) -> Option<Value<'a>> {
    Some(match wire_type {
        WireType::Varint => Value::Varint(decode_varint(encoded).ok()?),
        WireType::SixtyFourBit => {
            let (value, rest) = encoded.split_first_chunk()?;
            *encoded = rest;
            Value::Fixed64(u64::from_le_bytes(*value))
        }
        WireType::ThirtyTwoBit => {
            let (value, rest) = encoded.split_first_chunk()?;
            *encoded = rest;
            Value::Fixed32(u32::from_le_bytes(*value))
        }
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(encoded).ok()?).ok()?;
            let (value, rest) = encoded.split_at_checked(length)?;
            *encoded = rest;
            Value::Delimited(value)
        }
        WireType::StartGroup | WireType::EndGroup => return None,
    })
}
