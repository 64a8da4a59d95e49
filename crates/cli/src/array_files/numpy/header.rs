//! The header of an array of NumPy, as `numpy.lib.format` describes it, and its elements.

use std::io::{self, Read};

/// First bytes of an array.
pub(in crate::array_files) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read, in bytes; NumPy itself accepts 10,000.
const LONGEST: usize = 1 << 16;

/// What the bytes behind a header are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
}

/// The type of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    kind: Kind,
    /// Bytes of each.
    pub(super) size: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
    Bytes,
    Unicode,
}

impl Header {
    /// Reads the header; the elements follow. An error says what is wrong and what to do.
    pub(super) fn read(input: &mut impl Read) -> Result<Self, String> {
        let text = text(input).map_err(|error| format!("its header cannot be read: {error}"))?;
        let wrong = || format!("its header {:?} is not that of an array", text.trim());
        if value(&text, "fortran_order")
            .ok_or_else(wrong)?
            .starts_with("True")
        {
            return Err("it is in Fortran order: save it with numpy.ascontiguousarray".to_owned());
        }
        let descr = value(&text, "descr").ok_or_else(wrong)?;
        let descr = descr.strip_prefix(['\'', '"']);
        let descr = descr.and_then(|it| it.split(['\'', '"']).next());
        let element = descr.and_then(Element::parse).ok_or_else(|| {
            let shown = descr.map_or("of several fields", |it| it);
            format!(
                "its elements {shown} are not read: save numbers, with astype, as uint8, float32 or int64"
            )
        })?;
        let shape = value(&text, "shape").and_then(|it| it.strip_prefix('('));
        let shape = shape
            .and_then(|it| it.split(')').next())
            .ok_or_else(wrong)?;
        let sizes = shape.split(',').map(str::trim).filter(|it| !it.is_empty());
        let shape: Option<Vec<usize>> = sizes.map(|it| it.parse().ok()).collect();
        let shape = shape.ok_or_else(wrong)?;
        let bytes = shape
            .iter()
            .try_fold(element.size, |all, it| all.checked_mul(*it));
        bytes.map(|_| Self { element, shape }).ok_or_else(wrong)
    }
}

/// The dictionary, a literal of Python.
fn text(input: &mut impl Read) -> io::Result<String> {
    let mut start = [0; 8];
    input.read_exact(&mut start)?;
    let mut length = [0; 4];
    let bytes = if start[6] == 1 { 2 } else { 4 };
    input.read_exact(&mut length[..bytes])?;
    let length = u32::from_le_bytes(length) as usize;
    if !start.starts_with(MAGIC) || length > LONGEST {
        let reason = format!("it begins with {start:02x?} and a length of {length}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut text = vec![0; length];
    input.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What follows a key.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let quoted = ['\'', '"'].map(|quote| format!("{quote}{key}{quote}"));
    let (_, rest) = quoted
        .iter()
        .find_map(|key| text.split_once(key.as_str()))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

impl Element {
    /// Of an array-protocol type string: `<f4`, `|u1`.
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let (kind, size) = rest.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        let (kind, sizes, bytes): (_, &[usize], usize) = match kind {
            "b" | "u" => (Kind::Unsigned, &[1, 2, 4, 8], size),
            "i" => (Kind::Signed, &[1, 2, 4, 8], size),
            "f" => (Kind::Float, &[4, 8], size),
            "S" => (Kind::Bytes, &[], size),
            "U" => (Kind::Unicode, &[], size.checked_mul(4)?),
            _ => return None,
        };
        let known = sizes.is_empty() || sizes.contains(&size);
        (known && bytes > 0).then_some(Self {
            kind,
            size: bytes,
            is_big_endian: order == ">",
        })
    }

    /// Whether elements are bytes from 0 on.
    pub(super) fn is_byte(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }

    /// Whether elements are texts.
    pub(super) fn is_text(self) -> bool {
        matches!(self.kind, Kind::Bytes | Kind::Unicode)
    }

    /// The number in the bytes of an element.
    pub(super) fn number(self, bytes: &[u8]) -> f64 {
        let mut word = [0; 8];
        word[..self.size].copy_from_slice(bytes);
        if self.is_big_endian {
            word[..self.size].reverse();
        }
        let unused = 64 - 8 * self.size as u32;
        match self.kind {
            Kind::Float if self.size == 4 => {
                f64::from(f32::from_bits(u64::from_le_bytes(word) as u32))
            }
            Kind::Float => f64::from_le_bytes(word),
            Kind::Signed => ((i64::from_le_bytes(word) << unused) >> unused) as f64,
            _ => u64::from_le_bytes(word) as f64,
        }
    }

    /// The text in the bytes of an element, which zeros pad.
    pub(super) fn text(self, bytes: &[u8]) -> String {
        let text = match self.kind {
            Kind::Unicode => {
                let codes = bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|&code| match self.is_big_endian {
                        true => u32::from_be_bytes(code),
                        false => u32::from_le_bytes(code),
                    });
                let replaced = char::REPLACEMENT_CHARACTER;
                codes
                    .map(|code| char::from_u32(code).unwrap_or(replaced))
                    .collect()
            }
            _ => String::from_utf8_lossy(bytes).into_owned(),
        };
        text.trim_end_matches('\0').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Result<Header, String> {
        let length = (text.len() as u16).to_le_bytes();
        let bytes = [MAGIC, b"\x01\0", &length, text.as_bytes()].concat();
        Header::read(&mut &bytes[..])
    }

    #[test]
    fn headers_are_read_and_what_is_not_supported_is_named() {
        let read = header("{'descr': '<f8', 'fortran_order': False, 'shape': (1797, 64), }\n");
        let read = read.expect("a header");
        assert_eq!((read.shape, read.element.size), (vec![1_797, 64], 8));
        let read =
            header(r#"{"descr":"|u1","fortran_order":False,"shape":(7,)}"#).expect("a header");
        assert!(read.element.is_byte() && read.shape == [7]);
        for (text, part) in [
            (
                "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }",
                "ascontiguousarray",
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
                "elements |O",
            ),
            (
                "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,), }",
                "several fields",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-2,), }",
                "not that of an array",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
                "not that of",
            ),
            ("{}", "not that of an array"),
        ] {
            let error = header(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
        assert!(Header::read(&mut &MAGIC[..]).is_err());
        assert!(Header::read(&mut &b"\x93NUMPY\x02\0\xff\xff\xff\xff"[..]).is_err());
    }

    #[test]
    fn elements_are_numbers_or_texts() {
        let number = |descr: &str, bytes: &[u8]| Element::parse(descr).expect(descr).number(bytes);
        assert_eq!(number("|u1", &[255]), 255.0);
        assert_eq!(number("|i1", &[255]), -1.0);
        assert_eq!(number("<u2", &[1, 2]), 513.0);
        assert_eq!(number(">i2", &[255, 254]), -2.0);
        assert_eq!(number("<i8", &(-7_i64).to_le_bytes()), -7.0);
        assert_eq!(number("<f4", &0.5_f32.to_le_bytes()), 0.5);
        assert_eq!(number(">f8", &0.25_f64.to_be_bytes()), 0.25);
        assert_eq!(number("|b1", &[1]), 1.0);
        let text = Element::parse("<U3").expect("text");
        assert_eq!(text.text(b"\xe9\0\0\0a\0\0\0\0\0\0\0"), "éa");
        assert_eq!(Element::parse("|S4").expect("text").text(b"cat\0"), "cat");
    }
}
