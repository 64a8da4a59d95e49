//! The curves of a job as a figure: train loss red, validation loss blue, accuracy below, over the steps.
//!
//! A figure is laid out once (`figure`) and written as SVG or drawn as PNG, so both look the same; the terminal has
//! its own, coarser drawing. The chart crates at hand draw bitmaps without anti-aliasing or bring a browser's worth of
//! dependencies; two panels of lines need neither.

mod axis;
pub(crate) mod figure;
mod picture_grid;
pub(crate) mod raster;
mod svg;
mod terminal;

use digits_proto::v1::{CurveRow, Evaluation};

pub use picture_grid::{Captioned, picture_grid};
pub use terminal::terminal;

/// One row of a job's curves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Steps done over all epochs.
    pub step: u64,
    /// Epoch, from 1.
    pub epoch: u32,
    /// Mean cross-entropy of that step's batch, in nats.
    pub train_loss: f64,
    /// Mean over batches of the validation loss, in nats, as the notebook plots it.
    pub validation_loss: Option<f64>,
    /// Share of the validation images that were right, from 0 to 1.
    pub accuracy: Option<f64>,
}

/// What a figure shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// Stands above the figure.
    pub title: String,
    /// The rows, oldest first.
    pub points: Vec<Point>,
    /// Accuracy (0 to 1) and loss (mean over batches) on the test set, drawn as dashed lines.
    pub test: Option<(f64, f64)>,
}

impl Curves {
    /// Curves of a job's rows and, when it has ended well, its test result.
    #[must_use]
    pub fn new(title: impl Into<String>, rows: &[CurveRow], test: Option<&Evaluation>) -> Self {
        let point = |row: &CurveRow| Point {
            step: row.step,
            epoch: row.epoch,
            train_loss: row.train_loss,
            validation_loss: row.validation.map(|it| it.loss_batch_mean),
            accuracy: row.validation.map(|it| it.accuracy),
        };
        Self {
            title: title.into(),
            points: rows.iter().map(point).collect(),
            test: test.map(|it| (it.accuracy, it.loss_batch_mean)),
        }
    }

    /// The three curves as (step, value), values in nats, nats and per cent.
    fn series(&self) -> [Vec<(f64, f64)>; 3] {
        let all = |value: fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
            let pairs = self.points.iter();
            pairs
                .filter_map(|point| Some((point.step as f64, value(point)?)))
                .collect()
        };
        [
            all(|point| Some(point.train_loss)),
            all(|point| point.validation_loss),
            all(|point| point.accuracy.map(|share| share * 100.0)),
        ]
    }
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
    pub const SIDES: std::ops::RangeInclusive<u32> = 200..=10_000;
}

impl Default for Size {
    fn default() -> Self {
        Self {
            width: 1600,
            height: 1100,
        }
    }
}

/// The figure as an SVG document.
#[must_use]
pub fn svg(curves: &Curves, size: Size) -> String {
    svg::write(&figure::lay_out(curves, clamped(size)))
}

/// The figure as a PNG file.
#[must_use]
pub fn png(curves: &Curves, size: Size) -> Vec<u8> {
    raster::draw(&figure::lay_out(curves, clamped(size)))
}

fn clamped(Size { width, height }: Size) -> Size {
    let clamp = |side: u32| side.clamp(*Size::SIDES.start(), *Size::SIDES.end());
    Size {
        width: clamp(width),
        height: clamp(height),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 45 rows that look like a training of five epochs.
    pub(crate) fn sample() -> Curves {
        let points = (0..45_u32).map(|row| {
            let (epoch, place) = (row / 9, row % 9);
            let step = epoch * 844 + place * 100 + 1;
            let loss = 0.38 + 1.95 * (-f64::from(step) / 600.0).exp();
            Point {
                step: u64::from(step),
                epoch: epoch + 1,
                train_loss: loss + 0.07 * f64::from(row * 7919 % 13 - 6.min(row * 7919 % 13)) / 6.0,
                validation_loss: Some(loss),
                accuracy: Some(0.893 - 0.78 * (-f64::from(step) / 500.0).exp()),
            }
        });
        Curves {
            title: "notebook & friends".to_owned(),
            points: points.collect(),
            test: Some((0.9, 0.351_287)),
        }
    }

    #[test]
    fn svg_has_the_curves_in_their_colours() {
        let text = svg(&sample(), Size::default());
        let curve = |color: &str| {
            let start = text
                .find(&format!("class=\"curve\" stroke=\"{color}\""))
                .expect(color);
            let points = text[start..].split_once("points=\"").expect("points").1;
            points.split_once('"').expect("end").0.split(' ').count()
        };
        assert_eq!(
            [figure::RED, figure::BLUE, figure::GREEN].map(curve),
            [45, 45, 45]
        );
        for wanted in [
            "notebook &amp; friends",
            "train loss",
            "validation loss",
            "accuracy",
            "test 0.3513",
            "test 90.0 %",
            "width=\"1600\"",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn png_has_the_size_and_the_colours() {
        let bytes = png(
            &sample(),
            Size {
                width: 640,
                height: 440,
            },
        );
        let picture = image::load_from_memory(&bytes).expect("a PNG").to_rgb8();
        assert_eq!(picture.dimensions(), (640, 440));
        assert_eq!(picture.get_pixel(1, 1).0, [255, 255, 255]);
        let near = |wanted: [u8; 3]| {
            let close = |pixel: &&image::Rgb<u8>| {
                pixel.0.iter().zip(wanted).all(|(&a, b)| a.abs_diff(b) < 12)
            };
            picture.pixels().filter(close).count()
        };
        // Lines of a few hundred pixels each; dark text.
        for color in [
            [0xd6, 0x27, 0x28],
            [0x1f, 0x4f, 0xd8],
            [0x2c, 0x8a, 0x2c],
            [0x22, 0x22, 0x22],
        ] {
            assert!(near(color) > 100, "{color:?}: {}", near(color));
        }
    }

    #[test]
    fn odd_curves_are_drawn_as_well() {
        let one = Curves {
            points: sample().points[..1].to_vec(),
            ..Curves::default()
        };
        let mut broken = sample();
        broken.points[3].train_loss = f64::NAN;
        broken.points[4].train_loss = f64::INFINITY;
        for (name, curves) in [
            ("none", Curves::default()),
            ("one", one),
            ("broken", broken),
        ] {
            let text = svg(&curves, Size::default());
            assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
            assert!(
                !png(
                    &curves,
                    Size {
                        width: 0,
                        height: 0
                    }
                )
                .is_empty(),
                "{name}"
            );
        }
    }
}
