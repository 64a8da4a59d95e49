//! Why a checkpoint is kept out: the kinds that metrics and `GetModel` name.

use std::fmt;

/// A checkpoint that must not be served, and why. Trying again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind, for metrics.
    pub reason: RefusalReason,
    /// What is wrong, for people; names no path.
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

/// The kinds of refusal; a bounded set, so that it can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RefusalReason {
    /// The manifest is no JSON of the known form, is too large, or says what cannot be.
    Manifest,
    /// The manifest's format is not known to this program.
    Format,
    /// A file has another size than the manifest says, or more bytes than the network needs.
    Size,
    /// A file has another SHA-256 than the manifest says.
    Digest,
    /// The header of a tensor file is too large or cannot be read.
    Header,
    /// The network is beyond the limits, or does not fit the input or the labels.
    Architecture,
    /// The tensors are not those of the network.
    Shape,
    /// A weight is NaN or infinite.
    NotFinite,
    /// The exam cannot be read, or is answered wrongly.
    Exam,
}

impl RefusalReason {
    /// Every reason, for metrics that start at zero.
    pub const ALL: [Self; 9] = [
        Self::Manifest,
        Self::Format,
        Self::Size,
        Self::Digest,
        Self::Header,
        Self::Architecture,
        Self::Shape,
        Self::NotFinite,
        Self::Exam,
    ];

    /// As metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Format => "format",
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
