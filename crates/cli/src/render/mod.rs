//! Draws digits, probabilities, confusion matrices and tables in the terminal.
//!
//! Every function returns lines without a line end and prints nothing. What a terminal can show is
//! one value, [`Style`]; only [`Style::detect`] reads the environment.

mod bars;
mod confusion;
mod digit;
mod dots;
mod ids;
mod style;
mod table;

pub use bars::{Bar, bars};
pub use confusion::{Confusion, confusion};
pub use digit::digit;
pub use digits_figure::Picture;
pub use dots::{DotRow, dots};
pub use style::{Color, Ink, Style};
pub use table::{Column, Table};

/// Joins two blocks of lines side by side, with `gap` columns between them; the shorter block is
/// centred vertically.
#[must_use]
pub fn side_by_side(left: &[String], right: &[String], gap: usize) -> Vec<String> {
    let height = left.len().max(right.len());
    let left_width = left
        .iter()
        .map(|line| visible_width(line))
        .max()
        .unwrap_or(0);
    let (above_left, above_right) = ((height - left.len()) / 2, (height - right.len()) / 2);
    let line = |block: &[String], above: usize, row: usize| {
        row.checked_sub(above)
            .and_then(|row| block.get(row))
            .cloned()
            .unwrap_or_default()
    };
    (0..height)
        .map(|row| {
            let start = line(left, above_left, row);
            let rest = line(right, above_right, row);
            if rest.is_empty() {
                return start;
            }
            let blank = left_width - visible_width(&start) + gap;
            format!("{start}{}{rest}", " ".repeat(blank))
        })
        .collect()
}

/// Lines of `name  value`, names padded to one width; pairs with an empty value are left out. A
/// value that goes beyond `width` columns continues below, between words.
#[must_use]
pub fn fields(pairs: &[(&str, String)], width: usize) -> Vec<String> {
    let present = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let names = present().map(|(name, _)| name.chars().count());
    let indent = names.max().unwrap_or(0);
    let room = width.saturating_sub(indent + 2);
    let lines = |(name, value): &(&str, String)| -> Vec<String> {
        let names = std::iter::once(*name).chain(std::iter::repeat(""));
        names
            .zip(wrapped(value, room))
            .map(|(name, part)| format!("{name:<indent$}  {part}"))
            .collect()
    };
    present().flat_map(lines).collect()
}

/// A text in lines of at most `width` columns, broken at spaces; a longer word has a line of its
/// own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let needed = visible_width(&line) + 1 + visible_width(word);
        if needed > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Columns of a line: its characters without the escape sequences of [`Style`].
#[must_use]
pub fn visible_width(line: &str) -> usize {
    let mut width = 0;
    let mut escaped = false;
    for character in line.chars() {
        match (escaped, character) {
            (false, '\u{1b}') => escaped = true,
            (false, _) => width += 1,
            (true, 'm') => escaped = false,
            (true, _) => {}
        }
    }
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_block_is_centred() {
        let left = vec!["ab".to_owned(), "c".to_owned(), "d".to_owned()];
        let right = vec!["x".to_owned()];
        assert_eq!(side_by_side(&left, &right, 2), ["ab", "c   x", "d"]);
        assert_eq!(side_by_side(&right, &left, 1), ["  ab", "x c", "  d"]);
        assert!(side_by_side(&[], &[], 1).is_empty());
    }

    #[test]
    fn a_long_value_continues_below() {
        let pairs = [
            ("job", "a".to_owned()),
            ("error", String::new()),
            ("weights", "sha256 0123456789abcdef (1 byte)".to_owned()),
        ];
        let expected = ["job      a", "weights  sha256", "         0123456789abcdef"];
        assert_eq!(fields(&pairs, 25)[..3], expected);
        assert_eq!(fields(&pairs, 25)[3..], ["         (1 byte)"]);
        let whole = "weights  sha256 0123456789abcdef (1 byte)";
        assert_eq!(fields(&pairs, usize::MAX)[1..], [whole]);
    }

    #[test]
    fn escapes_have_no_width() {
        let style = Style {
            color: Color::TrueColor,
            unicode: true,
            width: 80,
        };
        assert_eq!(visible_width(&style.paint(Ink::Good, "done")), 4);
        assert_eq!(visible_width("é█"), 2);
    }
}
