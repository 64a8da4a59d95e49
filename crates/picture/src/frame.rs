//! Finds printed lines in ink: boxes around a digit, cells of a grid, rules.
//!
//! A line is thin, straight along an axis up to a tilt and long for the picture. It is no part of the
//! digit if it belongs to a frame, or does not touch the digit and is longer: from edge to edge, or
//! with another one at a right angle. A line from edge to edge that the digit touches is none of its
//! strokes if the digit is narrow and stays away from the edges; a shorter one if it is of a thinner
//! pen. What cuts off a corner of the picture is a line at any angle and of any length. A picture of
//! lines alone keeps them, as that is how a 1 looks.

use crate::{
    components::{self, BoundingBox, Component},
    plane::Plane,
    tilt::{self, LENGTH, Tilt},
};
use std::ops::Range;

/// Thickness of a line at most, in shares of the longest side, and in pixels at least.
const THICKNESS: f32 = 0.04;
const MIN_THICKNESS: usize = 2;
/// Length in the picture of further lines in the component of one of [`LENGTH`], at least.
const SHORT_LENGTH: f32 = 0.25;
/// Share of its length on which a line has ink.
const COVERAGE: f32 = 0.9;
/// Share of its ink that a component of lines may have elsewhere.
const ELSEWHERE: f32 = 0.08;
/// How much longer than the digit's box a line is, and one from edge to edge.
const LONGER: f32 = 1.25;
const LONGER_THROUGHOUT: f32 = 1.08;
/// Thickness at most of lines of another pen, in shares of the width of the digit's strokes.
const THINNER: f32 = 0.5;
/// Share of the picture's side that lines from edge to edge reach.
const THROUGHOUT: f32 = 0.97;
/// Width of a digit at most that touches a line from edge to edge, and its distance from the edges at
/// least, in shares of the picture's side.
const NARROW: f32 = 0.7;
const CLEAR: f32 = 0.04;
/// Height of a digit at least, in shares of the picture's.
const DIGIT: f32 = 0.15;
/// Lines that make a frame.
const FRAME: usize = 3;

/// The pixels of printed lines, with their soft edges.
#[must_use]
pub fn lines(ink: &Plane) -> Vec<usize> {
    let parts: Vec<Part> = components::components(ink)
        .into_iter()
        .map(|component| Part::of(component, ink))
        .collect();
    let mut pixels: Vec<usize> = Vec::new();
    for part in printed(&parts, ink) {
        pixels.extend(&part.component.pixels);
    }
    let mixed = |part: &&Part| !part.is_pure && !part.lines.is_empty();
    for part in parts.iter().filter(mixed) {
        if part.are_lines_printed(ink) {
            pixels.extend(&part.line_pixels);
        }
    }
    let is_faint = |pixel: &usize| ink.values[*pixel] < components::MIN_INK;
    let edges: Vec<usize> = pixels
        .iter()
        .flat_map(|pixel| components::neighbours(ink, pixel % ink.width, pixel / ink.width))
        .filter(is_faint)
        .collect();
    pixels.extend(edges);
    pixels
}

/// The components that are lines and nothing else, and no part of the digit.
fn printed<'a>(parts: &'a [Part], ink: &Plane) -> Vec<&'a Part> {
    let lines = || parts.iter().filter(|part| part.is_pure);
    let several = lines().count() >= FRAME;
    let may_be = |part: &Part| part.is_pure && (several || part.lines.are_likely_printed());
    let is_frame = |part: &Part| part.is_pure && part.lines.sides() >= FRAME;
    let rest_without = |gone: &dyn Fn(&Part) -> bool| {
        let rest = parts.iter().filter(|part| !gone(part));
        bounds(rest.map(|part| &part.component.bounds), ink)
    };
    let is_gone = |part: &Part| part.cuts_corner || may_be(part);
    if let Some(digit) = rest_without(&is_gone) {
        let is_clear = is_clear(&digit, (ink.width, ink.height));
        let is_printed = |part: &&Part| {
            part.cuts_corner && is_clear
                || may_be(part) && (is_frame(part) || part.lines.are_outside(&digit))
        };
        return parts.iter().filter(is_printed).collect();
    }
    // Only frames, and what may be the strokes of a digit. The innermost frame may be a 0.
    let mut frames: Vec<&Part> = parts.iter().filter(|part| is_frame(part)).collect();
    if rest_without(&is_frame).is_none() {
        frames.sort_by_key(|part| area(&part.component.bounds));
        frames = frames.split_off(1.min(frames.len()));
    }
    frames
}

fn area(bounds: &BoundingBox) -> usize {
    bounds.width * bounds.height
}

fn is_high(bounds: &BoundingBox, ink: &Plane) -> bool {
    bounds.height > (DIGIT * ink.height as f32) as usize
}

/// The box around what is high enough to be a digit.
fn bounds<'a>(boxes: impl Iterator<Item = &'a BoundingBox>, ink: &Plane) -> Option<BoundingBox> {
    boxes
        .filter(|bounds| is_high(bounds, ink))
        .copied()
        .reduce(|one, other| one.joined(&other))
}

/// Connected ink, with the lines in it.
struct Part {
    component: Component,
    lines: Lines,
    line_pixels: Vec<usize>,
    /// Whether it consists of lines.
    is_pure: bool,
    /// Whether it is one line between two sides of the picture that meet.
    cuts_corner: bool,
}

impl Part {
    fn of(component: Component, ink: &Plane) -> Self {
        let thickness = (THICKNESS * ink.width.max(ink.height) as f32) as usize;
        let thickness = thickness.max(MIN_THICKNESS);
        let tilt = Tilt::of_lines(&component, (ink.width, ink.height), thickness);
        let lines = Lines::of(&component, ink, thickness, tilt);
        let line_pixels = lines.pixels(&component, ink);
        let in_lines: f32 = line_pixels.iter().map(|&pixel| ink.values[pixel]).sum();
        Self {
            is_pure: !lines.is_empty() && in_lines >= (1.0 - ELSEWHERE) * component.ink,
            cuts_corner: cuts_corner(&component, ink, thickness),
            component,
            lines,
            line_pixels,
        }
    }

    /// Whether its lines are no strokes of the digit that touches them.
    fn are_lines_printed(&self, ink: &Plane) -> bool {
        let Some(digit) = self.digit_behind_lines(ink) else {
            return false;
        };
        let (lines, bounds) = (&self.lines, &digit.bounds);
        let are_of_another_pen = || {
            let lines = Component::of(ink, self.line_pixels.clone());
            lines.width_of_strokes() <= THINNER * digit.width_of_strokes()
        };
        lines.sides() >= FRAME
            || lines.are_rules(bounds)
            || lines.are_behind(bounds)
            || lines.are_longer(bounds, LONGER) && are_of_another_pen()
    }

    /// The largest piece of what is left without the lines, if it is high enough to be a digit.
    fn digit_behind_lines(&self, ink: &Plane) -> Option<Component> {
        let mut rest = Plane::filled(ink.width, ink.height, 0.0);
        for &pixel in &self.component.pixels {
            rest.values[pixel] = ink.values[pixel];
        }
        for &pixel in &self.line_pixels {
            rest.values[pixel] = 0.0;
        }
        let pieces = components::components(&rest);
        let largest = pieces.into_iter().max_by(|a, b| a.ink.total_cmp(&b.ink));
        largest.filter(|largest| is_high(&largest.bounds, ink))
    }
}

/// Whether a component is a thin straight line, at any angle, from one side of the picture to another
/// that meets it.
fn cuts_corner(component: &Component, ink: &Plane, thickness: usize) -> bool {
    let bounds = component.bounds;
    let touches = |first: usize, length: usize, side: usize| first == 0 || first + length == side;
    touches(bounds.left, bounds.width, ink.width)
        && touches(bounds.top, bounds.height, ink.height)
        && component.spread() <= thickness as f32 / 12.0_f32.sqrt()
}

/// Whether a box is away from all edges of a picture of a size.
fn is_clear(digit: &BoundingBox, (width, height): (usize, usize)) -> bool {
    let is_clear = |first: usize, length: usize, side: usize| {
        let margin = CLEAR * side as f32;
        first as f32 >= margin && (first + length) as f32 <= side as f32 - margin
    };
    is_clear(digit.left, digit.width, width) && is_clear(digit.top, digit.height, height)
}

/// The lines of a component, at places without its tilt.
struct Lines {
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
    fn of(component: &Component, ink: &Plane, thickness: usize, tilt: Tilt) -> Self {
        let size = (ink.width, ink.height);
        let places: Vec<(usize, usize)> = component.places().map(|it| tilt.upright(it)).collect();
        let bounds = BoundingBox::around(places.iter().copied());
        let is_long = |length: usize, side: usize| length as f32 >= LENGTH * side as f32;
        let mut lines = Self {
            thickness,
            size,
            tilt,
            bounds,
            across: Vec::new(),
            down: Vec::new(),
        };
        let mut longest = 0.0;
        let mut found = |bands: Vec<(Range<usize>, usize)>, first: usize, side: usize| {
            let band = |(band, length): (Range<usize>, usize)| {
                longest = (length as f32 / side as f32).max(longest);
                band.start + first..band.end + first
            };
            bands.into_iter().map(band).collect()
        };
        let long_enough = |length: usize, side: usize| {
            Some(length).filter(|&length| length as f32 >= SHORT_LENGTH * side as f32)
        };
        if is_long(bounds.width, ink.width) {
            let points = places.iter();
            let points = points.map(|(x, y)| (x - bounds.left, y - bounds.top));
            let columns = bounds.left..bounds.left + bounds.width;
            let visible = |row: usize| {
                let length = tilt.visible_across(columns.clone(), bounds.top + row);
                long_enough(length, ink.width)
            };
            let bands = bands(points, (bounds.width, bounds.height), thickness, visible);
            lines.across = found(bands, bounds.top, ink.width);
        }
        if is_long(bounds.height, ink.height) {
            let points = places.iter();
            let points = points.map(|(x, y)| (y - bounds.top, x - bounds.left));
            let rows = bounds.top..bounds.top + bounds.height;
            let visible = |column: usize| {
                let length = tilt.visible_down(rows.clone(), bounds.left + column);
                long_enough(length, ink.height)
            };
            let bands = bands(points, (bounds.height, bounds.width), thickness, visible);
            lines.down = found(bands, bounds.left, ink.height);
        }
        if longest < LENGTH {
            lines.across.clear();
            lines.down.clear();
        }
        lines
    }

    fn is_empty(&self) -> bool {
        self.across.is_empty() && self.down.is_empty()
    }

    /// The pixels of the lines, without those where something else crosses them.
    fn pixels(&self, component: &Component, ink: &Plane) -> Vec<usize> {
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
            // Strokes of the digit along a line or across it are thicker than the line, but not where
            // the edge of the picture cuts it.
            let is_whole = |&&((_, is_cut), _): &&((usize, bool), usize)| !is_cut;
            let whole = runs.iter().filter(is_whole);
            let thin = whole.clone().nth(whole.count() / 5);
            let thickness = thin.map_or(self.thickness, |&((run, _), _)| run);
            let most = (thickness + thickness / 2 + 1).min(2 * self.thickness);
            let thin = runs.iter().take_while(|&&((run, _), _)| run <= most);
            pixels.extend(thin.map(|&(_, pixel)| pixel));
        }
        pixels
    }

    /// Whether they go from edge to edge, or meet.
    fn are_likely_printed(&self) -> bool {
        let meet = !self.across.is_empty() && !self.down.is_empty();
        meet || self.are_throughout()
    }

    fn are_throughout(&self) -> bool {
        let reaches = |length: usize, side: usize| length as f32 >= THROUGHOUT * side as f32;
        (self.across.is_empty() || reaches(self.bounds.width, self.size.0))
            && (self.down.is_empty() || reaches(self.bounds.height, self.size.1))
    }

    /// Whether each line is longer than the digit, which it does not touch.
    fn are_outside(&self, digit: &BoundingBox) -> bool {
        let factor = if self.are_throughout() {
            LONGER_THROUGHOUT
        } else {
            LONGER
        };
        self.are_longer(digit, factor)
    }

    /// Whether each line is longer than the digit, so many times.
    fn are_longer(&self, digit: &BoundingBox, times: f32) -> bool {
        let longer = |length: usize, digit: usize| length as f32 >= times * digit as f32;
        (self.across.is_empty() || longer(self.bounds.width, digit.width))
            && (self.down.is_empty() || longer(self.bounds.height, digit.height))
    }

    /// Sides of the component's box along which it has a line; 0 if all lines are parallel.
    fn sides(&self) -> usize {
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
    fn are_behind(&self, digit: &BoundingBox) -> bool {
        let (width, height) = self.size;
        let is_through = |bands: &[Range<usize>], length: usize, side: usize, digit: usize| {
            !bands.is_empty()
                && length as f32 >= THROUGHOUT * side as f32
                && digit as f32 <= NARROW * side as f32
        };
        self.thickness >= tilt::MIN_THICKNESS
            && is_clear(digit, self.size)
            && (is_through(&self.across, self.bounds.width, width, digit.width)
                || is_through(&self.down, self.bounds.height, height, digit.height))
    }

    /// Whether they are parallel, from edge to edge, and the digit is narrower: ruled paper.
    fn are_rules(&self, digit: &BoundingBox) -> bool {
        let rules = |bands: &[Range<usize>], length: usize, side: usize, digit: usize| {
            bands.len() >= 2
                && length as f32 >= THROUGHOUT * side as f32
                && digit as f32 <= 0.85 * side as f32
        };
        rules(&self.across, self.bounds.width, self.size.0, digit.width)
            || rules(&self.down, self.bounds.height, self.size.1, digit.height)
    }
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
