//! How far the lines of a component are tilted: a form that was photographed or cut out askew.

use crate::components::Component;
use std::ops::Range;

/// Length of a line at least, in shares of the picture's side.
pub(super) const LENGTH: f32 = 0.6;
/// Slopes that are tried to both sides: tangents of 1.5°, 3.5°, 5.5° and 7.5°. The band in which a
/// line is looked for is thick enough for what is between them.
const SLOPES: [f32; 4] = [0.0262, 0.0612, 0.0963, 0.1317];
/// Shortest side of pictures in which a tilt is looked for, in pixels. In smaller ones it hardly
/// shows.
const MIN_SIDE: usize = 48;
/// Only every so many columns or rows count for the choice.
const STEP: usize = 4;
/// Share of its length on which a line has ink there.
const COVERAGE: f32 = 0.85;
/// Weight of a row alone against two.
const SINGLE: f32 = 0.5;
/// How much better a tilt has to be than none.
const BETTER: f32 = 1.05;

/// A rotation of a picture by a small angle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tilt {
    slope: f32,
    /// Columns and rows of the picture.
    size: (usize, usize),
    /// What is added to places, so that none is negative.
    offset: usize,
}

impl Tilt {
    fn new(slope: f32, size: (usize, usize)) -> Self {
        let offset = slope.abs() * size.0.max(size.1) as f32;
        Self {
            slope,
            size,
            offset: offset.ceil() as usize,
        }
    }

    /// That of the longest lines of a component along both axes; none if it has no lines.
    pub(super) fn of_lines(component: &Component, size: (usize, usize), thickness: usize) -> Self {
        let none = Self::new(0.0, size);
        let bounds = component.bounds;
        let is_long = |length: usize, side: usize| length as f32 >= LENGTH * side as f32;
        let is_line = is_long(bounds.width, size.0) || is_long(bounds.height, size.1);
        if size.0.min(size.1) < MIN_SIDE || !is_line {
            return none;
        }
        let upright = none.coverage(component, thickness);
        let slopes = SLOPES.into_iter().flat_map(|slope| [slope, -slope]);
        let tilts = slopes.map(|slope| Self::new(slope, size));
        let tilts = tilts.map(|tilt| (tilt.coverage(component, thickness), tilt));
        let best = tilts.max_by(|(a, _), (b, _)| a.total_cmp(b));
        match best {
            Some((coverage, tilt)) if coverage > 0.0 && coverage > BETTER * upright => tilt,
            _ => none,
        }
    }

    /// (column, row) of a pixel in the picture without the tilt.
    pub(super) fn upright(&self, (x, y): (usize, usize)) -> (usize, usize) {
        if self.offset == 0 {
            return (x, y);
        }
        let (right, down) = (
            x as f32 - self.size.0 as f32 / 2.0,
            y as f32 - self.size.1 as f32 / 2.0,
        );
        let offset = self.offset as f32 + 0.5;
        (
            (x as f32 + self.slope * down + offset) as usize,
            (y as f32 - self.slope * right + offset) as usize,
        )
    }

    /// How many of these columns of a row are in the picture, both without the tilt.
    pub(super) fn visible_across(&self, columns: Range<usize>, row: usize) -> usize {
        self.visible(columns, row, (self.slope, self.size))
    }

    /// How many of these rows of a column are in the picture, both without the tilt.
    pub(super) fn visible_down(&self, rows: Range<usize>, column: usize) -> usize {
        let (width, height) = self.size;
        self.visible(rows, column, (-self.slope, (height, width)))
    }

    /// `size` is (along, across).
    fn visible(
        &self,
        range: Range<usize>,
        line: usize,
        (slope, size): (f32, (usize, usize)),
    ) -> usize {
        if self.offset == 0 {
            return range.len();
        }
        let half = |length: usize| length as f32 / 2.0;
        let place = |at: usize, length: usize| at as f32 - self.offset as f32 - half(length);
        let line = place(line, size.1);
        let (mut first, mut end) = (place(range.start, size.0), place(range.end, size.0));
        // Of the two sides across: |line + slope · along| ≤ half of it, and along: likewise.
        let bounds = [
            (-half(size.1) - line) / slope,
            (half(size.1) - line) / slope,
        ];
        first = first
            .max(bounds[0].min(bounds[1]))
            .max(slope * line - half(size.0));
        end = end
            .min(bounds[0].max(bounds[1]))
            .min(slope * line + half(size.0));
        (end - first).max(0.0) as usize
    }

    /// Share of the picture's sides along which the longest lines of a component have ink, both
    /// added.
    fn coverage(&self, component: &Component, thickness: usize) -> f32 {
        let band = (thickness / 2).max(1);
        let bins = |length: usize| (length + 2 * self.offset) / band + 2;
        let (width, height) = self.size;
        let (columns, rows) = (width.div_ceil(STEP), height.div_ceil(STEP));
        let mut across = vec![false; bins(height) * columns];
        let mut down = vec![false; bins(width) * rows];
        for (x, y) in component.places() {
            let (is_column, is_row) = (x % STEP == 0, y % STEP == 0);
            if !is_column && !is_row {
                continue;
            }
            let (right, below) = self.upright((x, y));
            if is_column {
                across[below / band * columns + x / STEP] = true;
            }
            if is_row {
                down[right / band * rows + y / STEP] = true;
            }
        }
        longest(&across, columns) + longest(&down, rows)
    }
}

/// The largest share of places that have ink in one of two neighbouring rows of places, plus half of
/// that in one row, which is larger the better the tilt fits; 0 if it is not that of a line.
fn longest(inked: &[bool], places: usize) -> f32 {
    let rows = || inked.chunks_exact(places);
    let singles = rows().map(|row| row.iter().filter(|is_inked| **is_inked).count());
    let single = singles.max().unwrap_or(0) as f32 / places as f32;
    let pairs = rows().zip(rows().skip(1));
    let covered = pairs.map(|(one, other)| {
        let both = one.iter().zip(other);
        both.filter(|(one, other)| **one || **other).count()
    });
    let share = covered.max().unwrap_or(0) as f32 / places as f32;
    if share >= COVERAGE * LENGTH {
        share + SINGLE * single
    } else {
        0.0
    }
}
