//! What can go wrong in a training.

/// Why a training ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The plan does not fit the data set or itself.
    #[error("{field}: {message}")]
    Plan {
        /// Field of the plan, as the job spec names it.
        field: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] super::DeviceError),
    /// The loss is no longer a number.
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
    /// The bundle that was to be gone on from does not fit: go on from an older one, or begin anew.
    #[error("the resume bundle cannot be used: {0}")]
    Bundle(String),
    /// The observer could not publish a snapshot.
    #[error(transparent)]
    Publish(#[from] PublishFailed),
    /// libtorch refused an operation: no memory, or a bug of this program.
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
