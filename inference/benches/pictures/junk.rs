//! Pictures that show no digit or more than one, and the predictions for them.

use super::scenes::{self, enlarged};
use digits_picture::{Picture, plane::Plane};
use fastrand::Rng;
use image::ImageFormat;
use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, Transform};
use ttf_parser::{Face, OutlineBuilder};

/// Side of a picture.
const SIDE: usize = 280;
/// Without O, o, I and l, which are digits as well as letters.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz";

/// Subject of a picture.
#[derive(Clone, Copy, Debug)]
pub enum Junk {
    /// White paper, a little noise.
    Blank,
    /// Only noise.
    Noise,
    /// Two digits next to each other that do not touch.
    TwoApart,
    /// Two digits that overlap.
    TwoTouching,
    /// A letter in one of twelve faces.
    Letter,
}

impl Junk {
    /// All kinds of pictures.
    pub const ALL: [Self; 5] = [
        Self::Blank,
        Self::Noise,
        Self::TwoApart,
        Self::TwoTouching,
        Self::Letter,
    ];

    /// Name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Noise => "noise",
            Self::TwoApart => "two digits apart",
            Self::TwoTouching => "two digits touching",
            Self::Letter => "letter in a font",
        }
    }
}

/// Draws one; `digits` are 28 × 28 bytes each.
pub fn picture(junk: Junk, [one, other]: [&[u8]; 2], rng: &mut Rng) -> Picture {
    match junk {
        Junk::Blank => {
            let mut level = || 0.95 + 0.02 * rng.f32();
            scenes::through(&filled(&mut level), ImageFormat::Png)
        }
        Junk::Noise => scenes::through(&filled(&mut || rng.f32()), ImageFormat::Png),
        Junk::TwoApart => two([one, other], 0.5, rng),
        Junk::TwoTouching => two([one, other], -0.1, rng),
        Junk::Letter => scenes::canvas(&letter(rng), rng),
    }
}

fn filled(level: &mut dyn FnMut() -> f32) -> Plane {
    let mut plane = Plane::filled(SIDE, SIDE, 0.0);
    plane.values.fill_with(level);
    plane
}

/// Two digits of one height, `gap` of it apart.
fn two(digits: [&[u8]; 2], gap: f32, rng: &mut Rng) -> Picture {
    let height = rng.usize(60..100);
    let [left, right] = digits.map(|digit| {
        let large = enlarged(digit, SIDE, rng);
        let width = (large.width * height / large.height).clamp(8, 100);
        large.resized(width, height).map(|ink| ink.clamp(0.0, 1.0))
    });
    let start = (left.width as f32 + gap * height as f32).max(0.0) as usize;
    let mut both = Plane::filled((start + right.width).max(left.width), height, 0.0);
    for (digit, from) in [(&left, 0), (&right, start)] {
        for (y, row) in digit.rows().enumerate() {
            let to = &mut both.values[y * both.width + from..];
            to.iter_mut()
                .zip(row)
                .for_each(|(to, ink)| *to = to.max(*ink));
        }
    }
    scenes::canvas(&both, rng)
}

fn letter(rng: &mut Rng) -> Plane {
    let fonts = [
        dejavu::sans::regular(),
        dejavu::sans::bold(),
        dejavu::sans::oblique(),
        dejavu::sans::extra_light(),
        dejavu::sans_mono::regular(),
        dejavu::sans_mono::bold(),
        dejavu::serif::regular(),
        dejavu::serif::bold(),
        dejavu::serif::italic(),
        dejavu::sans_condensed::regular(),
        dejavu::sans_condensed::bold(),
        dejavu::serif_condensed::regular(),
    ];
    let font = fonts[rng.usize(..fonts.len())];
    let face = Face::parse(font, 0).expect("the font is part of the program");
    let letter = char::from(LETTERS[rng.usize(..LETTERS.len())]);
    let glyph = face.glyph_index(letter).expect("the font has all letters");
    let mut outline = Outline(PathBuilder::new());
    face.outline_glyph(glyph, &mut outline);
    let path = outline.0.finish().expect("a letter has an outline");
    let bounds = path.bounds();
    let scale = 200.0 / bounds.width().max(bounds.height());
    let (width, height) = (bounds.width() * scale, bounds.height() * scale);
    let mut pixmap =
        Pixmap::new(width.ceil() as u32, height.ceil() as u32).expect("at most 200 a side");
    let mut paint = Paint::default();
    paint.set_color(Color::WHITE);
    // A font's y axis points up.
    let place = Transform::from_translate(-bounds.left() * scale, bounds.bottom() * scale)
        .pre_scale(scale, -scale);
    pixmap.fill_path(&path, &paint, FillRule::Winding, place, None);
    Plane {
        width: pixmap.width() as usize,
        height: pixmap.height() as usize,
        values: pixmap
            .pixels()
            .iter()
            .map(|pixel| f32::from(pixel.alpha()) / 255.0)
            .collect(),
    }
}

struct Outline(PathBuilder);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.0.close();
    }
}
