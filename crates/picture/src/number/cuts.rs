//! Cuts a component of ink where digits may touch: along paths from top to bottom that cross as
//! little ink as possible, so that slanted and overlapping digits are cut as well, and at joints.

use super::joints;
use crate::{components::Component, plane::Plane};

/// Height of the picture in which paths are searched.
const HEIGHT: usize = 48;
/// Components narrower than this share of the height of their line are one digit.
const MIN_WIDTH: f32 = 0.5;
/// Least width of what a cut leaves on both sides, in shares of the height.
const MIN_PART: f32 = 0.12;
/// What a cut leaves at an end is a digit only if it has this share of the height.
const MIN_HEIGHT: f32 = 0.4;
/// A path may bend to both sides by this share of the height.
const BEND: f32 = 0.2;
/// Cost of a step sideways, in pixels of ink.
const SIDE_STEP: f32 = 0.15;
/// A cut that crosses more ink than this, in shares of the height, is none.
const MAX_INK: f32 = 0.55;
/// Share of the ink at a joint that counts: a cut there runs along the strokes.
const JOINT_INK: f32 = 0.3;
/// Least distance between two cuts, in shares of the height.
const MIN_DISTANCE: f32 = 0.1;
/// Cuts for each height of a component's width.
const CUTS_FOR_HEIGHT: f32 = 4.0;

/// A part of a component.
pub(super) struct Piece {
    pub(super) component: Component,
    /// Ink that the cut to the left of it crosses, in shares of the line's height; none at the left
    /// end of a component.
    pub(super) cut: Option<f32>,
}

impl Piece {
    /// A component that is not cut.
    pub(super) fn whole(component: Component) -> Self {
        Self {
            component,
            cut: None,
        }
    }
}

/// A path from top to bottom.
struct Cut {
    /// First column to the right of it, for each row.
    columns: Vec<usize>,
    middle: f32,
    /// Ink that it crosses, in pixels.
    ink: f32,
    cost: f32,
}

/// The parts of a component between its cuts, from left to right; `line` is the height of its line.
pub(super) fn pieces(component: Component, ink: &Plane, line: usize) -> Vec<Piece> {
    if (component.bounds.width as f32) < MIN_WIDTH * line as f32 {
        return vec![Piece::whole(component)];
    }
    let scale = (HEIGHT as f32 / line as f32).min(1.0);
    let small = reduced(&component, ink, scale);
    let unit = line as f32 * scale;
    let cuts = best(candidates(&small, unit), &small, unit);
    let mut pieces = split(component, ink, &cuts, scale, unit);
    join_ends(&mut pieces, MIN_HEIGHT * line as f32);
    pieces
}

/// Joins what is too low for a digit at both ends with the next piece.
fn join_ends(pieces: &mut Vec<Piece>, least: f32) {
    let is_low = |piece: &Piece| (piece.component.bounds.height as f32) < least;
    while pieces.len() > 1 && is_low(&pieces[0]) {
        let first = pieces.remove(0);
        pieces[0].cut = None;
        pieces[0].component.join(first.component);
    }
    while pieces.len() > 1
        && let Some(last) = pieces.pop_if(|last| is_low(last))
    {
        let end = pieces.len() - 1;
        pieces[end].component.join(last.component);
    }
}

/// The ink of a component alone, reduced.
fn reduced(component: &Component, ink: &Plane, scale: f32) -> Plane {
    let bounds = component.bounds;
    let mut alone = Plane::filled(bounds.width, bounds.height, 0.0);
    for ((x, y), &pixel) in component.places().zip(&component.pixels) {
        alone.values[(y - bounds.top) * bounds.width + x - bounds.left] = ink.values[pixel];
    }
    let scaled = |length: usize| ((length as f32 * scale).round() as usize).max(1);
    alone.resized(scaled(bounds.width), scaled(bounds.height))
}

/// The best path around each column, and the joints.
fn candidates(small: &Plane, unit: f32) -> Vec<Cut> {
    let margin = ((MIN_PART * unit) as usize).max(1);
    let bend = ((BEND * unit) as usize).max(1);
    let mut cuts: Vec<Cut> = Vec::new();
    for middle in (margin..small.width.saturating_sub(margin)).step_by(2) {
        let cut = path(
            small,
            middle.saturating_sub(bend),
            (middle + bend + 1).min(small.width),
        );
        if cut.ink <= MAX_INK * unit && cuts.last().is_none_or(|it| it.columns != cut.columns) {
            cuts.push(cut);
        }
    }
    let inside = margin..small.width.saturating_sub(margin);
    let joints = joints::joints(small, unit).into_iter();
    cuts.extend(
        joints
            .filter(|x| inside.contains(x))
            .map(|x| at_joint(small, x)),
    );
    cuts
}

fn at_joint(small: &Plane, x: usize) -> Cut {
    let ink = JOINT_INK * small.rows().map(|row| row[x]).sum::<f32>();
    Cut {
        columns: vec![x; small.height],
        middle: x as f32,
        ink,
        cost: ink,
    }
}

/// The cheapest path between two columns.
fn path(small: &Plane, from: usize, to: usize) -> Cut {
    let width = to - from;
    let centre = (width - 1) as f32 / 2.0;
    let mut costs = vec![0.0_f32; width];
    let mut steps = Vec::with_capacity(small.height * width);
    let mut next = vec![0.0_f32; width];
    for row in small.rows() {
        for x in 0..width {
            let (mut best, mut step) = (costs[x], 0_i8);
            if x > 0 && costs[x - 1] + SIDE_STEP < best {
                (best, step) = (costs[x - 1] + SIDE_STEP, -1);
            }
            if x + 1 < width && costs[x + 1] + SIDE_STEP < best {
                (best, step) = (costs[x + 1] + SIDE_STEP, 1);
            }
            // Among equals the one nearest to the middle.
            let aside = 0.002 * (x as f32 - centre).abs();
            next[x] = best + row[from + x] + aside;
            steps.push(step);
        }
        std::mem::swap(&mut costs, &mut next);
    }
    let ends = costs.iter().enumerate();
    let (mut x, cost) = ends
        .min_by(|a, b| a.1.total_cmp(b.1))
        .map_or((0, 0.0), |(x, &cost)| (x, cost));
    let mut columns = vec![0; small.height];
    for (y, column) in columns.iter_mut().enumerate().rev() {
        *column = from + x;
        x = x.saturating_add_signed(isize::from(steps[y * width + x]));
    }
    let rows = small.rows().zip(&columns);
    Cut {
        ink: rows.map(|(row, &column)| row[column]).sum(),
        middle: columns.iter().sum::<usize>() as f32 / small.height.max(1) as f32,
        columns,
        cost,
    }
}

/// The cheapest ones that are apart from each other, from left to right.
fn best(mut cuts: Vec<Cut>, small: &Plane, unit: f32) -> Vec<Cut> {
    let most = (CUTS_FOR_HEIGHT * small.width as f32 / unit) as usize;
    cuts.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let mut kept: Vec<Cut> = Vec::new();
    for cut in cuts {
        let apart = |it: &Cut| (it.middle - cut.middle).abs() >= MIN_DISTANCE * unit;
        if kept.len() < most && kept.iter().all(apart) {
            kept.push(cut);
        }
    }
    kept.sort_by(|a, b| a.middle.total_cmp(&b.middle));
    kept
}

fn split(component: Component, ink: &Plane, cuts: &[Cut], scale: f32, unit: f32) -> Vec<Piece> {
    let bounds = component.bounds;
    let mut parts: Vec<Vec<usize>> = vec![Vec::new(); cuts.len() + 1];
    for ((x, y), &pixel) in component.places().zip(&component.pixels) {
        let column = ((x - bounds.left) as f32 + 0.5) * scale;
        let row = ((y - bounds.top) as f32 * scale) as usize;
        let is_right = |cut: &&Cut| {
            let at = cut.columns[row.min(cut.columns.len() - 1)];
            column >= at as f32 + 0.5
        };
        parts[cuts.iter().filter(is_right).count()].push(pixel);
    }
    let inks = std::iter::once(None).chain(cuts.iter().map(|cut| Some(cut.ink / unit)));
    let parts = parts
        .into_iter()
        .zip(inks)
        .filter(|(pixels, _)| !pixels.is_empty());
    let mut pieces: Vec<Piece> = parts
        .map(|(pixels, cut)| Piece {
            component: Component::of(ink, pixels),
            cut,
        })
        .collect();
    if let Some(first) = pieces.first_mut() {
        first.cut = None;
    }
    pieces
}
