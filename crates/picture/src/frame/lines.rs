//! The lines in a component of ink, and how they lie to a digit.

use super::tilt::{LENGTH, Tilt};
use crate::{
    components::{BoundingBox, Component},
    plane::Plane,
};
use std::ops::Range;

/// Thickness of lines, in pixels, under which strokes of a digit are as thin and as straight.
const STROKE: usize = 4;
/// Length in the picture of further lines in the component of one of [`LENGTH`], at least.
const SHORT_LENGTH: f32 = 0.25;
/// Share of its length on which a line has ink.
const COVERAGE: f32 = 0.9;
/// Share of its length by which a line of a thinner pen sticks out of the digit at both ends, at
/// least. The bar of a 4 does so at one end only.
const BEYOND: f32 = 0.12;
/// How much longer than the digit's box a line is, and one from edge to edge.
const LONGER: f32 = 1.25;
const LONGER_THROUGHOUT: f32 = 1.08;
/// Share of the picture's side that lines from edge to edge reach.
const THROUGHOUT: f32 = 0.97;
/// Width of a digit at most that touches a line from edge to edge, in shares of the picture's side.
const NARROW: f32 = 0.7;
/// The same between two rules or more.
const INSIDE: f32 = 0.85;
/// Distance from the edges at least of a digit that is clear of them, in shares of the picture's
/// side, and in pixels.
const CLEAR: f32 = 0.04;
const MIN_CLEAR: f32 = 2.0;

/// The lines of a component, at places without its tilt.
pub(super) struct Lines {
    thickness: usize,
    size: (usize, usize),
    tilt: Tilt,
    bounds: BoundingBox,
    /// Rows of the horizontal ones.
    across: Vec<Range<usize>>,
    /// Columns of the vertical ones.
    down: Vec<Range<usize>>,
}

impl Lines {
    pub(super) fn of(component: &Component, ink: &Plane, thickness: usize, tilt: Tilt) -> Self {
        let size = (ink.width, ink.height);
        let places: Vec<(usize, usize)> = component.places().map(|it| tilt.upright(it)).collect();
        let bounds = BoundingBox::around(places.iter().copied());
        let columns = bounds.left..bounds.right();
        let rows = bounds.top..bounds.bottom();
        let across = along_axis(
            places.iter().copied(),
            [columns.clone(), rows.clone()],
            ink.width,
            thickness,
            |columns, row| tilt.visible_across(columns, row),
        );
        let down = along_axis(
            places.iter().map(|&(x, y)| (y, x)),
            [rows, columns],
            ink.height,
            thickness,
            |rows, column| tilt.visible_down(rows, column),
        );
        let has_long = across
            .iter()
            .chain(&down)
            .any(|&(_, length)| length >= LENGTH);
        let kept = |bands: Vec<(Range<usize>, f32)>| {
            let bands = bands.into_iter().filter(|_| has_long);
            bands.map(|(band, _)| band).collect()
        };
        Self {
            thickness,
            size,
            tilt,
            bounds,
            across: kept(across),
            down: kept(down),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.across.is_empty() && self.down.is_empty()
    }

    /// The pixels of the lines, without those where something else crosses them.
    pub(super) fn pixels(&self, component: &Component, ink: &Plane) -> Vec<usize> {
        let within =
            |bands: &[Range<usize>], at: usize| bands.iter().any(|band| band.contains(&at));
        // Longer runs are not told apart.
        let longest = 2 * self.thickness + 1;
        let run = |pixel: usize, step: usize, place: usize, length: usize| {
            let inked = |pixel: &usize| ink.values[*pixel] > 0.0;
            let before = (1..=place.min(longest)).map(|by| pixel - by * step);
            let behind = (1..(length - place).min(longest)).map(|by| pixel + by * step);
            let before = before.take_while(inked).count();
            let behind = behind.take_while(inked).count();
            let is_cut = before == place || place + behind + 1 == length;
            (before + 1 + behind, is_cut)
        };
        let mut pixels = Vec::new();
        let (mut across, mut down) = (Vec::new(), Vec::new());
        for &pixel in &component.pixels {
            let (x, y) = (pixel % ink.width, pixel / ink.width);
            let (along, down_at) = self.tilt.upright((x, y));
            match (within(&self.across, down_at), within(&self.down, along)) {
                (true, true) => pixels.push(pixel),
                (true, false) => across.push((run(pixel, ink.width, y, ink.height), pixel)),
                (false, true) => down.push((run(pixel, 1, x, ink.width), pixel)),
                (false, false) => {}
            }
        }
        for mut runs in [across, down] {
            runs.sort_unstable();
            // Strokes of the digit along a line or across it are thicker than the line, and the
            // line is thinner where the edge of the picture cuts it.
            let is_whole = |&&((_, is_cut), _): &&((usize, bool), usize)| !is_cut;
            let whole = runs.iter().filter(is_whole);
            let fifth = whole.clone().nth(whole.count() / 5);
            let thickness = fifth.map_or(self.thickness, |&((run, _), _)| run);
            let most = (thickness + thickness / 2 + 1).min(2 * self.thickness);
            let thin = runs.iter().take_while(|&&((run, _), _)| run <= most);
            pixels.extend(thin.map(|&(_, pixel)| pixel));
        }
        pixels
    }

    /// Whether the picture is so small that strokes of a digit are as thin and as straight.
    pub(super) fn are_thin_as_strokes(&self) -> bool {
        self.thickness < STROKE
    }

    /// Whether they go from edge to edge, or meet.
    pub(super) fn are_likely_printed(&self) -> bool {
        let meet = !self.across.is_empty() && !self.down.is_empty();
        meet || self.are_throughout()
    }

    fn are_throughout(&self) -> bool {
        let reaches = |length: usize, side: usize| length as f32 >= THROUGHOUT * side as f32;
        (self.across.is_empty() || reaches(self.bounds.width, self.size.0))
            && (self.down.is_empty() || reaches(self.bounds.height, self.size.1))
    }

    /// Whether each line is longer than the digit, which it does not touch.
    pub(super) fn are_outside(&self, digit: &BoundingBox) -> bool {
        let factor = if self.are_throughout() {
            LONGER_THROUGHOUT
        } else {
            LONGER
        };
        let longer = |length: usize, digit: usize| length as f32 >= factor * digit as f32;
        (self.across.is_empty() || longer(self.bounds.width, digit.width))
            && (self.down.is_empty() || longer(self.bounds.height, digit.height))
    }

    /// Whether they are upright and meet no other line, as 1s beside another digit.
    pub(super) fn may_be_ones(&self) -> bool {
        self.across.is_empty()
    }

    /// Whether each line goes well beyond the digit at both ends, unlike the stem of a 9 or the bar
    /// of a 4, and the digit is away from the edges.
    pub(super) fn stick_out_of(&self, digit: &Component) -> bool {
        let lines = self.bounds;
        let upright = digit.places().map(|place| self.tilt.upright(place));
        let upright = BoundingBox::around(upright);
        let beyond = |(first, length): (usize, usize), digit: (usize, usize)| {
            let beyond = self.thickness.max((BEYOND * length as f32) as usize);
            first + beyond <= digit.0 && digit.0 + digit.1 + beyond <= first + length
        };
        let across = |bounds: &BoundingBox| (bounds.left, bounds.width);
        let down = |bounds: &BoundingBox| (bounds.top, bounds.height);
        is_clear(&digit.bounds, self.size)
            && (self.across.is_empty() || beyond(across(&lines), across(&upright)))
            && (self.down.is_empty() || beyond(down(&lines), down(&upright)))
    }

    /// Sides of the component's box along which it has a line; 0 if all lines are parallel.
    pub(super) fn sides(&self) -> usize {
        let bounds = self.bounds;
        let ends = |bands: &[Range<usize>], first: usize, end: usize| {
            let at_first = bands
                .iter()
                .any(|band| band.start <= first + self.thickness);
            let at_end = bands.iter().any(|band| band.end + self.thickness >= end);
            usize::from(at_first) + usize::from(at_end)
        };
        if self.across.is_empty() || self.down.is_empty() {
            return 0;
        }
        ends(&self.across, bounds.top, bounds.top + bounds.height)
            + ends(&self.down, bounds.left, bounds.left + bounds.width)
    }

    /// Whether one goes from edge to edge, and the digit that touches it is narrower and away from
    /// the edges.
    pub(super) fn are_behind(&self, digit: &BoundingBox) -> bool {
        let (width, height) = self.size;
        let is_through = |bands: &[Range<usize>], length: usize, side: usize, digit: usize| {
            !bands.is_empty()
                && length as f32 >= THROUGHOUT * side as f32
                && digit as f32 <= NARROW * side as f32
        };
        is_clear(digit, self.size)
            && (is_through(&self.across, self.bounds.width, width, digit.width)
                || is_through(&self.down, self.bounds.height, height, digit.height))
    }

    /// Whether they are parallel, from edge to edge, and the digit is narrower: ruled paper.
    pub(super) fn are_rules(&self, digit: &BoundingBox) -> bool {
        let rules = |bands: &[Range<usize>], length: usize, side: usize, digit: usize| {
            bands.len() >= 2
                && length as f32 >= THROUGHOUT * side as f32
                && digit as f32 <= INSIDE * side as f32
        };
        rules(&self.across, self.bounds.width, self.size.0, digit.width)
            || rules(&self.down, self.bounds.height, self.size.1, digit.height)
    }
}

/// The lines along one axis, each with its length in the picture in shares of the picture's side;
/// none if the component is not long enough for a line. `places` are (along, across), `ranges`
/// those of the component's box, and `visible` tells how many places of a line are in the picture.
fn along_axis(
    places: impl Iterator<Item = (usize, usize)>,
    ranges: [Range<usize>; 2],
    side: usize,
    thickness: usize,
    visible: impl Fn(Range<usize>, usize) -> usize,
) -> Vec<(Range<usize>, f32)> {
    let [along, across] = ranges;
    let side = side as f32;
    if (along.len() as f32) < LENGTH * side {
        return Vec::new();
    }
    let points = places.map(|(at, line)| (at - along.start, line - across.start));
    let visible = |line: usize| {
        let length = visible(along.clone(), across.start + line);
        Some(length).filter(|&length| length as f32 >= SHORT_LENGTH * side)
    };
    let bands = bands(points, (along.len(), across.len()), thickness, visible);
    let in_picture = |(band, length): (Range<usize>, usize)| {
        let band = band.start + across.start..band.end + across.start;
        (band, length as f32 / side)
    };
    bands.into_iter().map(in_picture).collect()
}

/// Bands as thick as a line in which nearly all places along it have ink that are in the picture,
/// each with how many these are; `points` are (along, across), `size` likewise, and `visible` tells
/// how many places of a line are in the picture, if these are enough.
fn bands(
    points: impl Iterator<Item = (usize, usize)>,
    size: (usize, usize),
    thickness: usize,
    visible: impl Fn(usize) -> Option<usize>,
) -> Vec<(Range<usize>, usize)> {
    let (along, across) = size;
    let mut inked = vec![false; along * across];
    points.for_each(|(at, line)| inked[line * along + at] = true);
    // Of each place along the lines, how many of the rows in the window have ink.
    let mut depth = vec![0_usize; along];
    let mut covered = 0;
    let mut bands: Vec<(Range<usize>, usize)> = Vec::new();
    for line in 0..across {
        for at in (0..along).filter(|at| inked[line * along + at]) {
            covered += usize::from(depth[at] == 0);
            depth[at] += 1;
        }
        if let Some(left) = line.checked_sub(thickness) {
            for at in (0..along).filter(|at| inked[left * along + at]) {
                depth[at] -= 1;
                covered -= usize::from(depth[at] == 0);
            }
        }
        if let Some(length) = visible(line.saturating_sub(thickness / 2))
            && covered >= (COVERAGE * length as f32).ceil() as usize
        {
            let band = (line + 1).saturating_sub(thickness)..line + 1;
            match bands.last_mut() {
                Some((last, longest)) if band.start <= last.end => {
                    last.end = band.end;
                    *longest = length.max(*longest);
                }
                _ => bands.push((band, length)),
            }
        }
    }
    // A band that is much thicker than a line is no line.
    bands.retain(|(band, _)| band.len() <= 3 * thickness);
    bands
}

/// Whether a box is away from all edges of a picture of a size.
pub(super) fn is_clear(digit: &BoundingBox, (width, height): (usize, usize)) -> bool {
    let is_clear = |first: usize, length: usize, side: usize| {
        let margin = (CLEAR * side as f32).max(MIN_CLEAR);
        first as f32 >= margin && (first + length) as f32 <= side as f32 - margin
    };
    is_clear(digit.left, digit.width, width) && is_clear(digit.top, digit.height, height)
}
