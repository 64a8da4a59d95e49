//! Shapes in logical units, and the size of a picture.

use std::ops::RangeInclusive;

/// Color of all text.
pub const TEXT: &str = "#222222";

/// From the left and from the top.
pub type Place = (f64, f64);

/// Shapes in logical units.
#[derive(Clone, Debug)]
pub struct Figure {
    /// In pixels.
    pub size: Size,
    /// Pixels per logical unit.
    pub scale: f64,
    /// From back to front.
    pub shapes: Vec<Shape>,
}

/// A shape of a figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A filled rectangle.
    Area {
        at: Place,
        extent: (f64, f64),
        fill: &'static str,
    },
    /// Lines from point to point; `curve` marks data.
    Line {
        points: Vec<Place>,
        stroke: Stroke,
        curve: bool,
    },
    /// A filled circle.
    Dot {
        at: Place,
        radius: f64,
        color: &'static str,
    },
    /// Text with its baseline at `at`; `turned` by 90 degrees to the left for an upright axis.
    Text {
        at: Place,
        size: f64,
        anchor: Anchor,
        turned: bool,
        text: String,
    },
}

/// Style of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    pub color: &'static str,
    pub width: f64,
    pub dashed: bool,
}

/// The point of a text that lies at its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// Size of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

impl Size {
    /// Smallest side that still holds the axes and largest that is drawn.
    pub const SIDES: RangeInclusive<u32> = 200..=10_000;

    /// This size with both sides within [`Self::SIDES`].
    #[must_use]
    pub fn clamped(self) -> Self {
        let clamp = |side: u32| side.clamp(*Self::SIDES.start(), *Self::SIDES.end());
        Self {
            width: clamp(self.width),
            height: clamp(self.height),
        }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self {
            width: 1600,
            height: 1100,
        }
    }
}

impl Figure {
    /// A filled rectangle.
    pub fn area(&mut self, at: Place, extent: (f64, f64), fill: &'static str) {
        self.shapes.push(Shape::Area { at, extent, fill });
    }

    /// Text with its baseline at `at`.
    pub fn text(&mut self, at: Place, size: f64, anchor: Anchor, text: &str) {
        self.shapes.push(Shape::Text {
            at,
            size,
            anchor,
            turned: false,
            text: text.to_owned(),
        });
    }

    /// Text of an axis or a legend.
    pub fn label(&mut self, at: Place, anchor: Anchor, text: &str) {
        self.text(at, 12.0, anchor, text);
    }

    /// A line from point to point.
    pub fn line(&mut self, points: &[Place], stroke: Stroke) {
        self.shapes.push(Shape::Line {
            points: points.to_vec(),
            stroke,
            curve: false,
        });
    }

    /// The outline of a rectangle.
    pub fn outline(&mut self, (x, y): Place, (width, height): (f64, f64), color: &'static str) {
        let (right, bottom) = (x + width, y + height);
        let corners = [(x, y), (right, y), (right, bottom), (x, bottom), (x, y)];
        self.line(&corners, Stroke::thin(color));
    }
}

impl Stroke {
    /// A line of one unit.
    #[must_use]
    pub const fn thin(color: &'static str) -> Self {
        Self {
            color,
            width: 1.0,
            dashed: false,
        }
    }

    /// The same, dashed.
    #[must_use]
    pub const fn dashed(color: &'static str) -> Self {
        Self {
            color,
            width: 1.0,
            dashed: true,
        }
    }
}
