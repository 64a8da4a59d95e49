//! Probabilities as horizontal bars.

use super::{Ink, Style};

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Widest bar, in columns.
const WIDEST: usize = 40;
/// Narrowest bar, in columns; a label is cut to leave room for it.
const NARROWEST: usize = 4;
/// Columns of the figure right of the bar: a blank and `100.00 %`.
const FIGURE: usize = 9;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Label on the left.
    pub label: String,
    /// From 0 to 1; other values are clamped.
    pub share: f64,
    /// Whether the bar is highlighted, as the predicted label is.
    pub chosen: bool,
}

/// Draws the bars in at most `width` columns, one a line: label, bar, per cent.
#[must_use]
pub fn bars(bars: &[Bar], width: usize, style: &Style) -> Vec<String> {
    let label_width = bars
        .iter()
        .map(|bar| bar.label.chars().count())
        .max()
        .unwrap_or(0)
        .min(width.saturating_sub(NARROWEST + 1 + FIGURE).max(NARROWEST));
    let room = width
        .saturating_sub(label_width + 1 + FIGURE)
        .clamp(NARROWEST, WIDEST);
    bars.iter()
        .map(|bar| {
            let share = if bar.share.is_finite() {
                bar.share.clamp(0.0, 1.0)
            } else {
                0.0
            };
            let drawn = draw(share, room, style.unicode);
            let blank = " ".repeat(room - drawn.chars().count());
            let label: String = bar.label.chars().take(label_width).collect();
            let text = format!(
                "{label:>label_width$} {drawn}{blank} {:6.2} %",
                share * 100.0
            );
            if bar.chosen {
                style.paint(Ink::Good, &text)
            } else {
                text
            }
        })
        .collect()
}

fn draw(share: f64, room: usize, unicode: bool) -> String {
    let full = if unicode { "█" } else { "#" };
    if !unicode {
        return full.repeat((share * room as f64).round() as usize);
    }
    let eighths = (share * room as f64 * 8.0).round() as usize;
    full.repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Color;

    fn some() -> Vec<Bar> {
        [
            ("7", 0.998, true),
            ("10", 0.06, false),
            ("1", 0.0, false),
            ("9", f64::NAN, false),
        ]
        .map(|(label, share, chosen)| Bar {
            label: label.to_owned(),
            share,
            chosen,
        })
        .to_vec()
    }

    #[test]
    fn bars_have_labels_and_figures() {
        assert_eq!(
            bars(&some(), 22, &Style::plain(80)),
            [
                " 7 ##########  99.80 %",
                "10 #            6.00 %",
                " 1              0.00 %",
                " 9              0.00 %"
            ]
        );
        let blocks = Style {
            color: Color::None,
            unicode: true,
            width: 80,
        };
        assert_eq!(bars(&some(), 22, &blocks)[1], "10 ▋            6.00 %");
    }

    #[test]
    fn a_long_label_is_cut_to_leave_room_for_the_bar() {
        let mut long = some();
        long[0].label = "a name of a class ".repeat(14);
        for line in bars(&long, 40, &Style::plain(40)) {
            assert!(line.chars().count() <= 40, "{line}");
        }
    }

    #[test]
    fn the_chosen_bar_is_highlighted_and_narrow_terminals_keep_the_figures() {
        let style = Style {
            color: Color::Ansi256,
            unicode: true,
            width: 80,
        };
        assert!(bars(&some(), 30, &style)[0].starts_with("\u{1b}[1;32m"));
        assert!(bars(&some(), 1, &Style::plain(1))[0].ends_with("99.80 %"));
    }
}
