//! Why a client does not get a data set, in words that hold no paths and no causes.

use digits_dataset::pushed::PushedError;

/// Why a name means no data set here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// It cannot be meant; says why and what to do, for the client.
    #[error("{0}")]
    Refused(String),
    /// The storage cannot be asked just now.
    #[error("the storage cannot be asked for it now: try again")]
    Unavailable,
}

/// What a client is told of a data set that cannot be had: no paths and no causes.
#[must_use]
pub fn told(error: &PushedError) -> NotFound {
    let refuse = |message: &str| NotFound::Refused(message.to_owned());
    match error {
        PushedError::Unknown { .. } | PushedError::Name { .. } => {
            refuse("is not there: nothing with this digest was pushed under this name")
        }
        PushedError::Ambiguous { digests, .. } => NotFound::Refused(format!(
            "may be {}: give more digits of the digest",
            digests.join(" or ")
        )),
        PushedError::Damaged { .. } => refuse(
            "is damaged on the storage: remove it there and push it again; the trainer's log says what is wrong",
        ),
        PushedError::Format { .. } | PushedError::Record { .. } => refuse(
            "was pushed by a newer program or is damaged: use a newer trainer or push it again",
        ),
        PushedError::TooLarge {
            size_bytes,
            limit_bytes,
        } => NotFound::Refused(format!(
            "has {size_bytes} bytes, above this trainer's limit of {limit_bytes}: use a smaller one, or have \
             --max-dataset-bytes raised"
        )),
        _ => NotFound::Unavailable,
    }
}
