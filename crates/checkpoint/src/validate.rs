//! Checks a manifest before any byte of the other files is read.

use crate::{
    id::CheckpointId,
    manifest::{
        Architecture, FORMAT, FileDigest, InputSpec, Manifest, Metrics, TrainingSet, read_format,
    },
    refusal::{Refusal, RefusalReason},
};

/// Limits of networks that are published or loaded. A manifest beyond them is refused, so that no number in a file
/// decides how much memory a reader allocates.
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
        let refuse = |message| Err(Refusal::new(RefusalReason::Architecture, message));
        if !(1..=limits::INPUT).contains(&self.input_size) {
            let (size, most) = (self.input_size, limits::INPUT);
            return refuse(format!("input_size {size} is not between 1 and {most}"));
        }
        if self.hidden.len() > limits::HIDDEN_LAYERS {
            let (count, most) = (self.hidden.len(), limits::HIDDEN_LAYERS);
            return refuse(format!("hidden has {count} layers, more than {most}"));
        }
        for &units in &self.hidden {
            if !(1..=limits::HIDDEN_UNITS).contains(&units) {
                let most = limits::HIDDEN_UNITS;
                return refuse(format!(
                    "hidden layer of {units} units is not between 1 and {most}"
                ));
            }
        }
        if !(1..=limits::CLASSES).contains(&self.classes) {
            let (count, most) = (self.classes, limits::CLASSES);
            return refuse(format!("classes {count} is not between 1 and {most}"));
        }
        match self.parameters() {
            Some(count) if count <= limits::PARAMETERS => Ok(()),
            _ => refuse(format!(
                "the network has more than {} parameters",
                limits::PARAMETERS
            )),
        }
    }
}

impl InputSpec {
    fn validate(&self) -> Result<(), Refusal> {
        let refuse = |message| Err(Refusal::new(RefusalReason::Manifest, message));
        let sides = 1..=limits::SIDE;
        if !sides.contains(&self.height) || !sides.contains(&self.width) {
            let (height, width, most) = (self.height, self.width, limits::SIDE);
            return refuse(format!(
                "input of {height}×{width} is not between 1 and {most} a side"
            ));
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !positive(self.scale) {
            return refuse(format!(
                "input.scale {} is not a positive number",
                self.scale
            ));
        }
        if !self.mean.is_finite() {
            return refuse(format!("input.mean {} is not a number", self.mean));
        }
        if !positive(self.std) {
            return refuse(format!("input.std {} is not a positive number", self.std));
        }
        Ok(())
    }
}

impl TrainingSet {
    fn validate(&self, classes: usize) -> Result<(), Refusal> {
        let refuse = |message| Err(Refusal::new(RefusalReason::Manifest, message));
        let counts = self.label_counts.len();
        if counts != classes {
            return refuse(format!(
                "training.label_counts has {counts} numbers for {classes} classes"
            ));
        }
        if !(0.0..=1.0).contains(&self.mean_ink) {
            return refuse(format!(
                "training.mean_ink {} is not between 0 and 1",
                self.mean_ink
            ));
        }
        Ok(())
    }
}

impl Metrics {
    /// Every figure must be finite: JSON has only `null` for others.
    fn validate(&self) -> Result<(), Refusal> {
        let mut figures: Vec<(&str, f64)> = Vec::new();
        for (name, found) in [("validation", self.validation), ("test", self.test)] {
            if let Some(found) = found {
                figures.extend([(name, found.loss), (name, found.loss_batch_mean)]);
            }
        }
        figures.extend(self.train_loss.map(|loss| ("train_loss", loss)));
        if let Some(fit) = self.calibration {
            let losses = [fit.loss_before, fit.loss, fit.error_before, fit.error];
            let all = losses.into_iter().chain(fit.test_loss);
            figures.extend(all.map(|figure| ("calibration", figure)));
        }
        match figures.into_iter().find(|(_, figure)| !figure.is_finite()) {
            Some((name, figure)) => Err(Refusal::new(
                RefusalReason::Manifest,
                format!("metrics.{name} contains {figure}"),
            )),
            None => Ok(()),
        }
    }
}

impl Manifest {
    /// Checks the manifest itself; [`load`](crate::load) checks the files against it.
    ///
    /// # Errors
    /// [`RefusalReason::Format`], [`RefusalReason::Architecture`] or [`RefusalReason::Manifest`]; and
    /// [`RefusalReason::Size`] where a file would hold more than the network needs.
    pub fn validate(&self) -> Result<(), Refusal> {
        if self.format != FORMAT {
            return Err(unknown_format(u64::from(self.format)));
        }
        self.input.validate()?;
        self.architecture.validate()?;
        let refuse = |reason, message| Err(Refusal::new(reason, message));
        let (size, classes) = (self.architecture.input_size, self.architecture.classes);
        if self.input.height * self.input.width != size {
            let (height, width) = (self.input.height, self.input.width);
            let message = format!("input_size {size} is not {height}×{width}");
            return refuse(RefusalReason::Architecture, message);
        }
        if self.labels.len() != classes {
            let message = format!("{} labels for {classes} classes", self.labels.len());
            return refuse(RefusalReason::Architecture, message);
        }
        if self
            .labels
            .iter()
            .any(|label| label.len() > limits::LABEL_BYTES)
        {
            let message = format!("a label is longer than {} bytes", limits::LABEL_BYTES);
            return refuse(RefusalReason::Manifest, message);
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            let message = format!("temperature {} is not a positive number", self.temperature);
            return refuse(RefusalReason::Manifest, message);
        }
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

fn check_file(name: &str, file: &FileDigest, most: u64) -> Result<(), Refusal> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
        let message = format!("files.{name}.sha256 is not 64 lower-case hexadecimal digits");
        return Err(Refusal::new(RefusalReason::Manifest, message));
    }
    if file.size_bytes > most {
        let size = file.size_bytes;
        let message = format!("files.{name}.size_bytes {size} is more than {most}");
        return Err(Refusal::new(RefusalReason::Size, message));
    }
    Ok(())
}
