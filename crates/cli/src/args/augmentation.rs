//! Flags of `digits train` for random changes to the training images.

use super::values::{Pair, number_as, pair};
use clap::Args;
use digits_proto::v1::AugmentationSpec;

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Augmentation (each of these switches it on)")]
pub struct Augmentation {
    /// Change the training images at random: rotate, shear, scale, shift and distort them;
    /// `--augment=false` switches off the augmentation of a preset.
    #[arg(long, value_name = "SWITCH", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub augment: Option<bool>,
    /// Largest rotation in either direction, in degrees, from 0 to 180.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true, value_parser = number_as("of degrees from 0 to 180"))]
    pub rotation: Option<f64>,
    /// Largest horizontal shear in either direction, in degrees, from 0 to 60.
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true, value_parser = number_as("of degrees from 0 to 60"))]
    pub shear: Option<f64>,
    /// Smallest and largest scaling factor, such as 0.85,1.15; both from 0.1 to 10.
    #[arg(long, value_name = "MIN,MAX", value_parser = pair)]
    pub scale: Option<Pair>,
    /// Largest shift along each axis, in pixels of a 28×28 image, from 0 to 28.
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, value_parser = number_as("of pixels from 0 to 28"))]
    pub shift: Option<f64>,
    /// Strength and smoothness of elastic distortion, such as 36,5: the strength from 0 (none) to
    /// 1,000, the smoothness from 0.5 to 28.
    #[arg(long, value_name = "ALPHA,SIGMA", value_parser = pair)]
    pub elastic: Option<Pair>,
    /// Largest standard deviation of added noise, as a fraction of full ink, from 0 to 1.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number_as("from 0 to 1"))]
    pub noise: Option<f64>,
    /// Vary the thickness of strokes and the levels of ink and background.
    #[arg(long, value_name = "SWITCH", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub pen: Option<bool>,
    /// Fraction of each batch that is replaced by synthetic outliers, which belong to no class, from
    /// 0 to 0.5.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number_as("from 0 to 0.5"))]
    pub outlier_share: Option<f64>,
    /// Fraction of each batch that is replaced by drawn digits of the same labels as other countries
    /// write them, from 0 to 0.5.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number_as("from 0 to 0.5"))]
    pub styles: Option<f64>,
    /// Fraction of each batch that is replaced by drawn letters, which belong to no class, from 0 to
    /// 0.5.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true, value_parser = number_as("from 0 to 0.5"))]
    pub letters: Option<f64>,
}

impl Augmentation {
    /// The augmentation of the flags; `None` if none was given.
    pub fn spec(&self) -> Option<AugmentationSpec> {
        let spec = AugmentationSpec {
            enabled: self.augment,
            rotation_degrees: self.rotation,
            shear_degrees: self.shear,
            scale_min: self.scale.map(|scale| scale.0),
            scale_max: self.scale.map(|scale| scale.1),
            shift_pixels: self.shift,
            elastic_alpha: self.elastic.map(|elastic| elastic.0),
            elastic_sigma: self.elastic.map(|elastic| elastic.1),
            noise: self.noise,
            pen: self.pen,
            outlier_share: self.outlier_share,
            styles: self.styles,
            letters: self.letters,
        };
        (spec != AugmentationSpec::default()).then_some(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        augmentation: Augmentation,
    }

    fn parse(line: &str) -> Option<AugmentationSpec> {
        let words = ["train"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).expect(line).augmentation.spec()
    }

    #[test]
    fn only_the_given_flags_are_set() {
        assert_eq!(parse(""), None);
        for (line, enabled) in [("--augment", true), ("--augment=false", false)] {
            let expected = AugmentationSpec {
                enabled: Some(enabled),
                ..Default::default()
            };
            assert_eq!(parse(line), Some(expected), "{line}");
        }
        let expected = AugmentationSpec {
            rotation_degrees: Some(10.0),
            scale_min: Some(0.9),
            scale_max: Some(1.1),
            elastic_alpha: Some(34.0),
            elastic_sigma: Some(4.0),
            pen: Some(true),
            ..Default::default()
        };
        let line = "--rotation 10 --scale 0.9,1.1 --elastic 34,4 --pen";
        assert_eq!(parse(line), Some(expected));
    }
}
