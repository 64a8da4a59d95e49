//! Decides which side of a picture is paper: the dark one or the light one.
//!
//! Mostly the border tells. Where a digit fills its picture, as after segmentation, ink is at the
//! border too; then the whole picture decides: ink hangs together, and paper is in pieces between
//! the ink and the edges of the picture. There is no room to look for uneven light either.

use crate::{
    components,
    levels::{PEAK_SHARE, border_median, otsu, percentile},
    plane::Plane,
    trend,
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
    /// Level of the paper, if its light is even, or if ink fills the picture to its border.
    pub level: Option<f32>,
}

/// The channel with a light background; `None` if all is background.
#[must_use]
pub fn dark_on_light(plane: &Plane) -> Option<Paper> {
    let departures = plane.minus(&trend::of(plane));
    let darker = -percentile(&departures.values, PEAK_SHARE);
    let lighter = percentile(&departures.values, 1.0 - PEAK_SHARE);
    if darker.max(lighter) < BLANK_DEPARTURE {
        return None;
    }
    let sides = Sides::of(plane, &departures);
    let background = border_median(plane);
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
    })
}

fn upright(plane: &Plane, invert: bool) -> Plane {
    if invert {
        plane.map(|value| 1.0 - value)
    } else {
        plane.clone()
    }
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
    fn of(plane: &Plane, departures: &Plane) -> Self {
        let values = plane.reduced(SIDE);
        let departures = departures.reduced(SIDE).map(|value| (value + 1.0) / 2.0);
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
    let threshold = otsu(&plane.values);
    let light = plane.values.iter().map(|&value| value > threshold);
    Divided {
        light: light.collect(),
        separation: separation(&plane.values, threshold),
    }
}

/// Share of the variance that a threshold explains, from 0 to 1.
fn separation(values: &[f32], threshold: f32) -> f32 {
    let moments = |values: &mut dyn Iterator<Item = f32>| {
        let (mut count, mut sum, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
        for value in values.map(f64::from) {
            (count, sum, squares) = (count + 1.0, sum + value, squares + value * value);
        }
        (count, squares - sum * sum / f64::max(count, 1.0))
    };
    let (_, all) = moments(&mut values.iter().copied());
    let (_, low) = moments(&mut values.iter().copied().filter(|&value| value <= threshold));
    let (_, high) = moments(&mut values.iter().copied().filter(|&value| value > threshold));
    if all <= 1e-9 {
        0.0
    } else {
        (1.0 - (low + high) / all) as f32
    }
}
