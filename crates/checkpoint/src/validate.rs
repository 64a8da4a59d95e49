//! Checks a manifest before any byte of the other files is read.

use crate::{
    id::CheckpointId,
    manifest::{
        Activation, Architecture, FORMAT, FileDigest, InputSpec, Manifest, Metrics, TrainingSet,
        is_sha256, read_format,
    },
    refusal::{Refusal, RefusalReason},
};
use std::collections::HashMap;

/// Limits of networks that are published or loaded. A manifest beyond them is refused, so that no
/// number in a file decides how much memory a reader allocates.
pub mod limits {
    /// Pixels of an input's height or width.
    pub const SIDE: usize = 4096;
    /// Values of an input: height × width.
    pub const INPUT: usize = 1 << 20;
    /// Hidden layers.
    pub const HIDDEN_LAYERS: usize = 64;
    /// Units of a hidden layer.
    pub const HIDDEN_UNITS: usize = 65_536;
    /// Classes.
    pub const CLASSES: usize = 1000;
    /// Weights and biases together (512 MiB of float32).
    pub const PARAMETERS: usize = 1 << 27;
    /// Bytes of a class's name.
    pub const LABEL_BYTES: usize = 256;
    /// Largest temperature.
    pub const TEMPERATURE: f64 = 100.0;
    /// Bytes of the header of a tensor file.
    pub const HEADER_BYTES: u64 = 64 << 10;
    /// Images of an exam.
    pub const EXAM_IMAGES: usize = 4096;
    /// Bytes of an exam.
    pub const EXAM_BYTES: u64 = 64 << 20;
}

impl Architecture {
    /// (outputs, inputs) of each linear layer, from the input on.
    #[must_use]
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let outputs = self.hidden.iter().copied().chain([self.classes]);
        let inputs = [self.input_size]
            .into_iter()
            .chain(self.hidden.iter().copied());
        outputs.zip(inputs).collect()
    }

    /// Weights and biases together; `None` when that is beyond a `usize`.
    #[must_use]
    pub fn parameters(&self) -> Option<usize> {
        self.layers()
            .into_iter()
            .try_fold(0_usize, |sum, (outputs, inputs)| {
                sum.checked_add(outputs.checked_mul(inputs.checked_add(1)?)?)
            })
    }

    /// Checks the sizes against [`limits`].
    ///
    /// # Errors
    /// [`RefusalReason::Architecture`], naming the field.
    pub fn validate(&self) -> Result<(), Refusal> {
        let ensure = |holds, message: &dyn Fn() -> String| {
            ensure(holds, RefusalReason::Architecture, message)
        };
        let (size, layers, classes) = (self.input_size, self.hidden.len(), self.classes);
        ensure((1..=limits::INPUT).contains(&size), &|| {
            format!("input_size {size} is not between 1 and {}", limits::INPUT)
        })?;
        ensure(layers <= limits::HIDDEN_LAYERS, &|| {
            format!(
                "hidden has {layers} layers, more than {}",
                limits::HIDDEN_LAYERS
            )
        })?;
        for &units in &self.hidden {
            ensure((1..=limits::HIDDEN_UNITS).contains(&units), &|| {
                let most = limits::HIDDEN_UNITS;
                format!("hidden layer of {units} units is not between 1 and {most}")
            })?;
        }
        ensure((1..=limits::CLASSES).contains(&classes), &|| {
            format!("classes {classes} is not between 1 and {}", limits::CLASSES)
        })?;
        if let Activation::LeakyRelu { negative_slope } = self.activation {
            ensure((0.0..=1.0).contains(&negative_slope), &|| {
                format!("negative_slope {negative_slope} is not between 0 and 1")
            })?;
        }
        let parameters = self.parameters();
        ensure(
            parameters.is_some_and(|it| it <= limits::PARAMETERS),
            &|| {
                format!(
                    "the network has more than {} parameters",
                    limits::PARAMETERS
                )
            },
        )
    }
}

impl InputSpec {
    fn validate(&self) -> Result<(), Refusal> {
        let (height, width, sides) = (self.height, self.width, 1..=limits::SIDE);
        ensure_manifest(sides.contains(&height) && sides.contains(&width), &|| {
            let most = limits::SIDE;
            format!("input of {height}×{width} is not between 1 and {most} a side")
        })?;
        positive("input.scale", self.scale.into())?;
        ensure_manifest(self.mean.is_finite(), &|| {
            format!("input.mean {} is not a number", self.mean)
        })?;
        positive("input.std", self.std.into())
    }
}

impl TrainingSet {
    fn validate(&self, classes: usize) -> Result<(), Refusal> {
        let counts = self.label_counts.len();
        ensure_manifest(counts == classes, &|| {
            format!("training.label_counts has {counts} numbers for {classes} classes")
        })?;
        ensure_manifest((0.0..=1.0).contains(&self.mean_ink), &|| {
            format!("training.mean_ink {} is not between 0 and 1", self.mean_ink)
        })
    }
}

impl Metrics {
    /// Every value must be finite: JSON has only `null` for others.
    fn validate(&self) -> Result<(), Refusal> {
        let mut values: Vec<(&str, f64)> = Vec::new();
        for (name, found) in [("validation", self.validation), ("test", self.test)] {
            if let Some(found) = found {
                values.extend([(name, found.loss), (name, found.loss_batch_mean)]);
            }
        }
        values.extend(self.train_loss.map(|loss| ("train_loss", loss)));
        if let Some(fit) = self.calibration {
            let losses = [fit.loss_before, fit.loss, fit.error_before, fit.error];
            let all = losses.into_iter().chain(fit.test_loss);
            values.extend(all.map(|value| ("calibration", value)));
        }
        values.into_iter().try_for_each(|(name, value)| {
            ensure_manifest(value.is_finite(), &|| {
                format!("metrics.{name} contains {value}")
            })
        })
    }
}

impl Manifest {
    /// Checks the manifest itself; [`load`](crate::load) checks the files against it.
    ///
    /// # Errors
    /// [`RefusalReason::Format`], [`RefusalReason::Architecture`] or [`RefusalReason::Manifest`];
    /// and [`RefusalReason::Size`] where a file would hold more than the network needs.
    pub fn validate(&self) -> Result<(), Refusal> {
        if self.format != FORMAT {
            return Err(unknown_format(u64::from(self.format)));
        }
        self.input.validate()?;
        self.architecture.validate()?;
        let (size, classes) = (self.architecture.input_size, self.architecture.classes);
        let (height, width, labels) = (self.input.height, self.input.width, self.labels.len());
        ensure(height * width == size, RefusalReason::Architecture, &|| {
            format!("input_size {size} is not {height}×{width}")
        })?;
        ensure(labels == classes, RefusalReason::Architecture, &|| {
            format!("{labels} labels for {classes} classes")
        })?;
        check_labels(&self.labels)?;
        let (temperature, most) = (self.temperature, limits::TEMPERATURE);
        ensure_manifest(temperature > 0.0 && temperature <= most, &|| {
            format!("temperature {temperature} is not more than 0 and at most {most}")
        })?;
        if let Some(training) = &self.training {
            training.validate(classes)?;
        }
        self.metrics.validate()?;
        let model = 4 * self.architecture.parameters().unwrap_or(usize::MAX / 4) as u64;
        check_file("model", &self.files.model, model + 8 + limits::HEADER_BYTES)?;
        check_file("exam", &self.files.exam, limits::EXAM_BYTES)
    }

    /// Parses the bytes of a stored manifest, and validates it.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and [`RefusalReason::Manifest`] when it has another form.
    pub(crate) fn parse(bytes: &[u8], id: CheckpointId) -> Result<Self, Refusal> {
        let refuse = |message: String| Refusal::new(RefusalReason::Manifest, message);
        let unreadable =
            |error: serde_json::Error| refuse(format!("the manifest cannot be read: {error}"));
        let format = read_format(bytes).map_err(unreadable)?;
        if format != u64::from(FORMAT) {
            return Err(unknown_format(format));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        if manifest.id != id {
            return Err(refuse(format!(
                "the manifest belongs to checkpoint {}",
                manifest.id
            )));
        }
        manifest.validate()?;
        Ok(manifest)
    }
}

fn unknown_format(format: u64) -> Refusal {
    Refusal::new(
        RefusalReason::Format,
        format!("format {format} is unknown to this program, which reads format {FORMAT}"),
    )
}

fn check_labels(labels: &[String]) -> Result<(), Refusal> {
    let mut seen = HashMap::new();
    for (index, label) in labels.iter().enumerate() {
        ensure_manifest(label.len() <= limits::LABEL_BYTES, &|| {
            format!("label {index} is longer than {} bytes", limits::LABEL_BYTES)
        })?;
        if let Some(first) = seen.insert(label, index) {
            let message = format!("labels {first} and {index} are both {label:?}");
            return Err(Refusal::new(RefusalReason::Manifest, message));
        }
    }
    Ok(())
}

fn check_file(name: &str, file: &FileDigest, most: u64) -> Result<(), Refusal> {
    ensure_manifest(is_sha256(&file.sha256), &|| {
        format!("files.{name}.sha256 is not 64 lower-case hexadecimal digits")
    })?;
    let size = file.size_bytes;
    ensure(size <= most, RefusalReason::Size, &|| {
        format!("files.{name}.size_bytes {size} is more than {most}")
    })
}

fn positive(field: &str, value: f64) -> Result<(), Refusal> {
    ensure_manifest(value.is_finite() && value > 0.0, &|| {
        format!("{field} {value} is not a positive number")
    })
}

fn ensure_manifest(holds: bool, message: &dyn Fn() -> String) -> Result<(), Refusal> {
    ensure(holds, RefusalReason::Manifest, message)
}

fn ensure(holds: bool, reason: RefusalReason, message: &dyn Fn() -> String) -> Result<(), Refusal> {
    if holds {
        return Ok(());
    }
    Err(Refusal::new(reason, message()))
}
