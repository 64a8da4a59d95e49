//! Printed lines beside a digit: frames that are tilted or bent, and lines that touch it.

use crate::{net::Net, scenes};
use digits_picture::{Picture, plane::Plane};
use fastrand::Rng;
use image::ImageFormat;

/// Side of a canvas.
const SIDE: usize = 280;
/// A label is sure from this probability on.
const SURE: f32 = 0.9;
/// Half of the length of lines that run out of the picture.
const FAR: f32 = 400.0;

/// What is printed beside a digit; angles in degrees.
#[derive(Clone, Copy, Debug)]
pub enum Print {
    /// Nothing.
    Nothing,
    /// A box around the digit.
    Box(f32),
    /// A cell whose lines run out of the picture.
    Cell(f32),
    /// A box whose sides are bent by this share of their length.
    Bent(f32),
    /// A line from edge to edge that touches the digit.
    Touching(f32),
    /// A line from edge to edge that crosses the digit.
    Crossing(f32),
    /// A line that touches the digit and ends within the picture.
    Short(f32),
    /// A line that touches the digit, and another one at a right angle.
    Corner(f32),
}

impl Print {
    /// Those of the table, with their names.
    pub fn all() -> Vec<(String, Self)> {
        let mut all = vec![("no line".to_owned(), Self::Nothing)];
        let tilts = [0.0, 2.0, 4.0, 6.0, 8.0];
        all.extend(tilts.map(|tilt| (format!("box, {tilt}°"), Self::Box(tilt))));
        all.extend(tilts.map(|tilt| (format!("cell, {tilt}°"), Self::Cell(tilt))));
        let bends = [1.0, 2.0, 4.0];
        all.extend(bends.map(|bend| (format!("bent box, {bend} %"), Self::Bent(bend / 100.0))));
        for tilt in [0.0, 4.0] {
            all.extend([
                (format!("touching line, {tilt}°"), Self::Touching(tilt)),
                (format!("crossing line, {tilt}°"), Self::Crossing(tilt)),
                (format!("short touching line, {tilt}°"), Self::Short(tilt)),
                (format!("touching corner, {tilt}°"), Self::Corner(tilt)),
            ]);
        }
        all
    }

    fn degrees(self) -> f32 {
        match self {
            Self::Nothing | Self::Bent(_) => 0.0,
            Self::Box(tilt)
            | Self::Cell(tilt)
            | Self::Touching(tilt)
            | Self::Crossing(tilt)
            | Self::Short(tilt)
            | Self::Corner(tilt) => tilt,
        }
    }

    /// The lines beside a digit with this box: (left, top, right, bottom) from the middle.
    fn lines(self, bounds: [f32; 4], rng: &mut Rng) -> Vec<Line> {
        let frame = |half: f32, reach: f32, bend: f32, rng: &mut Rng| {
            let sides = [(true, -half), (true, half), (false, -half), (false, half)];
            let line = |(is_across, at)| Line {
                is_across,
                at,
                range: [-reach, reach],
                bend: if rng.bool() { bend } else { -bend },
            };
            sides.map(line).to_vec()
        };
        let half = |low: f32, rng: &mut Rng| low + 20.0 * rng.f32();
        match self {
            Self::Nothing => Vec::new(),
            Self::Box(_) => {
                let half = half(95.0, rng);
                frame(half, half, 0.0, rng)
            }
            Self::Bent(bend) => {
                let half = half(95.0, rng);
                frame(half, half, 2.0 * half * bend, rng)
            }
            Self::Cell(_) => {
                let half = half(120.0, rng);
                frame(half, FAR, 0.0, rng)
            }
            Self::Touching(_) => vec![Line::at_side(bounds, 0.02, rng)],
            Self::Crossing(_) => vec![Line::at_side(bounds, 0.15 + 0.3 * rng.f32(), rng)],
            Self::Short(_) => {
                let range = [half(-100.0, rng), half(80.0, rng)];
                let line = Line::at_side(bounds, 0.02, rng);
                vec![Line { range, ..line }]
            }
            Self::Corner(_) => {
                let touching = Line::at_side(bounds, 0.02, rng);
                let aside = half(95.0, rng);
                let other = Line {
                    is_across: !touching.is_across,
                    at: if rng.bool() { aside } else { -aside },
                    ..touching
                };
                vec![touching, other]
            }
        }
    }
}

/// A printed line, by distances from the middle of the picture before it is turned.
#[derive(Clone, Copy)]
struct Line {
    is_across: bool,
    at: f32,
    /// Where it begins and ends.
    range: [f32; 2],
    /// Distance of its middle from the straight line between its ends.
    bend: f32,
}

impl Line {
    /// From edge to edge at a side of a box, inside it by a share of its length.
    fn at_side([left, top, right, bottom]: [f32; 4], inside: f32, rng: &mut Rng) -> Self {
        let (width, height) = (right - left, bottom - top);
        let (is_across, at) = match rng.usize(..4) {
            0 => (true, bottom - inside * height),
            1 => (true, top + inside * height),
            2 => (false, left + inside * width),
            _ => (false, right - inside * width),
        };
        Self {
            is_across,
            at,
            range: [-FAR, FAR],
            bend: 0.0,
        }
    }

    /// Ink of the line, with soft edges, at a place before it is turned.
    fn ink(&self, (x, y): (f32, f32), thickness: f32) -> f32 {
        let (along, across) = if self.is_across { (x, y) } else { (y, x) };
        let [from, to] = self.range;
        let share = ((2.0 * along - from - to) / (to - from)).clamp(-1.0, 1.0);
        let off = (across - self.at - self.bend * (1.0 - share * share)).abs();
        let beyond = (from - along).max(along - to).max(0.0);
        (thickness / 2.0 - off.max(beyond) + 0.5).clamp(0.0, 1.0)
    }
}

/// A digit with a print, black on white.
pub fn picture(print: Print, digit: &[u8], rng: &mut Rng) -> Picture {
    let (ink, bounds) = placed(digit, rng);
    let thickness = 2.0 + 4.0 * rng.f32();
    let lines = print.lines(bounds.map(|at| at - SIDE as f32 / 2.0), rng);
    let sign = if rng.bool() { 1.0 } else { -1.0 };
    let (sine, cosine) = (sign * print.degrees()).to_radians().sin_cos();
    let mut light = ink.map(|ink| 1.0 - ink);
    for (pixel, value) in light.values.iter_mut().enumerate() {
        let [x, y] = [pixel % SIDE, pixel / SIDE].map(|at| at as f32 + 0.5 - SIDE as f32 / 2.0);
        let place = (cosine * x + sine * y, cosine * y - sine * x);
        let printed = lines.iter().map(|line| line.ink(place, thickness));
        *value = printed.fold(*value, |value, ink| value.min(1.0 - ink));
    }
    scenes::through(&light, ImageFormat::Png)
}

/// The ink of a digit near the middle of a canvas, 40 to 55 % high, and its box (left, top, right,
/// bottom).
fn placed(digit: &[u8], rng: &mut Rng) -> (Plane, [f32; 4]) {
    let longest = (SIDE as f32 * (0.4 + 0.15 * rng.f32())) as usize;
    let cut = scenes::cut_out(digit);
    let scaled = |length: usize| (length * longest / cut.width.max(cut.height)).max(1);
    let ink = cut.resized(scaled(cut.width), scaled(cut.height));
    let mut middle =
        |length: usize| ((SIDE - length) / 2).saturating_add_signed(rng.isize(-10..=10));
    let (left, top) = (middle(ink.width), middle(ink.height));
    let mut placed = Plane::filled(SIDE, SIDE, 0.0);
    for (y, row) in ink.rows().enumerate() {
        let to = &mut placed.values[(top + y) * SIDE + left..][..ink.width];
        to.copy_from_slice(row);
    }
    let bounds = [left, top, left + ink.width, top + ink.height].map(|at| at as f32);
    (placed.map(|ink| ink.clamp(0.0, 1.0)), bounds)
}

/// What a network answers, in percent.
#[derive(Clone, Copy, Default)]
pub struct Answers {
    /// The right label.
    pub right: f64,
    /// A wrong label with a probability of 90 % or more.
    pub surely_wrong: f64,
}

impl Answers {
    /// Of inputs with their labels; where there is no input, there is no answer.
    pub fn of(net: &Net, inputs: &[(usize, Option<Vec<u8>>)]) -> Self {
        let mut answers = Self::default();
        let share = 100.0 / inputs.len() as f64;
        for (truth, input) in inputs {
            let Some((label, probability)) = input.as_ref().map(|input| net.answer(input)) else {
                continue;
            };
            if label == *truth {
                answers.right += share;
            } else if probability >= SURE {
                answers.surely_wrong += share;
            }
        }
        answers
    }
}
