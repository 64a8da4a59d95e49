//! The two services and where they listen by default.

use std::fmt;

/// One of the two services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// `TrainingService` and `CheckpointService`.
    Trainer,
    /// `InferenceService`.
    Inference,
}

impl Service {
    /// Full name of its gRPC service; of several, the one that the others belong to.
    #[must_use]
    pub fn grpc_name(self) -> &'static str {
        match self {
            Self::Trainer => "digits.v1.TrainingService",
            Self::Inference => "digits.v1.InferenceService",
        }
    }

    /// URL of the service on this machine with its default port.
    #[must_use]
    pub fn default_url(self) -> &'static str {
        match self {
            Self::Trainer => "http://127.0.0.1:50051",
            Self::Inference => "http://127.0.0.1:50052",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trainer => "trainer",
            Self::Inference => "inference service",
        })
    }
}
