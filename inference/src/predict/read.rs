//! The stage between the network and the labels for pictures that may show numbers: of all segments
//! of ink that may be digits, the sequence that is most probable.
//!
//! Heuristic over-segmentation, as in section VI of LeCun, Bottou, Bengio and Haffner (1998),
//! "Gradient-based learning applied to document recognition": the segments are the edges of a
//! graph, and the cheapest path through it is the reading. An edge costs what its most probable
//! label lacks in probability and in distance to the second one, and what its shape lacks in
//! likeness to a digit.

use super::preprocess::{ImageContent, NormalizedImages, Place};
use crate::{
    engine::probability::{Softmax, most_probable},
    model::LoadedModel,
};
use digits_picture::number::Line;

/// Largest cost of a label.
const MAX_COST: f32 = 100.0;
/// Two labels whose ln of the probabilities differ by this are told apart as well as any.
const MAX_MARGIN: f32 = 20.0;
/// Cost of what is missing to that. Networks are sure of many parts of digits, of which −ln of the
/// probability tells nothing, but more so of digits. Fitted with the weights of the shape.
const MARGIN_COST: f32 = 0.26;

/// Keeps of what may be digits those that are, with their logits; `logits` are [m, classes]. Other
/// images pass through.
#[must_use]
pub fn read(
    checkpoint: &LoadedModel,
    images: NormalizedImages,
    logits: Vec<f32>,
) -> (NormalizedImages, Vec<f32>) {
    let contents = images.contents().unwrap_or_default();
    let is_written = |content: &ImageContent| matches!(content, ImageContent::Written(_));
    if !contents.iter().any(is_written) {
        return (images, logits);
    }
    let (inputs, classes) = (checkpoint.network.inputs(), checkpoint.network.classes());
    let mut reader = Reader {
        costs: costs(checkpoint, &logits),
        next: 0,
        kept: Vec::new(),
    };
    let (pixels, contents) = images.into_parts();
    let contents = contents.into_iter().flatten();
    let contents = contents.map(|content| reader.read(content)).collect();
    let kept_logits = reader
        .kept
        .iter()
        .flat_map(|input| &logits[input * classes..][..classes]);
    let kept_logits = kept_logits.copied().collect();
    let pixels = pixels.selected(&reader.kept, inputs);
    (NormalizedImages::new(pixels, contents), kept_logits)
}

/// Cost of each input's most probable label.
fn costs(checkpoint: &LoadedModel, logits: &[f32]) -> Vec<f32> {
    let classes = checkpoint.network.classes();
    let temperature = checkpoint.manifest.temperature;
    let mut softmax = Softmax::new(temperature, classes);
    let mut probabilities = vec![0.0; classes];
    let images = logits.chunks_exact(classes);
    let cost = |logits| {
        softmax.of(logits, &mut probabilities);
        let best = most_probable(&probabilities);
        let margin = margin(logits, best) / temperature as f32;
        label_cost(probabilities[best], margin)
    };
    images.map(cost).collect()
}

/// By how much the logit `best` exceeds the others.
fn margin(logits: &[f32], best: usize) -> f32 {
    let others = logits
        .iter()
        .enumerate()
        .filter(|(label, _)| *label != best);
    let second = others
        .map(|(_, &logit)| logit)
        .fold(f32::NEG_INFINITY, f32::max);
    logits[best] - second
}

/// Cost of a label with this probability, by whose ln it exceeds the second one by `margin`.
fn label_cost(probability: f32, margin: f32) -> f32 {
    let cost = -probability.ln() + MARGIN_COST * (MAX_MARGIN - margin).max(0.0);
    // Of NaN, too: each line has a path.
    cost.min(MAX_COST)
}

struct Reader {
    costs: Vec<f32>,
    /// The next input of the network.
    next: usize,
    /// The inputs that are kept.
    kept: Vec<usize>,
}

impl Reader {
    fn read(&mut self, content: ImageContent) -> ImageContent {
        match content {
            ImageContent::Written(lines) => ImageContent::Number(self.number(&lines)),
            ImageContent::Digit => {
                self.kept.push(self.next);
                self.next += 1;
                content
            }
            ImageContent::Blank | ImageContent::SeveralDigits(_) | ImageContent::Number(_) => {
                content
            }
        }
    }

    fn number(&mut self, lines: &[Line]) -> Vec<Place> {
        let mut places = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            let costs = &self.costs[self.next..][..line.segments.len()];
            for segment in cheapest(line, costs) {
                self.kept.push(self.next + segment);
                places.push(Place {
                    bounds: line.segments[segment].bounds,
                    line: number,
                });
            }
            self.next += line.segments.len();
        }
        places
    }
}

/// The segments of the cheapest path through a line, from left to right; `costs` are those of the
/// segments' labels.
fn cheapest(line: &Line, costs: &[f32]) -> Vec<usize> {
    // For each number of pieces from the left: the least cost, and the last segment of its path.
    let mut best = vec![(f32::INFINITY, None); line.pieces + 1];
    best[0].0 = 0.0;
    // Segments come in the order of their first pieces, so what is to the left is complete.
    for (index, (segment, cost)) in line.segments.iter().zip(costs).enumerate() {
        let cost = best[segment.pieces.start].0 + cost + segment.cost;
        let end = &mut best[segment.pieces.end];
        if cost < end.0 {
            *end = (cost, Some(index));
        }
    }
    let mut path = Vec::new();
    let mut end = line.pieces;
    while let Some(index) = best[end].1 {
        path.push(index);
        end = line.segments[index].pieces.start;
    }
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_picture::{components::BoundingBox, number::Segment};

    fn line(pieces: usize, segments: &[(usize, usize, f32)]) -> Line {
        let bounds = BoundingBox {
            left: 0,
            top: 0,
            width: 1,
            height: 1,
        };
        let segment = |&(start, end, cost): &(usize, usize, f32)| Segment {
            pieces: start..end,
            bounds,
            cost,
        };
        Line {
            pieces,
            segments: segments.iter().map(segment).collect(),
        }
    }

    #[test]
    fn the_cheapest_path_covers_every_piece_once() {
        let all = [
            (0, 1, 0.1),
            (0, 2, 0.1),
            (1, 2, 0.1),
            (1, 3, 0.1),
            (2, 3, 0.1),
        ];
        let line = line(3, &all);
        // Whole and last, first and rest, each alone.
        assert_eq!(cheapest(&line, &[1.0, 0.0, 1.0, 1.0, 0.0]), [1, 4]);
        assert_eq!(cheapest(&line, &[0.0, 1.0, 1.0, 0.0, 1.0]), [0, 3]);
        assert_eq!(cheapest(&line, &[0.0, 1.0, 0.0, 1.0, 0.0]), [0, 2, 4]);
    }

    #[test]
    fn a_label_far_from_the_second_costs_less_than_one_that_is_as_probable() {
        assert!((margin(&[1.0, 4.0, 2.5], 1) - 1.5).abs() < 1e-6);
        assert!(label_cost(1.0, 15.0) < label_cost(1.0, 10.0));
        assert!(label_cost(1.0, 10.0) < label_cost(0.5, 10.0));
        assert_eq!(label_cost(1.0, 25.0), 0.0);
        assert_eq!(label_cost(f32::NAN, f32::NAN), MAX_COST);
    }

    #[test]
    fn a_shape_that_is_no_digit_outweighs_a_sure_label() {
        let line = line(2, &[(0, 1, 0.5), (0, 2, 0.2), (1, 2, 0.5)]);
        assert_eq!(cheapest(&line, &[0.0, 0.5, 0.0]), [1]);
        assert_eq!(cheapest(&line, &[0.0, 0.9, 0.0]), [0, 2]);
    }
}
