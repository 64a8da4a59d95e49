//! Draws curves in the terminal: with braille dots where colours distinguish the curves, else with
//! letters.

use super::{axis::Axis, curves::Curves};
use crate::render::{Color, Ink, Style};

/// Columns of the labels of the upright axis, with the axis itself.
const MARGIN: usize = 9;
/// Bits of a braille cell by row and column of its 4 × 2 dots.
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// One curve: values over steps, its colour, its letter in plain text, its name.
struct Curve<'a> {
    values: &'a [(f64, f64)],
    ink: Ink,
    letter: char,
    name: &'a str,
}

/// Draws losses and, below them, the accuracy, in about `height` lines.
#[must_use]
pub fn terminal(curves: &Curves, style: &Style, height: usize) -> Vec<String> {
    let [train, validation, accuracy] = curves.series();
    if curves.points.is_empty() {
        return vec!["no rows yet".to_owned()];
    }
    let losses = [
        Curve {
            values: &train,
            ink: Ink::Train,
            letter: 't',
            name: "train loss",
        },
        Curve {
            values: &validation,
            ink: Ink::Validation,
            letter: 'v',
            name: "validation loss",
        },
    ];
    let percents = [Curve {
        values: &accuracy,
        ink: Ink::Accuracy,
        letter: 'a',
        name: "validation accuracy (%)",
    }];
    let rows = height.max(12);
    let mut lines = Vec::new();
    if !curves.title.is_empty() {
        lines.push(style.paint(Ink::Strong, &curves.title));
    }
    lines.extend(panel(&losses, style, rows * 3 / 5));
    lines.extend(panel(&percents, style, rows * 2 / 5));
    lines.push(step_axis(curves, style));
    lines
}

fn panel(curves: &[Curve<'_>], style: &Style, rows: usize) -> Vec<String> {
    let columns = style.width.saturating_sub(MARGIN + 1).clamp(20, 150);
    let braille = style.unicode && style.color != Color::None;
    let (across, down) = if braille { (2, 4) } else { (1, 1) };
    let values = || curves.iter().flat_map(|curve| curve.values);
    let x = Axis::around(values().map(|&(step, _)| step), 5, 0.0);
    let y = Axis::around(
        values().map(|&(_, value)| value),
        (rows / 2).clamp(3, 6),
        0.02,
    );
    let mut canvas = Canvas {
        columns,
        rows,
        cells: vec![Cell::default(); columns * rows],
    };
    for curve in curves {
        let place = |&(step, value): &(f64, f64)| {
            let right = x.place(step) * (columns * across - 1) as f64;
            let below = (1.0 - y.place(value)) * (rows * down - 1) as f64;
            (right.round() as i64, below.round() as i64)
        };
        for run in curve.values.split(|(_, value)| !value.is_finite()) {
            let points: Vec<_> = run.iter().map(place).collect();
            for pair in points.windows(2) {
                canvas.line(pair[0], pair[1], (across, down), curve);
            }
            if let [single] = points[..] {
                canvas.dot(single, (across, down), curve);
            }
        }
    }
    let names = curves.iter().map(|curve| legend(curve, braille, style));
    let mut lines = vec![format!(
        "{}{}",
        " ".repeat(MARGIN),
        names.collect::<Vec<_>>().join("   ")
    )];
    let bar = style.choose("│", "|");
    for row in 0..rows {
        // The tick that lies in this row, if any.
        let tick = y
            .ticks
            .iter()
            .find(|&&tick| ((1.0 - y.place(tick)) * (rows - 1) as f64).round() as usize == row);
        let label = tick.map(|&tick| y.label(tick)).unwrap_or_default();
        lines.push(format!(
            "{label:>7} {bar}{}",
            canvas.row(row, braille, style)
        ));
    }
    lines
}

fn legend(curve: &Curve<'_>, braille: bool, style: &Style) -> String {
    let mark = if braille {
        "━━".to_owned()
    } else {
        curve.letter.to_string()
    };
    format!("{} {}", style.paint(curve.ink, &mark), curve.name)
}

fn step_axis(curves: &Curves, style: &Style) -> String {
    let steps = || curves.points.iter().map(|point| point.step);
    let (first, last) = (
        steps().min().unwrap_or(0).to_string(),
        steps().max().unwrap_or(0),
    );
    let end = format!("step {last}");
    let columns = style.width.saturating_sub(MARGIN + 1).clamp(20, 150);
    let gap = columns.saturating_sub(first.len() + end.len());
    format!("{}{first}{}{end}", " ".repeat(MARGIN), " ".repeat(gap))
}

/// A character: the dots that are set, and the curve that set one last.
#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    owner: Option<(Ink, char)>,
}

struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

impl Canvas {
    fn dot(&mut self, (x, y): (i64, i64), (across, down): (usize, usize), curve: &Curve<'_>) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        let (column, row) = (x / across, y / down);
        if column < self.columns && row < self.rows {
            let cell = &mut self.cells[row * self.columns + column];
            cell.dots |= BITS[y % down][x % across];
            cell.owner = Some((curve.ink, curve.letter));
        }
    }

    /// Bresenham's line.
    fn line(
        &mut self,
        (mut x, mut y): (i64, i64),
        end: (i64, i64),
        grid: (usize, usize),
        curve: &Curve<'_>,
    ) {
        let (dx, dy) = ((end.0 - x).abs(), -(end.1 - y).abs());
        let (right, down) = ((end.0 - x).signum(), (end.1 - y).signum());
        let mut error = dx + dy;
        loop {
            self.dot((x, y), grid, curve);
            if (x, y) == end {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += right;
            }
            if twice <= dx {
                error += dx;
                y += down;
            }
        }
    }

    fn row(&self, row: usize, braille: bool, style: &Style) -> String {
        let mut line = String::new();
        for cell in &self.cells[row * self.columns..][..self.columns] {
            match cell.owner {
                None => line.push(' '),
                Some((_, letter)) if !braille => line.push(letter),
                Some((ink, _)) => {
                    let dots = char::from_u32(0x2800 + u32::from(cell.dots)).unwrap_or(' ');
                    line.push_str(&style.paint(ink, &dots.to_string()));
                }
            }
        }
        line.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::curves::Point;
    use super::*;

    fn falling() -> Curves {
        let point = |step: u64, loss: f64| Point {
            step,
            epoch: 1,
            train_loss: loss,
            validation_loss: None,
            accuracy: Some(1.0 - loss / 2.0),
        };
        Curves {
            title: "run".to_owned(),
            points: vec![point(1, 2.0), point(11, 1.0), point(21, 0.0)],
            test: None,
        }
    }

    #[test]
    fn plain_curves_are_drawn_with_letters() {
        assert_eq!(
            terminal(&falling(), &Style::plain(31), 12),
            [
                "run",
                "         t train loss   v validation loss",
                "      2 |tt",
                "        |  ttt",
                "        |     tttt",
                "      1 |         ttt",
                "        |            ttt",
                "        |               tttt",
                "      0 |                   tt",
                "         a validation accuracy (%)",
                "    100 |                  aaa",
                "        |             aaaaa",
                "     50 |     aaaaaaaa",
                "      0 |aaaaa",
                "         1             step 21",
            ]
        );
    }

    #[test]
    fn colours_are_drawn_with_braille() {
        let style = Style {
            color: Color::Ansi256,
            unicode: true,
            width: 60,
        };
        let text = terminal(&falling(), &style, 12).join("\n");
        assert!(text.contains("\u{1b}[91m") && text.contains("\u{1b}[92m"));
        assert!(
            text.chars()
                .any(|it| ('\u{2801}'..='\u{28ff}').contains(&it))
        );
    }

    #[test]
    fn no_rows_are_a_message() {
        assert_eq!(
            terminal(&Curves::default(), &Style::plain(80), 12),
            ["no rows yet"]
        );
    }
}
