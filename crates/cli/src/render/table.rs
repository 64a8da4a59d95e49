//! Tables without borders, whose last column wraps at the width of the terminal.

use super::{Ink, Style};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};

/// Columns between two columns of a table.
const GAP: u16 = 2;
/// Least width of the last column.
const LEAST: u16 = 10;

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For texts.
    Left,
    /// For numbers.
    Right,
}

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct Table(comfy_table::Table);

impl Table {
    /// A table of these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_header(columns.iter().map(|(title, _)| *title));
        for (column, (_, align)) in table.column_iter_mut().zip(columns) {
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
            column.set_padding((0, GAP));
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if let Some(last) = table.column_iter_mut().last() {
            last.set_padding((0, 0));
        }
        Self(table)
    }

    /// Adds a row; missing cells are blank.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The table's lines. The last column wraps where a line would be wider than the style, but is
    /// at least ten columns wide.
    #[must_use]
    pub fn lines(&self, style: &Style) -> Vec<String> {
        let mut table = self.0.clone();
        let content = table.column_max_content_widths();
        if let (Some(last), Some(&content)) = (table.column_iter_mut().last(), content.last()) {
            let least = Width::Fixed(content.min(LEAST));
            last.set_constraint(ColumnConstraint::LowerBoundary(least));
        }
        if let Ok(width) = u16::try_from(style.width) {
            table
                .set_width(width)
                .set_content_arrangement(ContentArrangement::Dynamic);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&[
            ("job", Align::Left),
            ("loss", Align::Right),
            ("name", Align::Left),
        ]);
        table.row(vec!["a".into(), "0.5".into(), "a rather long name".into()]);
        table.row(vec!["bcd".into(), "12.25".into()]);
        table
    }

    #[test]
    fn the_last_column_wraps_between_words() {
        assert_eq!(
            table().lines(&Style::plain(22)),
            [
                "job   loss  name",
                "a      0.5  a rather",
                "            long name",
                "bcd  12.25",
            ]
        );
        for wide in [80, usize::MAX] {
            assert_eq!(
                table().lines(&Style::plain(wide))[1],
                "a      0.5  a rather long name"
            );
        }
    }

    #[test]
    fn a_word_longer_than_the_column_is_cut() {
        let mut table = table();
        table.row(vec!["e".into(), String::new(), "0123456789abc d".into()]);
        let lines = table.lines(&Style::plain(1));
        assert_eq!(lines[4..], ["e           0123456789", "            abc d"]);
    }
}
