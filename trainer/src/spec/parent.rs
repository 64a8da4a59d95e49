//! A spec that starts from a checkpoint: what it takes over from it, and whether the two fit.
//!
//! Looks at the manifest alone; the weights are verified when the job begins.

use super::{Violations, plan};
use crate::{datasets::Catalog, train};
use digits_checkpoint::{
    id::CheckpointId,
    manifest::{self, Manifest},
};
use digits_proto::v1::{Activation, ArchitectureSpec, HiddenLayers, JobSpec};

const FIELD: &str = "init_from";

/// The checkpoint that a spec starts from; `None` where it names none, or none that can be.
#[must_use]
pub fn parent_id(spec: &JobSpec) -> Option<CheckpointId> {
    spec.init_from.as_deref()?.parse().ok()
}

/// The spec with what it leaves open of network and scaling as it is in the checkpoint, before any preset.
pub(super) fn inherit(requested: &JobSpec, parent: &Manifest) -> JobSpec {
    let mut spec = requested.clone();
    let mut architecture: ArchitectureSpec = spec.architecture.unwrap_or_default();
    let widths = parent.architecture.hidden.iter();
    architecture.hidden = architecture.hidden.or_else(|| {
        Some(HiddenLayers {
            // Beyond 32 bits a width is refused by its size.
            widths: widths
                .map(|&width| u32::try_from(width).unwrap_or(u32::MAX))
                .collect(),
        })
    });
    if architecture.activation == i32::from(Activation::Unspecified) {
        architecture.activation = activation(parent.architecture.activation).into();
    }
    spec.architecture = Some(architecture);
    let mut data = spec.data.unwrap_or_default();
    data.mean = data.mean.or(Some(parent.input.mean));
    data.std = data.std.or(Some(parent.input.std));
    spec.data = Some(data);
    spec
}

fn activation(activation: manifest::Activation) -> Activation {
    match activation {
        manifest::Activation::Relu => Activation::Relu,
        manifest::Activation::ScaledTanh => Activation::ScaledTanh,
        manifest::Activation::Gelu => Activation::Gelu,
    }
}

/// Checks a filled spec against the checkpoint that it starts from.
pub(super) fn check(
    spec: &JobSpec,
    catalog: &Catalog,
    parent: Option<&Manifest>,
    found: &mut Violations,
) {
    let Some(asked) = &spec.init_from else {
        return;
    };
    let id = match asked.parse::<CheckpointId>() {
        Ok(id) => id,
        Err(error) => return found.push(FIELD, error.to_string()),
    };
    let Some(parent) = parent else {
        return found.push(
            FIELD,
            format!("there is no committed checkpoint {id}: ListCheckpoints lists them"),
        );
    };
    if parent.input.scale != train::PIXEL_SCALE {
        found.push(
            FIELD,
            format!(
                "the checkpoint divides pixels by {}, a training by {}: use another checkpoint",
                parent.input.scale,
                train::PIXEL_SCALE
            ),
        );
    }
    let data = spec.data.clone().unwrap_or_default();
    // A data set that is not there is a violation of its own.
    let Ok(shape) = catalog.shape(&plan::wanted(&data)) else {
        return;
    };
    let size = (parent.input.height, parent.input.width);
    if size != (shape.height, shape.width) {
        found.push(
            FIELD,
            format!(
                "the checkpoint takes images of {}×{}, the data set has {}×{}: use another of the two",
                size.0, size.1, shape.height, shape.width
            ),
        );
    }
    let classes = shape.label_names.len();
    if parent.architecture.classes != classes {
        found.push(
            FIELD,
            format!(
                "the checkpoint has {} classes, the data set {classes}: use another of the two",
                parent.architecture.classes
            ),
        );
    }
    let fits = size == (shape.height, shape.width) && parent.architecture.classes == classes;
    let wanted = plan::architecture(spec, &shape);
    if fits {
        for misfit in train::misfits(&parent.architecture.layers(), &wanted) {
            found.push(
                FIELD,
                format!("{misfit}: leave architecture.hidden unset to take the checkpoint's"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Violation, resolve, resolve_from};
    use super::*;
    use digits_dataset::mnist::MnistSource;
    use digits_proto::v1::{DataSpec, SyntheticSpec};

    const MANIFEST: &str = include_str!("../../../crates/checkpoint/tests/golden/manifest.json");

    fn catalog() -> Catalog {
        Catalog::open(MnistSource::default(), Vec::new()).expect("no folder")
    }

    fn manifest(change: impl FnOnce(&mut Manifest)) -> Manifest {
        let mut manifest = serde_json::from_str(MANIFEST).expect("a manifest");
        change(&mut manifest);
        manifest
    }

    fn from(parent: &Manifest) -> JobSpec {
        JobSpec {
            init_from: Some(parent.id.to_string()),
            ..JobSpec::default()
        }
    }

    fn refused(spec: &JobSpec, parent: Option<&Manifest>) -> Vec<Violation> {
        resolve_from(spec, &catalog(), parent).expect_err("refused")
    }

    #[test]
    fn what_is_left_open_is_the_checkpoints() {
        let parent = manifest(|manifest| {
            manifest.architecture.hidden = vec![20, 12];
            manifest.architecture.activation = manifest::Activation::Gelu;
            (manifest.input.mean, manifest.input.std) = (0.5, 0.25);
        });
        let spec = from(&parent);
        let resolved = resolve_from(&spec, &catalog(), Some(&parent)).expect("resolves");
        assert_eq!(resolved.job.train.architecture, parent.architecture);
        assert_eq!(resolved.job.train.input, parent.input);
        assert_eq!(resolved.job.parent, Some(parent.id));
        // What was resolved resolves to the same again.
        let again = resolve_from(&resolved.spec, &catalog(), Some(&parent)).expect("resolves");
        assert_eq!(again.spec, resolved.spec);
        let own = JobSpec {
            architecture: Some(ArchitectureSpec {
                hidden: None,
                activation: Activation::Relu.into(),
            }),
            data: Some(DataSpec {
                mean: Some(0.0),
                ..DataSpec::default()
            }),
            ..spec
        };
        let resolved = resolve_from(&own, &catalog(), Some(&parent)).expect("resolves");
        let train = resolved.job.train;
        assert_eq!(train.architecture.activation, manifest::Activation::Relu);
        assert_eq!((train.input.mean, train.input.std), (0.0, 0.25));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = manifest(|_| ());
        let mut wider = from(&good);
        wider.architecture = Some(ArchitectureSpec {
            hidden: Some(HiddenLayers { widths: vec![128] }),
            activation: 0,
        });
        let flat = manifest(|manifest| {
            (manifest.input.height, manifest.input.width) = (14, 56);
        });
        let letters = manifest(|manifest| manifest.architecture.classes = 26);
        let scaled = manifest(|manifest| manifest.input.scale = 1.0);
        let cases = [
            (
                wider,
                Some(&good),
                "layers.1.weight: the checkpoint has 10×784, the job wants 128×784: leave architecture.hidden unset",
            ),
            (
                from(&flat),
                Some(&flat),
                "the checkpoint takes images of 14×56, the data set has 28×28",
            ),
            (
                from(&letters),
                Some(&letters),
                "the checkpoint has 26 classes, the data set 10",
            ),
            (
                from(&scaled),
                Some(&scaled),
                "the checkpoint divides pixels by 1, a training by 255",
            ),
            (from(&good), None, "there is no committed checkpoint"),
            (
                JobSpec {
                    init_from: Some("x".to_owned()),
                    ..JobSpec::default()
                },
                None,
                "not a checkpoint id",
            ),
        ];
        for (spec, parent, part) in cases {
            let found = refused(&spec, parent);
            assert!(
                found.iter().all(|it| it.field == "spec.init_from"),
                "{found:?}"
            );
            assert!(found[0].message.starts_with(part), "{part}: {found:?}");
        }
        assert!(resolve(&from(&good), &catalog()).is_err());
    }

    #[test]
    fn the_other_violations_come_too() {
        let spec = JobSpec {
            epochs: Some(0),
            data: Some(DataSpec {
                dataset: Some("synthetic".to_owned()),
                synthetic: Some(SyntheticSpec {
                    train_images: Some(0),
                    ..SyntheticSpec::default()
                }),
                ..DataSpec::default()
            }),
            ..from(&manifest(|_| ()))
        };
        let found = refused(&spec, None);
        let fields: Vec<&str> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.epochs",
                "spec.data.synthetic.train_images",
                "spec.init_from"
            ]
        );
    }
}
