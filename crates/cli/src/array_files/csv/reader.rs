//! Reads the lines of a CSV file, in one pass.

use super::{
    super::{
        gzip,
        levels::Levels,
        shape::Shape,
        sink::{Sink, failed},
    },
    cells::{lines, number},
    columns::{Columns, Place},
    sample,
};
use crate::{Error, image_set::Label};
use csv::ByteRecord;
use indicatif::ProgressBar;
use std::{fs::File, path::Path};

/// Reads a file; the images have labels, or it returns false and has read nothing.
pub(in crate::array_files) fn read(
    path: &Path,
    progress: &ProgressBar,
    sink: &mut Sink<'_>,
) -> Result<bool, Error> {
    let name = path.display().to_string();
    let sample = sample::take(path).map_err(|error| Error::input(&name, error))?;
    let wanted = sink.options.label_column.as_deref();
    let columns = Columns::find(&sample.lines, wanted, sink.labels_at, &name)?;
    if let Some(index) = &columns.index {
        sink.note(format!(
            "{name}: the column {index:?}, which numbers the lines, was left out"
        ));
    }
    let Some(label) = columns.label else {
        return Ok(false);
    };
    sink.labels_at = Some(Place {
        count: columns.count,
        label,
    });
    let shape = Shape::flat(columns.pixels.len(), sink.options.size, &name)?;
    let levels = sink.levels(&name, || {
        let lines = sample.lines.iter().skip(usize::from(columns.has_header));
        let pixels = lines.flat_map(|line| columns.pixels.iter().map(|column| &line[*column]));
        pixels.filter_map(|cell| number(cell.as_bytes())).collect()
    })?;
    let file = File::open(path).map_err(|error| Error::input(&name, error))?;
    let input = gzip::open(path, progress.wrap_read(file));
    let input = input.map_err(|error| Error::input(&name, error))?;
    let mut lines = lines(input, sample.delimiter, columns.has_header);
    let mut line = ByteRecord::new();
    loop {
        let more = lines.read_byte_record(&mut line);
        if !more.map_err(|error| Error::input(&name, reason(&error)))? {
            return Ok(true);
        }
        let at = line.position().map_or(0, csv::Position::line);
        let at = format_args!("{name} line {at}");
        let pixels = pixels(&line, &columns, levels).map_err(|reason| failed(&at, reason))?;
        let label = label_of(&line[label]).ok_or_else(|| failed(&at, "has no label"))?;
        let place = sink.place(&at, &label)?;
        sink.add(&at, shape.picture(pixels), place)?;
    }
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                "line {line} has {len} cells, and the lines before it have {expected_len}: correct or remove it"
            )
        }
        _ => error.to_string(),
    }
}

fn pixels(line: &ByteRecord, columns: &Columns, levels: Levels) -> Result<Vec<u8>, String> {
    let pixel = |column: &usize| {
        let cell = &line[*column];
        let value = number(cell).ok_or_else(|| {
            let shown = String::from_utf8_lossy(cell);
            format!(
                "column {} is {shown:?} where pixels have a number",
                column + 1
            )
        })?;
        levels.byte(value)
    };
    columns.pixels.iter().map(pixel).collect()
}

fn label_of(cell: &[u8]) -> Option<Label> {
    let text = str::from_utf8(cell).ok()?.trim();
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number.fract() == 0.0 => {
            Some(Label::Number(number as i64))
        }
        _ => (!text.is_empty()).then(|| Label::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbers_or_words() {
        assert_eq!(label_of(b"7.0"), Some(Label::Number(7)));
        assert_eq!(label_of(b" cat"), Some(Label::Text("cat".to_owned())));
        assert_eq!(label_of(b""), None);
    }
}
