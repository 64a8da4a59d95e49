//! Takes lines from all over a CSV file, which may be sorted by label.

use super::{
    super::gzip,
    cells::{delimiter, first_line, lines},
    columns::Line,
};
use csv::ByteRecord;
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom},
    path::Path,
};

/// Lines from the start of the file, and from the rest of it.
const LINES: usize = 256;
/// Places in the rest.
const PLACES: u64 = 256;

/// Lines of a file, of which the first may be a header.
pub(super) struct Sample {
    pub(super) delimiter: u8,
    pub(super) lines: Vec<Line>,
}

/// Reads the first lines, and of a file that is not compressed a line after each of many places.
pub(super) fn take(path: &Path) -> io::Result<Sample> {
    let mut input = BufReader::new(gzip::open(path, File::open(path)?)?);
    let mut first = Vec::new();
    input.read_until(b'\n', &mut first)?;
    let delimiter = delimiter(first_line(&first));
    let start = io::Cursor::new(first).chain(input);
    let mut sample = read_lines(start, delimiter, LINES);
    let is_plain = !gzip::is_packed(path)?;
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let columns = sample.first().map_or(0, Vec::len);
    let places = match is_plain && sample.len() == LINES {
        true => 1..PLACES,
        false => 0..0,
    };
    for place in places {
        file.seek(SeekFrom::Start(size / PLACES * place))?;
        let mut input = BufReader::new(&file);
        input.skip_until(b'\n')?;
        let line = read_lines(input, delimiter, 1).pop();
        sample.extend(line.filter(|line| line.len() == columns));
    }
    Ok(Sample {
        delimiter,
        lines: sample,
    })
}

/// Up to `count` lines; errors are met again when all are read.
fn read_lines(input: impl Read, delimiter: u8, count: usize) -> Vec<Line> {
    let mut lines = lines(input, delimiter, false);
    let mut line = ByteRecord::new();
    let mut taken = Vec::new();
    while taken.len() < count && lines.read_byte_record(&mut line).unwrap_or(false) {
        let cells = line
            .iter()
            .map(|cell| String::from_utf8_lossy(cell).into_owned());
        taken.push(cells.collect());
    }
    taken
}
