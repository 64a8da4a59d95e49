//! Orders components of ink into lines of writing.

use crate::components::Component;

/// Components lower than this share of the highest are parts of a digit, or no digit.
const MIN_HEIGHT: f32 = 0.4;
/// Such a part belongs to a digit that is at most this share of its height away.
const MAX_PART_GAP: f32 = 0.3;
/// Halves of a broken digit, one over the other: least overlap across, in shares of the narrower,
/// and largest overlap of their heights, in shares of the lower.
const STACKED_OVERLAP: f32 = 0.4;
const STACKED_OVERLAP_DOWN: f32 = 0.2;
/// Largest distance between their ink, in shares of the height of both.
const STACKED_GAP: f32 = 0.15;
/// Two that are higher together than this, in heights of the highest other, are of two lines.
const STACKED_HEIGHT: f32 = 1.3;
/// Least overlap of the heights of two neighbours in a line, in shares of the lower.
const LINE_OVERLAP: f32 = 0.35;
/// Pixels of a component that distances are measured from.
const SAMPLES: usize = 128;

/// Orders components into lines from top to bottom, each from left to right.
pub(super) fn lines(components: Vec<Component>) -> Vec<Vec<Component>> {
    let highest = components.iter().map(|it| it.bounds.height).max();
    let least = MIN_HEIGHT * highest.unwrap_or(0) as f32;
    let (mut bodies, parts): (Vec<_>, Vec<_>) = components
        .into_iter()
        .partition(|it| it.bounds.height as f32 >= least);
    join_stacked(&mut bodies);
    for part in parts {
        let distances = bodies.iter().map(|body| distance(&part, body));
        let nearest = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((index, distance)) = nearest
            && distance <= MAX_PART_GAP * bodies[index].bounds.height as f32
        {
            bodies[index].join(part);
        }
    }
    in_lines(bodies)
}

/// Joins the halves of digits that are broken in two, one over the other.
fn join_stacked(bodies: &mut Vec<Component>) {
    let mut index = 0;
    while index < bodies.len() {
        let other = (index + 1..bodies.len()).find(|&at| are_stacked(bodies, index, at));
        match other {
            Some(other) => {
                let other = bodies.swap_remove(other);
                bodies[index].join(other);
            }
            None => index += 1,
        }
    }
}

fn are_stacked(bodies: &[Component], one: usize, other: usize) -> bool {
    let (upper, lower) = (&bodies[one].bounds, &bodies[other].bounds);
    let both = upper.joined(lower).height as f32;
    let across = upper.overlap_across(lower) as f32;
    let down = upper.overlap_down(lower) as f32;
    let is_beside = |at: &usize| ![one, other].contains(at);
    let others = (0..bodies.len()).filter(is_beside);
    let highest = others.map(|at| bodies[at].bounds.height).max();
    across >= STACKED_OVERLAP * upper.width.min(lower.width) as f32
        && down <= STACKED_OVERLAP_DOWN * upper.height.min(lower.height) as f32
        && highest.is_none_or(|highest| both <= STACKED_HEIGHT * highest as f32)
        && distance(&bodies[one], &bodies[other]) <= STACKED_GAP * both
}

/// Distance between the closest of some pixels of each; infinite if the boxes are too far apart.
fn distance(part: &Component, body: &Component) -> f32 {
    if part.bounds.gap(&body.bounds) as f32 > MAX_PART_GAP * body.bounds.height as f32 {
        return f32::INFINITY;
    }
    let mut least = usize::MAX;
    for (x, y) in samples(part) {
        for (column, row) in samples(body) {
            let (across, down) = (x.abs_diff(column), y.abs_diff(row));
            least = least.min(across * across + down * down);
        }
    }
    (least as f32).sqrt()
}

fn samples(component: &Component) -> impl Iterator<Item = (usize, usize)> {
    let step = component.pixels.len().div_ceil(SAMPLES).max(1);
    component.places().step_by(step)
}

/// From left to right, each body continues the line whose last one is most beside it.
fn in_lines(mut bodies: Vec<Component>) -> Vec<Vec<Component>> {
    bodies.sort_by_key(|body| body.bounds.left);
    let mut lines: Vec<Vec<Component>> = Vec::new();
    for body in bodies {
        let overlap = |line: &Vec<Component>| {
            let last = line.last().map(|last| last.bounds)?;
            let lower = last.height.min(body.bounds.height) as f32;
            let share = last.overlap_down(&body.bounds) as f32 / lower;
            (share >= LINE_OVERLAP).then_some(share)
        };
        let shares = lines.iter().map(overlap).enumerate();
        let shares = shares.filter_map(|(index, share)| Some((index, share?)));
        match shares.max_by(|a, b| a.1.total_cmp(&b.1)) {
            Some((index, _)) => lines[index].push(body),
            None => lines.push(vec![body]),
        }
    }
    for line in &mut lines {
        line.sort_by_key(|body| 2 * body.bounds.left + body.bounds.width);
    }
    lines.sort_by_key(|line| {
        let middles = line.iter().map(|it| 2 * it.bounds.top + it.bounds.height);
        middles.sum::<usize>() / line.len()
    });
    lines
}
