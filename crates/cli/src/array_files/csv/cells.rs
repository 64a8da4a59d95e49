//! The lines and cells of CSV files.

use csv::ReaderBuilder;
use std::io::Read;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b' '];
/// Cells of a line from which on a text is a table of pixels.
const LEAST_CELLS: usize = 5;

/// Whether a file that begins so has lines of cells.
pub(in crate::array_files) fn is_table(start: &[u8]) -> bool {
    let line = first_line(start);
    let is_text = |byte: &u8| *byte == b'\t' || (b' '..0x7f).contains(byte) || *byte >= 0x80;
    let delimiter = delimiter(line);
    let numbers = |line: &[u8]| {
        let cells = line.split(|byte| *byte == delimiter);
        cells.filter(|cell| number(cell).is_some()).count()
    };
    // The first line may be a header.
    let mut first_two = start.split(|byte| *byte == b'\n').take(2);
    line.iter().all(is_text)
        && cells(line, delimiter) >= LEAST_CELLS
        && first_two.any(|line| numbers(line) + 1 >= LEAST_CELLS)
}

pub(super) fn first_line(start: &[u8]) -> &[u8] {
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or(start);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The one that makes most cells of a line.
pub(super) fn delimiter(line: &[u8]) -> u8 {
    let most = DELIMITERS.into_iter().rev();
    most.max_by_key(|it| cells(line, *it)).unwrap_or(b',')
}

fn cells(line: &[u8], delimiter: u8) -> usize {
    1 + line.iter().filter(|byte| **byte == delimiter).count()
}

/// A reader of lines.
pub(super) fn lines<R: Read>(input: R, delimiter: u8, has_header: bool) -> csv::Reader<R> {
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(has_header)
        .buffer_capacity(1 << 16)
        .from_reader(input)
}

/// The number in a cell.
pub(super) fn number(cell: &[u8]) -> Option<f32> {
    if (1..=5).contains(&cell.len()) && cell.iter().all(u8::is_ascii_digit) {
        let digits = cell.iter().map(|digit| u32::from(digit - b'0'));
        return Some(digits.fold(0, |number, digit| number * 10 + digit) as f32);
    }
    let number: f32 = str::from_utf8(cell).ok()?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_told_from_other_texts() {
        for (start, delimited) in [
            (
                &b"label,pixel0,pixel1,pixel2,pixel3\r\n1,0,0,0,0\r\n"[..],
                b',',
            ),
            (b"\xef\xbb\xbf1;0;0;0;0\n", b';'),
            (b"cat,0,0,0,0\n", b','),
            (b"1\t0\t0\t0\t0", b'\t'),
            (b"1.0 0.0 0.0 0.0 0.0\n", b' '),
        ] {
            assert!(is_table(start));
            assert_eq!(delimiter(first_line(start)), delimited);
        }
        for other in [
            &b"index,codepoint,char\n0,1,a\n"[..],
            b"",
            b"\0\0\x08\x03,,,,,,\n",
            b"These are the digits of 3 people.\nThey have 28 x 28 pixels.\n",
            b"name,width,height,depth,made\na.png,28,28,8,by me\n",
        ] {
            assert!(!is_table(other));
        }
    }

    #[test]
    fn cells_are_numbers() {
        for (cell, expected) in [
            ("0", Some(0.0)),
            ("255", Some(255.0)),
            (" 12.5 ", Some(12.5)),
            ("7.000000000000000000e+00", Some(7.0)),
            ("-1", Some(-1.0)),
            ("", None),
            ("nan", None),
            ("a", None),
        ] {
            assert_eq!(number(cell.as_bytes()), expected, "{cell}");
        }
    }
}
