//! The segments of a picture that may be digits, each as an input of the network.

use super::{
    cuts::{self, Piece},
    lines,
    shape::Shape,
};
use crate::{
    components::{self, BoundingBox, Component},
    place,
    plane::Plane,
};
use std::ops::Range;

/// Largest number of digits of a picture, as far as they do not touch.
pub const MAX_DIGITS: usize = 32;
/// Largest number of segments of a picture.
pub const MAX_SEGMENTS: usize = 128;
/// Ink in more components than this is no writing; ordering them takes time with their square.
const MAX_COMPONENTS: usize = 512;
/// Largest width of a digit that is cut off, in heights of its line.
const MAX_WIDTH: f32 = 1.5;
/// Least height of a digit that is cut off, in heights of its line.
const MIN_HEIGHT: f32 = 0.4;
/// Pieces further apart than this, in heights of their line, are not of one digit.
const MAX_GAP: f32 = 0.3;
/// Largest number of pieces of a digit that is cut off.
const MAX_PIECES: usize = 5;

/// What a picture may say.
#[derive(Clone, Debug, PartialEq)]
pub struct Lattice {
    /// The lines from top to bottom, of at least one piece each.
    pub lines: Vec<Line>,
    /// The segments' inputs, one after another, height × width bytes each.
    pub inputs: Vec<u8>,
}

/// Pieces of ink from left to right, and what of them may be digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Number of pieces; each belongs to one digit.
    pub pieces: usize,
    /// What may be digits, in the order of their first pieces. Some of them cover all pieces without
    /// overlap.
    pub segments: Vec<Segment>,
}

/// Consecutive pieces that may be a digit.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The pieces.
    pub pieces: Range<usize>,
    /// Its box.
    pub bounds: BoundingBox,
    /// How unlike a digit its shape is, on the scale of −ln of a probability; may be negative.
    pub cost: f32,
}

impl Lattice {
    /// Takes ink apart into at most `most` segments, of which there are never more than
    /// [`MAX_SEGMENTS`]; the inputs are of `size` (columns, rows). `None` if there are too many
    /// digits, and without lines if there is no ink.
    #[must_use]
    pub fn of(ink: &Plane, size: (usize, usize), most: usize) -> Option<Self> {
        let components = components::without_dust(ink);
        if components.len() > MAX_COMPONENTS {
            return None;
        }
        let lines = lines::lines(components);
        if lines.iter().map(Vec::len).sum::<usize>() > MAX_DIGITS {
            return None;
        }
        let cut = |line: Vec<Component>| CutLine::of(line, ink);
        let cut_lines: Vec<CutLine> = lines.iter().cloned().map(cut).collect();
        let is_small = |lines: &[CutLine]| {
            let segments = lines.iter().map(|line| line.segments().len());
            segments.sum::<usize>() <= most.min(MAX_SEGMENTS)
        };
        if is_small(&cut_lines) {
            return Some(Self::between(&cut_lines, ink, size));
        }
        let whole_lines: Vec<CutLine> = lines.into_iter().map(CutLine::whole).collect();
        is_small(&whole_lines).then(|| Self::between(&whole_lines, ink, size))
    }

    /// A picture of one digit, whose input is known.
    #[must_use]
    pub fn of_digit(bounds: BoundingBox, input: Vec<u8>) -> Self {
        let segment = Segment {
            pieces: 0..1,
            bounds,
            cost: 0.0,
        };
        let line = Line {
            pieces: 1,
            segments: vec![segment],
        };
        Self {
            lines: vec![line],
            inputs: input,
        }
    }

    /// What may be digits between the cuts of lines.
    fn between(lines: &[CutLine], ink: &Plane, size: (usize, usize)) -> Self {
        let owners = Owners::of(ink, lines);
        let mut lattice = Self {
            lines: Vec::with_capacity(lines.len()),
            inputs: Vec::new(),
        };
        let mut first = 1;
        for line in lines {
            let segments = line.segments();
            for Segment { pieces, bounds, .. } in &segments {
                let owned = first + pieces.start..first + pieces.end;
                let digit = owners.cut_out(ink, owned, *bounds);
                lattice
                    .inputs
                    .extend(place::place_upright(&digit, size.0, size.1));
            }
            let pieces = line.pieces.len();
            lattice.lines.push(Line { pieces, segments });
            first += pieces;
        }
        lattice
    }
}

/// A line of writing in pieces.
struct CutLine {
    height: usize,
    pieces: Vec<Piece>,
}

impl CutLine {
    fn of(line: Vec<Component>, ink: &Plane) -> Self {
        let height = height(&line);
        let pieces = line.into_iter();
        Self {
            height,
            pieces: pieces
                .flat_map(|body| cuts::pieces(body, ink, height))
                .collect(),
        }
    }

    /// A line whose components are not cut.
    fn whole(line: Vec<Component>) -> Self {
        Self {
            height: height(&line),
            pieces: line.into_iter().map(Piece::whole).collect(),
        }
    }

    /// The runs of pieces that have the size of a digit, and all whole components.
    fn segments(&self) -> Vec<Segment> {
        (0..self.pieces.len())
            .flat_map(|start| self.segments_from(start))
            .collect()
    }

    fn segments_from(&self, start: usize) -> Vec<Segment> {
        let pieces = &self.pieces;
        let line = self.height as f32;
        let is_end = |&end: &usize| pieces.get(end).is_none_or(|next| next.cut.is_none());
        let end_of_component = (start + 1..=pieces.len()).find(is_end);
        let whole = end_of_component.filter(|_| pieces[start].cut.is_none());
        let last = (start + MAX_PIECES).max(whole.unwrap_or(0));
        let mut bounds = pieces[start].component.bounds;
        let (mut gap, mut segments) = (0.0_f32, Vec::new());
        for end in start + 1..=last.min(pieces.len()) {
            let piece = pieces[end - 1].component.bounds;
            // Between components; what is cut is connected.
            if end > start + 1 && pieces[end - 1].cut.is_none() {
                let space = bounds.gap(&piece) as f32 / line;
                if space > MAX_GAP {
                    break;
                }
                gap = gap.max(space);
            }
            bounds = bounds.joined(&piece);
            let shape = Shape {
                width: bounds.width as f32 / line,
                height: bounds.height as f32 / line,
                gap,
                cuts: [pieces[start].cut, pieces.get(end).and_then(|next| next.cut)],
                is_whole: whole == Some(end),
            };
            let has_size = shape.height >= MIN_HEIGHT && shape.width <= MAX_WIDTH;
            if whole == Some(end) || has_size && end <= start + MAX_PIECES {
                segments.push(Segment {
                    pieces: start..end,
                    bounds,
                    cost: shape.cost(),
                });
            }
        }
        segments
    }
}

fn height(line: &[Component]) -> usize {
    let heights = line.iter().map(|body| body.bounds.height);
    heights.max().unwrap_or(1)
}

/// Which piece a pixel belongs to, counted from 1 over all lines; 0 for none.
struct Owners(Vec<u16>);

impl Owners {
    fn of(ink: &Plane, lines: &[CutLine]) -> Self {
        let mut owners = vec![0; ink.values.len()];
        let pieces = lines.iter().flat_map(|line| &line.pieces);
        for (number, piece) in (1..).zip(pieces) {
            for &pixel in &piece.component.pixels {
                owners[pixel] = number;
            }
        }
        Self(owners)
    }

    /// The ink of some pieces, with their soft edges.
    fn cut_out(&self, ink: &Plane, pieces: Range<usize>, bounds: BoundingBox) -> Plane {
        let is_own = |pixel: usize| pieces.contains(&usize::from(self.0[pixel]));
        let mut digit = Plane::filled(bounds.width, bounds.height, 0.0);
        for (y, row) in digit.values.chunks_exact_mut(bounds.width).enumerate() {
            for (x, value) in row.iter_mut().enumerate() {
                let (column, row) = (bounds.left + x, bounds.top + y);
                let pixel = row * ink.width + column;
                let is_soft = || {
                    ink.values[pixel] > 0.0
                        && self.0[pixel] == 0
                        && components::neighbours(ink, column, row).any(is_own)
                };
                if is_own(pixel) || is_soft() {
                    *value = ink.values[pixel];
                }
            }
        }
        digit
    }
}
