//! Drawing in the terminal: digits, probabilities, confusion matrices, tables.
//!
//! Every function returns lines without a line end and prints nothing. What a terminal can show is one value,
//! [`Style`]; nothing here asks the environment but [`Style::detect`].

mod bars;
mod confusion;
mod digit;
mod style;
mod table;

pub use bars::{Bar, bars};
pub use confusion::{Confusion, confusion};
pub use digit::{Picture, digit};
pub use style::{Color, Ink, Style};
pub use table::{Align, Table};

/// Puts two blocks of lines beside each other, with `gap` columns between them; the shorter block is centred
/// against the longer one.
#[must_use]
pub fn beside(left: &[String], right: &[String], gap: usize) -> Vec<String> {
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

/// Lines of `name  value`, names padded to one width; pairs with an empty value are left out.
#[must_use]
pub fn fields(pairs: &[(&str, String)]) -> Vec<String> {
    let present = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let width = present()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    present()
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect()
}

/// Columns that a line takes: its characters without the escape sequences that [`Style`] writes.
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
    fn blocks_stand_beside_each_other() {
        let left = vec!["ab".to_owned(), "c".to_owned(), "d".to_owned()];
        let right = vec!["x".to_owned()];
        assert_eq!(beside(&left, &right, 2), ["ab", "c   x", "d"]);
        assert_eq!(beside(&right, &left, 1), ["  ab", "x c", "  d"]);
        assert!(beside(&[], &[], 1).is_empty());
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
