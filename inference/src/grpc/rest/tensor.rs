//! Tensors in JSON: numbers, flat or nested, to the raw bytes of the gRPC message, and back.

use super::error::Failure;
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, SeqAccess, Visitor},
};
use std::fmt;

/// Maximum nesting: a shape has at most four dimensions.
const MAX_DEPTH: usize = 4;

/// The numbers of a tensor, in their order, however they are nested.
///
/// Parsed straight into one list: a document of short numbers must not take many times its size.
#[derive(Debug, PartialEq)]
pub(super) struct Numbers(pub(super) Vec<f64>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        let list = List {
            numbers: &mut numbers,
            depth: 0,
        };
        deserializer.deserialize_seq(list)?;
        Ok(Self(numbers))
    }
}

struct List<'a> {
    numbers: &'a mut Vec<f64>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("numbers, or lists of numbers")
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.numbers.push(number as f64);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.numbers.push(number as f64);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.numbers.push(number);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth == MAX_DEPTH {
            return Err(A::Error::custom("lists are nested too deep"));
        }
        let depth = self.depth + 1;
        loop {
            let numbers = &mut *self.numbers;
            if list.next_element_seed(List { numbers, depth })?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

impl Numbers {
    /// Raw values of a tensor of this type, with the type in which they are: the bytes or floats
    /// that the network takes. Of other types none, which the service rejects.
    pub(super) fn raw(self, field: &str, datatype: String) -> Result<(Bytes, String), Failure> {
        let largest = match &*datatype {
            "UINT8" | "UINT16" | "UINT32" | "UINT64" | "INT16" | "INT32" | "INT64" => u8::MAX,
            "INT8" => i8::MAX.unsigned_abs(),
            "FP16" | "BF16" | "FP32" | "FP64" => return Ok((self.floats(), "FP32".to_owned())),
            _ => return Ok((Bytes::new(), datatype)),
        };
        let byte = |(index, &number): (usize, &f64)| {
            let byte = number as u8;
            if f64::from(byte) == number && byte <= largest {
                return Ok(byte);
            }
            let message =
                format!("value {index} must be a whole number from 0 to {largest}, not {number}");
            Err(Failure::field(field, message))
        };
        let bytes: Result<Vec<u8>, Failure> = self.0.iter().enumerate().map(byte).collect();
        Ok((bytes?.into(), "UINT8".to_owned()))
    }

    fn floats(self) -> Bytes {
        let floats = self.0.iter();
        let bytes = floats.flat_map(|&number| (number as f32).to_le_bytes());
        bytes.collect::<Vec<u8>>().into()
    }
}

/// The values of an output.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Texts(Vec<String>),
}

impl Values {
    /// Parses the raw values of an output.
    pub(super) fn of(datatype: &str, raw: &[u8]) -> Option<Self> {
        match datatype {
            "FP32" => {
                let (floats, rest) = raw.as_chunks::<4>();
                let floats = floats
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes))
                    .collect();
                rest.is_empty().then_some(Self::Floats(floats))
            }
            "BYTES" => {
                let mut texts = Vec::new();
                let mut rest = raw;
                while let Some((length, after)) = rest.split_first_chunk::<4>() {
                    let length = u32::from_le_bytes(*length) as usize;
                    let (text, after) = after.split_at_checked(length)?;
                    texts.push(String::from_utf8_lossy(text).into_owned());
                    rest = after;
                }
                rest.is_empty().then_some(Self::Texts(texts))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_flat_and_nested() {
        let cases: [(&str, Option<&[f64]>); 9] = [
            ("[]", Some(&[])),
            ("[1, 2.5, -3]", Some(&[1.0, 2.5, -3.0])),
            ("[[1, 2], [3]]", Some(&[1.0, 2.0, 3.0])),
            ("[[[[0.5]]]]", Some(&[0.5])),
            ("[[[[[0.5]]]]]", None),
            ("7", None),
            ("[\"7\"]", None),
            ("[null]", None),
            ("{}", None),
        ];
        for (text, expected) in cases {
            let numbers = serde_json::from_str::<Numbers>(text).ok();
            assert_eq!(numbers.as_ref().map(|it| &*it.0), expected, "{text}");
        }
    }

    #[test]
    fn floats_are_encoded_without_loss() {
        for bits in (0..=0x3f80_0000_u32).step_by(9_973) {
            let float = f32::from_bits(bits);
            let text = serde_json::to_string(&Values::Floats(vec![float])).expect("JSON");
            let numbers: Numbers = serde_json::from_str(&text).expect("numbers");
            let (raw, _) = numbers.raw("data", "FP32".to_owned()).expect("floats");
            assert_eq!(*raw, float.to_le_bytes(), "{text}");
        }
    }

    #[test]
    fn bytes_must_be_whole_numbers() {
        let raw = |number: f64, datatype: &str| {
            Numbers(vec![7.0, number]).raw("inputs[0].data", datatype.to_owned())
        };
        for datatype in ["UINT8", "INT16", "UINT32", "INT64"] {
            let (bytes, datatype) = raw(255.0, datatype).expect("a byte");
            assert_eq!((&*bytes, &*datatype), (&[7, 255][..], "UINT8"));
            for bad in [256.0, -1.0, 0.5, f64::INFINITY] {
                assert!(raw(bad, &datatype).is_err(), "{bad}");
            }
        }
        assert!(raw(127.0, "INT8").is_ok() && raw(128.0, "INT8").is_err());
    }

    #[test]
    fn texts_are_parsed_by_their_lengths() {
        let raw = [1, 0, 0, 0, b'7', 0, 0, 0, 0, 2, 0, 0, 0, b'1', b'0'];
        let texts = ["7", "", "10"].map(str::to_owned).into();
        assert_eq!(Values::of("BYTES", &raw), Some(Values::Texts(texts)));
        assert_eq!(Values::of("BYTES", &raw[..14]), None);
        assert_eq!(Values::of("FP32", &raw), None);
    }
}
