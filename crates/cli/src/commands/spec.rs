//! Builds the job spec of `digits train`: only what flags give; the rest is the preset's.

use crate::args::{Optimizer, Precision, Promotion, Publish, Schedule, Train};
use digits_cli::Error;
use digits_proto::v1::{self, job_spec};

/// The optimizer of the preset, for flags that several optimizers have.
pub type PresetOptimizer = Option<Optimizer>;

/// Whether the spec depends on the optimizer of the preset.
pub fn needs_preset(args: &Train) -> bool {
    let shared = args.learning_rate.is_some() || args.weight_decay.is_some();
    shared && args.optimizer.is_none() && args.momentum.is_none()
}

/// The spec of a command line.
pub fn spec(args: &Train, preset: PresetOptimizer) -> Result<v1::JobSpec, Error> {
    Ok(v1::JobSpec {
        preset: args.preset.clone(),
        name: args.name.clone().unwrap_or_default(),
        labels: args.labels.iter().cloned().collect(),
        model: args.model.clone(),
        data: data(args),
        architecture: architecture(args),
        init_from: args.init_from.clone(),
        report: args.report.then_some(true),
        optimizer: optimizer(args, preset)?,
        schedule: args.schedule.map(schedule),
        batch_size: args.batch_size,
        epochs: args.epochs,
        seed: args.seed,
        generator_skip: args.generator_skip,
        device: args.device.clone(),
        evaluation: args.validate_every.map(|every| v1::EvaluationSpec {
            every_steps: Some(every),
            batch_size: None,
        }),
        publish: args.publish.map(|policy| v1::PublishSpec {
            policy: publish(policy).into(),
        }),
        promotion: args.promotion.map_or(0, |policy| promotion(policy).into()),
        precision: args.precision.map_or(0, |it| precision(it).into()),
        augmentation: args.augmentation.spec(),
        limits: args.deadline.map(deadline).transpose()?,
        regularization: regularization(args),
        early_stopping: args
            .early_stopping
            .map(|patience_rows| v1::EarlyStoppingSpec { patience_rows }),
        calibrate: calibrate(args),
    })
}

fn data(args: &Train) -> Option<v1::DataSpec> {
    let counts = args.train_count.zip(args.validation_count);
    let synthetic = v1::SyntheticSpec {
        train_images: args.synthetic_train,
        test_images: args.synthetic_test,
        seed: args.synthetic_seed,
    };
    let spec = v1::DataSpec {
        dataset: args.dataset.clone(),
        split: counts.map(|(train, validation)| {
            v1::data_spec::Split::Counts(v1::SplitCounts { train, validation })
        }),
        synthetic: (synthetic != v1::SyntheticSpec::default()).then_some(synthetic),
        ..Default::default()
    };
    (spec != v1::DataSpec::default()).then_some(spec)
}

fn architecture(args: &Train) -> Option<v1::ArchitectureSpec> {
    let spec = v1::ArchitectureSpec {
        hidden: args
            .hidden
            .clone()
            .map(|widths| v1::HiddenLayers { widths: widths.0 }),
        activation: args
            .activation
            .map_or(0, |it| v1::Activation::from(it).into()),
        negative_slope: args.negative_slope,
    };
    (spec != v1::ArchitectureSpec::default()).then_some(spec)
}

fn optimizer(args: &Train, preset: PresetOptimizer) -> Result<Option<job_spec::Optimizer>, Error> {
    let (learning_rate, weight_decay) = (args.learning_rate, args.weight_decay);
    let given = learning_rate.is_some() || weight_decay.is_some() || args.momentum.is_some();
    if !given && args.optimizer.is_none() {
        return Ok(None);
    }
    // Only SGD has a momentum.
    let implied = if args.momentum.is_some() {
        Some(Optimizer::Sgd)
    } else {
        preset
    };
    match args.optimizer.or(implied).unwrap_or(Optimizer::Sgd) {
        Optimizer::Adamw if args.momentum.is_some() => Err(Error::Usage(
            "--momentum needs --optimizer sgd, not adamw: give one of them".to_owned(),
        )),
        Optimizer::Adamw => {
            let adamw = v1::AdamW {
                learning_rate,
                weight_decay,
                ..Default::default()
            };
            Ok(Some(job_spec::Optimizer::Adamw(adamw)))
        }
        Optimizer::Sgd => {
            let momentum = args.momentum;
            let sgd = v1::Sgd {
                learning_rate,
                momentum,
                weight_decay,
                ..Default::default()
            };
            Ok(Some(job_spec::Optimizer::Sgd(sgd)))
        }
    }
}

fn regularization(args: &Train) -> Option<v1::RegularizationSpec> {
    let spec = v1::RegularizationSpec {
        label_smoothing: args.label_smoothing,
        dropout: args.dropout,
        ema_decay: args.ema_decay,
        max_gradient_norm: args.clip_norm,
    };
    (spec != v1::RegularizationSpec::default()).then_some(spec)
}

fn calibrate(args: &Train) -> Option<bool> {
    match (args.calibrate, args.no_calibrate) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn schedule(schedule: Schedule) -> job_spec::Schedule {
    match schedule {
        Schedule::Constant => job_spec::Schedule::Constant(v1::ConstantSchedule {}),
        Schedule::Step => job_spec::Schedule::Step(v1::StepSchedule::default()),
        Schedule::Cosine => job_spec::Schedule::Cosine(v1::CosineSchedule::default()),
        Schedule::OneCycle => job_spec::Schedule::OneCycle(v1::OneCycleSchedule::default()),
    }
}

fn publish(policy: Publish) -> v1::PublishPolicy {
    match policy {
        Publish::EveryEpoch => v1::PublishPolicy::EveryEpoch,
        Publish::Best => v1::PublishPolicy::Best,
        Publish::Final => v1::PublishPolicy::Final,
    }
}

fn promotion(policy: Promotion) -> v1::PromotionPolicy {
    match policy {
        Promotion::Latest => v1::PromotionPolicy::Latest,
        Promotion::IfBetter => v1::PromotionPolicy::IfBetter,
        Promotion::Manual => v1::PromotionPolicy::Manual,
    }
}

fn precision(precision: Precision) -> v1::Precision {
    match precision {
        Precision::Float32 => v1::Precision::Float32,
        Precision::Tf32 => v1::Precision::Tf32,
        Precision::Bfloat16 => v1::Precision::Bfloat16,
    }
}

fn deadline(seconds: f64) -> Result<v1::LimitsSpec, Error> {
    let duration = std::time::Duration::try_from_secs_f64(seconds).ok();
    let duration = duration.filter(|it| !it.is_zero() && it.as_secs() < 1_000_000_000);
    let duration = duration.ok_or_else(|| {
        Error::Usage(format!(
            "--deadline takes a number of seconds above 0, not {seconds}"
        ))
    })?;
    let deadline = prost_types::Duration {
        seconds: duration.as_secs().cast_signed(),
        nanos: duration.subsec_nanos().cast_signed(),
    };
    Ok(v1::LimitsSpec {
        deadline: Some(deadline),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser as _;

    fn parse(line: &str) -> Train {
        let words = ["digits", "train"]
            .into_iter()
            .chain(line.split_whitespace());
        match Arguments::try_parse_from(words).expect(line).command {
            Command::Train(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_flags_the_spec_is_the_preset() {
        let bare = spec(&parse(""), None).expect("good");
        assert_eq!(
            bare,
            v1::JobSpec {
                preset: "notebook".to_owned(),
                ..Default::default()
            }
        );
    }

    #[test]
    fn only_the_given_flags_are_set() {
        let line = "--hidden 128,64 --momentum 0 --seed 0 --train-count 9 --validation-count 1 --label a=b \
                    --publish final --promotion if-better --precision bfloat16 --deadline 1.5 --synthetic-seed 3";
        let given = spec(&parse(line), None).expect("good");
        let widths = given
            .architecture
            .clone()
            .and_then(|it| it.hidden)
            .map(|it| it.widths);
        assert_eq!(widths, Some(vec![128, 64]));
        let sgd = v1::Sgd {
            momentum: Some(0.0),
            ..Default::default()
        };
        assert_eq!(given.optimizer, Some(job_spec::Optimizer::Sgd(sgd)));
        assert_eq!((given.seed, given.epochs), (Some(0), None));
        assert_eq!(given.publish.map(|it| it.policy), Some(3));
        assert_eq!(given.promotion, 2);
        assert_eq!(given.precision(), v1::Precision::Bfloat16);
        let deadline = given.limits.and_then(|it| it.deadline).expect("set");
        assert_eq!((deadline.seconds, deadline.nanos), (1, 500_000_000));
    }

    #[test]
    fn regularization_flags_are_set() {
        let line =
            "--dropout 0.2 --label-smoothing 0 --ema-decay 0.99 --clip-norm 1 --early-stopping 5";
        let given = spec(&parse(line), None).expect("good");
        let terms = given.regularization.expect("set");
        assert_eq!(
            (terms.dropout, terms.label_smoothing),
            (Some(0.2), Some(0.0))
        );
        assert_eq!(
            (terms.ema_decay, terms.max_gradient_norm),
            (Some(0.99), Some(1.0))
        );
        assert_eq!(given.early_stopping.map(|it| it.patience_rows), Some(5));
        assert_eq!(given.calibrate, None);
        for (line, expected) in [
            ("--calibrate", true),
            ("--no-calibrate", false),
            ("--no-calibrate --calibrate", true),
        ] {
            let given = spec(&parse(line), None).expect("good");
            assert_eq!(given.calibrate, Some(expected), "{line}");
        }
    }

    #[test]
    fn a_learning_rate_alone_is_for_the_optimizer_of_the_preset() {
        let args = parse("--preset accurate --learning-rate 0.1");
        assert!(needs_preset(&args) && !needs_preset(&parse("--momentum 0.5 --learning-rate 1")));
        let with = |preset| spec(&args, preset).expect("good").optimizer;
        assert!(matches!(
            with(Some(Optimizer::Adamw)),
            Some(job_spec::Optimizer::Adamw(_))
        ));
        assert!(matches!(with(None), Some(job_spec::Optimizer::Sgd(_))));
        assert!(spec(&parse("--optimizer adamw --momentum 0.9"), None).is_err());
    }

    #[test]
    fn a_deadline_is_a_positive_time() {
        for seconds in [0.0, -1.0, f64::NAN, 1e300] {
            assert_eq!(deadline(seconds).expect_err("bad").exit_code(), 64);
        }
    }
}
