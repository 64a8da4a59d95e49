//! Fine-tuning: fields that a spec inherits from the checkpoint it starts from, and whether the two
//! fit.
//!
//! Reads only the manifest; the weights are verified when the job begins.

use super::{JobRequest, plan, violation::Violations};
use crate::{datasets::Catalog, train};
use digits_checkpoint::{
    id::CheckpointId,
    manifest::{Architecture, Manifest},
};

const FIELD: &str = "init_from";

/// Takes what a request leaves open of network and scaling from the checkpoint, before any preset.
pub(super) fn inherit(spec: &mut JobRequest, parent: &Manifest) {
    let Architecture {
        hidden, activation, ..
    } = &parent.architecture;
    // Beyond 32 bits a width is refused by its size.
    let width = |&width| u32::try_from(width).unwrap_or(u32::MAX);
    let own = &mut spec.architecture;
    own.hidden
        .get_or_insert_with(|| hidden.iter().map(width).collect());
    own.activation.get_or_insert(Ok(*activation));
    spec.data.mean.get_or_insert(parent.input.mean);
    spec.data.std.get_or_insert(parent.input.std);
}

/// Checks a filled spec against the checkpoint that it starts from.
pub(super) fn check(
    spec: &JobRequest,
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
    // A missing data set is reported as a separate violation.
    let Ok(shape) = catalog.shape(&plan::dataset_source(&spec.data)) else {
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
    use super::super::{
        ResolvedJob, SpecError, Violation,
        request::{ArchitectureRequest, DataRequest, SyntheticRequest},
        resolve,
    };
    use super::*;
    use digits_checkpoint::manifest::Activation;
    use digits_dataset::mnist::MnistSource;

    const MANIFEST: &str = include_str!("../../../crates/checkpoint/tests/golden/manifest.json");

    fn catalog() -> Catalog {
        Catalog::open(MnistSource::default(), Vec::new()).expect("no folder")
    }

    fn manifest(change: impl FnOnce(&mut Manifest)) -> Manifest {
        let mut manifest = serde_json::from_str(MANIFEST).expect("a manifest");
        change(&mut manifest);
        manifest
    }

    fn from(parent: &Manifest) -> JobRequest {
        JobRequest {
            init_from: Some(parent.id.to_string()),
            ..JobRequest::default()
        }
    }

    fn refused(spec: &JobRequest, parent: Option<&Manifest>) -> Vec<Violation> {
        match resolve(spec, &catalog(), parent) {
            Err(SpecError::Invalid(found)) => found,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn accepted(spec: &JobRequest, parent: &Manifest) -> ResolvedJob {
        resolve(spec, &catalog(), Some(parent)).expect("a good request")
    }

    #[test]
    fn unset_fields_come_from_the_checkpoint() {
        let parent = manifest(|manifest| {
            manifest.architecture.hidden = vec![20, 12];
            manifest.architecture.activation = Activation::Gelu;
            (manifest.input.mean, manifest.input.std) = (0.5, 0.25);
        });
        let spec = from(&parent);
        let resolved = accepted(&spec, &parent);
        assert_eq!(resolved.plan.train.architecture, parent.architecture);
        assert_eq!(resolved.plan.train.input, parent.input);
        assert_eq!(resolved.plan.parent, Some(parent.id));
        // What was resolved resolves to the same again.
        let again = accepted(&resolved.spec, &parent);
        assert_eq!(again.spec, resolved.spec);
        let own = JobRequest {
            architecture: ArchitectureRequest {
                hidden: None,
                activation: Some(Ok(Activation::Relu)),
                ..ArchitectureRequest::default()
            },
            data: DataRequest {
                mean: Some(0.0),
                ..DataRequest::default()
            },
            ..spec
        };
        let resolved = accepted(&own, &parent);
        let train = resolved.plan.train;
        assert_eq!(train.architecture.activation, Activation::Relu);
        assert_eq!((train.input.mean, train.input.std), (0.0, 0.25));
    }

    #[test]
    fn a_checkpoint_that_does_not_fit_is_refused_with_the_difference() {
        let good = manifest(|_| ());
        let mut wider = from(&good);
        wider.architecture.hidden = Some(vec![128]);
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
                JobRequest {
                    init_from: Some("x".to_owned()),
                    ..JobRequest::default()
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
        assert!(resolve(&from(&good), &catalog(), None).is_err());
    }

    #[test]
    fn other_violations_are_reported_with_those_of_the_checkpoint() {
        let spec = JobRequest {
            epochs: Some(0),
            data: DataRequest {
                dataset: Some("synthetic".to_owned()),
                synthetic: Some(SyntheticRequest {
                    train_images: Some(0),
                    ..SyntheticRequest::default()
                }),
                ..DataRequest::default()
            },
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
