//! Decides which side of a picture is paper: the dark one or the light one.
//!
//! Mostly the border tells. Where a digit fills its picture, as after segmentation, ink is at the
//! border too; then the whole picture decides: ink hangs together, and paper is in pieces between
//! the ink and the edges of the picture. There is no room to look for uneven light either.

use crate::{
    components,
    levels::{Histogram, PEAK_SHARE, border_median, percentile},
    plane::Plane,
    trend::Surface,
};

/// Peak departure from the background, in shares of the range, under which a picture is blank.
const BLANK_DEPARTURE: f32 = 0.06;
/// Longest side at which the whole picture is looked at.
const SIDE: usize = 128;
/// Share of the border from which on ink touches it, and from which on the border stops to tell.
const TOUCHED_BORDER: f32 = 0.02;
const MIXED_BORDER: f32 = 0.1;
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
    let light = Surface::of(&plane);
    let (darker, lighter) = peaks(&plane, &light);
    if darker.max(lighter) < BLANK_DEPARTURE {
        return None;
    }
    let sides = Sides::of(&plane, &light);
    let background = border_median(&plane);
    let invert = if sides.other_at_border() >= MIXED_BORDER {
        sides.ink_is_light()
    } else if background >= 0.62 && darker >= BLANK_DEPARTURE {
        false
    } else if background <= 0.38 && lighter >= BLANK_DEPARTURE {
        true
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

/// How far the picture is below its light, and above it.
fn peaks(plane: &Plane, light: &Surface) -> (f32, f32) {
    let mut departures = Histogram::new(-1.0, 1.0);
    light.rows(plane.width, plane.height, |y, light| {
        let row = &plane.values[y * plane.width..][..plane.width];
        departures.add(row.iter().zip(light).map(|(value, light)| value - light));
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
    fn of(plane: &Plane, light: &Surface) -> Self {
        let values = plane.halved_to(SIDE);
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
        let Plane { width, height, .. } = self.values;
        let at_edge = |index: &usize| {
            let (x, y) = (index % width, index / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        let border: Vec<usize> = (0..self.light.len()).filter(at_edge).collect();
        let light = border.iter().filter(|&&index| self.light[index]).count();
        light as f32 / border.len() as f32
    }

    /// Share of the border that is of the side that has less of it.
    fn other_at_border(&self) -> f32 {
        let light = self.border();
        light.min(1.0 - light)
    }

    fn ink_is_light(&self) -> bool {
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
        let is_full = self.other_at_border() >= TOUCHED_BORDER;
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
