//! Finds the digits: connected components of ink, without dust, grouped by distance.

use crate::plane::Plane;

/// Least ink of a pixel that belongs to a component.
pub(crate) const MIN_INK: f32 = 0.25;
/// Components with less than this share of the largest one's ink are dust; small pictures have a
/// higher limit.
const DUST: f32 = 0.05;
const DUST_SMALL: f32 = 0.12;
/// Longest side of a small picture.
const SMALL_SIDE: usize = 28;
/// Components closer than this share of their height are one digit.
const MAX_GAP: f32 = 0.3;
/// Groups lower than this share of the highest are not digits.
const MIN_HEIGHT: f32 = 0.4;

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl BoundingBox {
    /// The box of some places, (column, row); empty without any.
    pub(crate) fn around(places: impl Iterator<Item = (usize, usize)>) -> Self {
        let (mut left, mut top, mut right, mut bottom) = (usize::MAX, usize::MAX, 0, 0);
        for (x, y) in places {
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        let (left, top) = (left.min(right), top.min(bottom));
        Self {
            left,
            top,
            width: right - left,
            height: bottom - top,
        }
    }

    /// First column behind it.
    pub(crate) fn right(&self) -> usize {
        self.left + self.width
    }

    /// First row below it.
    pub(crate) fn bottom(&self) -> usize {
        self.top + self.height
    }

    pub(crate) fn joined(&self, other: &Self) -> Self {
        let (left, top) = (self.left.min(other.left), self.top.min(other.top));
        let width = self.right().max(other.right()) - left;
        let height = self.bottom().max(other.bottom()) - top;
        Self {
            left,
            top,
            width,
            height,
        }
    }

    /// Distance in pixels, along the axis on which it is larger.
    pub(crate) fn gap(&self, other: &Self) -> usize {
        let across = self
            .left
            .max(other.left)
            .saturating_sub(self.right().min(other.right()));
        across.max(self.gap_down(other))
    }

    /// Rows between the two.
    pub(crate) fn gap_down(&self, other: &Self) -> usize {
        self.top
            .max(other.top)
            .saturating_sub(self.bottom().min(other.bottom()))
    }

    /// Columns that both have.
    pub(crate) fn overlap_across(&self, other: &Self) -> usize {
        self.right()
            .min(other.right())
            .saturating_sub(self.left.max(other.left))
    }

    /// Rows that both have.
    pub(crate) fn overlap_down(&self, other: &Self) -> usize {
        self.bottom()
            .min(other.bottom())
            .saturating_sub(self.top.max(other.top))
    }

    /// The same rectangle of the picture at another size; sizes are (width, height).
    #[must_use]
    pub fn rescaled(&self, from: (usize, usize), to: (usize, usize)) -> Self {
        let left = self.left * to.0 / from.0;
        let top = self.top * to.1 / from.1;
        let right = (self.right() * to.0).div_ceil(from.0).min(to.0);
        let bottom = (self.bottom() * to.1).div_ceil(from.1).min(to.1);
        Self {
            left,
            top,
            width: right - left,
            height: bottom - top,
        }
    }
}

/// The digits of a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Digits {
    /// No ink.
    None,
    /// One digit, cropped, without dust.
    One(Plane),
    /// Several, from left to right.
    Several(Vec<BoundingBox>),
}

/// Connected ink.
#[derive(Clone)]
pub(crate) struct Component {
    pub(crate) bounds: BoundingBox,
    pub(crate) ink: f32,
    pub(crate) pixels: Vec<usize>,
    /// Columns of the plane.
    stride: usize,
}

impl Component {
    /// The ink of some pixels, by their indices.
    pub(crate) fn of(ink: &Plane, pixels: Vec<usize>) -> Self {
        Self {
            bounds: BoundingBox::around(places(&pixels, ink.width)),
            ink: pixels.iter().map(|&pixel| ink.values[pixel]).sum(),
            pixels,
            stride: ink.width,
        }
    }

    /// Adds the pixels of another one.
    pub(crate) fn join(&mut self, other: Self) {
        self.bounds = self.bounds.joined(&other.bounds);
        self.ink += other.ink;
        self.pixels.extend(other.pixels);
    }

    /// Standard deviation of its places from the straight line that fits them best, in pixels; 0 of
    /// none.
    pub(crate) fn spread(&self) -> f32 {
        let count = self.pixels.len().max(1) as f64;
        let sums = self.places().fold([0.0; 5], |sums: [f64; 5], (x, y)| {
            let (x, y) = (x as f64, y as f64);
            let terms = [x, y, x * x, y * y, x * y];
            std::array::from_fn(|term| sums[term] + terms[term])
        });
        let [x, y, xx, yy, xy] = sums.map(|sum| sum / count);
        let (xx, yy, xy) = (xx - x * x, yy - y * y, xy - x * y);
        // The smaller eigenvalue of the covariance.
        let root = ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
        ((xx + yy) / 2.0 - root).max(0.0).sqrt() as f32
    }

    /// Mean width of its strokes, in pixels: twice its area by the length of its outline along the
    /// axes, up to 1.4 times too small for slanted strokes. 0 of no pixels.
    pub(crate) fn width_of_strokes(&self) -> f32 {
        let mut pixels = self.pixels.clone();
        pixels.sort_unstable();
        let right = pixels
            .windows(2)
            .filter(|pair| pair[1] == pair[0] + 1 && pair[1] % self.stride != 0)
            .count();
        let below = pixels
            .iter()
            .filter(|pixel| pixels.binary_search(&(*pixel + self.stride)).is_ok());
        let outline = 4 * pixels.len() - 2 * (right + below.count());
        2.0 * pixels.len() as f32 / outline.max(1) as f32
    }

    /// (column, row) of each pixel.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        places(&self.pixels, self.stride)
    }
}

/// (column, row) of pixels of a plane with so many columns.
fn places(pixels: &[usize], stride: usize) -> impl Iterator<Item = (usize, usize)> {
    let pixels = pixels.iter();
    pixels.map(move |pixel| (pixel % stride, pixel / stride))
}

/// A digit: components that are close to each other.
struct Group {
    bounds: BoundingBox,
    members: Vec<Component>,
}

/// Finds the digit or the digits.
#[must_use]
pub fn digits(ink: &Plane) -> Digits {
    let mut groups = groups(without_dust(ink));
    let highest = groups
        .iter()
        .map(|group| group.bounds.height)
        .max()
        .unwrap_or(0);
    groups.retain(|group| group.bounds.height as f32 >= MIN_HEIGHT * highest as f32);
    if groups.len() > 1 {
        let mut boxes: Vec<BoundingBox> = groups.iter().map(|group| group.bounds).collect();
        boxes.sort_by_key(|bounds| (bounds.left, bounds.top));
        return Digits::Several(boxes);
    }
    groups
        .pop()
        .map_or(Digits::None, |group| Digits::One(cut_out(ink, &group)))
}

/// The box of all pixels with any ink.
pub(crate) fn inked(plane: &Plane) -> BoundingBox {
    let inked = (0..plane.values.len()).filter(|&pixel| plane.values[pixel] > 0.0);
    Component::of(plane, inked.collect()).bounds
}

/// The components that are not dust.
pub(crate) fn without_dust(ink: &Plane) -> Vec<Component> {
    let mut components = components(ink);
    let inks = components.iter().map(|component| component.ink);
    let largest = inks.fold(0.0, f32::max);
    let dust = if ink.width.max(ink.height) <= SMALL_SIDE {
        DUST_SMALL
    } else {
        DUST
    };
    components.retain(|component| component.ink >= dust * largest);
    components
}

/// Joins components until no two groups are close.
fn groups(components: Vec<Component>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for component in components {
        let mut group = Group {
            bounds: component.bounds,
            members: vec![component],
        };
        // Joining enlarges the box, so groups that were far may be close now.
        while let Some(index) = groups
            .iter()
            .position(|other| close(&group.bounds, &other.bounds))
        {
            let other = groups.swap_remove(index);
            group.bounds = group.bounds.joined(&other.bounds);
            group.members.extend(other.members);
        }
        groups.push(group);
    }
    groups
}

fn close(one: &BoundingBox, other: &BoundingBox) -> bool {
    one.gap(other) as f32 <= MAX_GAP * one.height.max(other.height) as f32
}

/// Crops a group: the ink of its members, with their soft edges.
fn cut_out(ink: &Plane, group: &Group) -> Plane {
    let mut kept = vec![false; ink.values.len()];
    for &pixel in group.members.iter().flat_map(|member| &member.pixels) {
        kept[pixel] = true;
    }
    let BoundingBox {
        left,
        top,
        width,
        height,
    } = group.bounds;
    let mut digit = Plane::filled(width, height, 0.0);
    for y in 0..height {
        for x in 0..width {
            let (column, row) = (left + x, top + y);
            let value = ink.at(column, row);
            let is_kept = || kept[row * ink.width + column] || touches(&kept, ink, column, row);
            if value > 0.0 && is_kept() {
                digit.values[y * width + x] = value;
            }
        }
    }
    digit
}

fn touches(kept: &[bool], ink: &Plane, column: usize, row: usize) -> bool {
    neighbours(ink, column, row).any(|pixel| kept[pixel])
}

/// The up to eight pixels around one.
pub(crate) fn neighbours(plane: &Plane, column: usize, row: usize) -> impl Iterator<Item = usize> {
    let columns = column.saturating_sub(1)..(column + 2).min(plane.width);
    let rows = row.saturating_sub(1)..(row + 2).min(plane.height);
    let width = plane.width;
    rows.flat_map(move |y| columns.clone().map(move |x| y * width + x))
}

/// Connected components of pixels with ink; pixels are neighbours by edge or corner.
pub(crate) fn components(ink: &Plane) -> Vec<Component> {
    let Plane { width, height, .. } = *ink;
    // What has ink and is in no component yet: 1, else 0.
    let is_inked = ink.values.iter().map(|&value| value >= MIN_INK);
    let mut open: Vec<u8> = is_inked.map(u8::from).collect();
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = first_open(&open, from) {
        open[start] = 0;
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&pixel) = pixels.get(next) {
            next += 1;
            let (column, row) = (pixel % width, pixel / width);
            let columns = column.saturating_sub(1)..(column + 2).min(width);
            for row in row.saturating_sub(1)..(row + 2).min(height) {
                let around = row * width + columns.start..row * width + columns.end;
                for (neighbour, is_open) in around.clone().zip(&mut open[around]) {
                    if std::mem::take(is_open) == 1 {
                        pixels.push(neighbour);
                    }
                }
            }
        }
        found.push(Component::of(ink, pixels));
        from = start + 1;
    }
    found
}

/// The first pixel from `from` on that is 1; most of a picture has no ink, which is passed quickly.
fn first_open(open: &[u8], from: usize) -> Option<usize> {
    let chunks = open[from..].chunks(64).enumerate();
    let (chunk, pixels) = chunks.into_iter().find(|(_, pixels)| pixels.contains(&1))?;
    let within = pixels.iter().position(|&is_open| is_open == 1)?;
    Some(from + 64 * chunk + within)
}
