//! The augmentation of a spec: defaults, bounds, and the settings of the training.

use super::{request::AugmentationRequest, violation::Violations};
use crate::{datasets::Shape, train};
use digits_dataset::styles;

/// Defaults of an enabled augmentation: the ranges of D. C. Cireşan, U. Meier, L. M. Gambardella,
/// J. Schmidhuber, "Deep big simple neural nets excel on handwritten digit recognition", Neural
/// Computation 22 (2010), with the middle of their σ and α.
pub(super) const DEFAULT: AugmentationRequest = AugmentationRequest {
    enabled: Some(true),
    rotation_degrees: Some(15.0),
    shear_degrees: Some(15.0),
    scale_min: Some(0.85),
    scale_max: Some(1.15),
    shift_pixels: Some(2.0),
    elastic_alpha: Some(36.0),
    elastic_sigma: Some(5.0),
    noise: Some(0.0),
    pen: Some(false),
    outlier_share: Some(0.0),
    styles: Some(0.0),
    letters: Some(0.0),
};

/// Digits that become each other when they are rotated or sheared as far as the others.
const HALF_ANGLES: [&str; 2] = ["1", "7"];

/// Sets what is unset from the preset where it augments, else from [`DEFAULT`]. To set any field is
/// to enable the augmentation; one that is disabled has no other fields.
pub(super) fn fill(
    requested: Option<AugmentationRequest>,
    preset: Option<AugmentationRequest>,
) -> Option<AugmentationRequest> {
    let Some(own) = requested else {
        return preset;
    };
    let preset = preset.filter(|preset| preset.enabled == Some(true));
    let enabled = own
        .enabled
        .unwrap_or(sets_something(&own) || preset.is_some());
    let own = AugmentationRequest {
        enabled: Some(enabled),
        ..own
    };
    Some(if enabled {
        own.or(preset.unwrap_or(DEFAULT))
    } else {
        own
    })
}

/// Leaves the drawn images of a preset out where labels are no digits: letters may be what is to be
/// learnt. Shares that the request itself sets stay.
pub(super) fn settle(
    spec: &mut AugmentationRequest,
    requested: Option<&AugmentationRequest>,
    shape: &Shape,
) {
    if styles::digits(&shape.label_names).is_none() {
        let own = |share: fn(&AugmentationRequest) -> Option<f64>| {
            requested.and_then(share).unwrap_or_default()
        };
        spec.styles = spec.styles.map(|_| own(|it| it.styles));
        spec.letters = spec.letters.map(|_| own(|it| it.letters));
    }
}

fn sets_something(spec: &AugmentationRequest) -> bool {
    let rest = AugmentationRequest {
        enabled: None,
        ..*spec
    };
    rest != AugmentationRequest::default()
}

/// Checks a filled augmentation.
pub(super) fn check(spec: &AugmentationRequest, found: &mut Violations) {
    if spec.enabled != Some(true) {
        if sets_something(spec) {
            found.push(
                "augmentation.enabled",
                "is false, but other fields are set: set it to true or leave them unset",
            );
        }
        return;
    }
    let before = found.len();
    for (field, value, range) in [
        ("rotation_degrees", spec.rotation_degrees, 0.0..=180.0),
        ("shear_degrees", spec.shear_degrees, 0.0..=60.0),
        ("scale_min", spec.scale_min, 0.1..=10.0),
        ("scale_max", spec.scale_max, 0.1..=10.0),
        ("shift_pixels", spec.shift_pixels, 0.0..=28.0),
        ("elastic_alpha", spec.elastic_alpha, 0.0..=1_000.0),
        ("elastic_sigma", spec.elastic_sigma, 0.5..=28.0),
        ("noise", spec.noise, 0.0..=1.0),
        ("outlier_share", spec.outlier_share, 0.0..=0.5),
        ("styles", spec.styles, 0.0..=0.5),
        ("letters", spec.letters, 0.0..=0.5),
    ] {
        let field = format!("augmentation.{field}");
        found.in_range(&field, value.unwrap_or_default(), range);
    }
    let smallest = spec.scale_min.unwrap_or_default();
    let largest = spec.scale_max.unwrap_or_default();
    if found.len() == before && smallest > largest {
        found.push(
            "augmentation.scale_min",
            format!("must be at most scale_max, {largest}, not {smallest}"),
        );
    }
}

/// Checks that a filled augmentation fits the labels of its data set.
pub(super) fn check_labels(spec: &AugmentationRequest, shape: &Shape, found: &mut Violations) {
    if spec.styles.is_some_and(|share| share > 0.0) && styles::digits(&shape.label_names).is_none()
    {
        found.push(
            "augmentation.styles",
            "draws digits, and the data set has other labels than 0 to 9: set it to 0",
        );
    }
}

/// The augmentation of a training on a data set of this shape.
pub(super) fn plan(
    spec: Option<AugmentationRequest>,
    shape: &Shape,
) -> Option<train::Augmentation> {
    let spec = spec.filter(|spec| spec.enabled == Some(true))?;
    let is_delicate = |name: &String| HALF_ANGLES.contains(&name.as_str());
    Some(train::Augmentation {
        rotation_degrees: spec.rotation_degrees.unwrap_or_default(),
        shear_degrees: spec.shear_degrees.unwrap_or_default(),
        scale_min: spec.scale_min.unwrap_or(1.0),
        scale_max: spec.scale_max.unwrap_or(1.0),
        shift_pixels: spec.shift_pixels.unwrap_or_default(),
        elastic_alpha: spec.elastic_alpha.unwrap_or_default(),
        elastic_sigma: spec.elastic_sigma.unwrap_or(1.0),
        noise: spec.noise.unwrap_or_default(),
        pen: spec.pen.unwrap_or_default(),
        outlier_share: spec.outlier_share.unwrap_or_default(),
        styles: spec.styles.unwrap_or_default(),
        letters: spec.letters.unwrap_or_default(),
        digits: styles::digits(&shape.label_names).unwrap_or_default(),
        half_angles: shape.label_names.iter().map(is_delicate).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use digits_checkpoint::manifest::PictureNormalization;

    const NOTHING: AugmentationRequest = AugmentationRequest {
        enabled: None,
        rotation_degrees: None,
        shear_degrees: None,
        scale_min: None,
        scale_max: None,
        shift_pixels: None,
        elastic_alpha: None,
        elastic_sigma: None,
        noise: None,
        pen: None,
        outlier_share: None,
        styles: None,
        letters: None,
    };

    const TURNED: AugmentationRequest = AugmentationRequest {
        rotation_degrees: Some(3.0),
        ..NOTHING
    };

    fn switched(enabled: bool, spec: AugmentationRequest) -> Option<AugmentationRequest> {
        Some(AugmentationRequest {
            enabled: Some(enabled),
            ..spec
        })
    }

    #[test]
    fn unset_fields_come_from_the_preset_or_the_defaults() {
        let strong = AugmentationRequest {
            noise: Some(0.3),
            ..DEFAULT
        };
        let turned = |from: AugmentationRequest| {
            Some(AugmentationRequest {
                rotation_degrees: Some(3.0),
                ..from
            })
        };
        for (requested, preset, expected) in [
            (None, None, None),
            (None, Some(strong), Some(strong)),
            (Some(NOTHING), None, switched(false, NOTHING)),
            (Some(NOTHING), Some(strong), Some(strong)),
            (switched(true, NOTHING), None, Some(DEFAULT)),
            (
                switched(false, NOTHING),
                Some(strong),
                switched(false, NOTHING),
            ),
            (Some(TURNED), None, turned(DEFAULT)),
            (Some(TURNED), Some(strong), turned(strong)),
            (Some(TURNED), switched(false, NOTHING), turned(DEFAULT)),
            (switched(false, TURNED), None, switched(false, TURNED)),
        ] {
            let filled = fill(requested, preset);
            assert_eq!(filled, expected, "{requested:?} {preset:?}");
        }
    }

    type Change = fn(&mut AugmentationRequest);

    #[test]
    fn every_field_has_its_bounds() {
        let cases: Vec<(Change, &[&str])> = vec![
            (|_| (), &[]),
            (
                |it| it.rotation_degrees = Some(181.0),
                &["rotation_degrees"],
            ),
            (|it| it.rotation_degrees = Some(-1.0), &["rotation_degrees"]),
            (|it| it.shear_degrees = Some(f64::NAN), &["shear_degrees"]),
            (|it| it.scale_min = Some(0.0), &["scale_min"]),
            (|it| it.scale_max = Some(f64::INFINITY), &["scale_max"]),
            (|it| it.scale_min = Some(1.2), &["scale_min"]),
            (|it| it.shift_pixels = Some(29.0), &["shift_pixels"]),
            (|it| it.elastic_alpha = Some(-0.1), &["elastic_alpha"]),
            (|it| it.elastic_sigma = Some(0.0), &["elastic_sigma"]),
            (|it| it.noise = Some(1.5), &["noise"]),
            (|it| it.outlier_share = Some(0.6), &["outlier_share"]),
            (|it| it.styles = Some(0.51), &["styles"]),
            (|it| it.letters = Some(-0.1), &["letters"]),
            (|it| it.enabled = Some(false), &["enabled"]),
            (
                |it| {
                    it.scale_min = Some(-1.0);
                    it.noise = Some(-1.0);
                },
                &["scale_min", "noise"],
            ),
        ];
        for (change, fields) in cases {
            let mut spec = DEFAULT;
            change(&mut spec);
            let mut found = Violations::default();
            check(&spec, &mut found);
            let expected = fields.iter().map(|it| format!("spec.augmentation.{it}"));
            let named: Vec<String> = found.fields().map(str::to_owned).collect();
            assert_eq!(named, expected.collect::<Vec<_>>(), "{found:?}");
        }
    }

    fn labelled(label: &str) -> Shape {
        Shape {
            train: 1,
            height: 28,
            width: 28,
            label_names: ["3", label].map(str::to_owned).to_vec(),
            picture_normalization: PictureNormalization::Mnist,
        }
    }

    #[test]
    fn styles_are_for_labels_that_are_digits() {
        for (label, styles, fields) in [("7", 0.1, 0), ("x", 0.1, 1), ("x", 0.0, 0)] {
            let shape = labelled(label);
            let spec = AugmentationRequest {
                styles: Some(styles),
                ..DEFAULT
            };
            let mut found = Violations::default();
            check_labels(&spec, &shape, &mut found);
            assert_eq!(found.fields().count(), fields, "{label} {styles}");
            let plan = plan(Some(spec), &shape).expect("switched on");
            let digits: &[u8] = if label == "7" { &[3, 7] } else { &[] };
            assert_eq!(plan.digits, digits);
        }
    }

    #[test]
    fn shares_of_a_preset_are_for_labels_that_are_digits() {
        let preset = AugmentationRequest {
            styles: Some(0.2),
            letters: Some(0.1),
            ..DEFAULT
        };
        let own = AugmentationRequest {
            letters: Some(0.3),
            ..NOTHING
        };
        for (label, requested, expected) in [
            ("7", None, [Some(0.2), Some(0.1)]),
            ("x", None, [Some(0.0), Some(0.0)]),
            ("x", Some(own), [Some(0.0), Some(0.3)]),
        ] {
            let mut spec = fill(requested, Some(preset)).expect("switched on");
            settle(&mut spec, requested.as_ref(), &labelled(label));
            let found = [spec.styles, spec.letters];
            assert_eq!(found, expected, "{label}");
        }
        let mut disabled = NOTHING;
        settle(&mut disabled, None, &labelled("x"));
        assert_eq!(disabled, NOTHING);
    }

    #[test]
    fn ones_and_sevens_are_rotated_half_as_far() {
        let shape = Shape {
            train: 1,
            height: 28,
            width: 28,
            label_names: ["7", "8", "1", "17"].map(str::to_owned).to_vec(),
            picture_normalization: PictureNormalization::Mnist,
        };
        let plan = plan(Some(DEFAULT), &shape).expect("switched on");
        assert_eq!(plan.half_angles, [true, false, true, false]);
        assert_eq!(plan.elastic_alpha, 36.0);
        assert_eq!(super::plan(switched(false, NOTHING), &shape), None);
        assert_eq!(super::plan(None, &shape), None);
    }
}
