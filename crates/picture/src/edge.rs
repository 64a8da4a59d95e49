//! Removes printed lines at the very edge of a picture: the frame of a form, cut out with the
//! digit.
//!
//! They have to go before ink is looked for, because the border is where paper is looked for.

use crate::{levels::percentile, plane::Plane};

/// Thickest line, in shares of the picture's side.
const THICKEST: f32 = 0.06;
/// How far pixels of one level may be apart.
const EVEN: f32 = 0.15;
/// How far line and paper must be apart.
const STEP: f32 = 0.2;
/// Rows between line and paper that may have any level: soft edges.
const SOFT_ROWS: usize = 2;
/// Share of such a row that has its level. In a thin margin around a digit it is less.
const SOFT_SHARE: f32 = 0.8;
/// Share of a line, and of the row of paper next to it, that has its level.
const LINE_SHARE: f32 = 0.95;
const PAPER_SHARE: f32 = 0.6;
/// Lines that make a frame, in which they may touch the digit.
const FRAME: usize = 3;
/// Pixels that are looked at for the level of the whole picture.
const SAMPLE: usize = 4_096;

/// The picture with the lines at its edges painted over with what is next to them.
///
/// One line or two could be the bar of a digit that fills its picture, so nothing may touch them.
#[must_use]
pub fn without_lines(mut plane: Plane) -> Plane {
    let stride = (plane.values.len() / SAMPLE) | 1;
    let sample: Vec<f32> = plane.values.iter().step_by(stride).copied().collect();
    let level = percentile(&sample, 0.5);
    let found = Side::ALL.map(|side| line(&plane, side, level));
    let is_frame = found.iter().flatten().count() >= FRAME;
    for (side, line) in Side::ALL.into_iter().zip(found) {
        if let Some(line) = line
            && (is_frame || !line.is_touched)
        {
            for along in 0..side.length(&plane) {
                let next = plane.values[side.index(&plane, line.rows, along)];
                for row in 0..line.rows {
                    let at = side.index(&plane, row, along);
                    plane.values[at] = next;
                }
            }
        }
    }
    plane
}

#[derive(Clone, Copy)]
enum Side {
    Top,
    Bottom,
    Left,
    Right,
}

impl Side {
    const ALL: [Self; 4] = [Self::Top, Self::Bottom, Self::Left, Self::Right];

    fn length(self, plane: &Plane) -> usize {
        match self {
            Self::Top | Self::Bottom => plane.width,
            Self::Left | Self::Right => plane.height,
        }
    }

    /// Index of a pixel by its distance from this side and its place along it.
    fn index(self, plane: &Plane, row: usize, along: usize) -> usize {
        match self {
            Self::Top => row * plane.width + along,
            Self::Bottom => (plane.height - 1 - row) * plane.width + along,
            Self::Left => along * plane.width + row,
            Self::Right => along * plane.width + plane.width - 1 - row,
        }
    }

    /// The rows next to this side, as a plane.
    fn rows(self, plane: &Plane, rows: usize) -> Plane {
        let width = self.length(plane);
        let places = (0..rows).flat_map(|row| (0..width).map(move |along| (row, along)));
        Plane {
            width,
            height: rows,
            values: places
                .map(|(row, along)| plane.values[self.index(plane, row, along)])
                .collect(),
        }
    }
}

/// A line along a side.
struct Line {
    /// Rows with soft edges.
    rows: usize,
    /// Whether the row of paper next to it has pixels of the line's level away from the corners.
    is_touched: bool,
}

/// The line along a side of a picture whose median is `level`.
fn line(plane: &Plane, side: Side, level: f32) -> Option<Line> {
    let depth = plane.width + plane.height - side.length(plane);
    let most = ((depth as f32 * THICKEST) as usize).max(1);
    let median = |row: &[f32]| percentile(row, 0.5);
    let of_line = median(&side.rows(plane, 1).values);
    if (of_line - level).abs() < STEP {
        return None;
    }
    let strip = side.rows(plane, (most + SOFT_ROWS + 2).min(depth));
    let share = |row: &[f32], level: f32| {
        let even = row.iter().filter(|&&value| (value - level).abs() <= EVEN);
        even.count() as f32 / row.len() as f32
    };
    let is_line =
        |row: &&[f32]| (median(row) - of_line).abs() <= EVEN && share(row, of_line) >= LINE_SHARE;
    let rows = strip.rows().take_while(is_line).count();
    if rows == 0 || rows > most {
        return None;
    }
    let is_even = |(_, row): &(usize, &[f32])| share(row, median(row)) >= SOFT_SHARE;
    let next = strip.rows().enumerate().skip(rows).take(SOFT_ROWS + 1);
    // A soft edge may be even too, but its level is between those of the line and the picture.
    let is_paper = |(_, row): &(usize, &[f32])| {
        let of_row = median(row);
        let step = (of_row - of_line).abs();
        step >= STEP && (of_row - level).abs() < step / 2.0 && share(row, of_row) >= PAPER_SHARE
    };
    let mut next = next.skip_while(|row| !is_paper(row) && is_even(row));
    let (rows, paper) = next.next().filter(is_paper)?;
    let of_paper = median(paper);
    let corner = most + SOFT_ROWS;
    let inside = paper.get(corner..paper.len().saturating_sub(corner))?;
    let is_touched = inside
        .iter()
        .any(|value| (value - of_line).abs() < (value - of_paper).abs());
    Some(Line { rows, is_touched })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As after a reduction, which leaves a row between line and paper.
    #[test]
    fn lines_with_soft_edges_are_removed() {
        let mut plane = Plane::filled(100, 100, 1.0);
        for at in 0..100 {
            for (row, level) in [(1, 0.4), (0, 0.0)] {
                let first = row * plane.width + at;
                plane.values[first] = plane.values[first].min(level);
                let left = at * plane.width + row;
                plane.values[left] = plane.values[left].min(level);
            }
        }
        let cleaned = without_lines(plane);
        assert_eq!(cleaned, Plane::filled(100, 100, 1.0));
    }
}
