//! Fingerprint of a training: a resume bundle is used only by the training that saved it.
//!
//! The fingerprint is the SHA-256 of a text: a first line with the version of the format, then one
//! `key=value` line for each option of the plan and one for the data set, sorted by key.
//!
//! * Keys and words are literals of this module. Renaming a field or a variant changes nothing
//!   here.
//! * An option at the value at which it has no effect is left out. An option that is added later is
//!   written only where it is used, so that bundles of trainings without it stay valid.
//! * A float is written as its bits in hexadecimal.
//! * Device and number of threads are left out: a training may continue on another machine.
//!
//! Every struct is destructured in full: a new field does not compile before it is decided here,
//! and in [`legacy`], how it is written.

mod legacy;
#[cfg(test)]
mod tests;

use super::{
    AdamWOptions, Augmentation, Optimizer, Plan, Precision, PublishPolicy, Regularization,
    Schedule, SgdOptions, Split,
};
use digits_checkpoint::manifest::{Activation, Architecture, InputSpec};
use digits_checkpoint::sha256_hex;
use std::collections::BTreeMap;

/// Version of the text. A change of keys, words or number format needs a new one, and the old text
/// must stay accepted as [`legacy`] is.
const FIRST_LINE: &str = "digits training 1\n";

/// The fingerprint of a plan and its data set.
pub(super) struct Fingerprint {
    current: String,
    /// The fingerprint of versions before the text had a version; `None` if no such bundle can
    /// exist.
    legacy: Option<String>,
}

impl Fingerprint {
    /// Hashes given initial weights in full, so it should be computed once per training.
    pub(super) fn of(plan: &Plan, dataset_digest: &str) -> Self {
        let initial_weights = plan
            .initial_weights
            .as_ref()
            .map(|weights| weights.digest());
        let initial_weights = initial_weights.as_deref();
        let current = text(plan, initial_weights, dataset_digest);
        let legacy = legacy::text(plan, initial_weights, dataset_digest);
        Self {
            current: sha256_hex(current.as_bytes()),
            legacy: legacy.map(|text| sha256_hex(text.as_bytes())),
        }
    }

    /// The fingerprint that a new bundle holds.
    pub(super) fn as_str(&self) -> &str {
        &self.current
    }

    /// Whether a bundle with the fingerprint `named` belongs to this training.
    pub(super) fn matches(&self, named: &str) -> bool {
        named == self.current || Some(named) == self.legacy.as_deref()
    }
}

/// The text that is hashed.
fn text(plan: &Plan, initial_weights: Option<&str>, dataset_digest: &str) -> String {
    let mut lines = Lines::default();
    lines.put("dataset", dataset_digest);
    if let Some(digest) = initial_weights {
        lines.put("initial_weights", digest);
    }
    lines.plan(plan);
    lines
        .0
        .iter()
        .fold(FIRST_LINE.to_owned(), |text, (key, value)| {
            text + key + "=" + value + "\n"
        })
}

/// Values by key.
#[derive(Default)]
struct Lines(BTreeMap<&'static str, String>);

impl Lines {
    fn put(&mut self, key: &'static str, value: impl ToString) {
        self.0.insert(key, value.to_string());
    }

    fn float(&mut self, key: &'static str, value: f64) {
        self.put(key, format!("{:016x}", value.to_bits()));
    }

    /// A float that has no effect at `neutral`.
    fn float_unless(&mut self, neutral: f64, key: &'static str, value: f64) {
        if value != neutral {
            self.float(key, value);
        }
    }

    fn float32(&mut self, key: &'static str, value: f32) {
        self.put(key, format!("{:08x}", value.to_bits()));
    }

    /// A switch, written only where it is on.
    fn switch(&mut self, key: &'static str, on: bool) {
        if on {
            self.put(key, "on");
        }
    }

    fn plan(&mut self, plan: &Plan) {
        let Plan {
            architecture,
            input,
            split,
            split_seed,
            seed,
            generator_skip,
            // Written by its digest.
            initial_weights: _,
            batch_size,
            epochs,
            optimizer,
            schedule,
            validate_every,
            evaluation_batch_size,
            augmentation,
            // A training may continue on another machine.
            device: _,
            max_threads: _,
            precision,
            publish,
            regularization,
            patience_rows,
            calibrate,
        } = plan;
        self.architecture(architecture);
        self.input(input);
        self.split(split);
        if let Some(seed) = split_seed {
            self.put("split.seed", seed);
        }
        self.put("seed", seed);
        if *generator_skip != 0 {
            self.put("generator_skip", generator_skip);
        }
        self.put("batch_size", batch_size);
        self.put("epochs", epochs);
        self.optimizer(optimizer);
        self.schedule(schedule);
        self.put("evaluation.every_steps", validate_every);
        self.put("evaluation.batch_size", evaluation_batch_size);
        if let Some(augmentation) = augmentation {
            self.augmentation(augmentation);
        }
        match precision {
            Precision::Float32 => {}
            Precision::Tf32 => self.put("precision", "tf32"),
            Precision::Bfloat16 => self.put("precision", "bfloat16"),
        }
        self.put(
            "publish",
            match publish {
                PublishPolicy::EveryEpoch => "every_epoch",
                PublishPolicy::Best => "best",
                PublishPolicy::Final => "final",
            },
        );
        self.regularization(regularization);
        if let Some(rows) = patience_rows {
            self.put("early_stopping.patience_rows", rows);
        }
        self.switch("calibrate", *calibrate);
    }

    fn architecture(&mut self, architecture: &Architecture) {
        let Architecture {
            input_size,
            hidden,
            classes,
            activation,
        } = architecture;
        self.put("architecture.input_size", input_size);
        self.put("architecture.hidden", list(hidden));
        self.put("architecture.classes", classes);
        self.put(
            "architecture.activation",
            match activation {
                Activation::Relu => "relu",
                Activation::ScaledTanh => "scaled_tanh",
                Activation::Gelu => "gelu",
                Activation::Tanh => "tanh",
                Activation::Sigmoid => "sigmoid",
                Activation::LeakyRelu { .. } => "leaky_relu",
            },
        );
        if let Activation::LeakyRelu { negative_slope } = *activation {
            self.float32("architecture.negative_slope", negative_slope);
        }
    }

    fn input(&mut self, input: &InputSpec) {
        let InputSpec {
            height,
            width,
            scale,
            mean,
            std,
        } = *input;
        self.put("input.height", height);
        self.put("input.width", width);
        self.float32("input.scale", scale);
        self.float32("input.mean", mean);
        self.float32("input.std", std);
    }

    fn split(&mut self, split: &Split) {
        match *split {
            Split::Counts { train, validation } => {
                self.put("split", "counts");
                self.put("split.train", train);
                self.put("split.validation", validation);
            }
            Split::Fractions { train, validation } => {
                self.put("split", "fractions");
                self.float("split.train", train);
                self.float("split.validation", validation);
            }
        }
    }

    fn optimizer(&mut self, optimizer: &Optimizer) {
        match *optimizer {
            Optimizer::Sgd(SgdOptions {
                learning_rate,
                momentum,
                nesterov,
                weight_decay,
            }) => {
                self.put("optimizer", "sgd");
                self.float("optimizer.learning_rate", learning_rate);
                self.float_unless(0.0, "optimizer.momentum", momentum);
                self.switch("optimizer.nesterov", nesterov);
                self.float_unless(0.0, "optimizer.weight_decay", weight_decay);
            }
            Optimizer::AdamW(AdamWOptions {
                learning_rate,
                beta1,
                beta2,
                epsilon,
                weight_decay,
            }) => {
                self.put("optimizer", "adamw");
                self.float("optimizer.learning_rate", learning_rate);
                self.float("optimizer.beta1", beta1);
                self.float("optimizer.beta2", beta2);
                self.float("optimizer.epsilon", epsilon);
                self.float_unless(0.0, "optimizer.weight_decay", weight_decay);
            }
        }
    }

    fn schedule(&mut self, schedule: &Schedule) {
        match *schedule {
            Schedule::Constant => {}
            Schedule::Step {
                every_epochs,
                factor,
            } => {
                self.put("schedule", "step");
                self.put("schedule.every_epochs", every_epochs);
                self.float("schedule.factor", factor);
            }
            Schedule::Cosine {
                warmup,
                final_factor,
            } => {
                self.put("schedule", "cosine");
                self.float("schedule.warmup", warmup);
                self.float("schedule.final_factor", final_factor);
            }
            Schedule::OneCycle {
                up,
                initial_factor,
                final_factor,
            } => {
                self.put("schedule", "one_cycle");
                self.float("schedule.up", up);
                self.float("schedule.initial_factor", initial_factor);
                self.float("schedule.final_factor", final_factor);
            }
        }
    }

    fn augmentation(&mut self, augmentation: &Augmentation) {
        let Augmentation {
            rotation_degrees,
            shear_degrees,
            scale_min,
            scale_max,
            shift_pixels,
            elastic_alpha,
            elastic_sigma,
            noise,
            pen,
            outlier_share,
            styles,
            letters,
            digits,
            half_angles,
        } = augmentation;
        self.put("augmentation", "on");
        self.float_unless(0.0, "augmentation.rotation_degrees", *rotation_degrees);
        self.float_unless(0.0, "augmentation.shear_degrees", *shear_degrees);
        self.float_unless(1.0, "augmentation.scale_min", *scale_min);
        self.float_unless(1.0, "augmentation.scale_max", *scale_max);
        self.float_unless(0.0, "augmentation.shift_pixels", *shift_pixels);
        // Without α the field's σ has no effect.
        if *elastic_alpha != 0.0 {
            self.float("augmentation.elastic_alpha", *elastic_alpha);
            self.float("augmentation.elastic_sigma", *elastic_sigma);
        }
        self.float_unless(0.0, "augmentation.noise", *noise);
        self.switch("augmentation.pen", *pen);
        self.float_unless(0.0, "augmentation.outlier_share", *outlier_share);
        if *styles != 0.0 {
            self.float("augmentation.styles", *styles);
            let digits: Vec<usize> = digits.iter().copied().map(usize::from).collect();
            self.put("augmentation.digits", list(&digits));
        }
        self.float_unless(0.0, "augmentation.letters", *letters);
        let half: Vec<usize> = (0..half_angles.len())
            .filter(|&label| half_angles[label])
            .collect();
        if !half.is_empty() {
            self.put("augmentation.half_angles", list(&half));
        }
    }

    fn regularization(&mut self, regularization: &Regularization) {
        let Regularization {
            label_smoothing,
            dropout,
            ema_decay,
            max_gradient_norm,
        } = *regularization;
        for (key, value) in [
            ("regularization.label_smoothing", label_smoothing),
            ("regularization.dropout", dropout),
            ("regularization.ema_decay", ema_decay),
            ("regularization.max_gradient_norm", max_gradient_norm),
        ] {
            self.float_unless(0.0, key, value);
        }
    }
}

/// Numbers with a comma between two.
fn list(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(",")
}
