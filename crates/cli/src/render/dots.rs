//! Measurements as dots on one axis, a row for each group.

use super::{Ink, Style};

/// Widest axis, in columns.
const WIDEST: usize = 48;
/// Narrowest axis; a label is cut to leave room for it.
const NARROWEST: usize = 12;
/// Columns of the figure right of the axis: two blanks and `100.00`.
const FIGURE: usize = 8;

/// One group.
#[derive(Clone, Debug, PartialEq)]
pub struct DotRow {
    /// Label on the left.
    pub label: String,
    /// Its measurements, at least one.
    pub values: Vec<f64>,
    /// Whether the row is highlighted.
    pub chosen: bool,
}

impl DotRow {
    /// Mean of the measurements.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

/// Draws the rows in at most `width` columns below an axis from the least to the largest
/// measurement: label, a dot for each measurement, their mean.
#[must_use]
pub fn dots(rows: &[DotRow], width: usize, style: &Style) -> Vec<String> {
    let values = || rows.iter().flat_map(|row| row.values.iter().copied());
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let label_width = rows
        .iter()
        .map(|row| row.label.chars().count())
        .max()
        .unwrap_or(0);
    let label_width = label_width.min(width.saturating_sub(NARROWEST + 2 + FIGURE).max(NARROWEST));
    let room = width
        .saturating_sub(label_width + 2 + FIGURE)
        .clamp(NARROWEST, WIDEST);
    let place = |value: f64| {
        let share = (value - low) / (high - low);
        // All are equal, or one is no number.
        let share = if share.is_finite() { share } else { 0.0 };
        (share * (room - 1) as f64).round() as usize
    };
    let (start, end) = (format!("{low:.2}"), format!("{high:.2}"));
    let gap = room.saturating_sub(start.len() + end.len()).max(1);
    let header = format!("{:label_width$}  {start}{}{end}", "", " ".repeat(gap));
    let lines = rows.iter().map(|row| {
        let mut axis = vec![style.choose("·", "."); room];
        for value in &row.values {
            axis[place(*value)] = style.choose("●", "o");
        }
        let label: String = row.label.chars().take(label_width).collect();
        let text = format!(
            "{label:label_width$}  {}  {:6.2}",
            axis.concat(),
            row.mean()
        );
        match row.chosen {
            true => style.paint(Ink::Good, &text),
            false => text,
        }
    });
    std::iter::once(header).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, values: &[f64]) -> DotRow {
        DotRow {
            label: label.to_owned(),
            values: values.to_vec(),
            chosen: false,
        }
    }

    #[test]
    fn each_measurement_is_a_dot_between_the_least_and_the_largest() {
        let rows = [
            row("a=1", &[98.0, 97.0]),
            row("a=10", &[96.0]),
            row("b", &[97.0, 97.0]),
        ];
        assert_eq!(
            dots(&rows, 32, &Style::plain(80)),
            [
                "      96.00        98.00",
                "a=1   .........o.......o   97.50",
                "a=10  o.................   96.00",
                "b     .........o........   97.00",
            ]
        );
    }

    #[test]
    fn equal_measurements_and_long_labels_have_a_place() {
        let rows = [row(&"long ".repeat(20), &[97.0]), row("", &[97.0])];
        for line in dots(&rows, 50, &Style::plain(50)) {
            assert!(line.chars().count() <= 50, "{line}");
        }
    }
}
