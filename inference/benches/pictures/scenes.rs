//! Pictures as users make them, from digits of the test set: canvases, thin pens, photographs of
//! plain and of ruled paper.
//!
//! Simulated: what a pen, paper, light and a camera do, each drawn at random. They are no
//! photographs.

use digits_picture::{Limits, Picture, decode, plane::Plane};
use fastrand::Rng;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use std::io::Cursor;

/// Side of a digit's image.
const SIDE: usize = 28;
/// Side of a canvas.
const CANVAS: usize = 280;
/// Side of a photograph.
const PHOTOGRAPH: usize = 320;

/// Subject of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Black on white, the digit anywhere, from 25 to 90 % high.
    Canvas,
    /// The same with a pen two pixels wide.
    ThinPen,
    /// Grey ink on paper that is lit from one side, with noise and a slight blur, as JPEG.
    Photograph,
    /// The same on paper with lines.
    Ruled,
    /// The same with a blue, red or yellow pen in warm light, in colour.
    Coloured,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Canvas,
        Self::ThinPen,
        Self::Photograph,
        Self::Ruled,
        Self::Coloured,
    ];

    /// Name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Canvas => "canvas",
            Self::ThinPen => "2 px pen",
            Self::Photograph => "shaded photo",
            Self::Ruled => "ruled paper",
            Self::Coloured => "coloured pen",
        }
    }
}

/// Draws a picture of a digit, 28 × 28 bytes of light ink on black, and sends it through a file.
pub fn picture(kind: Kind, digit: &[u8], rng: &mut Rng) -> Picture {
    match kind {
        Kind::Canvas | Kind::ThinPen => of_ink(kind, &enlarged(digit, CANVAS, rng), CANVAS, rng),
        Kind::Photograph | Kind::Ruled | Kind::Coloured => {
            of_ink(kind, &enlarged(digit, PHOTOGRAPH, rng), PHOTOGRAPH, rng)
        }
    }
}

/// Draws ink somewhere on a square, and sends it through a file.
pub fn of_ink(kind: Kind, ink: &Plane, side: usize, rng: &mut Rng) -> Picture {
    let canvas = |ink: &Plane, rng: &mut Rng| {
        let placed = somewhere(ink, side, rng);
        through(&placed.map(|ink| 1.0 - ink), ImageFormat::Png)
    };
    match kind {
        Kind::Canvas => canvas(ink, rng),
        Kind::ThinPen => canvas(&thin(ink), rng),
        Kind::Photograph | Kind::Ruled | Kind::Coloured => photograph(kind, ink, side, rng),
    }
}

/// Ink of any size, black on a white canvas, as PNG.
pub fn canvas(ink: &Plane, rng: &mut Rng) -> Picture {
    of_ink(Kind::Canvas, ink, CANVAS, rng)
}

/// The digit's box, cut out and enlarged to 25 to 90 % of a side.
pub fn enlarged(digit: &[u8], side: usize, rng: &mut Rng) -> Plane {
    let cut = cut_out(digit);
    let (width, height) = (cut.width, cut.height);
    let longest = ((0.25 + 0.65 * rng.f32()) * side as f32) as usize;
    let scaled = |length: usize| (length * longest / width.max(height)).max(1);
    cut.resized(scaled(width), scaled(height))
        .map(|ink| ink.clamp(0.0, 1.0))
}

/// The digit's box alone, as segmentation leaves it, with a margin in shares of its longest side.
pub fn cropped(digit: &[u8], margin: f32, [paper, pen]: [f32; 2]) -> Picture {
    let cut = cut_out(digit);
    let margin = (margin * cut.width.max(cut.height) as f32) as usize;
    let mut light = Plane::filled(cut.width + 2 * margin, cut.height + 2 * margin, paper);
    for (y, row) in cut.rows().enumerate() {
        let start = (margin + y) * light.width + margin;
        for (value, ink) in light.values[start..].iter_mut().zip(row) {
            *value = paper + (pen - paper) * ink;
        }
    }
    through(&light, ImageFormat::Png)
}

/// The part of an image that has ink.
pub fn cut_out(digit: &[u8]) -> Plane {
    let digit = Plane::from_bytes(SIDE, SIDE, digit);
    let inked: Vec<usize> = (0..SIDE * SIDE)
        .filter(|&at| digit.values[at] > 0.0)
        .collect();
    let bounds = |of: fn(usize) -> usize| {
        let all = || inked.iter().map(|&at| of(at));
        let first = all().min().unwrap_or(0);
        (first, all().max().unwrap_or(SIDE - 1) - first + 1)
    };
    let ((left, width), (top, height)) = (bounds(|at| at % SIDE), bounds(|at| at / SIDE));
    let mut cut = Plane::filled(width, height, 0.0);
    for (y, row) in cut.values.chunks_exact_mut(width).enumerate() {
        row.copy_from_slice(&digit.values[(top + y) * SIDE + left..][..width]);
    }
    cut
}

/// Black around the ink, so that it lies anywhere on a square.
fn somewhere(ink: &Plane, side: usize, rng: &mut Rng) -> Plane {
    let (left, top) = (
        rng.usize(..=side - ink.width),
        rng.usize(..=side - ink.height),
    );
    let mut placed = Plane::filled(side, side, 0.0);
    for (y, row) in ink.rows().enumerate() {
        placed.values[(top + y) * side + left..][..ink.width].copy_from_slice(row);
    }
    placed
}

/// The strokes' middle lines, two pixels wide.
fn thin(ink: &Plane) -> Plane {
    let mut thin = Plane::filled(ink.width + 2, ink.height + 2, 0.0);
    for (y, x) in skeleton(ink) {
        for (down, across) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            thin.values[(y + down) * thin.width + x + across] = 1.0;
        }
    }
    thin
}

/// Zhang and Suen (1984), "A fast parallel algorithm for thinning digital patterns": (row, column)
/// of what is left.
fn skeleton(ink: &Plane) -> Vec<(usize, usize)> {
    let (width, height) = (ink.width + 2, ink.height + 2);
    let mut set = vec![false; width * height];
    for (y, row) in ink.rows().enumerate() {
        for (x, &value) in row.iter().enumerate() {
            set[(y + 1) * width + x + 1] = value > 0.5;
        }
    }
    loop {
        let mut changed = false;
        for first in [true, false] {
            let gone: Vec<usize> = (0..set.len())
                .filter(|&at| set[at] && is_peeled(&set, width, at, first))
                .collect();
            changed |= !gone.is_empty();
            gone.into_iter().for_each(|at| set[at] = false);
        }
        if !changed {
            break;
        }
    }
    (0..set.len())
        .filter(|&at| set[at])
        .map(|at| (at / width - 1, at % width - 1))
        .collect()
}

/// Whether a pixel at the edge of a stroke goes in this half of a round.
fn is_peeled(set: &[bool], width: usize, at: usize, first: bool) -> bool {
    // Clockwise from above.
    let around = [
        at - width,
        at - width + 1,
        at + 1,
        at + width + 1,
        at + width,
        at + width - 1,
        at - 1,
        at - width - 1,
    ]
    .map(|neighbour| set[neighbour]);
    let [up, _, right, _, down, _, left, _] = around;
    let neighbours = around.iter().filter(|&&set| set).count();
    let begins = (0..8)
        .filter(|&i| !around[i] && around[(i + 1) % 8])
        .count();
    let open = if first {
        !(right && down && (up || left))
    } else {
        !(up && left && (right || down))
    };
    (2..=6).contains(&neighbours) && begins == 1 && open
}

/// Shares of white light that a lamp has, in red, green and blue.
const WARM: [f32; 3] = [1.0, 0.95, 0.82];
/// Shares of red, green and blue that pens take, of what a black one takes.
const PENS: [[f32; 3]; 3] = [[1.0, 0.85, 0.35], [0.25, 0.95, 0.85], [0.05, 0.2, 1.0]];

/// Ink that takes a part of the light of paper that is lit unevenly.
fn photograph(kind: Kind, ink: &Plane, side: usize, rng: &mut Rng) -> Picture {
    let ink = somewhere(ink, side, rng);
    let paper = 0.75 + 0.2 * rng.f32();
    let absorbed = 0.55 + 0.35 * rng.f32();
    let (sine, cosine) = (rng.f32() * std::f32::consts::TAU).sin_cos();
    let fall = 0.3 + 0.35 * rng.f32();
    let noise = 0.005 + 0.015 * rng.f32();
    let lines = Lines::draw(rng);
    let ruled = kind == Kind::Ruled;
    let channel = |tint: f32, pen: f32, rng: &mut Rng| {
        let (paper, absorbed) = (paper * tint, absorbed * pen);
        let mut light = Plane::filled(side, side, 0.0);
        for y in 0..side {
            for x in 0..side {
                let (u, v) = (x as f32 / side as f32 - 0.5, y as f32 / side as f32 - 0.5);
                let shade = 1.0 - fall * (u * cosine + v * sine + 0.5) - 0.3 * (u * u + v * v);
                let line = if ruled { lines.at(y) } else { 0.0 };
                let at = y * side + x;
                light.values[at] = paper * shade * (1.0 - absorbed * ink.values[at]) * (1.0 - line);
            }
        }
        let mut light = blurred(&light);
        for value in &mut light.values {
            *value += noise * normal(rng);
        }
        light
    };
    if kind == Kind::Coloured {
        let pen = PENS[rng.usize(..PENS.len())];
        let planes = [0, 1, 2].map(|at| channel(WARM[at], pen[at], rng));
        return through_colour(&planes);
    }
    through(&channel(1.0, 1.0, rng), ImageFormat::Jpeg)
}

/// Lines of ruled paper, fainter than a pen.
struct Lines {
    apart: usize,
    first: usize,
    wide: usize,
    absorbed: f32,
}

impl Lines {
    fn draw(rng: &mut Rng) -> Self {
        let apart = rng.usize(24..=48);
        Self {
            apart,
            first: rng.usize(..apart),
            wide: rng.usize(1..=2),
            absorbed: 0.1 + 0.15 * rng.f32(),
        }
    }

    fn at(&self, y: usize) -> f32 {
        if (y + self.first) % self.apart < self.wide {
            self.absorbed
        } else {
            0.0
        }
    }
}

/// The mean of a pixel and its neighbours, as a lens that is not quite sharp.
fn blurred(plane: &Plane) -> Plane {
    let mut soft = plane.clone();
    for y in 1..plane.height - 1 {
        for x in 1..plane.width - 1 {
            let around = [(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)];
            let sum: f32 = around
                .iter()
                .map(|(down, across)| plane.at(x + across - 1, y + down - 1))
                .sum();
            soft.values[y * plane.width + x] = sum / around.len() as f32;
        }
    }
    soft
}

/// A number of the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.f32()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.f32()).cos()
}

/// Written to a file of the format and read as the service reads it.
pub fn through(light: &Plane, format: ImageFormat) -> Picture {
    let (width, height) = (light.width as u32, light.height as u32);
    let grey = GrayImage::from_raw(width, height, light.to_bytes()).expect("a byte a pixel");
    through_file(&DynamicImage::ImageLuma8(grey), format)
}

/// The same of red, green and blue, as JPEG.
fn through_colour(planes: &[Plane; 3]) -> Picture {
    let (width, height) = (planes[0].width as u32, planes[0].height as u32);
    let [red, green, blue] = planes.each_ref().map(Plane::to_bytes);
    let pixels = red.into_iter().zip(green).zip(blue);
    let pixels = pixels.flat_map(|((red, green), blue)| [red, green, blue]);
    let image = RgbImage::from_raw(width, height, pixels.collect()).expect("three bytes a pixel");
    through_file(&DynamicImage::ImageRgb8(image), ImageFormat::Jpeg)
}

fn through_file(image: &DynamicImage, format: ImageFormat) -> Picture {
    let mut file = Cursor::new(Vec::new());
    image
        .write_to(&mut file, format)
        .expect("writing to memory does not fail");
    decode(file.get_ref(), Limits::default()).expect("a written picture can be decoded")
}
