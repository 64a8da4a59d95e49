//! Draws the curves of a job: train loss red, validation loss blue, accuracy in a panel below.
//!
//! A figure is laid out once (`layout`) and written as SVG or drawn as PNG, so both look the same;
//! the terminal has a coarser drawing of its own.

mod axis;
mod curves;
mod layout;
mod svg;
mod terminal;

pub use curves::{Curves, Point};
pub use terminal::terminal;

use digits_figure::{Size, raster};

/// The figure as an SVG document.
#[must_use]
pub fn svg(curves: &Curves, size: Size) -> String {
    svg::write(&layout::lay_out(curves, size.clamped()))
}

/// The figure as a PNG file.
#[must_use]
pub fn png(curves: &Curves, size: Size) -> Vec<u8> {
    raster::draw(&layout::lay_out(curves, size.clamped()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 45 rows that look like a training of five epochs.
    fn sample() -> Curves {
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
    fn the_svg_has_the_curves_in_their_colours() {
        let text = svg(&sample(), Size::default());
        let curve = |color: &str| {
            let start = text
                .find(&format!("class=\"curve\" stroke=\"{color}\""))
                .expect(color);
            let points = text[start..].split_once("points=\"").expect("points").1;
            points.split_once('"').expect("end").0.split(' ').count()
        };
        assert_eq!(
            [layout::RED, layout::BLUE, layout::GREEN].map(curve),
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
    fn the_png_has_the_size_and_the_colours() {
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
    fn empty_single_and_infinite_values_are_drawn() {
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
