//! Errors of data sets as shown to clients, without paths and causes.

use digits_dataset::pushed::PushedError;

/// Errors of data sets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableDataset {
    /// The name or the data set is refused; the text names the reason and the remedy.
    #[error("{0}")]
    Refused(String),
    /// The storage cannot be read at the moment.
    #[error("cannot be looked up, as the storage cannot be read: retry later")]
    Unavailable,
}

/// Message of an error for the client.
#[must_use]
pub fn client_message(error: &PushedError) -> UnusableDataset {
    let refuse = |message: &str| UnusableDataset::Refused(message.to_owned());
    match error {
        PushedError::Unknown { .. } | PushedError::Name { .. } => {
            refuse("does not exist: nothing with this digest was pushed under this name")
        }
        PushedError::Ambiguous { digests, .. } => UnusableDataset::Refused(format!(
            "is ambiguous: it may be {}; give more digits of the digest",
            digests.join(" or ")
        )),
        PushedError::Damaged { .. } => refuse(
            "is damaged on the storage: remove it there and push it again; see the trainer's log",
        ),
        PushedError::Format { .. } | PushedError::Record { .. } => refuse(
            "was pushed by a newer program or is damaged: use a newer trainer or push it again",
        ),
        PushedError::TooLarge {
            size_bytes,
            limit_bytes,
        } => UnusableDataset::Refused(format!(
            "has {size_bytes} bytes, above this trainer's limit of {limit_bytes}: use a smaller one, or raise the trainer's \
             --max-dataset-bytes"
        )),
        _ => UnusableDataset::Unavailable,
    }
}
