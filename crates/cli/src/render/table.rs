//! Tables without borders, which give way where the terminal is too narrow for them.

use super::{Ink, Style, ids, visible_width};
use comfy_table::{CellAlignment, ColumnConstraint, Row, Width, presets};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// Width down to which texts are cut, and sentences wrapped.
const SHORT: usize = 10;
const NARROW: usize = 20;
/// Width of two short ids, one of a canary with its share.
const TWO_IDS: usize = 30;

/// What a column holds: how it is aligned, and how it gives way in a narrow terminal. Ids in any
/// column but sentences are shortened before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// A number: right-aligned and whole.
    Number,
    /// A word or a time: whole.
    Word,
    /// A name: cut.
    Text,
    /// Ids and what is said of them: cut to no less than thirty columns.
    Ids,
    /// A name that is left out before texts are cut to less than ten columns.
    Extra,
    /// A number that is left out like a name that is.
    ExtraNumber,
    /// Sentences: wrapped between words. For the last column.
    Prose,
}

impl Column {
    /// Least width of a column whose cells are at most `widest` columns wide.
    fn least(self, widest: usize) -> usize {
        match self {
            Self::Number | Self::ExtraNumber | Self::Word => widest,
            Self::Text | Self::Extra => widest.min(SHORT),
            Self::Ids => widest.min(TWO_IDS),
            Self::Prose => widest.min(NARROW),
        }
    }
}

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Column)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Column)]) -> Self {
        let columns = columns.iter();
        Self {
            columns: columns
                .map(|(title, kind)| ((*title).to_owned(), *kind))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are blank.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines, each within the style's width: ids are shortened where needed, then
    /// columns left out, then texts cut. Below about 60 columns a line may be wider.
    #[must_use]
    pub fn lines(&self, style: &Style) -> Vec<String> {
        let mut rows = self.rows.clone();
        let mut widths: Vec<Option<usize>> = self.widest(&rows).into_iter().map(Some).collect();
        if total(&widths) > style.width {
            ids::shorten(&mut rows);
            widths = self.fitting(&rows, style.width);
        }
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_truncation_indicator(style.choose("…", ".."))
            .set_header(self.columns.iter().map(|(title, _)| title));
        let prose = self.columns.iter().any(|(_, it)| *it == Column::Prose);
        for cells in rows {
            let mut row = Row::from(cells);
            if !prose {
                row.max_height(1);
            }
            table.add_row(row);
        }
        let last = widths.iter().rposition(Option::is_some);
        for (index, (column, width)) in table.column_iter_mut().zip(&widths).enumerate() {
            let gap = if Some(index) == last { 0 } else { GAP };
            column.set_padding((0, gap as u16));
            column.set_cell_alignment(match self.columns[index].1 {
                Column::Number | Column::ExtraNumber => CellAlignment::Right,
                _ => CellAlignment::Left,
            });
            column.set_constraint(match width {
                Some(width) => {
                    let fixed = u16::try_from(width + gap).unwrap_or(u16::MAX);
                    ColumnConstraint::Absolute(Width::Fixed(fixed))
                }
                None => ColumnConstraint::Hidden,
            });
        }
        let lines = table.lines().enumerate().map(|(index, line)| {
            let line = line.trim_end();
            match index {
                0 => style.paint(Ink::Strong, line),
                _ => line.to_owned(),
            }
        });
        lines.collect()
    }

    /// Width of the widest cell of each column, its title included.
    fn widest(&self, rows: &[Vec<String>]) -> Vec<usize> {
        let widest = |(index, (title, _)): (usize, &(String, Column))| {
            let cells = rows.iter().filter_map(|row| row.get(index));
            let widths = cells.map(|cell| visible_width(cell));
            widths.max().unwrap_or(0).max(title.len())
        };
        self.columns.iter().enumerate().map(widest).collect()
    }

    /// Widths with which the table fits into `width` columns if it can; `None` for a column that is
    /// left out.
    fn fitting(&self, rows: &[Vec<String>], width: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> = self.widest(rows).into_iter().map(Some).collect();
        let least = |index: usize, it: usize| self.columns[index].1.least(it);
        loop {
            let enumerated = widths.iter().enumerate();
            let narrowest: Vec<_> = enumerated
                .map(|(index, it)| it.map(|it| least(index, it)))
                .collect();
            let is_extra = |&index: &usize| {
                let column = self.columns[index].1;
                matches!(column, Column::Extra | Column::ExtraNumber) && widths[index].is_some()
            };
            match (0..widths.len()).rev().find(is_extra) {
                Some(extra) if total(&narrowest) > width => widths[extra] = None,
                _ => break,
            }
        }
        while total(&widths) > width {
            let shown = widths.iter().enumerate();
            let widest = shown
                .filter_map(|(index, it)| it.map(|it| (it - least(index, it).min(it), index)))
                .max();
            let Some((1.., index)) = widest else { break };
            widths[index] = widths[index].map(|it| it - 1);
        }
        widths
    }
}

/// Width of a whole line.
fn total(widths: &[Option<usize>]) -> usize {
    let shown = widths.iter().flatten();
    shown.clone().sum::<usize>() + shown.count().saturating_sub(1) * GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "0190a0b0-1234-7000-8000-000000000001";
    const OTHER: &str = "0190a0b0-1299-7000-8000-000000000002";

    fn jobs() -> Table {
        let mut table = Table::new(&[
            ("job", Column::Word),
            ("loss", Column::Number),
            ("preset", Column::Extra),
            ("name", Column::Text),
        ]);
        for (id, preset, name) in [
            (JOB, "notebook", "a rather long name"),
            (OTHER, "a preset of ours", "b"),
        ] {
            let cells = [id, "0.5", preset, name];
            table.row(cells.map(str::to_owned).to_vec());
        }
        table
    }

    #[test]
    fn a_wide_table_is_whole() {
        for wide in [100, usize::MAX] {
            assert_eq!(
                jobs().lines(&Style::plain(wide))[1],
                format!("{JOB}   0.5  notebook          a rather long name")
            );
        }
    }

    #[test]
    fn ids_are_shortened_then_texts_cut_then_columns_left_out() {
        assert_eq!(
            jobs().lines(&Style::plain(60)),
            [
                "job           loss  preset            name",
                "0190a0b0-123   0.5  notebook          a rather long name",
                "0190a0b0-129   0.5  a preset of ours  b",
            ]
        );
        assert_eq!(
            jobs().lines(&Style::plain(50))[1..],
            [
                "0190a0b0-123   0.5  notebook        a rather lon..",
                "0190a0b0-129   0.5  a preset of..   b",
            ]
        );
        assert_eq!(
            jobs().lines(&Style::plain(36))[1..],
            [
                "0190a0b0-123   0.5  a rather long..",
                "0190a0b0-129   0.5  b"
            ]
        );
    }

    #[test]
    fn sentences_wrap_between_words() {
        let mut table = Table::new(&[("preset", Column::Word), ("description", Column::Prose)]);
        table.row(vec!["fast".into(), "a small network in seconds".into()]);
        table.row(vec!["x".into(), "0123456789abcdefghijk l".into()]);
        assert_eq!(
            table.lines(&Style::plain(28)),
            [
                "preset  description",
                "fast    a small network in",
                "        seconds",
                "x       0123456789abcdefghij",
                "        k l",
            ]
        );
    }
}
