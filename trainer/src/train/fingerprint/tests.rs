mod plans;

use super::{Fingerprint, legacy, text};
use crate::train::{
    AdamWOptions, Augmentation, Device, InitialWeights, Optimizer, Plan, Precision, PublishPolicy,
    Schedule, SgdOptions, Split,
};
use digits_checkpoint::manifest::Activation;
use digits_checkpoint::sha256_hex;
use plans::{augmentation, every_option, layers, linear, notebook, other_variants};

const DATASET: &str = "0123abcd";

fn leaky(negative_slope: f32) -> Activation {
    Activation::LeakyRelu { negative_slope }
}

fn current(plan: &Plan) -> String {
    Fingerprint::of(plan, DATASET).as_str().to_owned()
}

/// Texts and digests are those of versions that hashed the `Debug` form of a plan.
#[test]
fn the_legacy_text_is_that_of_the_versions_which_hashed_debug() {
    for (plan, expected, sha256) in [
        (notebook(), NOTEBOOK, NOTEBOOK_SHA256),
        (every_option(), EVERY_OPTION, EVERY_OPTION_SHA256),
        (other_variants(), OTHER_VARIANTS, OTHER_VARIANTS_SHA256),
        (linear(), LINEAR, LINEAR_SHA256),
    ] {
        let initial_weights = plan.initial_weights.as_ref().map(InitialWeights::digest);
        let text = legacy::text(&plan, initial_weights.as_deref(), DATASET);
        assert_eq!(text.as_deref(), Some(expected));
        assert_eq!(sha256_hex(expected.as_bytes()), sha256);
        let fingerprint = Fingerprint::of(&plan, DATASET);
        assert!(fingerprint.matches(sha256));
        assert!(fingerprint.matches(fingerprint.as_str()));
        assert_ne!(fingerprint.as_str(), sha256);
    }
}

/// A change here invalidates the bundles of running jobs: see [`super::FIRST_LINE`].
#[test]
fn the_text_of_a_plan_does_not_change_between_versions() {
    let plan = notebook();
    let expected = "digits training 1\n\
        architecture.activation=relu\n\
        architecture.classes=10\n\
        architecture.hidden=10\n\
        architecture.input_size=784\n\
        batch_size=64\n\
        dataset=0123abcd\n\
        epochs=5\n\
        evaluation.batch_size=64\n\
        evaluation.every_steps=100\n\
        generator_skip=15962\n\
        input.height=28\n\
        input.mean=00000000\n\
        input.scale=437f0000\n\
        input.std=3f800000\n\
        input.width=28\n\
        optimizer=sgd\n\
        optimizer.learning_rate=3f50624dd2f1a9fc\n\
        optimizer.momentum=3feccccccccccccd\n\
        publish=final\n\
        seed=17\n\
        split=fractions\n\
        split.train=3feccccccccccccd\n\
        split.validation=3fb999999999999a\n";
    assert_eq!(text(&plan, None, DATASET), expected);
    for (plan, sha256) in [
        (
            notebook(),
            "1b5bbc9f2b83e7c314540fa789034bedebe9561e643d3b1b5f599d602fc63872",
        ),
        (
            every_option(),
            "ac695a926a8e43beaa46428964ee57a57c47a43d8f9ff229c352f9d5fa0e8fdd",
        ),
        (
            other_variants(),
            "0de32d22022704c39a185ec08139067cbb656b32ab0e54a9323812ff81cf9ee4",
        ),
        (
            linear(),
            "37349c5e262651ee4b47cc0365e376779b69753401fdddb3cd212295c6ae2b65",
        ),
    ] {
        assert_eq!(current(&plan), sha256);
    }
}

#[test]
fn device_and_threads_do_not_change_the_fingerprint() {
    let plan = every_option();
    let fingerprint = Fingerprint::of(&plan, DATASET);
    for (device, max_threads) in [(Device::Cpu, 1), (Device::Cuda(0), usize::MAX)] {
        let other = Plan {
            device,
            max_threads,
            ..plan.clone()
        };
        let other = Fingerprint::of(&other, DATASET);
        assert_eq!(other.as_str(), fingerprint.as_str());
        assert_eq!(other.legacy, fingerprint.legacy);
    }
}

#[test]
fn another_data_set_has_another_fingerprint() {
    let (one, other) = (
        Fingerprint::of(&notebook(), "0123abcd"),
        Fingerprint::of(&notebook(), "0123abce"),
    );
    assert!(!one.matches(other.as_str()));
    assert!(!one.matches(other.legacy.as_deref().expect("a legacy fingerprint")));
}

#[test]
fn every_other_field_changes_the_fingerprint() {
    let mut seen = vec![
        ("base", current(&every_option())),
        ("notebook", current(&notebook())),
        ("other variants", current(&other_variants())),
        ("linear", current(&linear())),
    ];
    let mut check = |name, change: &dyn Fn(&mut Plan)| {
        let mut plan = every_option();
        change(&mut plan);
        let fingerprint = current(&plan);
        let same = seen.iter().find(|(_, before)| *before == fingerprint);
        assert_eq!(same, None, "{name}");
        seen.push((name, fingerprint));
    };
    check("input size", &|plan| plan.architecture.input_size = 65);
    check("hidden", &|plan| plan.architecture.hidden = vec![127]);
    check("no hidden", &|plan| plan.architecture.hidden = vec![]);
    check("classes", &|plan| plan.architecture.classes = 5);
    check("activation", &|plan| {
        plan.architecture.activation = Activation::Relu;
    });
    check("gelu", &|plan| {
        plan.architecture.activation = Activation::Gelu;
    });
    check("leaky ReLU", &|plan| {
        plan.architecture.activation = leaky(0.01);
    });
    check("another slope", &|plan| {
        plan.architecture.activation = leaky(0.02);
    });
    check("height", &|plan| plan.input.height = 9);
    check("width", &|plan| plan.input.width = 9);
    check("scale", &|plan| plan.input.scale = 1.0);
    check("mean", &|plan| plan.input.mean = 0.1308);
    check("std", &|plan| plan.input.std = 0.3082);
    let counts = |train, validation| Split::Counts { train, validation };
    check("train images", &|plan| plan.split = counts(244, 55));
    check("validation images", &|plan| plan.split = counts(245, 54));
    let shares = |train, validation| Split::Fractions { train, validation };
    check("shares", &|plan| plan.split = shares(0.5, 0.5));
    check("train share", &|plan| plan.split = shares(0.25, 0.5));
    check("validation share", &|plan| plan.split = shares(0.5, 0.25));
    check("split seed", &|plan| plan.split_seed = Some(0));
    check("no split seed", &|plan| plan.split_seed = None);
    check("seed", &|plan| plan.seed = 4);
    check("generator skip", &|plan| plan.generator_skip = 0);
    check("initial weights", &|plan| {
        plan.initial_weights = Some(InitialWeights::new(layers(0.5)));
    });
    check("drawn weights", &|plan| plan.initial_weights = None);
    check("batch size", &|plan| plan.batch_size = 17);
    check("epochs", &|plan| plan.epochs = 5);
    check("rows", &|plan| plan.validate_every = 6);
    check("evaluation", &|plan| plan.evaluation_batch_size = 21);
    check("no augmentation", &|plan| plan.augmentation = None);
    check("tf32", &|plan| plan.precision = Precision::Float32);
    check("bfloat16", &|plan| plan.precision = Precision::Bfloat16);
    check("best", &|plan| plan.publish = PublishPolicy::Best);
    check("final", &|plan| plan.publish = PublishPolicy::Final);
    check("smoothing", &|plan| {
        plan.regularization.label_smoothing = 0.0
    });
    check("dropout", &|plan| plan.regularization.dropout = 0.1);
    check("average", &|plan| plan.regularization.ema_decay = 0.1);
    check("clipping", &|plan| {
        plan.regularization.max_gradient_norm = 0.1
    });
    check("patience", &|plan| plan.patience_rows = Some(13));
    check("no patience", &|plan| plan.patience_rows = None);
    check("calibrate", &|plan| plan.calibrate = false);
    for (name, optimizer) in optimizers() {
        check(name, &|plan| plan.optimizer = optimizer);
    }
    for (name, schedule) in schedules() {
        check(name, &|plan| plan.schedule = schedule);
    }
    for (name, augmentation) in augmentations() {
        check(name, &|plan| plan.augmentation = Some(augmentation.clone()));
    }
}

fn optimizers() -> Vec<(&'static str, Optimizer)> {
    let sgd = |learning_rate, momentum, nesterov, weight_decay| {
        Optimizer::Sgd(SgdOptions {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        })
    };
    let adamw = |learning_rate, [beta1, beta2]: [f64; 2], epsilon, weight_decay| {
        Optimizer::AdamW(AdamWOptions {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        })
    };
    vec![
        ("sgd", sgd(0.1, 0.2, false, 0.3)),
        ("sgd's rate", sgd(0.2, 0.2, false, 0.3)),
        ("sgd's momentum", sgd(0.1, 0.0, false, 0.3)),
        ("nesterov", sgd(0.1, 0.2, true, 0.3)),
        ("sgd's decay", sgd(0.1, 0.2, false, 0.0)),
        ("adamw's rate", adamw(0.02, [0.9, 0.999], 1e-8, 0.1)),
        ("beta1", adamw(0.01, [0.8, 0.999], 1e-8, 0.1)),
        ("beta2", adamw(0.01, [0.9, 0.99], 1e-8, 0.1)),
        ("epsilon", adamw(0.01, [0.9, 0.999], 1e-7, 0.1)),
        ("adamw's decay", adamw(0.01, [0.9, 0.999], 1e-8, 0.0)),
    ]
}

fn schedules() -> Vec<(&'static str, Schedule)> {
    let step = |every_epochs, factor| Schedule::Step {
        every_epochs,
        factor,
    };
    let cosine = |warmup, final_factor| Schedule::Cosine {
        warmup,
        final_factor,
    };
    let one_cycle = |up, initial_factor, final_factor| Schedule::OneCycle {
        up,
        initial_factor,
        final_factor,
    };
    vec![
        ("constant", Schedule::Constant),
        ("every epochs", step(3, 0.7)),
        ("factor", step(2, 0.6)),
        ("cosine", cosine(0.0, 0.0)),
        ("warm-up", cosine(0.1, 0.0)),
        ("cosine's end", cosine(0.0, 0.1)),
        ("one cycle", one_cycle(0.3, 0.2, 0.1)),
        ("up", one_cycle(0.4, 0.2, 0.1)),
        ("start", one_cycle(0.3, 0.3, 0.1)),
        ("end", one_cycle(0.3, 0.2, 0.2)),
    ]
}

fn augmentations() -> Vec<(&'static str, Augmentation)> {
    let with = |change: &dyn Fn(&mut Augmentation)| {
        let mut changed = augmentation();
        change(&mut changed);
        changed
    };
    vec![
        ("rotation", with(&|it| it.rotation_degrees = 0.0)),
        ("shear", with(&|it| it.shear_degrees = 0.0)),
        ("smallest", with(&|it| it.scale_min = 1.0)),
        ("largest", with(&|it| it.scale_max = 1.0)),
        ("shift", with(&|it| it.shift_pixels = 0.0)),
        ("alpha", with(&|it| it.elastic_alpha = 35.0)),
        ("no field", with(&|it| it.elastic_alpha = 0.0)),
        ("sigma", with(&|it| it.elastic_sigma = 5.0)),
        ("noise", with(&|it| it.noise = 0.0)),
        ("pen", with(&|it| it.pen = false)),
        ("outliers", with(&|it| it.outlier_share = 0.0)),
        ("styles", with(&|it| it.styles = 0.25)),
        (
            "digits",
            with(&|it| (it.styles, it.digits) = (0.25, vec![1, 7])),
        ),
        ("letters", with(&|it| it.letters = 0.25)),
        ("half", with(&|it| it.half_angles = vec![false, true])),
        ("none half", with(&|it| it.half_angles = vec![false])),
    ]
}

/// An option that a later version adds keeps the bundles of trainings without it valid.
#[test]
fn options_without_effect_are_left_out() {
    let plan = Plan {
        generator_skip: 0,
        optimizer: Optimizer::Sgd(SgdOptions {
            learning_rate: 0.1,
            momentum: 0.0,
            nesterov: false,
            weight_decay: -0.0,
        }),
        augmentation: Some(Augmentation {
            rotation_degrees: 0.0,
            shear_degrees: 0.0,
            scale_min: 1.0,
            scale_max: 1.0,
            shift_pixels: 0.0,
            elastic_alpha: 0.0,
            elastic_sigma: 5.0,
            noise: 0.0,
            pen: false,
            outlier_share: 0.0,
            styles: 0.0,
            letters: 0.0,
            digits: Vec::new(),
            half_angles: vec![false],
        }),
        ..notebook()
    };
    let text = text(&plan, None, DATASET);
    let keys: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once('=').map(|(key, _)| key))
        .collect();
    let expected = [
        "architecture.activation",
        "architecture.classes",
        "architecture.hidden",
        "architecture.input_size",
        "augmentation",
        "batch_size",
        "dataset",
        "epochs",
        "evaluation.batch_size",
        "evaluation.every_steps",
        "input.height",
        "input.mean",
        "input.scale",
        "input.std",
        "input.width",
        "optimizer",
        "optimizer.learning_rate",
        "publish",
        "seed",
        "split",
        "split.train",
        "split.validation",
    ];
    assert_eq!(keys, expected);
}

const NOTEBOOK: &str = "\
    Plan { architecture: Architecture { input_size: 784, hidden: [10], classes: 10, \
    activation: Relu }, input: InputSpec { height: 28, width: 28, scale: 255.0, mean: 0.0, \
    std: 1.0 }, split: Fractions { train: 0.9, validation: 0.1 }, split_seed: None, seed: \
    17, generator_skip: 15962, first_weights: None, batch_size: 64, epochs: 5, optimizer: \
    Sgd { learning_rate: 0.001, momentum: 0.9, nesterov: false, weight_decay: 0.0 }, \
    schedule: Constant, validate_every: 100, evaluation_batch_size: 64, augmentation: None, \
    device: Cpu, precision: Float32, threads_at_most: 1, publish: Final, regularization: \
    Regularization { label_smoothing: 0.0, dropout: 0.0, ema_decay: 0.0, max_gradient_norm: \
    0.0 }, patience_rows: None, calibrate: false } on 0123abcd";
const NOTEBOOK_SHA256: &str = "7bb154c107bdd562414adb0aeb50cf558df0a5b641d762f2f4b475ba3b2a24e9";

const EVERY_OPTION: &str = "\
    Plan { architecture: Architecture { input_size: 64, hidden: [12, 7], classes: 4, \
    activation: ScaledTanh }, input: InputSpec { height: 8, width: 8, scale: 255.0, mean: \
    0.1307, std: 0.3081 }, split: Counts { train: 245, validation: 55 }, split_seed: \
    Some(3), seed: 4294967295, generator_skip: 9, first_weights: \
    Some(FirstWeights(c0e4884a7cc399664bdc51478702c85422f2a3a93cb9d67ebfc6ba3b7a8bc652)), \
    batch_size: 16, epochs: 4, optimizer: AdamW { learning_rate: 0.01, beta1: 0.9, beta2: \
    0.999, epsilon: 1e-8, weight_decay: 0.1 }, schedule: Step { every_epochs: 2, factor: 0.7 \
    }, validate_every: 5, evaluation_batch_size: 20, augmentation: Some(Augmentation { \
    rotation_degrees: 10.0, shear_degrees: 5.5, scale_min: 0.85, scale_max: 1.15, \
    shift_pixels: 2.0, elastic_alpha: 36.0, elastic_sigma: 6.0, noise: 0.05, pen: true, \
    outlier_share: 0.125, half_angles: [false, true, false, true] }), device: Cpu, \
    precision: Tf32, threads_at_most: 1, publish: EveryEpoch, regularization: Regularization \
    { label_smoothing: 0.1, dropout: 0.3, ema_decay: 0.999, max_gradient_norm: 1e16 }, \
    patience_rows: Some(12), calibrate: true } on 0123abcd";
const EVERY_OPTION_SHA256: &str =
    "d4a4b0be11f70c0a29f8b64c1e450afb0774ea8be78990e5d721f22ca3b7d616";

const OTHER_VARIANTS: &str = "\
    Plan { architecture: Architecture { input_size: 784, hidden: [10], classes: 10, \
    activation: Gelu }, input: InputSpec { height: 28, width: 28, scale: 255.0, mean: 0.0, \
    std: 1.0 }, split: Fractions { train: 0.9, validation: 0.1 }, split_seed: None, seed: \
    17, generator_skip: 15962, first_weights: None, batch_size: 64, epochs: 5, optimizer: \
    Sgd { learning_rate: 0.30000000000000004, momentum: 0.8, nesterov: true, weight_decay: \
    1e-5 }, schedule: Cosine { warmup: 0.2, final_factor: 0.0 }, validate_every: 100, \
    evaluation_batch_size: 64, augmentation: Some(Augmentation { rotation_degrees: 10.0, \
    shear_degrees: 5.5, scale_min: 0.85, scale_max: 1.15, shift_pixels: 2.0, elastic_alpha: \
    0.0, elastic_sigma: 6.0, noise: 0.05, pen: false, outlier_share: 0.125, half_angles: [] \
    }), device: Cpu, precision: Bfloat16, threads_at_most: 1, publish: Best, regularization: \
    Regularization { label_smoothing: 0.0, dropout: 0.0, ema_decay: 0.0, max_gradient_norm: \
    0.0 }, patience_rows: None, calibrate: false } on 0123abcd";
const OTHER_VARIANTS_SHA256: &str =
    "e8ca7b2839f7cff9a19d26ecd7bf69387ebfbf4122e7d8019956bb1c24bfe196";

const LINEAR: &str = "\
    Plan { architecture: Architecture { input_size: 784, hidden: [], classes: 10, \
    activation: Relu }, input: InputSpec { height: 28, width: 28, scale: 255.0, mean: 0.0, \
    std: 1.0 }, split: Fractions { train: 0.9, validation: 0.1 }, split_seed: None, seed: \
    17, generator_skip: 0, first_weights: None, batch_size: 64, epochs: 5, optimizer: Sgd { \
    learning_rate: 0.001, momentum: 0.9, nesterov: false, weight_decay: 0.0 }, schedule: \
    OneCycle { up: 0.3, initial_factor: 0.04, final_factor: 0.0001 }, validate_every: 100, \
    evaluation_batch_size: 64, augmentation: None, device: Cpu, precision: Float32, \
    threads_at_most: 1, publish: Final, regularization: Regularization { label_smoothing: \
    0.0, dropout: 0.0, ema_decay: 0.0, max_gradient_norm: 0.0 }, patience_rows: None, \
    calibrate: false } on 0123abcd";
const LINEAR_SHA256: &str = "0ef42cea010ac07924d605f9895b5b1ed597675a989c0ecaf70a06c6ed40b5b1";
