//! Checks every field of a filled request and reports all violations at once.

use super::{
    JobRequest, augmentation,
    network::{self, network_size},
    plan,
    violation::Violations,
};
use crate::{
    datasets::{Catalog, Shape},
    train::{
        self, AdamWOptions, Optimizer, Precision, PublishPolicy, Regularization, Schedule,
        SgdOptions,
    },
};
use digits_checkpoint::{id::ModelName, limits};

const MAX_LAYERS: usize = 8;
const MAX_WIDTH: u32 = 16_384;
/// Maximum size of a checkpoint: a larger network could be trained and never published.
const MAX_PARAMETERS: u64 = limits::PARAMETERS as u64;
/// Rows that the curves of one job may have.
const MAX_ROWS: u64 = 200_000;
const MAX_SYNTHETIC_IMAGES: u32 = 1_000_000;
const MIN_EPSILON: f64 = 1e-30;
/// Maximum of `google.protobuf.Duration`, about 10,000 years. Its JSON form has no more.
const MAX_DEADLINE_SECONDS: u64 = 315_576_000_000;
const CPU: &str = "cpu";

/// Checks a filled request.
pub(super) fn check(spec: &JobRequest, catalog: &Catalog, found: &mut Violations) {
    check_identity(spec, found);
    check_optimizer(spec, found);
    check_schedule(spec, found);
    check_numbers(spec, found);
    check_deadline(spec, found);
    check_regularization(spec, found);
    check_choices(spec, found);
    if let Some(augmentation) = &spec.augmentation {
        augmentation::check(augmentation, found);
    }
    check_scaling(spec, found);
    let hidden = check_hidden(spec, found);
    if let Some(shape) = check_dataset(spec, catalog, found) {
        check_split(spec, shape.train, found);
        if let Some(augmentation) = &spec.augmentation {
            augmentation::check_labels(augmentation, &shape, found);
        }
        if hidden {
            check_size(spec, &shape, found);
        }
    }
}

/// Replaces the requested device by the one that it means on this machine, and checks that it has
/// the precision.
pub(super) fn settle_device(spec: &mut JobRequest, found: &mut Violations) {
    let requested = spec.device.as_deref().unwrap_or("auto");
    match train::fix_device(requested) {
        Ok(device) => {
            if device == CPU && spec.precision == Some(Ok(Precision::Tf32)) {
                let why = match requested {
                    CPU => "",
                    _ => ", as there is no GPU here",
                };
                found.push(
                    "precision",
                    format!(
                        "is TF32, which a GPU computes, and the job would run on the CPU{why}: use FLOAT32 or \
                         BFLOAT16, or set device to a GPU"
                    ),
                );
            }
            spec.device = Some(device);
        }
        Err(error) => found.push("device", error.to_string()),
    }
}

fn check_identity(spec: &JobRequest, found: &mut Violations) {
    let printable = |text: &str| text.chars().count() <= 100 && !text.chars().any(char::is_control);
    if !printable(&spec.name) {
        found.push("name", "must be at most 100 printable characters");
    }
    let labels = spec.labels.len();
    if labels > 32 {
        found.push("labels", format!("must be at most 32, not {labels}"));
    }
    for (key, value) in spec.labels.iter().take(64) {
        if !is_label_key(key) {
            found.push(
                "labels",
                "a key must be 1 to 63 of a-z, 0-9 and inner `.`, `_`, `/`, `-`",
            );
        }
        if !printable(value) {
            found.push("labels", "a value must be at most 100 printable characters");
        }
    }
    let model = spec.model.as_deref().unwrap_or_default();
    if let Err(error) = model.parse::<ModelName>() {
        found.push("model", error.to_string());
    }
}

/// Whether `key` matches `[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?`.
fn is_label_key(key: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| edge(byte) || b"._/-".contains(byte);
    let bytes = key.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(inner)
}

fn check_optimizer(spec: &JobRequest, found: &mut Violations) {
    match plan::optimizer(spec) {
        Optimizer::Sgd(SgdOptions {
            learning_rate,
            momentum,
            nesterov,
            weight_decay,
        }) => {
            check_rate("sgd.learning_rate", learning_rate, found);
            found.below_one("sgd.momentum", momentum);
            if nesterov && momentum == 0.0 {
                found.push("sgd.nesterov", "needs a momentum: set sgd.momentum above 0");
            }
            found.in_range("sgd.weight_decay", weight_decay, 0.0..=1.0);
        }
        Optimizer::AdamW(AdamWOptions {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        }) => {
            check_rate("adamw.learning_rate", learning_rate, found);
            found.below_one("adamw.beta1", beta1);
            found.below_one("adamw.beta2", beta2);
            // A smaller one is 0 in single precision, and 0 / 0 is no weight.
            if !(MIN_EPSILON..=1.0).contains(&epsilon) {
                found.push(
                    "adamw.epsilon",
                    format!("must be from {MIN_EPSILON:e} to 1, not {epsilon}"),
                );
            }
            found.in_range("adamw.weight_decay", weight_decay, 0.0..=1.0);
        }
    }
}

fn check_rate(field: &str, rate: f64, found: &mut Violations) {
    if !(rate > 0.0 && rate <= 100.0) {
        found.push(
            field,
            format!("must be more than 0 and at most 100, not {rate}"),
        );
    }
}

fn check_regularization(spec: &JobRequest, found: &mut Violations) {
    let Regularization {
        label_smoothing,
        dropout,
        ema_decay,
        max_gradient_norm,
    } = plan::regularization(spec);
    found.below_one("regularization.label_smoothing", label_smoothing);
    found.below_one("regularization.dropout", dropout);
    found.below_one("regularization.ema_decay", ema_decay);
    if !(0.0..f64::INFINITY).contains(&max_gradient_norm) {
        found.push(
            "regularization.max_gradient_norm",
            format!("must be more than 0, or 0 for no bound, not {max_gradient_norm}"),
        );
    }
    let linear = spec.architecture.hidden.iter().flatten().next().is_none();
    if linear && dropout > 0.0 {
        found.push(
            "regularization.dropout",
            "leaves out hidden units, and the network has none: set architecture.hidden, or 0 here",
        );
    }
    if spec.patience_rows == Some(0) {
        found.push(
            "early_stopping.patience_rows",
            "must be at least 1: leave early_stopping unset for none",
        );
    }
}

fn check_schedule(spec: &JobRequest, found: &mut Violations) {
    match plan::schedule(spec) {
        Schedule::Step {
            every_epochs,
            factor,
        } => {
            if every_epochs == 0 {
                found.push("step.every_epochs", "must be at least 1");
            }
            if !(factor > 0.0 && factor <= 1.0) {
                found.push(
                    "step.factor",
                    format!("must be more than 0 and at most 1, not {factor}"),
                );
            }
        }
        Schedule::Cosine {
            warmup,
            final_factor,
        } => {
            found.below_one("cosine.warmup", warmup);
            found.in_range("cosine.final_factor", final_factor, 0.0..=1.0);
        }
        Schedule::OneCycle {
            up,
            initial_factor,
            final_factor,
        } => {
            if !(up > 0.0 && up < 1.0) {
                found.push("one_cycle.up", format!("must be between 0 and 1, not {up}"));
            }
            found.in_range("one_cycle.initial_factor", initial_factor, 0.0..=1.0);
            found.in_range("one_cycle.final_factor", final_factor, 0.0..=1.0);
        }
        Schedule::Constant => {}
    }
}

fn check_numbers(spec: &JobRequest, found: &mut Violations) {
    found.in_range("epochs", spec.epochs.unwrap_or_default(), 1..=10_000);
    check_seed("seed", spec.seed, found);
    check_seed("data.split_seed", spec.data.split_seed, found);
    let skip = spec.generator_skip.unwrap_or_default();
    found.in_range("generator_skip", skip, 0..=1_000_000_000);
    for (field, number) in [
        ("evaluation.every_steps", spec.evaluation.every_steps),
        ("evaluation.batch_size", spec.evaluation.batch_size),
    ] {
        if number.unwrap_or_default() == 0 {
            found.push(field, "must be at least 1");
        }
    }
}

fn check_seed(field: &str, seed: Option<u64>, found: &mut Violations) {
    if seed.is_some_and(|seed| seed > u64::from(u32::MAX)) {
        found.push(
            field,
            format!("must be at most {}: only 32 bits of a seed count", u32::MAX),
        );
    }
}

fn check_deadline(spec: &JobRequest, found: &mut Violations) {
    match spec.limits.and_then(|limits| limits.deadline) {
        Some(Ok(deadline)) if deadline.as_secs() > MAX_DEADLINE_SECONDS => found.push(
            "limits.deadline",
            format!(
                "must be at most {MAX_DEADLINE_SECONDS} seconds, not {}: leave it unset for none",
                deadline.as_secs()
            ),
        ),
        Some(Err(_)) => found.push("limits.deadline", plan::BAD_DEADLINE),
        Some(Ok(_)) | None => {}
    }
}

fn check_choices(spec: &JobRequest, found: &mut Violations) {
    found.recognized("precision", spec.precision, "FLOAT32, TF32 or BFLOAT16");
    found.recognized("publish.policy", spec.publish, "EVERY_EPOCH, BEST or FINAL");
    found.recognized("promotion", spec.promotion, "LATEST, IF_BETTER or MANUAL");
    found.recognized(
        "architecture.activation",
        spec.architecture.activation,
        "RELU, SCALED_TANH, GELU, TANH, SIGMOID or LEAKY_RELU",
    );
    network::check_negative_slope(&spec.architecture, found);
    if spec.report == Some(true) && spec.publish == Some(Ok(PublishPolicy::Best)) {
        found.push(
            "report",
            "which checkpoint is the last is known too late with publish.policy BEST: use EVERY_EPOCH or FINAL, or ask \
             ReportCheckpoint after the job",
        );
    }
}

fn check_scaling(spec: &JobRequest, found: &mut Violations) {
    let mean = spec.data.mean.unwrap_or_default();
    if !mean.is_finite() {
        found.push("data.mean", format!("must be a number, not {mean}"));
    }
    let std = spec.data.std.unwrap_or_default();
    if !(std.is_normal() && std > 0.0) {
        found.push("data.std", format!("must be more than 0, not {std}"));
    }
}

/// Whether the widths are in their bounds.
fn check_hidden(spec: &JobRequest, found: &mut Violations) -> bool {
    let widths = spec.architecture.hidden.as_deref().unwrap_or_default();
    let before = found.len();
    if widths.len() > MAX_LAYERS {
        found.push(
            "architecture.hidden.widths",
            format!("must be at most {MAX_LAYERS} layers, not {}", widths.len()),
        );
    }
    for (index, &width) in widths.iter().take(MAX_LAYERS).enumerate() {
        if !(1..=MAX_WIDTH).contains(&width) {
            found.push(
                &format!("architecture.hidden.widths[{index}]"),
                format!("must be from 1 to {MAX_WIDTH} units, not {width}"),
            );
        }
    }
    found.len() == before
}

fn check_dataset(spec: &JobRequest, catalog: &Catalog, found: &mut Violations) -> Option<Shape> {
    let data = &spec.data;
    if let Some(sizes) = data.synthetic {
        if data.dataset.as_deref() != Some("synthetic") {
            found.push(
                "data.synthetic",
                "is only for the data set synthetic: leave it unset",
            );
        } else {
            let before = found.len();
            for (field, images) in [
                ("data.synthetic.train_images", sizes.train_images),
                ("data.synthetic.test_images", sizes.test_images),
            ] {
                let images = images.unwrap_or_default();
                found.in_range(field, images, 1..=MAX_SYNTHETIC_IMAGES);
            }
            if found.len() > before {
                return None;
            }
        }
    }
    if found.contains("data.dataset") {
        return None;
    }
    let shape = catalog.shape(&plan::dataset_source(data));
    shape
        .map_err(|reason| found.push("data.dataset", reason.to_string()))
        .ok()
}

fn check_split(spec: &JobRequest, images: usize, found: &mut Violations) {
    let Some(split) = spec.data.split else {
        return found.push("data", "counts or fractions must be set");
    };
    let batch_size = spec.batch_size.unwrap_or_default();
    let train_images = match train::split_sizes(split, images) {
        Ok((train_images, _)) => train_images,
        Err(error) => {
            let field = match split {
                train::Split::Counts { .. } => "data.counts",
                train::Split::Fractions { .. } => "data.fractions",
            };
            let message = match error {
                train::TrainError::Plan { message, .. } => message,
                error => error.to_string(),
            };
            found.push(field, message);
            if batch_size == 0 {
                found.push("batch_size", "must be at least 1");
            }
            return;
        }
    };
    found.in_range("batch_size", batch_size as usize, 1..=train_images);
    let steps = train::steps_per_epoch(train_images, batch_size as usize);
    let every = u64::from(spec.evaluation.every_steps.unwrap_or(1)).max(1);
    let epochs = spec.epochs.unwrap_or_default();
    let rows = steps.div_ceil(every).saturating_mul(epochs.into());
    if rows > MAX_ROWS {
        found.push(
            "evaluation.every_steps",
            format!("makes {rows} rows of the curves, {MAX_ROWS} are the limit: raise it"),
        );
    }
}

fn check_size(spec: &JobRequest, shape: &Shape, found: &mut Violations) {
    let size = network_size(&plan::architecture(spec, shape));
    if size.parameters > MAX_PARAMETERS {
        found.push(
            "architecture.hidden.widths",
            format!(
                "makes a network of {} parameters, {MAX_PARAMETERS} are the limit: use narrower layers",
                size.parameters
            ),
        );
    }
}
