//! Segments ink from paper: background and threshold.
//!
//! The result is light ink on black, whatever the picture was.

use crate::{
    edge, frame,
    levels::{Histogram, PEAK_SHARE},
    plane::Plane,
    polarity::{self, Paper},
    trend::Surface,
    window::{self, Extreme},
};

/// Peak loss of reflectance under which a picture is blank.
const BLANK_LOSS: f32 = 0.12;
/// Longest side at which the background is looked for.
const BACKGROUND_SIDE: usize = 128;
/// Least background that is divided by.
const BACKGROUND_FLOOR: f32 = 0.1;
/// Start of the ramp, in shares of Otsu's threshold.
const RAMP_START: f32 = 0.7;

/// Ink from 0 to 1, without printed lines; `None` if the picture is blank. `planes` are the channels,
/// all of one size.
#[must_use]
pub fn find(planes: Vec<Plane>) -> Option<Plane> {
    let losses = planes.into_iter().filter_map(loss_of_channel);
    // A yellow pen is visible in blue alone: use the channel that lost the most.
    let mut loss = losses.reduce(|mut most, other| {
        let values = most.values.iter_mut().zip(&other.values);
        values.for_each(|(a, b)| *a = a.max(*b));
        most
    })?;
    let levels = Histogram::of(&loss.values);
    if levels.percentile(1.0 - PEAK_SHARE) < BLANK_LOSS {
        return None;
    }
    let ink = loss.map(by_ramp(&levels));
    let printed = frame::lines(&ink);
    if printed.is_empty() {
        return Some(ink);
    }
    // The lines had a part in the threshold.
    printed.iter().for_each(|&pixel| loss.values[pixel] = 0.0);
    Some(ramp(&loss))
}

/// Share of the light that ink absorbs in one channel; `None` if all is background.
fn loss_of_channel(plane: Plane) -> Option<Plane> {
    let paper = polarity::dark_on_light(edge::without_lines(plane))?;
    let mut loss = match paper.level {
        Some(level) => Plane::filled(paper.plane.width, paper.plane.height, level),
        None => background_of(&paper),
    };
    lose(&paper.plane, &mut loss);
    Some(loss)
}

/// Share of the background's light that ink absorbs, from 0 to 1.
#[must_use]
pub fn loss(paper: &Plane, background: &Plane) -> Plane {
    let mut loss = background.clone();
    lose(paper, &mut loss);
    loss
}

/// Turns a background into the loss.
fn lose(paper: &Plane, background: &mut Plane) {
    for (behind, value) in background.values.iter_mut().zip(&paper.values) {
        *behind = (1.0 - value / behind.max(BACKGROUND_FLOOR)).clamp(0.0, 1.0);
    }
}

/// Light of the paper behind the ink: a smooth surface, times a grey-scale closing of what is left,
/// at reduced size. Its window is a quarter of the side, well above the width of a stroke.
#[must_use]
pub fn background(paper: &Plane) -> Plane {
    background_of(&Paper {
        plane: paper.clone(),
        small: paper.halved_to(BACKGROUND_SIDE),
        light: Surface::of(paper),
        level: None,
    })
}

fn background_of(paper: &Paper) -> Plane {
    let mut even = paper.small.clone();
    paper.light.rows(even.width, even.height, |y, light| {
        let row = &mut even.values[y * light.len()..][..light.len()];
        for (value, light) in row.iter_mut().zip(light) {
            *value /= light.max(BACKGROUND_FLOOR);
        }
    });
    let radius = (even.width.max(even.height) / 8).max(1);
    let closed = window::extreme(even, radius, Extreme::Most);
    let closed = window::extreme(closed, radius, Extreme::Least);
    let Plane { width, height, .. } = paper.plane;
    let mut background = window::mean(closed, radius / 2).resized(width, height);
    paper.light.rows(width, height, |y, light| {
        let row = &mut background.values[y * width..][..width];
        for (value, light) in row.iter_mut().zip(light) {
            *value *= light.max(BACKGROUND_FLOOR);
        }
    });
    background
}

/// Ink from 0 to 1 by the loss of light.
#[must_use]
pub fn ramp(loss: &Plane) -> Plane {
    loss.map(by_ramp(&Histogram::of(&loss.values)))
}

/// 0 below the start of a ramp, 1 from the median of the ink on, so that soft edges stay soft.
fn by_ramp(levels: &Histogram) -> impl Fn(f32) -> f32 + use<> {
    let (threshold, _) = levels.otsu();
    let full = levels.percentile_above(0.5, threshold);
    let start = RAMP_START * threshold;
    let scale = 1.0 / (full - start).max(1e-3);
    move |value| ((value - start) * scale).clamp(0.0, 1.0)
}
