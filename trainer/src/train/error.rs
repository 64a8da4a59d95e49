//! Errors of a training.

/// Why a training ended early or could not start.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The plan does not fit the data set, or its own other fields.
    #[error("{field}: {message}")]
    Plan {
        /// Field of the plan, as the job spec names it.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Not the name of a device.
    #[error("`{0}` is not a device: use auto, cpu, cuda or cuda:N")]
    UnknownDevice(String),
    /// A list of devices.
    #[error(
        "`{0}` names several devices, and a job trains on one device: the networks fit one device many times over, so jobs are spread and not batches; submit a job for each device"
    )]
    SeveralDevices(String),
    /// The linked libtorch was built without CUDA.
    #[error(
        "this libtorch ({version}) was built without CUDA: use device cpu or auto, or install a libtorch with CUDA"
    )]
    WithoutCuda {
        /// Version of libtorch.
        version: String,
    },
    /// No GPU, or no driver.
    #[error(
        "no GPU that CUDA can use was found: use device cpu or auto, or check the NVIDIA driver"
    )]
    NoGpu,
    /// The machine has fewer GPUs.
    #[error("cuda:{index} does not exist: this machine has {gpus} (cuda:0 is the first)")]
    NoSuchGpu {
        /// The requested index.
        index: usize,
        /// GPUs of this machine.
        gpus: usize,
    },
    /// The loss is NaN or infinite.
    #[error(
        "the loss became {loss} at step {step} (epoch {epoch}): lower optimizer.learning_rate or optimizer.momentum"
    )]
    NotFinite {
        /// Steps done over all epochs, that one included.
        step: u64,
        /// Epoch, from 1.
        epoch: u32,
        /// NaN or an infinity.
        loss: f64,
    },
    /// The resume bundle does not belong to this training: resume from an older one, or start over.
    #[error("the resume bundle cannot be used: {0}")]
    Bundle(String),
    /// The observer could not publish a snapshot.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
    /// libtorch refused an operation: out of memory, or a bug of this program.
    #[error("libtorch: {0}")]
    Torch(String),
    /// This program panicked: a bug.
    #[error("the training panicked: {0}")]
    Panic(String),
}

impl From<tch::TchError> for TrainError {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(first_line(&error.to_string()))
    }
}

/// A snapshot could not be published; ends the training.
#[derive(Debug, thiserror::Error)]
#[error("publishing a checkpoint failed: {message}")]
pub struct PublishFailed {
    /// The reason.
    pub message: String,
}

/// The first line of a message: libtorch appends a C++ stack trace.
pub(super) fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("no reason was given");
    line.chars().take(500).collect()
}
