//! Decides which side of a picture is paper: the dark one or the light one.
//!
//! Mostly the border tells. Where there are printed lines, as at the edges of a cell, the clean
//! margin inside them does. Where a digit fills its picture but for a thin margin, as after
//! segmentation, ink is at the border and everywhere inside; then the whole picture decides: ink
//! hangs together, and paper is in pieces between the ink and the edges of the picture. There is no
//! room to look for uneven light either.

use crate::{
    components,
    levels::{Histogram, PEAK_SHARE, border_median, percentile},
    plane::Plane,
    trend::Surface,
};
use std::ops::Range;

/// Peak departure from the background, in shares of the range, under which a picture is blank.
const BLANK_DEPARTURE: f32 = 0.06;
/// A run of so many pixels of which none departs further is paper, whose departures are not counted
/// one by one.
const RUN: usize = 16;
const PAPER_DEPARTURE: f32 = 0.05;
/// Longest side at which the whole picture is looked at.
const SIDE: usize = 128;
/// Share of the border from which on ink touches it, and from which on the border stops to tell.
const TOUCHED_BORDER: f32 = 0.02;
const MIXED_BORDER: f32 = 0.1;
/// Width of a margin at most beside ink that fills the picture, in shares of the shorter side.
const THIN_MARGIN: f32 = 0.04;
/// Distances of margins from the border, in shares of the sides.
const MARGINS: [f32; 5] = [0.06, 0.09, 0.12, 0.15, 0.18];
/// Share of a clean margin that is paper, at least.
const CLEAN: f32 = 0.98;
/// Share of a picture with a clean margin that is paper, at least.
const MOSTLY: f32 = 0.7;
/// Share of what is inside a clean margin that is ink, at least.
const INSIDE: f32 = 0.02;
/// Share of the middle of a side along which there is ink if a line runs along it, at least.
const ALONG: f32 = 0.9;
/// Shortest side of pictures in which a clean margin is looked for, in pixels.
const MIN_SIDE: usize = 28;
/// The same where the corners do not confirm it, but a line outside does.
const MIN_SIDE_OF_LINES: usize = 40;
/// Size of a corner, in shares of the sides.
const CORNER: f32 = 0.09;
/// Share of a corner that is paper, at least.
const IN_CORNER: f32 = 0.4;
/// Weight of the border against that of hanging together.
const BORDER_WEIGHT: f32 = 0.7;
/// Share of the variance that two levels explain in a picture of even light.
const EVEN_LIGHT: f32 = 0.85;
/// What the departures from the light must explain in addition to be preferred.
const ADDITION: f32 = 0.03;

/// A channel with dark ink on light paper.
pub struct Paper {
    /// The channel, inverted if needed.
    pub plane: Plane,
    /// The same at reduced size.
    pub(crate) small: Plane,
    /// Its light, without shadows and creases.
    pub(crate) light: Surface,
    /// Level of the paper, if its light is even, or if ink fills the picture to its border.
    pub level: Option<f32>,
}

/// The channel with a light background; `None` if all is background.
#[must_use]
pub fn dark_on_light(plane: Plane) -> Option<Paper> {
    let small = plane.halved_to(SIDE);
    let light = Surface::of(&small);
    let (darker, lighter) = peaks(&plane, &light);
    if darker.max(lighter) < BLANK_DEPARTURE {
        return None;
    }
    let sides = Sides::of(small, &light);
    let background = border_median(&plane);
    let invert = if sides.other_at_border() >= MIXED_BORDER {
        sides.ink_is_light()
    } else if background >= 0.62 && darker >= BLANK_DEPARTURE {
        false
    } else if background <= 0.38 && lighter >= BLANK_DEPARTURE {
        true
    } else if sides.has_thin_margin() {
        sides.ink_is_light()
    } else {
        lighter > darker
    };
    Some(Paper {
        plane: upright(plane, invert),
        level: sides.level_of_paper(invert),
        small: upright(sides.values, invert),
        light: if invert { light.inverted() } else { light },
    })
}

/// How far the picture is below its light, and above it, as far as that may be ink.
fn peaks(plane: &Plane, light: &Surface) -> (f32, f32) {
    let mut departures = Histogram::new(-1.0, 1.0);
    light.rows(plane.width, plane.height, |y, light| {
        let row = &plane.values[y * plane.width..][..plane.width];
        for (values, light) in row.chunks(RUN).zip(light.chunks(RUN)) {
            let of = || values.iter().zip(light).map(|(value, light)| value - light);
            let furthest = of().fold(
                0.0,
                |most: f32, it| if it.abs() > most { it.abs() } else { most },
            );
            if furthest < PAPER_DEPARTURE {
                departures.add_equal(0.0, values.len() as u32);
            } else {
                departures.add(of());
            }
        }
    });
    (
        -departures.percentile(PEAK_SHARE),
        departures.percentile(1.0 - PEAK_SHARE),
    )
}

fn upright(mut plane: Plane, invert: bool) -> Plane {
    if invert {
        plane
            .values
            .iter_mut()
            .for_each(|value| *value = 1.0 - *value);
    }
    plane
}

/// A picture divided into its light and its dark side, at reduced size.
struct Sides {
    /// The values, which may have been divided by something else.
    values: Plane,
    light: Vec<bool>,
    by_value: bool,
    /// Share of the variance that the sides explain.
    separation: f32,
}

impl Sides {
    /// Divides by the values, or by their departures from the light of the background where these
    /// fall into two sides more clearly.
    fn of(values: Plane, light: &Surface) -> Self {
        let mut departures = values.clone();
        light.rows(values.width, values.height, |y, light| {
            let row = &mut departures.values[y * values.width..][..values.width];
            for (value, light) in row.iter_mut().zip(light) {
                *value = (*value - light + 1.0) / 2.0;
            }
        });
        let (by_value, by_departure) = (divided(&values), divided(&departures));
        let prefers_values = by_value.separation + ADDITION >= by_departure.separation;
        let chosen = if prefers_values {
            by_value
        } else {
            by_departure
        };
        Self {
            values,
            light: chosen.light,
            by_value: prefers_values,
            separation: chosen.separation,
        }
    }

    /// Share of the border that is light.
    fn border(&self) -> f32 {
        self.ring(0, 0)
    }

    /// Share that is light of the pixels so many columns and rows from the edges.
    fn ring(&self, columns: usize, rows: usize) -> f32 {
        let Plane { width, height, .. } = self.values;
        let (mut light, mut all) = (0, 0);
        for y in rows..height.saturating_sub(rows) {
            let is_end = y == rows || y + rows + 1 == height;
            let inside = columns..width.saturating_sub(columns);
            let last = inside.end.saturating_sub(1);
            let step = if is_end {
                1
            } else {
                last.saturating_sub(columns).max(1)
            };
            for x in inside.step_by(step) {
                light += usize::from(self.light[y * width + x]);
                all += 1;
            }
        }
        light as f32 / all.max(1) as f32
    }

    /// Whether the paper is light, if a margin between a line along a side and ink inside is clean.
    fn clean_margin(&self) -> Option<bool> {
        let Plane { width, height, .. } = self.values;
        let light = share(self.light.iter().copied());
        let side = width.min(height);
        if side < MIN_SIDE || light.max(1.0 - light) < MOSTLY {
            return None;
        }
        let is_light = light > 0.5;
        let is_clean = |inset: &f32| {
            let [columns, rows] = [width, height].map(|side| (inset * side as f32) as usize);
            let ring = self.ring(columns, rows);
            let rows_inside = (rows..height - rows).map(|y| &self.light[y * width..][..width]);
            let inside = rows_inside.flat_map(|row| &row[columns..width - columns]);
            (if is_light { ring } else { 1.0 - ring }) >= CLEAN
                && share(inside.map(|&light| light != is_light)) >= INSIDE
                && (self.has_paper_in_corners(is_light)
                    || side >= MIN_SIDE_OF_LINES
                        && self.has_line_outside((columns, rows), is_light))
        };
        MARGINS.iter().any(is_clean).then_some(is_light)
    }

    /// Whether at least three corners of the picture are paper. Around a thick 0, whose ink could
    /// be taken for a clean margin, they are not.
    fn has_paper_in_corners(&self, paper_is_light: bool) -> bool {
        let Plane { width, height, .. } = self.values;
        let [columns, rows] = [width, height].map(|side| (CORNER * side as f32).ceil() as usize);
        let corners = [0, width - columns].map(|x| [0, height - rows].map(|y| (x, y)));
        let has_paper = |&&(left, top): &&(usize, usize)| {
            let rows = (top..top + rows).map(|y| &self.light[y * width + left..][..columns]);
            share(rows.flatten().map(|&light| light == paper_is_light)) >= IN_CORNER
        };
        corners.as_flattened().iter().filter(has_paper).count() >= 3
    }

    /// Whether something that is not paper runs along the middle of a side within so many columns
    /// and rows from it: a line, not the paper in the corners around a thick 0.
    fn has_line_outside(&self, (columns, rows): (usize, usize), paper_is_light: bool) -> bool {
        let Plane { width, height, .. } = self.values;
        let is_ink = |x: usize, y: usize| self.light[y * width + x] != paper_is_light;
        let across = |rows: Range<usize>| {
            let places = width / 4..width - width / 4;
            share(places.map(|x| rows.clone().any(|y| is_ink(x, y)))) >= ALONG
        };
        let down = |columns: Range<usize>| {
            let places = height / 4..height - height / 4;
            share(places.map(|y| columns.clone().any(|x| is_ink(x, y)))) >= ALONG
        };
        across(0..rows)
            || across(height - rows..height)
            || down(0..columns)
            || down(width - columns..width)
    }

    /// Share of the border that is of the side that has less of it.
    fn other_at_border(&self) -> f32 {
        let light = self.border();
        light.min(1.0 - light)
    }

    /// Whether ink fills the picture all but a thin margin.
    fn has_thin_margin(&self) -> bool {
        let Plane { width, height, .. } = self.values;
        let thin = (THIN_MARGIN * width.min(height) as f32).ceil() as usize;
        let is_mixed = |distance: usize| {
            let light = self.ring(distance, distance);
            light.min(1.0 - light) >= MIXED_BORDER
        };
        (1..=thin).any(is_mixed)
    }

    /// Decides by the whole picture.
    fn ink_is_light(&self) -> bool {
        if let Some(paper_is_light) = self.clean_margin() {
            return !paper_is_light;
        }
        let light = self.border();
        let score = |side: bool, border: f32| self.unity(side) - BORDER_WEIGHT * border;
        score(true, light) > score(false, 1.0 - light)
    }

    /// Share of a side that is in its largest connected component.
    fn unity(&self, side: bool) -> f32 {
        let values = self.light.iter();
        let plane = Plane {
            values: values
                .map(|&light| f32::from(u8::from(light == side)))
                .collect(),
            ..self.values
        };
        let sizes = components::components(&plane);
        let sizes = sizes.iter().map(|component| component.ink);
        let largest = sizes.clone().fold(0.0, f32::max);
        largest / sizes.sum::<f32>().max(1.0)
    }

    /// The level of the side that is paper, after an inversion, where one level is enough.
    fn level_of_paper(&self, invert: bool) -> Option<f32> {
        let is_full = self.other_at_border() >= TOUCHED_BORDER || self.has_thin_margin();
        if !self.by_value || !(is_full || self.separation >= EVEN_LIGHT) {
            return None;
        }
        let pixels = self.values.values.iter().zip(&self.light);
        let paper = pixels.filter(|&(_, &light)| light != invert);
        let paper: Vec<f32> = paper.map(|(&value, _)| value).collect();
        let level = percentile(&paper, 0.5);
        Some(if invert { 1.0 - level } else { level })
    }
}

/// Share of the places at which something holds.
fn share(places: impl Iterator<Item = bool>) -> f32 {
    let (held, all) = places.fold((0_usize, 0_usize), |(held, all), holds| {
        (held + usize::from(holds), all + 1)
    });
    held as f32 / all.max(1) as f32
}

struct Divided {
    light: Vec<bool>,
    separation: f32,
}

fn divided(plane: &Plane) -> Divided {
    let (threshold, separation) = Histogram::of(&plane.values).otsu();
    let light = plane.values.iter().map(|&value| value > threshold);
    Divided {
        light: light.collect(),
        separation,
    }
}
