//! Finds the column of labels and those of pixels in a sample of lines.

use super::cells::number;
use crate::Error;
use std::collections::BTreeSet;

const LABELS: [&str; 9] = [
    "label",
    "labels",
    "class",
    "target",
    "digit",
    "y",
    "character",
    "letter",
    "category",
];
/// Columns that number the lines, as pandas writes them.
const INDICES: [&str; 5] = ["", "unnamed: 0", "id", "index", "idx"];
/// Columns of pixels that a file of images has at least.
const LEAST_PIXELS: usize = 4;

/// A line, cell by cell.
pub(super) type Line = Vec<String>;

/// Where the labels are in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::array_files) struct Place {
    /// All columns.
    pub(in crate::array_files) count: usize,
    /// The column of labels.
    pub(in crate::array_files) label: usize,
}

/// What each column of a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// All columns.
    pub(super) count: usize,
    pub(super) has_header: bool,
    /// Without it the file has no labels.
    pub(super) label: Option<usize>,
    pub(super) pixels: Vec<usize>,
    /// The name of the column that numbers the lines and is left out.
    pub(super) index: Option<String>,
}

impl Columns {
    /// Finds them by the header, else as `before`, in the first file of the data set, else by the
    /// values. `wanted` is the user's column of labels: its name, `first`, `last`, or its number,
    /// counted from one.
    pub(in crate::array_files) fn find(
        sample: &[Line],
        wanted: Option<&str>,
        before: Option<Place>,
        name: &str,
    ) -> Result<Self, Error> {
        let fail = |reason: String| Err(Error::input(name, reason));
        let Some((first, rest)) = sample.split_first() else {
            return fail("has no lines".to_owned());
        };
        let has_header = is_header(first, rest);
        let lines = if has_header { rest } else { sample };
        if lines.is_empty() {
            return fail("has a header and no line of numbers".to_owned());
        }
        let header: Vec<String> = match has_header {
            true => first.iter().map(|it| it.trim().to_lowercase()).collect(),
            false => Vec::new(),
        };
        let count = first.len();
        let index = header.iter().position(|it| INDICES.contains(&it.as_str()));
        let label = match wanted {
            Some(wanted) => Some(match wanted_column(wanted, &header, count) {
                Some(column) => column,
                None => {
                    return fail(format!(
                        "has no column {wanted:?}, which --label-column names"
                    ));
                }
            }),
            None => match named(&header) {
                Some(column) => Some(column),
                None if has_header && index.is_some() => None,
                None if before.is_some_and(|it| it.count == count) => before.map(|it| it.label),
                None if before.is_some_and(|it| it.count == count + 1) => None,
                None => by_values(lines, count, name)?,
            },
        };
        let is_pixel = |column: &usize| Some(*column) != label && Some(*column) != index;
        let pixels: Vec<usize> = (0..count).filter(is_pixel).collect();
        if pixels.len() < LEAST_PIXELS {
            let columns = pixels.len();
            return fail(format!(
                "has {columns} columns of pixels: give a column for each pixel of the images"
            ));
        }
        Ok(Self {
            count,
            has_header,
            label,
            pixels,
            index: index.map(|index| first[index].clone()),
        })
    }
}

/// Whether a line names the columns: it has a name where the next line has a number, or counts.
fn is_header(first: &Line, rest: &[Line]) -> bool {
    let next = rest.first().unwrap_or(first);
    let is_name = |(cell, below): (&String, &String)| {
        number(cell.as_bytes()).is_none() && number(below.as_bytes()).is_some()
    };
    let counts = |from: usize| {
        let mut cells = (from..).zip(first).skip(1);
        first.len() > LEAST_PIXELS && cells.all(|(at, cell)| cell.trim() == at.to_string())
    };
    first.iter().zip(next).any(is_name) || counts(0) || counts(1)
}

fn wanted_column(wanted: &str, header: &[String], count: usize) -> Option<usize> {
    let by_name = header
        .iter()
        .position(|it| *it == wanted.trim().to_lowercase());
    by_name.or_else(|| match wanted {
        "first" => Some(0),
        "last" => Some(count - 1),
        number => number
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1))
            .filter(|column| *column < count),
    })
}

/// The column that is named as labels are.
fn named(header: &[String]) -> Option<usize> {
    header.iter().position(|it| LABELS.contains(&it.as_str()))
}

/// The first or the last column, if the values of only that one look like labels; none if all
/// columns look like pixels and make a square.
fn by_values(lines: &[Line], count: usize, name: &str) -> Result<Option<usize>, Error> {
    let found: Vec<usize> = [0, count - 1]
        .into_iter()
        .filter(|column| look_like_labels(lines.iter().map(|line| line[*column].as_str())))
        .collect();
    match found[..] {
        [column] => Ok(Some(column)),
        [] if count.isqrt().pow(2) == count => Ok(None),
        _ => Err(Error::input(
            name,
            format!(
                "has no column that is named label, and {} of the first and the last look like labels: name it with \
                 --label-column, as first, last or a number",
                if found.is_empty() { "neither" } else { "both" }
            ),
        )),
    }
}

/// Words; or whole numbers from 0 or 1 on, two or more, of which hardly any is left out.
fn look_like_labels<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let mut values = BTreeSet::new();
    for cell in cells {
        match number(cell.as_bytes()) {
            Some(number) if number >= 0.0 && number.fract() == 0.0 => {
                values.insert(number as u32);
            }
            Some(_) => return false,
            None => return !cell.trim().is_empty(),
        }
    }
    match (values.first(), values.last()) {
        (Some(0 | 1), Some(&last)) => values.len() > 1 && values.len() * 10 >= last as usize * 8,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Vec<Line> {
        let cells = |line: &str| line.split(',').map(str::to_owned).collect();
        text.lines().map(cells).collect()
    }

    fn found(text: &str) -> (bool, Option<usize>, usize) {
        let columns = Columns::find(&sample(text), None, None, "a.csv").expect("columns");
        (columns.has_header, columns.label, columns.pixels.len())
    }

    #[test]
    fn columns_are_found_by_the_header_or_by_their_values() {
        // Kaggle, the open machine learning repository, pandas with and without its index.
        assert_eq!(found("label,p0,p1,p2,p3\n3,0,9,9,0\n"), (true, Some(0), 4));
        assert_eq!(found("p1,p2,p3,p4,class\n0,9,9,0,3\n"), (true, Some(4), 4));
        assert_eq!(found(",label,0,1,2,3\n0,5,0,9,9,0\n"), (true, Some(1), 4));
        assert_eq!(
            found("0,1,2,3,4\n0,0,9,9,0\n1,0,9,8,0\n"),
            (true, Some(0), 4)
        );
        // Without a header: the borders of images are black, or are not labels.
        assert_eq!(
            found("0,0,99,9,0\n1,0,9,77,0\n2,0,9,8,0\n"),
            (false, Some(0), 4)
        );
        assert_eq!(found("0,99,9,0,1\n0,9,77,0,0\n"), (false, Some(4), 4));
        assert_eq!(found("0,200,9,0,60\n1,190,7,0,90\n"), (false, Some(0), 4));
        assert_eq!(found("cat,0,9,9,0\ndog,0,9,9,0\n"), (false, Some(0), 4));
        // Images without labels.
        assert_eq!(found("p0,p1,p2,p3\n0,9,9,0\n"), (true, None, 4));
        assert_eq!(found("id,p0,p1,p2,p3\n1,0,9,9,0\n"), (true, None, 4));
    }

    #[test]
    fn the_users_column_counts_and_doubt_is_an_error() {
        let lines = sample("0,0,9,9,0,1\n1,1,9,9,0,0\n");
        let label = |wanted| Columns::find(&lines, wanted, None, "a.csv").map(|it| it.label);
        let error = label(None).expect_err("both").to_string();
        assert!(error.contains("both of the first and the last"), "{error}");
        assert_eq!(label(Some("last")).expect("found"), Some(5));
        assert_eq!(label(Some("1")).expect("found"), Some(0));
        for wanted in ["7", "0", "label"] {
            let error = label(Some(wanted)).expect_err(wanted).to_string();
            assert!(error.contains("--label-column"), "{error}");
        }
        for text in ["", "label,p0\n1,0\n", "label,p0,p1,p2,p3\n"] {
            assert!(
                Columns::find(&sample(text), None, None, "a.csv").is_err(),
                "{text}"
            );
        }
    }
    #[test]
    fn the_columns_of_the_second_file_are_those_of_the_first() {
        let before = Some(Place { count: 6, label: 5 });
        let label = |text: &str| {
            let columns = Columns::find(&sample(text), None, before, "a.csv");
            columns.expect("columns").label
        };
        assert_eq!(label("0,0,9,9,0,1\n1,1,9,9,0,0\n"), Some(5));
        assert_eq!(label("0,0,9,9,0\n1,1,9,9,0\n"), None);
        assert_eq!(label("label,a,b,c,d,e\n1,1,9,9,0,0\n"), Some(0));
    }
}
