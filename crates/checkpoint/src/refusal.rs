//! Reasons for refusing a checkpoint, as metrics and `GetModel` name them.

use std::fmt;

/// Reason for refusing a checkpoint. Permanent: a retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The reason, for metrics.
    pub reason: RefusalReason,
    /// A description without paths.
    pub message: String,
}

impl Refusal {
    /// Makes a refusal.
    #[must_use]
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// The reasons; a bounded set, so that it can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// The manifest is not valid JSON of the known form, is too large, or has impossible values.
    Manifest,
    /// The manifest's format is unknown to this program.
    Format,
    /// The manifest is not the one that the serving record promoted.
    ManifestDigest,
    /// The serving record is not signed by a trusted key.
    Signature,
    /// The serving record is older than the newest one that was seen, where signatures are
    /// required.
    Replay,
    /// A file has another size than its manifest states, or more bytes than the network needs.
    Size,
    /// A file has another SHA-256 than its manifest states.
    Digest,
    /// The header of a tensor file is too large or cannot be read.
    Header,
    /// The network exceeds the limits, or does not fit the input or the labels.
    Architecture,
    /// The tensors are not those of the network.
    Shape,
    /// A weight is NaN or infinite.
    NotFinite,
    /// The exam cannot be read, or the engine fails it.
    Exam,
}

impl RefusalReason {
    /// Whether a file is not what it was, so that it may be restored. Every other refusal is of
    /// content that was published as it is.
    #[must_use]
    pub fn may_be_restored(self) -> bool {
        matches!(
            self,
            Self::Manifest | Self::ManifestDigest | Self::Size | Self::Digest
        )
    }

    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 12] = [
        Self::Manifest,
        Self::Format,
        Self::ManifestDigest,
        Self::Signature,
        Self::Replay,
        Self::Size,
        Self::Digest,
        Self::Header,
        Self::Architecture,
        Self::Shape,
        Self::NotFinite,
        Self::Exam,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Format => "format",
            Self::ManifestDigest => "manifest_digest",
            Self::Signature => "signature",
            Self::Replay => "replay",
            Self::Size => "size",
            Self::Digest => "digest",
            Self::Header => "header",
            Self::Architecture => "architecture",
            Self::Shape => "shape",
            Self::NotFinite => "not_finite",
            Self::Exam => "exam",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
