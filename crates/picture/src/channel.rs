//! Chooses the channel of a colour picture in which ink is looked for.
//!
//! Ink of one colour on paper of another, in light of any colour, is as visible in one channel as in
//! all three: in the one that it darkens or lightens the most. Only where no channel shows all ink,
//! as with pens of two colours, does each have to be looked at.

use crate::{levels::Histogram, plane::Plane, raster::Picture};
use std::ops::Range;

/// Longest side at which channels are compared.
const SIDE: usize = 96;
/// How much further another channel may depart from paper, in shares of the range between the two.
const TOLERANCE: f32 = 0.06;
/// How many times as far the ink departs from paper as uneven light does, if it is on one side alone.
const CLEARLY: f32 = 2.0;

/// The channel that shows all ink, else all channels.
pub(crate) fn sufficient(picture: &Picture) -> Range<usize> {
    let Some(planes) = picture.overview(SIDE) else {
        return 0..1;
    };
    let departures = planes.each_ref().map(departures);
    let sum = |channel: &[f32]| channel.iter().map(|it| it.abs()).sum::<f32>();
    let sums = departures.iter().map(|channel| sum(channel)).enumerate();
    let strongest = sums.max_by(|(_, a), (_, b)| a.total_cmp(b));
    match strongest {
        Some((at, _)) => {
            let sides = Sides::of(&departures[at]);
            let is_enough = departures
                .iter()
                .all(|other| sides.shows(&departures[at], other));
            if is_enough {
                at..at + 1
            } else {
                0..planes.len()
            }
        }
        None => 0..planes.len(),
    }
}

/// Which sides of paper ink may be on.
struct Sides {
    darker: bool,
    lighter: bool,
}

impl Sides {
    /// One, if the departures to it are clearly larger than those by uneven light.
    fn of(departures: &[f32]) -> Self {
        let darkest = -departures.iter().copied().fold(0.0, f32::min);
        let lightest = departures.iter().copied().fold(0.0, f32::max);
        Self {
            darker: CLEARLY * darkest >= lightest,
            lighter: CLEARLY * lightest >= darkest,
        }
    }

    /// Whether what is on these sides in another channel is so in the chosen one as well.
    fn shows(&self, chosen: &[f32], other: &[f32]) -> bool {
        let pixels = chosen.iter().zip(other);
        pixels.fold(true, |all, (chosen, other)| {
            let darker = !self.darker | (chosen.min(0.0) <= other.min(0.0) + TOLERANCE);
            let lighter = !self.lighter | (chosen.max(0.0) >= other.max(0.0) - TOLERANCE);
            all & darker & lighter
        })
    }
}

/// By how much each pixel is lighter than paper, in shares of the range that paper leaves to ink.
fn departures(plane: &Plane) -> Vec<f32> {
    let paper = Histogram::of(&plane.values).percentile(0.5);
    let scale = 1.0 / paper.max(1.0 - paper);
    let values = plane.values.iter();
    values.map(|value| (value - paper) * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paper that gets darker to the right, with ink of two pens in squares.
    fn picture(pens: [[f32; 3]; 2]) -> Picture {
        let (side, tint) = (120, [1.0, 0.9, 0.7]);
        let pixels = (0..side * side).flat_map(|at| {
            let (x, y) = (at % side, at / side);
            let light = 250.0 - 0.8 * x as f32;
            let is_inked = |left: usize| (left..left + 12).contains(&x) && (40..80).contains(&y);
            let pen = match (is_inked(30), is_inked(70)) {
                (true, _) => pens[0],
                (_, true) => pens[1],
                _ => [1.0; 3],
            };
            [0, 1, 2].map(|channel| (light * tint[channel] * pen[channel]) as u8)
        });
        Picture::new((side, side), (side, side), 3, pixels.collect())
    }

    #[test]
    fn one_channel_is_enough_for_ink_of_one_colour() {
        let (black, grey) = ([0.1; 3], [0.6; 3]);
        let (blue, red, yellow) = ([0.2, 0.4, 0.8], [0.9, 0.2, 0.3], [1.0, 0.9, 0.3]);
        assert_eq!(sufficient(&picture([black, grey])).len(), 1);
        assert_eq!(sufficient(&picture([blue, blue])), 0..1);
        assert_eq!(sufficient(&picture([red, black])), 1..2);
        assert_eq!(sufficient(&picture([yellow, grey])), 2..3);
        // Yellow is visible in blue alone, and this blue is not.
        assert_eq!(sufficient(&picture([yellow, [0.3, 0.5, 1.0]])), 0..3);
    }
}
