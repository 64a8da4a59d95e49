//! Draws a figure as a PNG file: anti-aliased shapes, and text in DejaVu Sans, a part of the
//! program.

use crate::shapes::{Anchor, Figure, Shape, Size, TEXT};
use png::{BitDepth, ColorType, Encoder};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// Draws the figure as a PNG file.
#[must_use]
pub fn draw(figure: &Figure) -> Vec<u8> {
    encode(figure.size, &rgb(figure))
}

/// Draws the figure: three bytes a pixel, row by row.
#[must_use]
pub fn rgb(figure: &Figure) -> Vec<u8> {
    let size = figure.size;
    let mut pixmap =
        Pixmap::new(size.width, size.height).expect("the size is clamped to a sane range");
    let face = Face::parse(dejavu::sans::regular(), 0).expect("the font is part of the program");
    let transform = Transform::from_scale(figure.scale as f32, figure.scale as f32);
    for shape in &figure.shapes {
        paint(shape, &face, transform, &mut pixmap);
    }
    // The background is opaque, so nothing is lost with the alpha channel.
    pixmap
        .data()
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

/// A picture of three bytes a pixel as a PNG file.
#[must_use]
pub fn encode(size: Size, rgb: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, size.width, size.height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(rgb));
    written.expect("writing to memory does not fail");
    out
}

fn paint(shape: &Shape, face: &Face<'_>, transform: Transform, pixmap: &mut Pixmap) {
    match shape {
        Shape::Area { at, extent, fill } => {
            let [x, y, width, height] = [at.0, at.1, extent.0, extent.1].map(|it| it as f32);
            if let Some(rect) = Rect::from_xywh(x, y, width, height) {
                pixmap.fill_rect(rect, &color(fill), transform, None);
            }
        }
        Shape::Line { points, stroke, .. } => {
            let mut builder = PathBuilder::new();
            for (index, &(x, y)) in points.iter().enumerate() {
                match index {
                    0 => builder.move_to(x as f32, y as f32),
                    _ => builder.line_to(x as f32, y as f32),
                }
            }
            let dashes = || StrokeDash::new(vec![4.0, 3.0], 0.0);
            let style = Stroke {
                width: stroke.width as f32,
                dash: stroke.dashed.then(dashes).flatten(),
                line_join: LineJoin::Round,
                ..Stroke::default()
            };
            if let Some(path) = builder.finish() {
                pixmap.stroke_path(&path, &color(stroke.color), &style, transform, None);
            }
        }
        Shape::Dot {
            at,
            radius,
            color: name,
        } => {
            let circle = PathBuilder::from_circle(at.0 as f32, at.1 as f32, *radius as f32);
            if let Some(path) = circle {
                pixmap.fill_path(&path, &color(name), FillRule::Winding, transform, None);
            }
        }
        Shape::Text {
            at,
            size,
            anchor,
            turned,
            text,
        } => {
            let units = *size as f32 / f32::from(face.units_per_em());
            let shift = match anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => -0.5,
                Anchor::End => -1.0,
            } * width(face, text);
            let mut place = transform.pre_translate(at.0 as f32, at.1 as f32);
            if *turned {
                place = place.pre_rotate(-90.0);
            }
            // A font's y axis points up.
            let place = place.pre_scale(units, -units).pre_translate(shift, 0.0);
            if let Some(path) = outline(face, text) {
                pixmap.fill_path(&path, &color(TEXT), FillRule::Winding, place, None);
            }
        }
    }
}

/// Glyphs of a text, each with where it begins and ends, in the font's units; without kerning.
fn glyphs<'a>(face: &'a Face<'_>, text: &'a str) -> impl Iterator<Item = (GlyphId, f32, f32)> + 'a {
    text.chars().scan(0.0_f32, |pen, character| {
        let glyph = face.glyph_index(character).unwrap_or(GlyphId(0));
        let start = *pen;
        *pen += f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
        Some((glyph, start, *pen))
    })
}

fn width(face: &Face<'_>, text: &str) -> f32 {
    glyphs(face, text).last().map_or(0.0, |(.., end)| end)
}

fn outline(face: &Face<'_>, text: &str) -> Option<tiny_skia::Path> {
    let mut outline = Outline {
        builder: PathBuilder::new(),
        start: 0.0,
    };
    for (glyph, start, _) in glyphs(face, text) {
        outline.start = start;
        face.outline_glyph(glyph, &mut outline);
    }
    outline.builder.finish()
}

struct Outline {
    builder: PathBuilder,
    start: f32,
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.builder.move_to(self.start + x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.builder.line_to(self.start + x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.builder.quad_to(self.start + x1, y1, self.start + x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let start = self.start;
        self.builder
            .cubic_to(start + x1, y1, start + x2, y2, start + x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}

/// A colour of the figure, `#rrggbb`.
fn color(name: &str) -> Paint<'static> {
    let channel = |at: usize| {
        name.get(at..at + 2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
    };
    let channels = [channel(1), channel(3), channel(5)].map(|it| it.unwrap_or(0));
    let mut paint = Paint::default();
    paint.set_color(Color::from_rgba8(
        channels[0],
        channels[1],
        channels[2],
        255,
    ));
    paint.anti_alias = true;
    paint
}
