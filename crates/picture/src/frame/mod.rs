//! Finds printed lines in ink: boxes around a digit, cells of a grid, rules.
//!
//! A line is thin, straight along an axis up to a tilt and long for the picture. It is no part of
//! the digit if it
//!
//! * belongs to a frame;
//! * does not touch the digit, is longer, and goes from edge to edge or meets another one at a
//!   right angle (an upright one that meets none only if the digit is away from the edges: it may
//!   be the 1 of a number that was cut out);
//! * is touched by the digit and goes from edge to edge, or is of a thinner pen and sticks out at
//!   both ends, and the digit is away from the edges;
//! * cuts off a corner of the picture, at any angle and of any length, and the digit is away from
//!   the edges.
//!
//! A picture of lines alone keeps them, as that is how a 1 looks.

mod lines;
mod tilt;

use crate::{
    components::{self, BoundingBox, Component},
    plane::Plane,
};
use lines::{Lines, is_clear};
use tilt::Tilt;

/// Thickness of a line at most: in shares of the longest side and of the shortest one, where a
/// stroke is as long as a line in a long picture, but not in pixels.
const THICKNESS: f32 = 0.04;
const THICKNESS_ACROSS: f32 = 0.08;
const MIN_THICKNESS: usize = 2;
/// Shortest side of pictures in which lines that touch the digit are told from its strokes, in
/// pixels.
const MIN_SIDE: usize = 48;
/// Share of its ink that a component of lines may have elsewhere.
const ELSEWHERE: f32 = 0.08;
/// Thickness at most of lines of another pen, in shares of the width of the digit's strokes.
const THINNER: f32 = 0.5;
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
                || may_be(part)
                    && (is_clear || !part.lines.may_be_ones())
                    && (is_frame(part) || part.lines.are_outside(&digit))
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
        let longest = ink.width.max(ink.height) as f32;
        let shortest = ink.width.min(ink.height) as f32;
        let thickness = (THICKNESS * longest).min(THICKNESS_ACROSS * shortest);
        let thickness = (thickness as usize).max(MIN_THICKNESS);
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
        if ink.width.min(ink.height) < MIN_SIDE {
            return false;
        }
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
            || !lines.are_thin_as_strokes()
                && (lines.are_behind(bounds) || lines.stick_out_of(&digit) && are_of_another_pen())
    }

    /// What is left without the lines and without dust, if it is high enough to be a digit.
    fn digit_behind_lines(&self, ink: &Plane) -> Option<Component> {
        let mut rest = Plane::filled(ink.width, ink.height, 0.0);
        for &pixel in &self.component.pixels {
            rest.values[pixel] = ink.values[pixel];
        }
        for &pixel in &self.line_pixels {
            rest.values[pixel] = 0.0;
        }
        let pieces = components::without_dust(&rest).into_iter();
        let digit = pieces.reduce(|mut digit, piece| {
            digit.join(piece);
            digit
        });
        digit.filter(|digit| is_high(&digit.bounds, ink))
    }
}

/// Whether a component is a thin straight line, at any angle, that cuts off one corner of the
/// picture, in which there is none of its ink.
fn cuts_corner(component: &Component, ink: &Plane, thickness: usize) -> bool {
    let bounds = component.bounds;
    // Of the two sides across an axis: whether it touches exactly one, and if so, the second one.
    let touched = |first: usize, end: usize, side: usize| {
        let touches = (first == 0, end == side);
        (touches.0 != touches.1).then_some(touches.1)
    };
    let right = touched(bounds.left, bounds.right(), ink.width);
    let bottom = touched(bounds.top, bounds.bottom(), ink.height);
    let (Some(right), Some(bottom)) = (right, bottom) else {
        return false;
    };
    let is_near = |at: usize, side: usize, at_end: bool| {
        let distance = if at_end { side - 1 - at } else { at };
        distance < 2
    };
    let is_in_corner =
        |(x, y): (usize, usize)| is_near(x, ink.width, right) && is_near(y, ink.height, bottom);
    !component.places().any(is_in_corner)
        && component.spread() <= thickness as f32 / 12.0_f32.sqrt()
}
