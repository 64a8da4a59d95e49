//! Plain tables: a heading, columns as wide as they must be, nothing drawn around them.

use super::{Ink, Style, visible_width};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// Columns that are left to the last column in any case.
const LEAST: usize = 10;

/// To which side a column is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// A table that grows row by row.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns.
    #[must_use]
    pub fn new(columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|&(title, align)| (title.to_owned(), align))
            .collect();
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells that are missing stay blank, those too many are dropped.
    pub fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table's lines. Where a line would be wider than the style, the last column goes on below itself, unless
    /// that would leave it less than its heading or a few characters.
    #[must_use]
    pub fn lines(&self, style: &Style) -> Vec<String> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|(title, _)| title.chars().count())
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(visible_width(cell));
            }
        }
        if let Some((last, others)) = widths.split_last_mut() {
            let used: usize = others.iter().map(|width| width + GAP).sum();
            let least = self
                .columns
                .last()
                .map_or(0, |(title, _)| title.chars().count())
                .max(LEAST);
            *last = (*last).min(style.width.saturating_sub(used).max(least));
        }
        let titles: Vec<String> = self
            .columns
            .iter()
            .map(|(title, _)| title.clone())
            .collect();
        let heading = style.paint(Ink::Strong, &self.line(&titles, &widths));
        let rows = self.rows.iter().flat_map(|row| self.wrapped(row, &widths));
        std::iter::once(heading).chain(rows).collect()
    }

    /// The lines of a row: more than one where the last cell is wrapped.
    fn wrapped(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let (Some((last, others)), Some(&width)) = (row.split_last(), widths.last()) else {
            return Vec::new();
        };
        let blank = vec![String::new(); others.len()];
        let parts = wrap(last, width);
        let cells = parts.into_iter().enumerate().map(|(index, part)| {
            let others = if index == 0 { others } else { &blank };
            [others, &[part]].concat()
        });
        cells.map(|cells| self.line(&cells, widths)).collect()
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, (cell, &width)) in cells.iter().zip(widths).enumerate() {
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let blank = " ".repeat(width.saturating_sub(visible_width(cell)));
            match self.columns[index].1 {
                Align::Left => line.push_str(&format!("{cell}{blank}")),
                Align::Right => line.push_str(&format!("{blank}{cell}")),
            }
        }
        line.trim_end().to_owned()
    }
}

/// Breaks a text into lines of at most `width` columns, between words where it can. There is always one line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word.to_owned();
        let line = lines.last().map_or(0, |line| visible_width(line));
        let gap = usize::from(line > 0);
        if line + gap + visible_width(&word) > width && line > 0 {
            lines.push(String::new());
        }
        // A word that is longer than a line is cut.
        while visible_width(&word) > width.max(1) {
            let rest = word.split_off(
                word.char_indices()
                    .nth(width.max(1))
                    .map_or(0, |(at, _)| at),
            );
            if let Some(line) = lines.last_mut() {
                line.push_str(&word);
            }
            lines.push(String::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_table() {
        let mut table = Table::new(&[
            ("job", Align::Left),
            ("loss", Align::Right),
            ("name", Align::Left),
        ]);
        table.row(vec!["a".into(), "0.5".into(), "a rather long name".into()]);
        table.row(vec!["bcd".into(), "12.25".into()]);
        assert_eq!(
            table.lines(&Style::plain(22)),
            [
                "job   loss  name",
                "a      0.5  a rather",
                "            long name",
                "bcd  12.25",
            ]
        );
        assert_eq!(
            table.lines(&Style::plain(80))[1],
            "a      0.5  a rather long name"
        );
    }

    #[test]
    fn texts_are_wrapped_between_words_where_they_can() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("ab abcdefgh c", 3), ["ab", "abc", "def", "gh", "c"]);
    }
}
