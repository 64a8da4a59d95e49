//! Everything that can be wrong with a filled spec, found at once.

use super::{Violations, augmentation, network::network_size, plan, precision};
use crate::{datasets::Catalog, train};
use digits_checkpoint::{id::ModelName, limits, manifest};
use digits_proto::v1::{
    Activation, DataSpec, JobSpec, PromotionPolicy, PublishPolicy,
    data_spec::Split,
    job_spec::{Optimizer, Schedule},
};
use std::ops::RangeInclusive;

const LAYERS_AT_MOST: usize = 8;
const WIDTH_AT_MOST: u32 = 16_384;
/// What a checkpoint may hold: a larger network could be trained and never published.
const PARAMETERS_AT_MOST: u64 = limits::PARAMETERS as u64;
/// Rows that the curves of one job may have.
const ROWS_AT_MOST: u64 = 200_000;
const SYNTHETIC_AT_MOST: u32 = 1_000_000;
const SMALLEST_EPSILON: f64 = 1e-30;

/// Checks a filled spec.
pub(super) fn check(spec: &JobSpec, catalog: &Catalog, found: &mut Violations) {
    check_identity(spec, found);
    check_optimizer(spec, found);
    check_schedule(spec, found);
    check_numbers(spec, found);
    check_regularization(spec, found);
    check_policies(spec, found);
    precision::check(spec, found);
    if let Some(spec) = &spec.augmentation {
        augmentation::check(spec, found);
    }
    let data = spec.data.clone().unwrap_or_default();
    check_scaling(&data, found);
    let hidden = check_hidden(spec, found);
    if let Some(shape) = check_dataset(&data, catalog, found) {
        check_split(spec, &data, shape.train, found);
        if hidden {
            check_size(spec, &shape, found);
        }
    }
}

/// Replaces the device that was asked for by the one that it means here.
pub(super) fn resolve_device(spec: &mut JobSpec, found: &mut Violations) {
    match train::settle_device(spec.device.as_deref().unwrap_or("auto")) {
        Ok(device) => {
            precision::check_on(&device, spec, found);
            spec.device = Some(device);
        }
        Err(error) => found.push("device", error.to_string()),
    }
}

fn check_identity(spec: &JobSpec, found: &mut Violations) {
    if spec.name.chars().count() > 100 || spec.name.chars().any(char::is_control) {
        found.push("name", "must be at most 100 printable characters");
    }
    if spec.labels.len() > 32 {
        found.push(
            "labels",
            format!("must be at most 32, not {}", spec.labels.len()),
        );
    }
    let mut labels: Vec<_> = spec.labels.iter().collect();
    labels.sort();
    for (key, value) in labels.into_iter().take(64) {
        if !is_label_key(key) {
            found.push(
                "labels",
                "a key must be 1 to 63 of a-z, 0-9 and inner `.`, `_`, `/`, `-`",
            );
        }
        if value.chars().count() > 100 || value.chars().any(char::is_control) {
            found.push("labels", "a value must be at most 100 printable characters");
        }
    }
    if let Err(error) = spec
        .model
        .as_deref()
        .unwrap_or_default()
        .parse::<ModelName>()
    {
        found.push("model", error.to_string());
    }
}

/// Whether `key` matches `[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?`.
pub(crate) fn is_label_key(key: &str) -> bool {
    let edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| edge(byte) || b"._/-".contains(byte);
    let bytes = key.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
        && bytes.iter().all(inner)
}

fn check_optimizer(spec: &JobSpec, found: &mut Violations) {
    match &spec.optimizer {
        Some(Optimizer::Sgd(sgd)) => {
            check_rate("sgd.learning_rate", sgd.learning_rate, found);
            below_one("sgd.momentum", sgd.momentum, found);
            if sgd.nesterov == Some(true) && sgd.momentum.unwrap_or_default() == 0.0 {
                found.push("sgd.nesterov", "needs a momentum: set sgd.momentum above 0");
            }
            in_unit("sgd.weight_decay", sgd.weight_decay, found);
        }
        Some(Optimizer::Adamw(adamw)) => {
            check_rate("adamw.learning_rate", adamw.learning_rate, found);
            below_one("adamw.beta1", adamw.beta1, found);
            below_one("adamw.beta2", adamw.beta2, found);
            let epsilon = adamw.epsilon.unwrap_or_default();
            // A smaller one is 0 in single precision, and 0 / 0 is no weight.
            if !(SMALLEST_EPSILON..=1.0).contains(&epsilon) {
                found.push(
                    "adamw.epsilon",
                    format!("must be from {SMALLEST_EPSILON:e} to 1, not {epsilon}"),
                );
            }
            in_unit("adamw.weight_decay", adamw.weight_decay, found);
        }
        None => found.push("sgd", "must be set"),
    }
}

fn check_rate(field: &str, rate: Option<f64>, found: &mut Violations) {
    let rate = rate.unwrap_or_default();
    if !(rate > 0.0 && rate <= 100.0) {
        found.push(
            field,
            format!("must be more than 0 and at most 100, not {rate}"),
        );
    }
}

fn check_regularization(spec: &JobSpec, found: &mut Violations) {
    let terms = spec.regularization.unwrap_or_default();
    below_one(
        "regularization.label_smoothing",
        terms.label_smoothing,
        found,
    );
    below_one("regularization.dropout", terms.dropout, found);
    below_one("regularization.ema_decay", terms.ema_decay, found);
    let bound = terms.max_gradient_norm.unwrap_or_default();
    if !(0.0..f64::INFINITY).contains(&bound) {
        found.push(
            "regularization.max_gradient_norm",
            format!("must be more than 0, or 0 for no bound, not {bound}"),
        );
    }
    let hidden = spec.architecture.as_ref().and_then(|it| it.hidden.as_ref());
    let linear = hidden.is_none_or(|hidden| hidden.widths.is_empty());
    if linear && terms.dropout.is_some_and(|share| share > 0.0) {
        found.push(
            "regularization.dropout",
            "leaves out hidden units, and the network has none: set architecture.hidden, or 0 here",
        );
    }
    if spec
        .early_stopping
        .is_some_and(|stopping| stopping.patience_rows == 0)
    {
        found.push(
            "early_stopping.patience_rows",
            "must be at least 1: leave early_stopping unset for none",
        );
    }
}

fn check_schedule(spec: &JobSpec, found: &mut Violations) {
    match &spec.schedule {
        Some(Schedule::Step(step)) => {
            if step.every_epochs == Some(0) {
                found.push("step.every_epochs", "must be at least 1");
            }
            let factor = step.factor.unwrap_or_default();
            if !(factor > 0.0 && factor <= 1.0) {
                found.push(
                    "step.factor",
                    format!("must be more than 0 and at most 1, not {factor}"),
                );
            }
        }
        Some(Schedule::Cosine(cosine)) => {
            below_one("cosine.warmup", cosine.warmup, found);
            in_unit("cosine.final_factor", cosine.final_factor, found);
        }
        Some(Schedule::OneCycle(cycle)) => {
            let up = cycle.up.unwrap_or_default();
            if !(up > 0.0 && up < 1.0) {
                found.push("one_cycle.up", format!("must be between 0 and 1, not {up}"));
            }
            in_unit("one_cycle.initial_factor", cycle.initial_factor, found);
            in_unit("one_cycle.final_factor", cycle.final_factor, found);
        }
        Some(Schedule::Constant(_)) | None => {}
    }
}

fn in_unit(field: &str, value: Option<f64>, found: &mut Violations) {
    let value = value.unwrap_or_default();
    if !(0.0..=1.0).contains(&value) {
        found.push(field, format!("must be from 0 to 1, not {value}"));
    }
}

fn below_one(field: &str, value: Option<f64>, found: &mut Violations) {
    let value = value.unwrap_or_default();
    if !(0.0..1.0).contains(&value) {
        found.push(field, format!("must be from 0 to less than 1, not {value}"));
    }
}

fn in_range(field: &str, value: u64, range: RangeInclusive<u64>, found: &mut Violations) {
    if !range.contains(&value) {
        let (from, to) = range.into_inner();
        found.push(field, format!("must be from {from} to {to}, not {value}"));
    }
}

fn check_numbers(spec: &JobSpec, found: &mut Violations) {
    in_range(
        "epochs",
        spec.epochs.unwrap_or_default().into(),
        1..=10_000,
        found,
    );
    check_seed("seed", spec.seed, found);
    let skip = spec.generator_skip.unwrap_or_default();
    in_range("generator_skip", skip, 0..=1_000_000_000, found);
    let evaluation = spec.evaluation.unwrap_or_default();
    if evaluation.every_steps.unwrap_or_default() == 0 {
        found.push("evaluation.every_steps", "must be at least 1");
    }
    if evaluation.batch_size.unwrap_or_default() == 0 {
        found.push("evaluation.batch_size", "must be at least 1");
    }
    if let Err(message) = plan::deadline(spec) {
        found.push("limits.deadline", message);
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

fn check_policies(spec: &JobSpec, found: &mut Violations) {
    let publish = spec.publish.unwrap_or_default();
    if PublishPolicy::try_from(publish.policy).is_err() {
        found.push(
            "publish.policy",
            "is not known: use EVERY_EPOCH, BEST or FINAL",
        );
    }
    if PromotionPolicy::try_from(spec.promotion).is_err() {
        found.push("promotion", "is not known: use LATEST, IF_BETTER or MANUAL");
    }
    if spec.report == Some(true) && publish.policy() == PublishPolicy::Best {
        found.push(
            "report",
            "which checkpoint is the last is known too late with publish.policy BEST: use EVERY_EPOCH or FINAL, or ask \
             ReportCheckpoint after the job",
        );
    }
}

fn check_scaling(data: &DataSpec, found: &mut Violations) {
    let mean = data.mean.unwrap_or_default();
    if !mean.is_finite() {
        found.push("data.mean", format!("must be a number, not {mean}"));
    }
    let std = data.std.unwrap_or_default();
    if !(std.is_normal() && std > 0.0) {
        found.push("data.std", format!("must be more than 0, not {std}"));
    }
    check_seed("data.split_seed", data.split_seed, found);
}

/// Whether the widths are in their bounds.
fn check_hidden(spec: &JobSpec, found: &mut Violations) -> bool {
    let architecture = spec.architecture.clone().unwrap_or_default();
    let widths = architecture.hidden.unwrap_or_default().widths;
    let before = found.0.len();
    if widths.len() > LAYERS_AT_MOST {
        found.push(
            "architecture.hidden.widths",
            format!(
                "must be at most {LAYERS_AT_MOST} layers, not {}",
                widths.len()
            ),
        );
    }
    for (index, &width) in widths.iter().take(LAYERS_AT_MOST).enumerate() {
        if !(1..=WIDTH_AT_MOST).contains(&width) {
            found.push(
                format!("architecture.hidden.widths[{index}]"),
                format!("must be from 1 to {WIDTH_AT_MOST} units, not {width}"),
            );
        }
    }
    let good = found.0.len() == before;
    if Activation::try_from(architecture.activation).is_err() {
        found.push(
            "architecture.activation",
            "is not known: use RELU, SCALED_TANH or GELU",
        );
    }
    good
}

fn check_dataset(
    data: &DataSpec,
    catalog: &Catalog,
    found: &mut Violations,
) -> Option<crate::datasets::Shape> {
    let name = data.dataset.as_deref().unwrap_or_default();
    if name != "synthetic" && data.synthetic.is_some() {
        found.push(
            "data.synthetic",
            "is only for the data set synthetic: leave it unset",
        );
    }
    if let Some(sizes) = data.synthetic.filter(|_| name == "synthetic") {
        let before = found.0.len();
        let images = |count: Option<u32>| u64::from(count.unwrap_or_default());
        let range = 1..=u64::from(SYNTHETIC_AT_MOST);
        in_range(
            "data.synthetic.train_images",
            images(sizes.train_images),
            range.clone(),
            found,
        );
        in_range(
            "data.synthetic.test_images",
            images(sizes.test_images),
            range,
            found,
        );
        if found.0.len() > before {
            return None;
        }
    }
    if found.names("data.dataset") {
        return None;
    }
    match catalog.shape(&plan::wanted(data)) {
        Ok(shape) => Some(shape),
        Err(reason) => {
            found.push("data.dataset", reason.to_string());
            None
        }
    }
}

fn check_split(spec: &JobSpec, data: &DataSpec, images: usize, found: &mut Violations) {
    let field = match data.split {
        Some(Split::Counts(_)) => "data.counts",
        _ => "data.fractions",
    };
    let batch_size = spec.batch_size.unwrap_or_default();
    let Some(split) = plan::split(data) else {
        found.push("data", "counts or fractions must be set");
        return;
    };
    match train::split_sizes(split, images) {
        Ok((train, _)) => {
            in_range("batch_size", batch_size.into(), 1..=train as u64, found);
            let steps = train::steps_per_epoch(train, batch_size.max(1) as usize);
            let every = u64::from(spec.evaluation.unwrap_or_default().every_steps.unwrap_or(1));
            let rows = steps
                .div_ceil(every.max(1))
                .saturating_mul(spec.epochs.unwrap_or_default().into());
            if rows > ROWS_AT_MOST {
                found.push(
                    "evaluation.every_steps",
                    format!(
                        "makes {rows} rows of the curves, {ROWS_AT_MOST} are the limit: raise it"
                    ),
                );
            }
        }
        Err(error) => {
            let message = match error {
                train::TrainError::Plan { message, .. } => message,
                error => error.to_string(),
            };
            found.push(field, message);
            if batch_size == 0 {
                found.push("batch_size", "must be at least 1");
            }
        }
    }
}

fn check_size(spec: &JobSpec, shape: &crate::datasets::Shape, found: &mut Violations) {
    let architecture: manifest::Architecture = plan::architecture(spec, shape);
    let size = network_size(&architecture);
    if size.parameters > PARAMETERS_AT_MOST {
        found.push(
            "architecture.hidden.widths",
            format!(
                "makes a network of {} parameters, {PARAMETERS_AT_MOST} are the limit: use narrower layers",
                size.parameters
            ),
        );
    }
}
