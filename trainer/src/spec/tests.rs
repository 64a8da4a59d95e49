mod terms;

use super::{
    request::{
        ArchitectureRequest, DataRequest, EvaluationRequest, LimitsRequest, OptimizerRequest,
        SgdRequest, SyntheticRequest, Unrecognized,
    },
    *,
};
use crate::{
    datasets::Catalog,
    train::{self, Precision, PublishPolicy, Split},
};
use digits_checkpoint::manifest::Activation;
use digits_dataset::mnist::MnistSource;
use std::time::Duration;

fn catalog() -> Catalog {
    Catalog::open(MnistSource::default(), Vec::new()).expect("no folder")
}

/// Resolves a request that needs no checkpoint.
fn accepted(request: &JobRequest) -> ResolvedJob {
    resolve(request, &catalog(), None).expect("a good request")
}

fn refused(request: &JobRequest) -> Vec<Violation> {
    match resolve(request, &catalog(), None) {
        Err(SpecError::Invalid(found)) => found,
        other => panic!("not refused: {other:?}"),
    }
}

fn sgd(change: impl FnOnce(&mut SgdRequest)) -> JobRequest {
    let mut sgd = SgdRequest::default();
    change(&mut sgd);
    JobRequest {
        optimizer: Some(OptimizerRequest::Sgd(sgd)),
        ..JobRequest::default()
    }
}

fn data(change: impl FnOnce(&mut DataRequest)) -> JobRequest {
    let mut data = DataRequest::default();
    change(&mut data);
    JobRequest {
        data,
        ..JobRequest::default()
    }
}

fn hidden(widths: &[u32]) -> JobRequest {
    JobRequest {
        architecture: ArchitectureRequest {
            hidden: Some(widths.to_vec()),
            activation: None,
            negative_slope: None,
        },
        ..JobRequest::default()
    }
}

fn spec(change: impl FnOnce(&mut JobRequest)) -> JobRequest {
    let mut spec = JobRequest::default();
    change(&mut spec);
    spec
}

fn leaky(negative_slope: f32) -> JobRequest {
    spec(|spec| {
        spec.architecture.activation = Some(Ok(Activation::LeakyRelu { negative_slope }));
        spec.architecture.negative_slope = Some(negative_slope);
    })
}

#[test]
fn an_empty_spec_is_the_notebook() {
    let resolved = accepted(&JobRequest::default());
    let expected = JobRequest {
        device: resolved.spec.device.clone(),
        ..presets()[0].spec.clone()
    };
    assert_eq!(resolved.spec, expected);
    assert_eq!(resolved.plan.steps, 844 * 5);
    assert_eq!(resolved.plan.network.parameters, 7_960);
    assert_eq!(resolved.plan.train.generator_skip, 15_962);
    assert_ne!(resolved.spec.device.as_deref(), Some("auto"));
}

#[test]
fn every_preset_resolves_to_itself() {
    for preset in presets() {
        let once = accepted(&spec(|spec| spec.preset.clone_from(&preset.name))).spec;
        let expected = JobRequest {
            device: once.device.clone(),
            ..preset.spec.clone()
        };
        assert_eq!(once, expected);
        let twice = accepted(&once).spec;
        assert_eq!(twice, once);
    }
}

#[test]
fn fields_that_belong_together_are_overridden_together() {
    let seed = accepted(&spec(|spec| spec.seed = Some(1)));
    assert_eq!(seed.spec.generator_skip, Some(0));
    let both = spec(|spec| {
        spec.seed = Some(17);
        spec.generator_skip = Some(15_962);
    });
    let both = accepted(&both);
    assert_eq!(both.spec.generator_skip, Some(15_962));

    let other = data(|data| data.dataset = Some("synthetic".to_owned()));
    let other = accepted(&other).spec.data;
    assert!(matches!(other.split, Some(Split::Fractions { .. })));
    assert_eq!(
        other.synthetic.and_then(|sizes| sizes.train_images),
        Some(60_000)
    );

    let batch = accepted(&spec(|spec| spec.batch_size = Some(100)));
    assert_eq!(batch.spec.evaluation.batch_size, Some(100));

    let rate = accepted(&sgd(|sgd| sgd.learning_rate = Some(0.5)));
    assert_eq!(
        rate.plan.train.optimizer,
        train::Optimizer::Sgd(train::SgdOptions {
            learning_rate: 0.5,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0
        })
    );
}

#[test]
fn zero_and_an_empty_list_are_values() {
    let plain = accepted(&sgd(|sgd| sgd.momentum = Some(0.0)));
    assert!(matches!(
        plain.plan.train.optimizer,
        train::Optimizer::Sgd(train::SgdOptions { momentum: 0.0, .. })
    ));
    let linear = accepted(&hidden(&[]));
    assert!(linear.plan.train.architecture.hidden.is_empty());
    let zero = accepted(&spec(|spec| spec.seed = Some(0)));
    assert_eq!(zero.spec.seed, Some(0));
}

/// Every case is refused with exactly these fields.
#[test]
fn every_violation_names_its_field() {
    let cases: Vec<(JobRequest, &[&str])> = vec![
        (
            sgd(|s| s.learning_rate = Some(f64::NAN)),
            &["sgd.learning_rate"],
        ),
        (
            sgd(|s| s.learning_rate = Some(f64::INFINITY)),
            &["sgd.learning_rate"],
        ),
        (sgd(|s| s.learning_rate = Some(0.0)), &["sgd.learning_rate"]),
        (
            sgd(|s| s.learning_rate = Some(-1.0)),
            &["sgd.learning_rate"],
        ),
        (sgd(|s| s.learning_rate = Some(1e9)), &["sgd.learning_rate"]),
        (sgd(|s| s.momentum = Some(1.0)), &["sgd.momentum"]),
        (sgd(|s| s.momentum = Some(f64::NAN)), &["sgd.momentum"]),
        (sgd(|s| s.weight_decay = Some(-0.1)), &["sgd.weight_decay"]),
        (
            sgd(|s| {
                s.nesterov = Some(true);
                s.momentum = Some(0.0);
            }),
            &["sgd.nesterov"],
        ),
        (spec(|s| s.epochs = Some(0)), &["epochs"]),
        (spec(|s| s.epochs = Some(10_001)), &["epochs"]),
        (hidden(&[0]), &["architecture.hidden.widths[0]"]),
        (
            hidden(&[10, 1_000_000_000]),
            &["architecture.hidden.widths[1]"],
        ),
        (hidden(&[1; 9]), &["architecture.hidden.widths"]),
        (hidden(&[16_384; 8]), &["architecture.hidden.widths"]),
        (spec(|s| s.preset = "quick".to_owned()), &["preset"]),
        (
            data(|d| d.dataset = Some("cats".to_owned())),
            &["data.dataset"],
        ),
        (
            data(|d| d.dataset = Some("/etc".to_owned())),
            &["data.dataset"],
        ),
        (spec(|s| s.device = Some("gpu".to_owned())), &["device"]),
        (
            spec(|s| s.device = Some("cuda:999".to_owned())),
            &["device"],
        ),
        (
            spec(|s| s.batch_size = Some(0)),
            &["batch_size", "evaluation.batch_size"],
        ),
        (spec(|s| s.batch_size = Some(54_001)), &["batch_size"]),
        (counts(54_000, 6_001), &["data.counts"]),
        (counts(0, 10), &["data.counts"]),
        (fractions(0.9, 0.2), &["data.fractions"]),
        (fractions(f64::NAN, 0.1), &["data.fractions"]),
        (spec(|s| s.seed = Some(1 << 32)), &["seed"]),
        (data(|d| d.split_seed = Some(1 << 32)), &["data.split_seed"]),
        (
            spec(|s| s.generator_skip = Some(1_000_000_001)),
            &["generator_skip"],
        ),
        (data(|d| d.std = Some(0.0)), &["data.std"]),
        (data(|d| d.mean = Some(f32::NAN)), &["data.mean"]),
        (
            data(|d| d.synthetic = Some(SyntheticRequest::default())),
            &["data.synthetic"],
        ),
        (synthetic(0), &["data.synthetic.train_images"]),
        (synthetic(1_000_001), &["data.synthetic.train_images"]),
        (
            spec(|s| {
                s.evaluation = EvaluationRequest {
                    every_steps: Some(0),
                    batch_size: Some(0),
                };
            }),
            &["evaluation.every_steps", "evaluation.batch_size"],
        ),
        (spec(|s| s.name = "x".repeat(101)), &["name"]),
        (spec(|s| s.model = Some("A/b".to_owned())), &["model"]),
        (
            spec(|s| {
                s.labels.insert("-bad".to_owned(), String::new());
            }),
            &["labels"],
        ),
        (deadline(Err(Unrecognized)), &["limits.deadline"]),
        (
            deadline(Ok(Duration::from_secs(315_576_000_001))),
            &["limits.deadline"],
        ),
        (
            spec(|s| {
                s.epochs = Some(10_000);
                s.evaluation = EvaluationRequest {
                    every_steps: Some(1),
                    batch_size: None,
                };
            }),
            &["evaluation.every_steps"],
        ),
        (
            spec(|s| s.promotion = Some(Err(Unrecognized))),
            &["promotion"],
        ),
        (
            spec(|s| s.publish = Some(Err(Unrecognized))),
            &["publish.policy"],
        ),
        (
            spec(|s| s.architecture.activation = Some(Err(Unrecognized))),
            &["architecture.activation"],
        ),
        (
            spec(|s| s.architecture.negative_slope = Some(0.2)),
            &["architecture.negative_slope"],
        ),
        (leaky(1.5), &["architecture.negative_slope"]),
        (leaky(f32::NAN), &["architecture.negative_slope"]),
    ];
    check_all(cases);
    let slope = accepted(&leaky(0.2)).plan.train.architecture.activation;
    let expected = Activation::LeakyRelu {
        negative_slope: 0.2,
    };
    assert_eq!(slope, expected);
}

#[test]
fn a_report_is_refused_without_a_last_checkpoint() {
    let with = |policy: PublishPolicy| {
        spec(|s| {
            s.report = Some(true);
            s.publish = Some(Ok(policy));
        })
    };
    check_all(vec![(with(PublishPolicy::Best), &["report"])]);
    for policy in [PublishPolicy::EveryEpoch, PublishPolicy::Final] {
        assert!(accepted(&with(policy)).plan.report);
    }
}

#[test]
fn a_precision_that_the_device_lacks_is_refused() {
    let on_cpu = |precision| {
        spec(|s| {
            s.device = Some("cpu".to_owned());
            s.precision = precision;
        })
    };
    let tf32 = on_cpu(Some(Ok(Precision::Tf32)));
    check_all(vec![
        (tf32.clone(), &["precision"]),
        (on_cpu(Some(Err(Unrecognized))), &["precision"]),
    ]);
    let found = refused(&tf32);
    assert!(found[0].message.contains("use FLOAT32 or BFLOAT16"));
    if train::gpus() == 0 {
        let anywhere = spec(|s| s.precision = Some(Ok(Precision::Tf32)));
        let found = refused(&anywhere);
        assert!(found[0].message.contains("no GPU here"), "{found:?}");
    }

    for (requested, expected) in [
        (None, Precision::Float32),
        (Some(Ok(Precision::Bfloat16)), Precision::Bfloat16),
    ] {
        let resolved = accepted(&on_cpu(requested));
        assert_eq!(resolved.spec.precision, Some(Ok(expected)));
        assert_eq!(resolved.plan.train.precision, expected);
    }
}

#[test]
fn an_unknown_preset_is_reported_with_the_similar_one() {
    let message = |name: &str| {
        let found = refused(&spec(|spec| spec.preset = name.to_owned()));
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].message.clone()
    };
    assert_eq!(
        message("fats"),
        r#"unknown preset "fats"; did you mean "fast"?"#
    );
    assert_eq!(
        message("quick"),
        r#"unknown preset "quick": use notebook, fast, accurate, robust, record"#
    );
}

#[test]
fn all_violations_are_reported_at_once() {
    let wrong = JobRequest {
        preset: "nope".to_owned(),
        epochs: Some(0),
        batch_size: Some(1_000_000),
        patience_rows: Some(0),
        ..sgd(|sgd| sgd.learning_rate = Some(f64::NAN))
    };
    check_all(vec![(
        wrong,
        &[
            "preset",
            "sgd.learning_rate",
            "epochs",
            "batch_size",
            "early_stopping.patience_rows",
        ],
    )]);
}

fn counts(train: usize, validation: usize) -> JobRequest {
    data(|data| data.split = Some(Split::Counts { train, validation }))
}

fn fractions(train: f64, validation: f64) -> JobRequest {
    data(|data| data.split = Some(Split::Fractions { train, validation }))
}

fn deadline(deadline: Result<Duration, Unrecognized>) -> JobRequest {
    spec(|spec| {
        spec.limits = Some(LimitsRequest {
            deadline: Some(deadline),
        });
    })
}

fn synthetic(train: u32) -> JobRequest {
    data(|data| {
        data.dataset = Some("synthetic".to_owned());
        data.synthetic = Some(SyntheticRequest {
            train_images: Some(train),
            ..SyntheticRequest::default()
        });
    })
}

fn check_all(cases: Vec<(JobRequest, &[&str])>) {
    for (spec, fields) in cases {
        let found = refused(&spec);
        let mut named: Vec<&str> = found
            .iter()
            .map(|violation| violation.field.strip_prefix("spec.").expect("a prefix"))
            .collect();
        let mut expected = fields.to_vec();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{found:?}");
        for violation in &found {
            let message = &violation.message;
            assert!(!message.ends_with('.'), "{message}");
            assert!(
                message.starts_with(|first: char| !first.is_uppercase()),
                "{message}"
            );
        }
    }
}
