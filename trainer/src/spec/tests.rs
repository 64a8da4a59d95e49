mod terms;

use super::*;
use crate::train;
use digits_dataset::mnist::MnistSource;
use digits_proto::v1::{
    ArchitectureSpec, DataSpec, EarlyStoppingSpec, EvaluationSpec, HiddenLayers, JobSpec,
    LimitsSpec, PublishPolicy, PublishSpec, Sgd, SplitCounts, SplitFractions, StepSchedule,
    SyntheticSpec,
    data_spec::Split,
    job_spec::{Optimizer, Schedule},
};

fn catalog() -> Catalog {
    Catalog::open(MnistSource::default(), Vec::new()).expect("no folder")
}

fn sgd(change: impl FnOnce(&mut Sgd)) -> JobSpec {
    let mut sgd = Sgd::default();
    change(&mut sgd);
    JobSpec {
        optimizer: Some(Optimizer::Sgd(sgd)),
        ..JobSpec::default()
    }
}

fn data(change: impl FnOnce(&mut DataSpec)) -> JobSpec {
    let mut data = DataSpec::default();
    change(&mut data);
    JobSpec {
        data: Some(data),
        ..JobSpec::default()
    }
}

fn hidden(widths: &[u32]) -> JobSpec {
    JobSpec {
        architecture: Some(ArchitectureSpec {
            hidden: Some(HiddenLayers {
                widths: widths.to_vec(),
            }),
            activation: 0,
        }),
        ..JobSpec::default()
    }
}

fn spec(change: impl FnOnce(&mut JobSpec)) -> JobSpec {
    let mut spec = JobSpec::default();
    change(&mut spec);
    spec
}

#[test]
fn an_empty_spec_is_the_notebook() {
    let resolved = resolve(&JobSpec::default(), &catalog()).expect("resolves");
    let preset = presets().remove(0).spec;
    let expected = JobSpec {
        device: resolved.spec.device.clone(),
        ..preset
    };
    assert_eq!(resolved.spec, expected);
    assert_eq!(resolved.job.steps, 844 * 5);
    assert_eq!(resolved.job.network.parameters, 7_960);
    assert_eq!(resolved.job.train.generator_skip, 15_962);
    assert_ne!(resolved.spec.device.as_deref(), Some("auto"));
}

#[test]
fn every_preset_resolves_to_itself() {
    for preset in presets() {
        let asked = JobSpec {
            preset: preset.name.to_owned(),
            ..JobSpec::default()
        };
        let mut resolved = resolve(&asked, &catalog()).expect("resolves").spec;
        resolved.device = Some("auto".to_owned());
        assert_eq!(resolved, preset.spec);
        // What was resolved resolves to the same again.
        let again = resolve(&resolved, &catalog()).expect("resolves again").spec;
        assert_eq!(again.seed, preset.spec.seed);
        assert_eq!(again.generator_skip, preset.spec.generator_skip);
    }
}

#[test]
fn fields_that_belong_together_are_overridden_together() {
    let seed = resolve(&spec(|spec| spec.seed = Some(1)), &catalog()).expect("resolves");
    assert_eq!(seed.spec.generator_skip, Some(0));
    let both = spec(|spec| {
        spec.seed = Some(17);
        spec.generator_skip = Some(15_962);
    });
    let both = resolve(&both, &catalog()).expect("resolves");
    assert_eq!(both.spec.generator_skip, Some(15_962));

    let other = resolve(
        &data(|data| data.dataset = Some("synthetic".to_owned())),
        &catalog(),
    );
    let other = other.expect("resolves").spec.data.expect("data");
    assert!(matches!(other.split, Some(Split::Fractions(_))));
    assert_eq!(
        other.synthetic.and_then(|sizes| sizes.train_images),
        Some(60_000)
    );

    let batch = resolve(&spec(|spec| spec.batch_size = Some(100)), &catalog()).expect("resolves");
    assert_eq!(batch.spec.evaluation.and_then(|e| e.batch_size), Some(100));

    let rate = resolve(&sgd(|sgd| sgd.learning_rate = Some(0.5)), &catalog()).expect("resolves");
    assert_eq!(
        rate.job.train.optimizer,
        train::Optimizer::Sgd {
            learning_rate: 0.5,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 0.0
        }
    );
}

#[test]
fn zero_and_nothing_are_values() {
    let plain = resolve(&sgd(|sgd| sgd.momentum = Some(0.0)), &catalog()).expect("resolves");
    assert!(matches!(
        plain.job.train.optimizer,
        train::Optimizer::Sgd { momentum: 0.0, .. }
    ));
    let linear = resolve(&hidden(&[]), &catalog()).expect("resolves");
    assert!(linear.job.train.architecture.hidden.is_empty());
    assert_eq!(
        resolve(&spec(|spec| spec.seed = Some(0)), &catalog())
            .expect("resolves")
            .spec
            .seed,
        Some(0)
    );
}

/// Every case is refused with exactly these fields.
#[test]
fn violations_name_their_fields() {
    let cases: Vec<(JobSpec, &[&str])> = vec![
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
            data(|d| d.synthetic = Some(SyntheticSpec::default())),
            &["data.synthetic"],
        ),
        (synthetic(0), &["data.synthetic.train_images"]),
        (synthetic(1_000_001), &["data.synthetic.train_images"]),
        (
            spec(|s| {
                s.evaluation = Some(EvaluationSpec {
                    every_steps: Some(0),
                    batch_size: Some(0),
                });
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
        (
            spec(|s| {
                s.limits = Some(LimitsSpec {
                    deadline: Some(prost_types::Duration::default()),
                });
            }),
            &["limits.deadline"],
        ),
        (
            spec(|s| {
                let seconds = 315_576_000_001;
                s.limits = Some(LimitsSpec {
                    deadline: Some(prost_types::Duration { seconds, nanos: 0 }),
                });
            }),
            &["limits.deadline"],
        ),
        (
            spec(|s| {
                s.epochs = Some(10_000);
                s.evaluation = Some(EvaluationSpec {
                    every_steps: Some(1),
                    batch_size: None,
                });
            }),
            &["evaluation.every_steps"],
        ),
        (spec(|s| s.promotion = 77), &["promotion"]),
    ];
    check_all(cases);
}

#[test]
fn a_report_needs_a_last_checkpoint() {
    let with = |policy: PublishPolicy| {
        spec(|s| {
            s.report = Some(true);
            s.publish = Some(PublishSpec {
                policy: policy.into(),
            });
        })
    };
    check_all(vec![(with(PublishPolicy::Best), &["report"])]);
    for policy in [PublishPolicy::EveryEpoch, PublishPolicy::Final] {
        let resolved = resolve(&with(policy), &catalog());
        assert!(resolved.expect("a last checkpoint").job.report);
    }
}

#[test]
fn the_precision_is_one_that_the_device_has() {
    let on_cpu = |precision: i32| {
        spec(|s| {
            s.device = Some("cpu".to_owned());
            s.precision = precision;
        })
    };
    let tf32 = on_cpu(v1::Precision::Tf32.into());
    check_all(vec![
        (tf32.clone(), &["precision"]),
        (on_cpu(77), &["precision"]),
    ]);
    let told = resolve(&tf32, &catalog()).expect_err("refused");
    assert!(told[0].message.contains("use FLOAT32 or BFLOAT16"));
    if train::gpus() == 0 {
        let anywhere = spec(|s| s.precision = v1::Precision::Tf32.into());
        let told = resolve(&anywhere, &catalog()).expect_err("refused");
        assert!(told[0].message.contains("no GPU here"), "{told:?}");
    }

    for (asked, spec, plan) in [
        (
            v1::Precision::Unspecified,
            v1::Precision::Float32,
            train::Precision::Float32,
        ),
        (
            v1::Precision::Bfloat16,
            v1::Precision::Bfloat16,
            train::Precision::Bfloat16,
        ),
    ] {
        let resolved = resolve(&on_cpu(asked.into()), &catalog()).expect("resolves");
        assert_eq!(resolved.spec.precision(), spec);
        assert_eq!(resolved.job.train.precision, plan);
    }
}

#[test]
fn all_violations_come_at_once() {
    let wrong = JobSpec {
        preset: "nope".to_owned(),
        epochs: Some(0),
        batch_size: Some(1_000_000),
        early_stopping: Some(EarlyStoppingSpec { patience_rows: 0 }),
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

#[test]
fn equal_specs_have_equal_keys() {
    let labelled = |pairs: &[(&str, &str)]| {
        spec(|spec| {
            spec.labels = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
        })
    };
    let many: Vec<(String, String)> = (0..30)
        .map(|i| (format!("k{i}"), format!("v{i}")))
        .collect();
    let forth = spec(|spec| spec.labels = many.iter().cloned().collect());
    let back = spec(|spec| spec.labels = many.iter().rev().cloned().collect());
    assert_eq!(request_key(&forth), request_key(&back));
    assert_ne!(
        request_key(&labelled(&[("a", "bc")])),
        request_key(&labelled(&[("ab", "c")]))
    );
    assert_ne!(
        request_key(&JobSpec::default()),
        request_key(&sgd(|_| ())),
        "an empty message is not an unset one"
    );
    let step = |factor| {
        spec(|spec| {
            spec.schedule = Some(Schedule::Step(StepSchedule {
                every_epochs: None,
                factor,
            }));
        })
    };
    assert_ne!(request_key(&step(None)), request_key(&step(Some(0.5))));
}

fn counts(train: u32, validation: u32) -> JobSpec {
    data(|data| data.split = Some(Split::Counts(SplitCounts { train, validation })))
}

fn fractions(train: f64, validation: f64) -> JobSpec {
    data(|data| data.split = Some(Split::Fractions(SplitFractions { train, validation })))
}

fn synthetic(train: u32) -> JobSpec {
    data(|data| {
        data.dataset = Some("synthetic".to_owned());
        data.synthetic = Some(SyntheticSpec {
            train_images: Some(train),
            ..SyntheticSpec::default()
        });
    })
}

fn check_all(cases: Vec<(JobSpec, &[&str])>) {
    for (spec, fields) in cases {
        let found = resolve(&spec, &catalog()).expect_err(&format!("{fields:?} is refused"));
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
